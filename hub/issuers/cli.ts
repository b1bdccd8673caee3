/** `tillway hub issuers`: whether issuers can be asked, what they have yet to hear, and what may be decided in their name. */
import { readFileSync, statSync } from "node:fs";
import type { Command } from "commander";
import { z } from "zod";
import { guarded } from "../../base/daemon.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import { PARAMETERS_TEXT_MAX } from "../../wire/stand-in.ts";
import type { HubCommands } from "../cards/cli.ts";

interface Shared {
  readonly config: string;
}
type Listing = Shared & { readonly json?: true };

export function registerIssuers(hub: Command, commands: HubCommands): void {
  const { withConfig } = commands;
  const issuers = hub
    .command("issuers")
    .description("issuers of other institutions: lists them, tells what waits for one");
  withConfig(issuers.command("list", { isDefault: true }).description("lists issuers and what they have yet to hear"))
    .option("--json", "one JSON object per line")
    .action(guarded((options: Listing) => listIssuers(commands, options)));
  withConfig(issuers.command("advices <id>").description("what was decided without an issuer, oldest first"))
    .option("--json", "one JSON object per line")
    .option("--exceptions", "only what he refused to post, or was set aside: it is settled with him by hand")
    .action(guarded((id: string, options: Advices) => listAdvices(commands, { ...options, id })));
  withConfig(issuers.command("reconciliations").description("business days of issuers: our totals, and what they said"))
    .option("--issuer <id>", "only of this one")
    .option("--json", "one JSON object per line")
    .action(guarded((options: Reconciliations) => listReconciliations(commands, options)));
  withConfig(
    issuers
      .command("parameters <id> <file>")
      .description("gives the hub stand-in parameters as the institution signed them"),
  ).action(guarded((id: string, file: string, options: Shared) => giveParameters(commands, { ...options, id, file })));
  withConfig(
    issuers
      .command("set-aside <id> <number>")
      .description("puts an entry that its issuer does not answer on the exception list"),
  )
    .requiredOption("--why <text>", "why; it is kept")
    .action(guarded((id: string, number: string, options: Aside) => setAside(commands, { ...options, id, number })));
}

const IssuerLine = z.object({
  id: z.string(),
  availability: z.string(),
  link: z.string(),
  parametersVersion: z.number().optional(),
  parametersValidTo: z.string().optional(),
  advices: z.object({ open: z.number(), exceptions: z.number() }),
});

async function listIssuers({ clientOf }: HubCommands, options: Listing): Promise<void> {
  const { issuers } = z.object({ issuers: z.array(z.unknown()) }).parse(await clientOf(options).get("/v1/issuers"));
  for (const one of issuers) {
    if (options.json) {
      console.log(JSON.stringify(one));
      continue;
    }
    const { id, availability, link, advices, parametersVersion, parametersValidTo } = IssuerLine.parse(one);
    const standIn =
      parametersVersion === undefined
        ? "no stand-in parameters"
        : `stand-in parameters ${parametersVersion} until ${parametersValidTo}`;
    const waiting = `${advices.open} to be told`;
    const exceptions = advices.exceptions === 0 ? undefined : `${advices.exceptions} refused: see --exceptions`;
    console.log([id, availability, `link ${link}`, standIn, waiting, exceptions].filter(Boolean).join("  "));
  }
}

type Advices = Listing & { readonly exceptions?: true };

const AdviceLine = z.object({
  number: z.number(),
  kind: z.string(),
  terminalId: z.string(),
  paymentId: z.string(),
  attempt: z.number(),
  reason: z.string(),
  approved: z.boolean(),
  decidedBy: z.string().optional(),
  at: z.string(),
  state: z.string(),
  sends: z.number(),
  refusedWith: z.string().optional(),
});

async function listAdvices(
  { clientOf, pages }: HubCommands,
  options: Advices & { readonly id: string },
): Promise<void> {
  const path = `/v1/issuers/${encodeURIComponent(options.id)}/advices${options.exceptions ? "?only=exception" : ""}`;
  for await (const one of pages(clientOf(options), path, "advices")) {
    if (options.json) {
      console.log(JSON.stringify(one));
      continue;
    }
    const line = AdviceLine.parse(one);
    const decided = line.kind === "reversal" ? undefined : line.approved ? "approved" : `declined by ${line.decidedBy}`;
    const of = `${line.terminalId} ${line.paymentId} attempt ${line.attempt}`;
    const refused = line.refusedWith === undefined ? undefined : `refused with ${line.refusedWith}`;
    const words = [
      line.number,
      line.at,
      line.kind,
      of,
      decided,
      line.reason,
      line.state,
      `sent ${line.sends}`,
      refused,
    ];
    console.log(words.filter((word) => word !== undefined).join("  "));
  }
}

