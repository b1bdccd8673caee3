/** The commands of cashier and operator: they act and look through the local API of a running agent. */
import type { Command } from "commander";
import { z } from "zod";
import { systemClock } from "../../base/clock.ts";
import { guarded } from "../../base/daemon.ts";
import { Fault } from "../../base/fault.ts";
import { newMessageId, systemRandom } from "../../base/ids.ts";
import { parseDecimal, toDecimal } from "../../base/money.ts";
import { DialogueFileSchema } from "../../wire/card-dialogue.ts";
import { PaymentViewSchema } from "../api/api-schemas.ts";
import { ApiClient, type ApiTarget, findApi, type TargetOptions } from "../client.ts";
import { StatusSchema } from "../health/health.ts";
import { type PaymentAnswer, PaymentAnswerSchema, paymentText, readAnswer } from "./answer.ts";
import { accepted, followPayment } from "./sale.ts";
import {
  devicesText,
  eventText,
  holdStageWords,
  outcomeText,
  paymentLine,
  refundStageWords,
  stageWords,
  statusText,
} from "./words.ts";

export interface Shared extends TargetOptions {
  readonly json?: true;
}

/** Not approved: neither a failure of the program nor a success of the sale. */
const EXIT_NOT_APPROVED = 3;

export const withTarget = (command: Command): Command =>
  command
    .option("--config <file>", "the agent's configuration (default: $TILLWAY_CONFIG or /etc/tillway/agent.yaml)")
    .option("--api <address>", "the agent's address or port, instead of the configured one")
    .option("--token <token>", "the API's token, instead of the one in the data folder (also $TILLWAY_TOKEN)")
    .option("--json", "prints JSON");

export function registerOperator(program: Command): void {
  registerLooks(program);
  registerActs(program);
}

function registerLooks(program: Command): void {
  withTarget(program.command("status").description("how the terminal is, and whether it sells")).action(
    guarded((options: Shared) =>
      show(options, { path: "/v1/status", read: (json) => statusText(readAnswer(StatusSchema, json)) }),
    ),
  );
  const Devices = StatusSchema.pick({ devices: true });
  withTarget(program.command("devices").description("lists the configured devices and what is wrong with them")).action(
    guarded((options: Shared) =>
      show(options, { path: "/v1/devices", read: (json) => devicesText(readAnswer(Devices, json).devices) }),
    ),
  );
  withTarget(program.command("payments [id]").description("lists the last payments, newest first, or shows one"))
    .option("--limit <count>", "so many of them, at most 200", "20")
    .action(guarded(payments));
  withTarget(
    program.command("dialogue <id>").description("what was said to the card of a payment, with its secrets masked"),
  )
    .option("--sealed", "prints the whole as a file that `tillway hub dialogue` opens")
    .action(
      guarded(async (id: string, { sealed, ...options }: Shared & { sealed?: true }) => {
        const path = `/v1/payments/${encodeURIComponent(id)}/dialogue`;
        const read = (json: unknown) => readAnswer(DialogueFileSchema, json).masked.trimEnd();
        await show(sealed ? { ...options, json: true } : options, { path, read });
      }),
    );
  withTarget(program.command("tail").description("prints events as they happen, until it is stopped")).action(
    guarded(tail),
  );
}

