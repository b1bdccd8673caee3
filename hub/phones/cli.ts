/** `tillway hub phones` and `tillway hub codes`: customers' phones, and the codes that they registered. */
import type { Command } from "commander";
import { z } from "zod";
import { guarded } from "../../base/daemon.ts";
import { Fault } from "../../base/fault.ts";
import type { HubCommands } from "../cards/cli.ts";

interface Shared {
  readonly config: string;
}
type Listing = Shared & { readonly json?: true };

export function registerPhones(hub: Command, commands: HubCommands): void {
  const { withConfig } = commands;
  const phones = hub.command("phones").description("lists customers' phones, or lets one enrol");
  withConfig(phones.command("list", { isDefault: true }).description("lists phones with their users and accounts"))
    .option("--json", "one JSON object per line")
    .action(guarded((options: Listing) => listPhones(commands, options)));
  withConfig(phones.command("add").description("makes a one-time claim by which a customer's phone enrols"))
    .requiredOption("--user <id>", "whose phone it is: letters, digits, . _ - and at most 32")
    .requiredOption("--account <account>", "the account that pays, as `tillway hub accounts` names it")
    .option("--name <name>", "shown in listings")
    .option("--hours <hours>", "how long the claim is good")
    .action(guarded((options: NewPhone) => addPhone(commands, options)));
  withConfig(
    phones.command("conflicts").description("lists value that phones spent twice: where, and who bears the loss"),
  )
    .option("--json", "one JSON object per line")
    .action(guarded((options: Listing) => listConflicts(commands, options)));
  for (const [name, status] of [
    ["block", "blocked"],
    ["unblock", "active"],
  ] as const) {
    withConfig(
      phones.command(`${name} <device>`).description(`${name}s a phone: what it made pays only when active`),
    ).action(guarded((device: string, options: Shared) => setStatus(commands, { ...options, device, status })));
  }
}

interface NewPhone extends Shared {
  readonly user: string;
  readonly account: string;
  readonly name?: string;
  readonly hours?: string;
}

const ClaimAnswer = z.object({ claim: z.string(), expiresAt: z.string() });

async function addPhone({ clientOf }: HubCommands, options: NewPhone): Promise<void> {
  const { user, account, name } = options;
  const hours = options.hours === undefined ? {} : { hours: Number(options.hours) };
  if (Number.isNaN(hours.hours)) throw new Fault("config.invalid", `--hours: "${options.hours}" is not a number`);
  const body = { userId: user, accountId: account, ...(name === undefined ? {} : { name }), ...hours };
  const answer = ClaimAnswer.parse(await clientOf(options).post("/v1/phones/claims", body));
  console.log(answer.claim);
  console.error(`for one phone of ${user} until ${answer.expiresAt}`);
}

interface NewStatus extends Shared {
  readonly device: string;
  readonly status: "active" | "blocked";
}

async function setStatus({ clientOf }: HubCommands, options: NewStatus): Promise<void> {
  const { device, status } = options;
  await clientOf(options).post("/v1/phones/status", { deviceId: device, status });
  console.log(`${device}: ${status}`);
}

const PhoneLine = z.object({
  deviceId: z.string(),
  userId: z.string(),
  accountId: z.string(),
  name: z.string().optional(),
  status: z.string(),
});

async function listPhones({ clientOf, pages }: HubCommands, options: Listing): Promise<void> {
  for await (const one of pages(clientOf(options), "/v1/phones", "phones")) {
    if (options.json) {
      console.log(JSON.stringify(one));
      continue;
    }
    const line = PhoneLine.parse(one);
    console.log([line.deviceId, line.userId, line.accountId, line.status, line.name].filter(Boolean).join("  "));
  }
}

const Spent = z.object({ terminalId: z.string(), paymentId: z.string(), minor: z.string() });
const ConflictLine = z.object({
  kind: z.string(),
  deviceId: z.string(),
  userId: z.string().optional(),
  currency: z.string(),
  payment: Spent,
  other: Spent.optional(),
  exposure: z.object({ minor: z.string(), party: z.string() }),
  foundAt: z.string(),
});

async function listConflicts({ clientOf, pages, amountText }: HubCommands, options: Listing): Promise<void> {
  for await (const one of pages(clientOf(options), "/v1/offline-notes/conflicts", "conflicts")) {
    if (options.json) {
      console.log(JSON.stringify(one));
      continue;
    }
    const { payment, other, exposure, ...line } = ConflictLine.parse(one);
    const told = ({ terminalId, paymentId, minor }: z.infer<typeof Spent>) =>
      `${terminalId} ${paymentId} ${amountText(minor, line.currency)}`;
    const against = other ? `against ${told(other)}` : "against the phone's own statement";
    const loss = `${exposure.party} bears ${amountText(exposure.minor, line.currency)}`;
    const words = [line.foundAt, line.deviceId, line.userId, line.kind, told(payment), against, loss];
    console.log(words.filter(Boolean).join("  "));
  }
}

export function registerCodes(hub: Command, commands: HubCommands): void {
  const { withConfig } = commands;
  const codes = hub.command("codes").description("lists pre-authorised codes, or revokes a user's");
  withConfig(
    codes.command("list", { isDefault: true }).description("lists what phones registered; never the code itself"),
  )
    .option("--json", "one JSON object per line")
    .action(guarded((options: Listing) => listCodes(commands, options)));
  withConfig(codes.command("revoke <user>").description("revokes all codes of a user; what is paid stays paid")).action(
    guarded(async (user: string, options: Shared) => {
      await commands.clientOf(options).post("/v1/pre-authorised-code/revoke", { userId: user });
      console.log(`${user}: no code pays any more`);
    }),
  );
}

const GrantLine = z.object({
  grantId: z.string(),
  userId: z.string(),
  cap: z.object({ minor: z.string(), currency: z.string() }),
  status: z.string(),
  terminalId: z.string().optional(),
  txnId: z.string().optional(),
  issuedAt: z.string(),
  expiresAt: z.string(),
});

async function listCodes({ clientOf, pages, amountText }: HubCommands, options: Listing): Promise<void> {
  for await (const one of pages(clientOf(options), "/v1/pre-authorised-code/grants", "grants")) {
    if (options.json) {
      console.log(JSON.stringify(one));
      continue;
    }
    const line = GrantLine.parse(one);
    const cap = `at most ${amountText(line.cap.minor, line.cap.currency)}`;
    const words = [line.issuedAt, line.grantId, line.userId, cap, `until ${line.expiresAt}`, line.status];
    console.log([...words, line.terminalId, line.txnId].filter(Boolean).join("  "));
  }
}
