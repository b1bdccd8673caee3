/** `tillway hub cards`: personalises test cards for verification, and looks at what became of them. */
import { closeSync, fsyncSync, openSync, rmSync, writeFileSync } from "node:fs";
import type { Command } from "commander";
import { z } from "zod";
import { guarded } from "../../base/daemon.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import { PersonalisedCardSchema } from "../../wire/card-verification.ts";
import type { OperatorClient } from "../operator-client.ts";

interface Shared {
  readonly config: string;
}
type Listing = Shared & { readonly json?: true };

/** What all commands of the hub have in common. */
export interface HubCommands {
  withConfig(command: Command): Command;
  clientOf(options: Shared): OperatorClient;
  pages(client: OperatorClient, path: string, key: string): AsyncGenerator<Record<string, unknown>>;
  amountText(minor: string, currency: string): string;
}

export function registerCards(hub: Command, commands: HubCommands): void {
  const { withConfig } = commands;
  const cards = hub.command("cards").description("lists cards for verification, or makes one");
  withConfig(cards.command("list", { isDefault: true }).description("lists cards with their failures and blocks"))
    .option("--json", "one JSON object per line")
    .action(guarded((options: Listing) => listCards(commands, options)));
  withConfig(
    cards
      .command("add <account>")
      .description("personalises a test card for the account; its keys go into the file and are shown nowhere else"),
  )
    .requiredOption("--out <file>", "new file for the card simulator, readable by its owner alone")
    .action(guarded((account: string, options: NewCard) => addCard(commands, { ...options, account })));
  withConfig(cards.command("unblock <card>").description("takes the block off a card and forgets its failures")).action(
    guarded((card: string, options: Shared) => unblock(commands, { ...options, card })),
  );
  withConfig(cards.command("transactions").description("lists verified transactions with the processes that ran"))
    .option("--json", "one JSON object per line")
    .action(guarded((options: Listing) => listTransactions(commands, options)));
}

interface NewCard extends Shared {
  readonly out: string;
}

async function addCard({ clientOf }: HubCommands, options: NewCard & { readonly account: string }): Promise<void> {
  const { account, out } = options;
  // Made before the card is, so that its keys have a place and no file is ever overwritten.
  let file: number;
  try {
    file = openSync(out, "wx", 0o600);
  } catch (error) {
    throw new Fault("config.invalid", `--out ${out}: ${reasonOf(error)}; name a new file in a folder that is there`);
  }
  try {
    const made = await clientOf(options).post("/v1/card-verification/cards", { accountId: account });
    const card = PersonalisedCardSchema.parse(made);
    writeFileSync(file, `${JSON.stringify(card, undefined, 2)}\n`);
    fsyncSync(file);
    console.log(card.cardId);
  } catch (error) {
    rmSync(out, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}

async function unblock({ clientOf }: HubCommands, options: Shared & { readonly card: string }): Promise<void> {
  const { card } = options;
  await clientOf(options).post("/v1/card-verification/unblock", { cardId: card });
  console.log(`${card}: not blocked`);
}

const CardLine = z.object({
  cardId: z.string(),
  accountId: z.string(),
  failures: z.number(),
  blockedAt: z.string().optional(),
});

async function listCards({ clientOf, pages }: HubCommands, options: Listing): Promise<void> {
  for await (const one of pages(clientOf(options), "/v1/card-verification/cards", "cards")) {
    if (options.json) {
      console.log(JSON.stringify(one));
      continue;
    }
    const { cardId, accountId, failures, blockedAt } = CardLine.parse(one);
    const state = blockedAt === undefined ? `failures ${failures}` : `blocked since ${blockedAt}`;
    console.log([cardId, accountId, state].join("  "));
  }
}

const TransactionLine = z.object({
  terminalId: z.string(),
  txnId: z.string(),
  status: z.string(),
  amount: z.object({ minor: z.string(), currency: z.string() }),
  payeeAccount: z.string(),
  cardId: z.string(),
  trace: z.array(z.string()),
  reason: z.string().optional(),
  begunAt: z.string(),
});

async function listTransactions({ clientOf, pages, amountText }: HubCommands, options: Listing): Promise<void> {
  for await (const one of pages(clientOf(options), "/v1/card-verification/transactions", "transactions")) {
    if (options.json) {
      console.log(JSON.stringify(one));
      continue;
    }
    const line = TransactionLine.parse(one);
    const amount = amountText(line.amount.minor, line.amount.currency);
    const words = [line.begunAt, line.terminalId, line.txnId, amount, line.payeeAccount, line.cardId, line.status];
    console.log([...words, line.trace.join(" "), line.reason].filter(Boolean).join("  "));
  }
}