function registerActs(program: Command): void {
  withTarget(program.command("sale <amount>").description("takes a payment, such as: tillway sale 12.34"))
    .option("--id <id>", "the payment's id; the same id again never pays twice")
    .option("--cashback <amount>", "the part of the amount that the customer gets in cash")
    .option("--reference <text>", "printed on the receipt")
    .option("--currency <code>", "where no configuration tells it")
    .action(guarded(sale));
  withTarget(
    program
      .command("pre-authorisation <amount>")
      .description("holds an amount on a card, always online; nothing is charged before its completion"),
  )
    .option("--id <id>", "its id; the same id again never holds twice")
    .option("--reference <text>", "printed on the receipt")
    .option("--currency <code>", "where no configuration tells it")
    .action(guarded(preAuthorisation));
  withTarget(
    program
      .command("completion <original> <amount>")
      .description("charges what a pre-authorisation of this terminal holds, in all or in part, once"),
  )
    .option("--id <id>", "the completion's own id; the same id again never charges twice")
    .option("--currency <code>", "where no configuration tells it")
    .action(guarded(completion));
  withTarget(
    program
      .command("refund <original> [amount]")
      .description("gives money back for a payment; all of it without an amount"),
  )
    .option("--id <id>", "the refund's own id; the same id again never refunds twice")
    .option("--currency <code>", "where no configuration tells it")
    .action(guarded(refund));
  withTarget(
    program
      .command("tip <original> <amount>")
      .description("adds a tip to an approved sale by card, once, until its day is closed at the hub"),
  )
    .option("--id <id>", "the tip's own id; the same id again never takes it twice")
    .option("--currency <code>", "where no configuration tells it")
    .action(guarded(tip));
  withTarget(
    program
      .command("void <id>")
      .description("takes back a payment that the hub has not got yet, or cancels a pre-authorisation"),
  )
    .option("--reason <text>", "kept in the journal")
    .action(
      guarded((id: string, { reason, ...options }: Shared & { reason?: string }) =>
        act(options, { id, verb: "void", body: reason === undefined ? {} : { reason } }),
      ),
    );
  withTarget(program.command("cancel <id>").description("ends a payment while the card is waited for")).action(
    guarded((id: string, options: Shared) => act(options, { id, verb: "cancel" })),
  );
  withTarget(
    program
      .command("signature <id> <word>")
      .description("accepted or refused: how the customer's signature compares; a refused one voids the sale"),
  ).action(
    guarded((id: string, word: string, options: Shared) =>
      act(options, { id, verb: "signature", body: { accepted: signatureWord(word) } }),
    ),
  );
  withTarget(program.command("receipt <id>").description("prints a copy of a receipt, marked as one")).action(
    guarded((id: string, options: Shared) => act(options, { id, verb: "reprint" })),
  );
}

export function connect(options: TargetOptions): { client: ApiClient; target: ApiTarget } {
  const target = findApi(options, process.env);
  return { client: new ApiClient(target, systemClock), target };
}

export interface Look {
  readonly path: string;
  read(json: unknown): string;
}

/** Prints the answer: as JSON where that is wished, else in the words that `read` finds. */
export async function show(options: Shared, { path, read }: Look): Promise<void> {
  const json = accepted(await connect(options).client.call({ method: "GET", path }));
  console.log(options.json ? JSON.stringify(json) : read(json));
}

const Payments = z.object({ payments: z.array(PaymentAnswerSchema) });

async function payments(id: string | undefined, { limit, ...options }: Shared & { limit: string }): Promise<void> {
  const one = id !== undefined && `/v1/payments/${encodeURIComponent(id)}`;
  if (one) return await show(options, { path: one, read: (json) => listed(readAnswer(PaymentAnswerSchema, json)) });
  await show(options, {
    path: `/v1/payments?${new URLSearchParams({ limit })}`,
    read: (json) => readAnswer(Payments, json).payments.map(listed).join("\n") || "no payments yet",
  });
}

/** A later version may say more of a payment. */
const View = PaymentViewSchema.strip();
const listed = (payment: PaymentAnswer): string => paymentText(payment, View, paymentLine);

async function tail(options: Shared): Promise<void> {
  const stopping = new AbortController();
  process.once("SIGINT", () => stopping.abort());
  for await (const event of await connect(options).client.events(stopping.signal)) {
    console.log(options.json ? JSON.stringify(event) : eventText(event));
  }
}

interface Act {
  readonly id: string;
  readonly verb: "void" | "cancel" | "reprint" | "signature";
  readonly body?: unknown;
}

function signatureWord(word: string): boolean {
  if (word === "accepted" || word === "refused") return word === "accepted";
  throw new Fault("config.invalid", `"${word}" is no word on a signature; say accepted or refused`);
}

