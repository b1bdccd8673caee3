/**
 * `tillway hub findings`, `quarantine` and `import`: what is wrong with terminals' journals, what to do about it, and a
 * journal that comes as a file.
 */
import type { Command } from "commander";
import { z } from "zod";
import { guarded } from "../../base/daemon.ts";
import { isFault } from "../../base/fault.ts";
import type { HubCommands } from "../cards/cli.ts";
import type { HubConfig } from "../config.ts";
import { type ImportReport, importFile } from "../import-file.ts";
import { remoteImports } from "../import-routes.ts";
import { importStopped } from "../import-stopped.ts";

interface Shared {
  readonly config: string;
}
type Listing = Shared & { readonly json?: true; readonly terminal?: string; readonly open?: true };
type Decision = Shared & { readonly by: string; readonly why: string };

export interface JournalCommands extends HubCommands {
  configOf(options: Shared): HubConfig;
}

const IMPORT_HELP = `
FILE is what "tillway journal export" or an archive of a terminal holds. Its signature is checked against the key that the
terminal was enrolled with, also of a terminal that is revoked, then its chain; then each entry is taken like any other:
what is held already changes nothing, so that a second import does nothing. Card data are in no export: the customer of a
sale that this hub never authorised is not known, and the sale is exposure of the party that the configuration names.

While a hub runs the file is sent to it in parts; while none runs its database is opened here. Run it as the hub's user.`;

export function registerJournals(hub: Command, commands: JournalCommands): void {
  registerFindings(hub, commands);
  commands
    .withConfig(hub.command("import <file>").description("takes a terminal's journal from its file; it may be revoked"))
    .option("--json", "the whole report as one JSON object")
    .addHelpText("after", IMPORT_HELP)
    .action(guarded((file: string, options: Listing) => importJournal(commands, file, options)));
}

function registerFindings(hub: Command, commands: HubCommands): void {
  const { withConfig } = commands;
  const listing = (command: Command): Command =>
    withConfig(command)
      .option("--terminal <id>", "of this terminal only")
      .option("--open", "only what waits for a person")
      .option("--json", "one JSON object per line");
  const decision = (command: Command): Command =>
    withConfig(command)
      .requiredOption("--by <name>", "who decides")
      .requiredOption("--why <text>", "for those who look into it later");

  const findings = hub.command("findings").description("gaps, forks, restored and cloned disks of terminals' journals");
  listing(findings.command("list", { isDefault: true }).description("lists findings with what to do")).action(
    guarded((options: Listing) => listFindings(commands, options)),
  );
  decision(findings.command("close <number>").description("closes a finding that was looked into")).action(
    guarded((number: string, options: Decision) => decide(commands, `/v1/findings/${inPath(number)}/close`, options)),
  );

  const quarantine = hub.command("quarantine").description("entries that the hub could not take and set aside");
  listing(quarantine.command("list", { isDefault: true }).description("lists them with the reason")).action(
    guarded((options: Listing) => listAside(commands, options)),
  );
  withConfig(quarantine.command("show <number>").description("shows one with its text")).action(
    guarded((number: string, options: Shared) => showAside(commands, number, options)),
  );
  decision(
    quarantine.command("accept <number>").description("applies it once, under its payment's id; audited"),
  ).action(
    guarded((number: string, options: Decision) =>
      decide(commands, `/v1/quarantine/${inPath(number)}/accept`, options),
    ),
  );
  decision(quarantine.command("drop <number>").description("lays it to rest: it moves nothing; audited")).action(
    guarded((number: string, options: Decision) => decide(commands, `/v1/quarantine/${inPath(number)}/drop`, options)),
  );
}

/** What is none is refused by the hub in its own words. */
const inPath = (text: string): string => encodeURIComponent(text);

function pathOf(path: string, { terminal, open }: Listing): string {
  const query = new URLSearchParams({
    ...(terminal === undefined ? {} : { terminalId: terminal }),
    ...(open ? { only: "open" } : {}),
  }).toString();
  return query === "" ? path : `${path}?${query}`;
}

