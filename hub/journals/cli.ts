/** `tillway hub findings` and `tillway hub quarantine`: what is wrong with terminals' journals, and what to do about it. */
import type { Command } from "commander";
import { z } from "zod";
import { guarded } from "../../base/daemon.ts";
import type { HubCommands } from "../cards/cli.ts";

interface Shared {
  readonly config: string;
}
type Listing = Shared & { readonly json?: true; readonly terminal?: string; readonly open?: true };
type Decision = Shared & { readonly by: string; readonly why: string };

export function registerJournals(hub: Command, commands: HubCommands): void {
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