async function act(options: Shared, { id, verb, body }: Act): Promise<void> {
  const path = `/v1/payments/${encodeURIComponent(id)}/${verb}`;
  const json = accepted(await connect(options).client.call({ method: "POST", path, body }));
  print(options, readAnswer(PaymentAnswerSchema, json));
}

const print = (options: Shared, payment: PaymentAnswer): void =>
  console.log(options.json ? JSON.stringify(payment) : paymentText(payment, View, outcomeText));

interface PayOptions extends Shared {
  readonly id?: string;
  readonly cashback?: string;
  readonly reference?: string;
  readonly currency?: string;
}

const sale = (amount: string, options: PayOptions): Promise<void> =>
  payByCard(amount, options, { path: "/v1/payments", prefix: "sale" });

const preAuthorisation = (amount: string, options: PayOptions): Promise<void> =>
  payByCard(amount, options, { path: "/v1/pre-authorisations", prefix: "hold" });

async function payByCard(amount: string, options: PayOptions, to: Pick<Pay, "path" | "prefix">): Promise<void> {
  const { client, target } = connect(options);
  const { cashback, reference } = options;
  const body = {
    amount: amountBody(amount, target, options),
    ...(cashback !== undefined && { cashback: amountBody(cashback, target, options) }),
    ...(reference !== undefined && { reference }),
  };
  await pay(options, { client, body, ...to });
}

async function completion(originalId: string, amount: string, options: PayOptions): Promise<void> {
  const { client, target } = connect(options);
  const body = { originalId, amount: amountBody(amount, target, options) };
  await pay(options, { client, path: "/v1/completions", body, prefix: "completion" });
}

async function refund(originalId: string, amount: string | undefined, options: PayOptions): Promise<void> {
  const { client, target } = connect(options);
  const body = { originalId, ...(amount !== undefined && { amount: amountBody(amount, target, options) }) };
  await pay(options, { client, path: "/v1/refunds", body, prefix: "refund" });
}

async function tip(originalId: string, amount: string, options: PayOptions): Promise<void> {
  const { client, target } = connect(options);
  const body = { originalId, amount: amountBody(amount, target, options) };
  await pay(options, { client, path: "/v1/tips", body, prefix: "tip" });
}

export function amountBody(
  text: string,
  target: ApiTarget,
  { currency }: PayOptions,
): { minor: string; currency: string } {
  const code = currency ?? target.currency;
  if (code === undefined)
    throw new Fault("config.invalid", "the currency is not known; name it with --currency or --config");
  const amount = parseDecimal(text, code);
  if (amount.minor === 0n) throw new Fault("codec.invalid", `an amount of ${toDecimal(amount)} cannot be paid`);
  return { minor: amount.minor.toString(), currency: amount.currency };
}

interface Pay {
  readonly client: ApiClient;
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly prefix: "sale" | "hold" | "completion" | "refund" | "tip";
}

/** A completion knows of no stage that takes time. */
const WORDS_OF = {
  ...{ sale: stageWords, hold: holdStageWords },
  ...{ completion: refundStageWords, refund: refundStageWords, tip: refundStageWords },
};

/** Interrupted once, it cancels the payment and waits for its end; twice, it leaves it running. */
async function pay(options: PayOptions, { client, path, body, prefix }: Pay): Promise<void> {
  const id = options.id ?? `${prefix}-${newMessageId(systemRandom)}`;
  const interrupt = new AbortController();
  const leaving = new AbortController();
  const onInterrupt = () => {
    process.once("SIGINT", () =>
      leaving.abort(new Fault("aborted", `payment ${id} goes on; see tillway payments ${id}`)),
    );
    interrupt.abort();
  };
  process.once("SIGINT", onInterrupt);
  const payment = await followPayment({
    client,
    clock: systemClock,
    start: { method: "POST", path, body: { id, ...body } },
    id,
    interrupt: interrupt.signal,
    signal: leaving.signal,
    words: WORDS_OF[prefix],
    onStage: (words) => console.error(words),
  });
  process.off("SIGINT", onInterrupt);
  print(options, payment);
  if (payment.status !== "approved") process.exitCode = EXIT_NOT_APPROVED;
}