const Closed = z.object({ at: z.string(), by: z.string(), why: z.string(), status: z.string().optional() }).optional();
const closedText = (closed: z.output<typeof Closed>): string =>
  closed ? `closed by ${closed.by}: ${closed.why}${closed.status ? ` (${closed.status})` : ""}` : "open";

const FindingLine = z.object({
  number: z.int(),
  kind: z.string(),
  times: z.int(),
  firstSeenAt: z.string(),
  lastSeenAt: z.string(),
  detail: z.string(),
  closed: Closed,
});

async function listFindings({ clientOf, pages }: HubCommands, options: Listing): Promise<void> {
  for await (const one of pages(clientOf(options), pathOf("/v1/findings", options), "findings")) {
    if (options.json) {
      console.log(JSON.stringify(one));
      continue;
    }
    const { number, kind, times, firstSeenAt, lastSeenAt, detail, closed } = FindingLine.parse(one);
    const seen = times === 1 ? firstSeenAt : `${firstSeenAt} to ${lastSeenAt}, ${times} times`;
    console.log([number, kind, seen, closedText(closed), detail].join("  "));
  }
}

const AsideLine = z.object({
  number: z.int(),
  terminalId: z.string(),
  epoch: z.string(),
  sequence: z.int(),
  reason: z.string(),
  detail: z.string(),
  receivedAt: z.string(),
  text: z.string().optional(),
  closed: Closed,
});
const asideText = (line: z.output<typeof AsideLine>): string => {
  const { number, receivedAt, terminalId, epoch, sequence, reason, detail, closed } = line;
  return [number, receivedAt, terminalId, `entry ${sequence} of ${epoch}`, reason, detail, closedText(closed)].join(
    "  ",
  );
};

async function listAside({ clientOf, pages }: HubCommands, options: Listing): Promise<void> {
  for await (const one of pages(clientOf(options), pathOf("/v1/quarantine", options), "entries"))
    console.log(options.json ? JSON.stringify(one) : asideText(AsideLine.parse(one)));
}

async function showAside({ clientOf }: HubCommands, number: string, options: Shared): Promise<void> {
  const line = AsideLine.parse(await clientOf(options).get(`/v1/quarantine/${inPath(number)}`));
  console.log(asideText(line));
  if (line.text !== undefined) console.log(line.text);
}

const Answer = z.object({ closed: Closed });

async function decide({ clientOf }: HubCommands, path: string, { by, why, ...shared }: Decision): Promise<void> {
  const { closed } = Answer.parse(await clientOf(shared).post(path, { by, why }));
  console.log(closedText(closed));
}

async function importJournal(commands: JournalCommands, file: string, options: Listing): Promise<void> {
  const report = await importWhereverHeld(commands, file, options);
  if (options.json) {
    console.log(JSON.stringify(report));
    return;
  }
  for (const line of reportLines(report)) console.log(line);
}

async function importWhereverHeld(
  { configOf, clientOf }: JournalCommands,
  file: string,
  options: Shared,
): Promise<ImportReport> {
  try {
    return await importStopped(file, configOf(options));
  } catch (error) {
    if (!isFault(error, "lock.held")) throw error;
    return importFile(file, remoteImports(clientOf(options)));
  }
}

function reportLines(report: ImportReport): readonly string[] {
  const { terminalId, epoch, entries, skipped, held, counts, refused, firstBad } = report;
  const fresh = entries - skipped - held;
  const { processed, declined, expired, quarantined } = counts;
  return [
    `${terminalId}, journal ${epoch}: ${entries} entries, ${skipped} of them not for a hub, ${held} held already`,
    fresh === 0
      ? "nothing new: this import changed nothing"
      : `${fresh} new: ${processed} processed, ${declined} declined, ${expired} expired, ${quarantined} set aside`,
    ...(firstBad === undefined ? [] : [`entry ${firstBad.sequence} ${firstBad.why}`]),
    ...refused.map(({ sequence, paymentId, status, reason, detail }) =>
      [`entry ${sequence}`, paymentId, status, reason, detail].filter(Boolean).join("  "),
    ),
  ];
}
