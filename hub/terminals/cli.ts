/** `tillway hub terminals|exposure|deny|keys|reconcile`: what an operator does about terminals and what they may sell. */
import type { Command } from "commander";
import { z } from "zod";
import { guarded } from "../../base/daemon.ts";
import { Fault } from "../../base/fault.ts";
import { ID_PATTERN } from "../../base/ids.ts";
import { DayReportSchema } from "../../wire/reconciliation.ts";
import type { HubCommands } from "../cards/cli.ts";
import { askNumber, readNumberFile } from "./read-numbers.ts";

interface Shared {
  readonly config: string;
}
type Listing = Shared & { readonly json?: true };
type Acting = Listing & { readonly by: string; readonly why: string };

export function registerTerminals(hub: Command, commands: HubCommands): void {
  const { withConfig } = commands;
  const listing = (command: Command, format = "prints JSON"): Command => withConfig(command).option("--json", format);
  const terminals = hub
    .command("terminals")
    .description("lists enrolled terminals, shows one, revokes or restores one");
  listing(
    terminals.command("list", { isDefault: true }).description("lists enrolled terminals"),
    "one JSON object per line",
  ).action(guarded((options: Listing) => listTerminals(commands, options)));
  listing(
    terminals.command("show <id>").description("shows a terminal: lease, journals, findings, what was done to it"),
  ).action(guarded((id: string, options: Listing) => showTerminal(commands, id, options)));
  const acting = (under: Command, verb: "revoke" | "restore", what: string) =>
    listing(under.command(`${verb} <id>`).description(what))
      .requiredOption("--by <name>", "who does it")
      .requiredOption("--why <text>", "why; both are kept")
      .action(guarded((id: string, options: Acting) => actOn(commands, { ...options, id, verb })));
  acting(terminals, "revoke", "refuses a terminal from now on");
  acting(terminals, "restore", "takes the revocation of a terminal back");
  acting(hub, "revoke", "refuses a terminal from now on; short for `terminals revoke`");
  listing(hub.command("exposure").description("what the fleet can sell at most while it cannot reach the hub")).action(
    guarded((options: Listing) => showExposure(commands, options)),
  );
  registerDeny(hub, commands);
  registerKeys(hub, commands);
  listing(
    hub
      .command("reconcile")
      .description("compares a terminal's day with what this hub took; ends with 1 if it differs"),
  )
    .requiredOption("--terminal <id>", "whose day")
    .requiredOption("--day <date>", "YYYY-MM-DD, as the site's books have it")
    .action(guarded((options: Reconciling) => reconcile(commands, options)));
}

function registerDeny(hub: Command, commands: HubCommands): void {
  const { withConfig } = commands;
  const deny = hub.command("deny").description("the deny list: cards, paying devices and accounts that are refused");
  withConfig(
    deny.command("list", { isDefault: true }).description("lists what is denied; of a card first six, last four"),
  )
    .option("--json", "prints JSON")
    .action(guarded((options: Listing) => listDenied(commands, options)));
  const changing = (verb: "add" | "remove", what: string) =>
    withConfig(deny.command(verb).description(`${what}; without an option it asks for a card number`))
      .option("--pan-file <file>", "card numbers, one per line; - is standard input")
      .option("--device <id>", "a paying device")
      .option("--account <id>", "an account, with its phones; its cards are refused online")
      .option("--why <text>", "kept beside the entry")
      .action(guarded((options: Denying) => changeDenied(commands, verb, options)));
  changing("add", "denies a card, device or account");
  changing("remove", "takes a card, device or account off the list");
}

function registerKeys(hub: Command, commands: HubCommands): void {
  const { withConfig } = commands;
  const keys = hub.command("keys").description("the keys that card data are sealed to");
  const listing = (command: Command): Command => withConfig(command).option("--json", "prints JSON");
  listing(keys.command("list", { isDefault: true }).description("lists them, and who may need the older ones")).action(
    guarded((options: Listing) => listKeys(commands, options)),
  );
  const rotating = (under: Command, what: string) =>
    listing(under.command("rotate <kind>").description(what)).action(
      guarded((kind: string, options: Listing) => rotate(commands, kind, options)),
    );
  rotating(keys, "makes a new key; kind is sealing");
  rotating(hub, "makes a new key; short for `keys rotate`");
  listing(keys.command("prune").description("removes older keys that no terminal can need any more"))
    .option("--give-up <terminals...>", "terminals whose entries under older keys shall never be opened")
    .option("--by <name>", "who gives them up")
    .option("--why <text>", "why; both are kept")
    .action(guarded((options: Pruning) => prune(commands, options)));
}

