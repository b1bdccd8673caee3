/** `tillway hub payouts|chargebacks`: money that leaves for merchants' banks, and money that customers' banks take back. */
import type { Command } from "commander";
import { z } from "zod";
import { guarded } from "../../base/daemon.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import { parseDecimal } from "../../base/money.ts";
import type { HubCommands } from "../cards/cli.ts";
import { writeNewFile } from "./new-file.ts";

interface Shared {
  readonly config: string;
}
type Listing = Shared & { readonly json?: true };

export function registerPayouts(hub: Command, commands: HubCommands): void {
  const { withConfig } = commands;
  const payouts = hub.command("payouts").description("lists payouts, makes one, writes its file for the bank");
  withConfig(payouts.command("list", { isDefault: true }).description("lists payouts, newest first"))
    .option("--json", "one JSON object per line")
    .action(guarded((options: Listing) => listPayouts(commands, options)));
  withConfig(payouts.command("make").description("pays merchants what was settled; prints the message id of each file"))
    .requiredOption("--date <date>", "YYYY-MM-DD: when the bank is to pay")
    .option("--currency <code>", "ISO 4217 code", "EUR")
    .option("--merchant <id>", "this merchant alone")
    .action(guarded((options: Making) => makePayout(commands, options)));
  withConfig(payouts.command("file <message>").description("writes a payout's file: the same whenever it is asked for"))
    .option("--format <format>", "pain001 or csv", "pain001")
    .option("--out <file>", "a new file, readable by its owner alone; else it is printed")
    .action(guarded((message: string, options: Filing) => writeFile(commands, message, options)));
}

export function registerChargebacks(hub: Command, commands: HubCommands): void {
  const { withConfig, clientOf } = commands;
  const chargebacks = hub.command("chargebacks").description("lists chargebacks, books one, presents it again");
  withConfig(chargebacks.command("list", { isDefault: true }).description("lists chargebacks by case"))
    .option("--json", "one JSON object per line")
    .action(guarded((options: Listing) => listChargebacks(commands, options)));
  withConfig(
    chargebacks
      .command("add <case>")
      .description("takes a confirmed purchase, or a part of it, back from its merchant"),
  )
    .requiredOption("--terminal <id>", "where it was sold")
    .requiredOption("--payment <id>", "which purchase")
    .requiredOption("--reason <code>", "the scheme's reason code")
    .requiredOption("--amount <amount>", "such as 10.00")
    .option("--currency <code>", "ISO 4217 code", "EUR")
    .action(guarded((id: string, options: ChargingBack) => chargeBack(commands, id, options)));
  withConfig(
    chargebacks.command("represent <case>").description("a second presentment: gives the merchant all of it back"),
  ).action(
    guarded(async (id: string, options: Shared) => {
      const answer = await clientOf(options).post(`/v1/chargebacks/${encodeURIComponent(id)}/represent`, {});
      console.log(chargebackText(commands, answer));
    }),
  );
}

const PayoutLine = z.object({
  messageId: z.string(),
  currency: z.string(),
  executionDate: z.string(),
  sumMinor: z.string(),
  payments: z.int(),
});

async function listPayouts({ clientOf, pages, amountText }: HubCommands, options: Listing): Promise<void> {
  for await (const one of pages(clientOf(options), "/v1/payouts", "payouts")) {
    if (options.json) {
      console.log(JSON.stringify(one));
      continue;
    }
    const { messageId, currency, executionDate, sumMinor, payments } = PayoutLine.parse(one);
    console.log([messageId, executionDate, `${payments} payments`, amountText(sumMinor, currency)].join("  "));
  }
}

interface Making extends Shared {
  readonly date: string;
  readonly currency: string;
  readonly merchant?: string;
}

async function makePayout({ clientOf, amountText }: HubCommands, options: Making): Promise<void> {
  const { date: executionDate, currency, merchant } = options;
  const body = { executionDate, currency, ...(merchant === undefined ? {} : { merchantId: merchant }) };
  for (let more = true; more; ) {
    const made = PayoutMade.parse(await clientOf(options).post("/v1/payouts", body));
    console.log(made.messageId);
    console.error(
      `${made.lines.length} payments, ${amountText(made.sumMinor, currency)}; now send its file to the bank`,
    );
    more = made.more;
  }
}

const PayoutMade = z.object({
  messageId: z.string(),
  sumMinor: z.string(),
  lines: z.array(z.unknown()),
  more: z.boolean(),
});

type Filing = Shared & { readonly format: string; readonly out?: string };

async function writeFile({ clientOf }: HubCommands, message: string, options: Filing): Promise<void> {
  const query = new URLSearchParams({ format: options.format });
  const path = `/v1/payouts/${encodeURIComponent(message)}/file?${query.toString()}`;
  const { text } = z.object({ text: z.string() }).parse(await clientOf(options).get(path));
  if (options.out === undefined) {
    process.stdout.write(text);
    return;
  }
  try {
    writeNewFile(options.out, text);
  } catch (error) {
    throw new Fault("config.invalid", `--out ${options.out}: ${reasonOf(error)}; name a new file where there is room`);
  }
}

const ChargebackLine = z.object({
  id: z.string(),
  at: z.string(),
  terminalId: z.string(),
  paymentId: z.string(),
  reasonCode: z.string(),
  amount: z.object({ minor: z.string(), currency: z.string() }),
  state: z.string(),
  uncoveredMinor: z.string().optional(),
});

function chargebackText({ amountText }: HubCommands, answer: unknown): string {
  const {
    id,
    at,
    terminalId,
    paymentId,
    reasonCode,
    amount,
    state,
    uncoveredMinor = "0",
  } = ChargebackLine.parse(answer);
  const words = [at, id, terminalId, paymentId, reasonCode, amountText(amount.minor, amount.currency), state];
  const uncovered = uncoveredMinor === "0" ? [] : [`${amountText(uncoveredMinor, amount.currency)} became exposure`];
  return [...words, ...uncovered].join("  ");
}

async function listChargebacks(commands: HubCommands, options: Listing): Promise<void> {
  for await (const one of commands.pages(commands.clientOf(options), "/v1/chargebacks", "chargebacks"))
    console.log(options.json ? JSON.stringify(one) : chargebackText(commands, one));
}

interface ChargingBack extends Shared {
  readonly terminal: string;
  readonly payment: string;
  readonly reason: string;
  readonly amount: string;
  readonly currency: string;
}

async function chargeBack(commands: HubCommands, id: string, options: ChargingBack): Promise<void> {
  const { terminal: terminalId, payment: paymentId, reason: reasonCode } = options;
  const { minor, currency } = parseDecimal(options.amount, options.currency);
  const amount = { minor: minor.toString(), currency };
  const answer = await commands
    .clientOf(options)
    .post("/v1/chargebacks", { id, terminalId, paymentId, reasonCode, amount });
  console.log(chargebackText(commands, answer));
}