type Reconciliations = Listing & { readonly issuer?: string };

const TotalLine = z.object({ count: z.number(), minor: z.string() });
const TotalsLine = z.object({
  debits: TotalLine,
  debitReversals: TotalLine,
  credits: TotalLine,
  creditReversals: TotalLine,
  netMinor: z.string(),
});
const ReconciliationLine = z.object({
  day: z.string(),
  currency: z.string(),
  state: z.string(),
  ours: TotalsLine,
  theirs: TotalsLine.optional(),
  refusedWith: z.string().optional(),
});
const TOTAL_NAMES = [
  ["debits", "debits"],
  ["debitReversals", "debit reversals"],
  ["credits", "credits"],
  ["creditReversals", "credit reversals"],
] as const;

async function listReconciliations(commands: HubCommands, { issuer, ...options }: Reconciliations): Promise<void> {
  const client = commands.clientOf(options);
  const ids = issuer === undefined ? await issuerIds(client) : [issuer];
  for (const id of ids) {
    const path = `/v1/issuers/${encodeURIComponent(id)}/reconciliations`;
    for await (const one of commands.pages(client, path, "reconciliations"))
      console.log(options.json ? JSON.stringify({ issuer: id, ...one }) : reconciliationText(commands, id, one));
  }
}

async function issuerIds(client: ReturnType<HubCommands["clientOf"]>): Promise<readonly string[]> {
  const answer = z.object({ issuers: z.array(z.object({ id: z.string() })) }).parse(await client.get("/v1/issuers"));
  return answer.issuers.map(({ id }) => id);
}

/** Ours, and his beside it where he counts another. */
function reconciliationText({ amountText }: HubCommands, id: string, one: Record<string, unknown>): string {
  const { day, currency, state, ours, theirs, refusedWith } = ReconciliationLine.parse(one);
  const total = ({ count, minor }: z.output<typeof TotalLine>) => `${count} ${amountText(minor, currency)}`;
  const beside = (mine: string, his: string | undefined) =>
    his === undefined || his === mine ? mine : `${mine} (his ${his})`;
  const totals = TOTAL_NAMES.map(([key, name]) => `${name} ${beside(total(ours[key]), theirs && total(theirs[key]))}`);
  const net = `net ${beside(amountText(ours.netMinor, currency), theirs && amountText(theirs.netMinor, currency))}`;
  const refused = refusedWith === undefined ? [] : [`with ${refusedWith}`];
  return [id, day, state, ...refused, ...totals, net].join("  ");
}

async function giveParameters(
  { clientOf }: HubCommands,
  options: Shared & { readonly id: string; readonly file: string },
): Promise<void> {
  const text = readParameters(options.file);
  const answer = await clientOf(options).post(`/v1/issuers/${encodeURIComponent(options.id)}/parameters`, { text });
  const { outcome, version } = z.object({ outcome: z.string(), version: z.number() }).parse(answer);
  console.log(`${options.id}: version ${version} is ${outcome === "taken" ? "in force now" : "in force already"}`);
}

function readParameters(file: string): string {
  try {
    if (statSync(file).size <= PARAMETERS_TEXT_MAX) return readFileSync(file, "utf8").trimEnd();
  } catch (error) {
    throw new Fault("config.invalid", `${file}: ${reasonOf(error)}; name the file that the institution signed`);
  }
  throw new Fault("config.invalid", `${file}: too large for stand-in parameters`);
}

type Aside = Shared & { readonly why: string };

async function setAside(
  { clientOf }: HubCommands,
  { id, number, why, ...options }: Aside & { readonly id: string; readonly number: string },
): Promise<void> {
  if (!/^[1-9]\d{0,14}$/.test(number))
    throw new Fault("config.invalid", `"${number}" is no number of an entry; see tillway hub issuers advices ${id}`);
  await clientOf(options).post(`/v1/issuers/${encodeURIComponent(id)}/advices/${number}/set-aside`, { why });
  console.log(`${number}: on the exception list`);
}