const TerminalLine = z.object({
  terminalId: z.string(),
  connected: z.boolean(),
  lastSeenAt: z.string().optional(),
  revokedAt: z.string().optional(),
  findings: z.int(),
  epochs: z.array(z.object({ epoch: z.string(), watermark: z.number(), ahead: z.array(z.number()) })),
});

function terminalText(line: z.output<typeof TerminalLine>): string {
  const held = line.epochs.reduce((sum, epoch) => sum + epoch.watermark + epoch.ahead.length, 0);
  const seen = line.lastSeenAt === undefined ? "never seen" : `seen ${line.lastSeenAt}`;
  const words = [line.terminalId, line.connected ? "connected" : "away", seen, `${held} entries held`];
  if (line.revokedAt !== undefined) words.push(`revoked ${line.revokedAt}`);
  if (line.findings > 0) words.push(`${line.findings} open findings`);
  return words.join("  ");
}

async function listTerminals({ clientOf, pages }: HubCommands, options: Listing): Promise<void> {
  for await (const one of pages(clientOf(options), "/v1/terminals", "terminals"))
    console.log(options.json ? JSON.stringify(one) : terminalText(TerminalLine.parse(one)));
}

const ShownTerminal = TerminalLine.extend({
  lease: z.object({ counter: z.int(), currency: z.string(), sumMinor: z.string(), expiresAt: z.string() }).optional(),
  outstanding: z.object({ count: z.int(), minor: z.string() }).optional(),
  openFindings: z.array(z.object({ kind: z.string(), detail: z.string() })),
  actions: z.array(z.object({ action: z.string(), by: z.string(), why: z.string(), at: z.string() })),
  certificates: z.array(z.object({ serial: z.string(), endsAt: z.string(), state: z.string() })),
});

function shownText(shown: z.output<typeof ShownTerminal>, { amountText }: HubCommands): string {
  const { lease, outstanding } = shown;
  return [
    terminalText(shown),
    lease === undefined
      ? "lease: none was ever given"
      : `lease: number ${lease.counter}, ${amountText(lease.sumMinor, lease.currency)}, until ${lease.expiresAt}`,
    ...(outstanding && lease
      ? [`outstanding: ${outstanding.count} sales, ${amountText(outstanding.minor, lease.currency)}`]
      : []),
    ...shown.epochs.map(({ epoch, watermark }) => `journal ${epoch}: all entries up to ${watermark} are held`),
    ...shown.certificates.map(({ serial, endsAt, state }) => `certificate ${serial}: ${state}, until ${endsAt}`),
    ...shown.openFindings.map(({ kind, detail }) => `${kind}: ${detail}`),
    ...shown.actions.map(({ action, by, why, at }) => `${at}  ${action} by ${by}: ${why}`),
  ].join("\n");
}

/** Part of a path. */
function checkedId(id: string): string {
  if (ID_PATTERN.test(id)) return id;
  throw new Fault("config.invalid", `"${id}" is not a terminal id: letters, digits, . _ - and at most 64`);
}

function print<T>(
  options: Listing,
  schema: z.ZodType<T>,
  { answer, text }: { answer: unknown; text: (of: T) => string },
) {
  console.log(options.json ? JSON.stringify(answer) : text(schema.parse(answer)));
}

async function showTerminal(commands: HubCommands, id: string, options: Listing): Promise<void> {
  const answer = await commands.clientOf(options).get(`/v1/terminals/${checkedId(id)}`);
  print(options, ShownTerminal, { answer, text: (shown) => shownText(shown, commands) });
}

interface Action extends Acting {
  readonly id: string;
  readonly verb: "revoke" | "restore";
}

async function actOn(commands: HubCommands, { id, verb, by, why, ...options }: Action): Promise<void> {
  const answer = await commands.clientOf(options).post(`/v1/terminals/${checkedId(id)}/${verb}`, { by, why });
  print(options, ShownTerminal, { answer, text: (shown) => shownText(shown, commands) });
}

const Exposure = z.object({
  currencies: z.array(
    z.object({ currency: z.string(), leases: z.int(), boundMinor: z.string(), payerBoundMinor: z.string() }),
  ),
  leases: z.array(
    z.object({
      terminalId: z.string(),
      currency: z.string(),
      capMinor: z.string(),
      copies: z.int(),
      boundMinor: z.string(),
      expiresAt: z.string(),
    }),
  ),
  moreLeases: z.int(),
});

async function showExposure({ clientOf, amountText }: HubCommands, options: Listing): Promise<void> {
  const answer = await clientOf(options).get("/v1/exposure");
  const text = ({ currencies, leases, moreLeases }: z.output<typeof Exposure>): string =>
    [
      ...leases.map(({ terminalId, currency, capMinor, copies, boundMinor, expiresAt }) => {
        const clones = copies > 1 ? `  x ${copies} copies = ${amountText(boundMinor, currency)}` : "";
        return `${terminalId}  ${amountText(capMinor, currency)}${clones}  until ${expiresAt}`;
      }),
      ...(moreLeases > 0 ? [`and ${moreLeases} more leases`] : []),
      ...currencies.map(
        ({ currency, leases: count, boundMinor, payerBoundMinor }) =>
          `at most ${amountText(boundMinor, currency)} in ${count} leases, ${amountText(payerBoundMinor, currency)} of it by one card or device; a copied disk that is not known yet adds its lease again`,
      ),
      ...(currencies.length === 0 ? ["no lease is in force"] : []),
    ].join("\n");
  print(options, Exposure, { answer, text });
}

const Denied = z.object({ kind: z.string(), shown: z.string(), why: z.string().optional(), at: z.string() });
const DenyList = z.object({ version: z.int(), entries: z.array(Denied) });
const deniedText = ({ kind, shown, why, at }: z.output<typeof Denied>): string =>
  [at, kind, shown, why].filter((word) => word !== undefined).join("  ");

async function listDenied({ clientOf }: HubCommands, options: Listing): Promise<void> {
  const answer = await clientOf(options).get("/v1/deny");
  const text = ({ version, entries }: z.output<typeof DenyList>): string =>
    [...entries.map(deniedText), `version ${version}, ${entries.length} entries`].join("\n");
  print(options, DenyList, { answer, text });
}

interface Denying extends Shared {
  readonly panFile?: string;
  readonly device?: string;
  readonly account?: string;
  readonly why?: string;
}

async function changeDenied({ clientOf }: HubCommands, verb: "add" | "remove", options: Denying): Promise<void> {
  const { why } = options;
  const path = verb === "add" ? "/v1/deny" : "/v1/deny/remove";
  for (const subject of await subjectsOf(options)) {
    const answer = await clientOf(options).post(path, { subject, ...(why === undefined ? {} : { why }) });
    const { version, entry } = z.object({ version: z.int(), entry: Denied }).parse(answer);
    console.log(`${verb === "add" ? "denied" : "removed"}  ${entry.kind}  ${entry.shown}  version ${version}`);
  }
}

async function subjectsOf({ panFile, device, account }: Denying) {
  if ([panFile, device, account].filter((given) => given !== undefined).length > 1)
    throw new Fault("config.invalid", "name one of --pan-file, --device and --account");
  if (device !== undefined) return [{ kind: "device", id: device }];
  if (account !== undefined) return [{ kind: "account", id: account }];
  if (panFile !== undefined) return readNumberFile(panFile).map((id) => ({ kind: "card", id }));
  if (!process.stdin.isTTY)
    throw new Fault("config.invalid", "nobody can be asked for a number here; give it by --pan-file -");
  return [{ kind: "card", id: await askNumber(process.stdin, (text) => void process.stderr.write(text)) }];
}

const Keys = z.object({
  sealing: z.array(
    z.object({
      keyId: z.string(),
      generation: z.int(),
      madeAt: z.string(),
      present: z.boolean(),
      neededBy: z.array(z.object({ terminalId: z.string(), why: z.string() })),
      moreNeeds: z.int(),
    }),
  ),
});

const keysText = ({ sealing }: z.output<typeof Keys>): string =>
  sealing
    .flatMap(({ keyId, generation, madeAt, present, neededBy, moreNeeds }) => [
      `sealing ${generation}  ${keyId}  ${madeAt}  ${present ? "present" : neededBy.length > 0 ? "may be needed" : "not needed"}`,
      ...neededBy.map(({ terminalId, why }) => `  ${terminalId}: ${why}`),
      ...(moreNeeds > 0 ? [`  and ${moreNeeds} more terminals`] : []),
    ])
    .join("\n");

async function listKeys({ clientOf }: HubCommands, options: Listing): Promise<void> {
  print(options, Keys, { answer: await clientOf(options).get("/v1/keys"), text: keysText });
}

async function rotate({ clientOf }: HubCommands, kind: string, options: Listing): Promise<void> {
  if (kind !== "sealing") throw new Fault("config.invalid", `"${kind}" keys do not rotate; the kind is sealing`);
  print(options, Keys, { answer: await clientOf(options).post("/v1/keys/sealing/rotate", {}), text: keysText });
}

interface Pruning extends Listing {
  readonly giveUp?: string[];
  readonly by?: string;
  readonly why?: string;
}

async function prune({ clientOf }: HubCommands, { giveUp = [], by, why, ...options }: Pruning): Promise<void> {
  const body = {
    giveUp: giveUp.map(checkedId),
    ...(by === undefined ? {} : { by }),
    ...(why === undefined ? {} : { why }),
  };
  const answer = await clientOf(options).post("/v1/keys/sealing/prune", body);
  const text = ({ pruned, ...keys }: z.output<typeof Pruned>): string =>
    [...pruned.map((keyId) => `removed  ${keyId}`), keysText(keys)].join("\n");
  print(options, Pruned, { answer, text });
}
const Pruned = Keys.extend({ pruned: z.array(z.string()) });

interface Reconciling extends Listing {
  readonly terminal: string;
  readonly day: string;
}

const Day = z.object({
  from: z.string(),
  to: z.string(),
  entries: z.array(
    z.object({
      sequence: z.int(),
      state: z.string(),
      kind: z.string().optional(),
      paymentId: z.string().optional(),
      decidedMinor: z.string().optional(),
      detail: z.string().optional(),
    }),
  ),
  moreEntries: z.int(),
  compared: z.object({ listedAt: z.string(), listed: z.int(), report: DayReportSchema }).optional(),
});

async function reconcile({ clientOf }: HubCommands, { terminal, day, ...options }: Reconciling): Promise<void> {
  const query = new URLSearchParams({ terminalId: checkedId(terminal), businessDate: day });
  const answer = await clientOf(options).get(`/v1/reconciliation?${query}`);
  const found = Day.parse(answer);
  console.log(options.json ? JSON.stringify(answer) : dayText(found));
  // Without the terminal's list nothing is agreed.
  if (found.compared?.report.unexplained !== 0) process.exitCode = 1;
}

function dayText({ from, to, entries, moreEntries, compared }: z.output<typeof Day>): string {
  const lines = [`from ${from} to ${to}: ${entries.length + moreEntries} entries are held`];
  for (const { sequence, state, kind, paymentId, decidedMinor, detail } of entries) {
    const words = [String(sequence), kind, paymentId, decidedMinor, state, detail];
    lines.push(words.filter((word) => word !== undefined).join("  "));
  }
  if (!compared) {
    lines.push("the terminal has sent no list of this day, so nothing is agreed; run tillway reconcile --day there");
    return lines.join("\n");
  }
  const { report, listed, listedAt } = compared;
  lines.push(`the terminal listed ${listed} entries at ${listedAt}: ${report.agreed} agree`);
  for (const { what, sequence, paymentId, agent, hub, explained } of report.differences) {
    const sides = [agent && `terminal ${agent}`, hub && `hub ${hub}`].filter(Boolean).join(", ");
    const words = [`${what}:`, sequence, paymentId, sides, explained ?? "NOT EXPLAINED"];
    lines.push(words.filter((word) => word !== undefined && word !== "").join("  "));
  }
  if (report.more > 0) lines.push(`and ${report.more} more differences`);
  lines.push(`${report.unexplained} differences have no explanation`);
  return lines.join("\n");
}
