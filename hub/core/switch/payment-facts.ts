/** What messages to an issuer say of a payment: kept beside the sealed card, so that what is told later says the same. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { assert } from "../../../base/assert.ts";
import { toHex } from "../../../base/bytes.ts";
import { Fault } from "../../../base/fault.ts";
import type { TerminalId } from "../../../base/ids.ts";
import { encodeTlv } from "../../../protocols/emv/ber-tlv.ts";
import type { Iso8583Message } from "../../../protocols/iso8583/message.ts";
import type { MtiVersion } from "../../../protocols/iso8583/spec.ts";
import type { CardData } from "../../../wire/card-data.ts";
import { EntryModeSchema, fromWireMoney, MoneySchema, toWireMoney } from "../../../wire/common.ts";
import { firstIssue, parseJson } from "../../../wire/signing.ts";
import type { Question } from "../authorisation/index.ts";
import {
  adviceMessage,
  type IssuerPayment,
  issuerObjects,
  requestMessage,
  reversalMessage,
  rrnOf,
  type Trace,
} from "../issuers/index.ts";
import type { Advice } from "./advice-store.ts";
import type { KeptCard } from "./card-vault.ts";
import type { Exchange } from "./exchange-store.ts";
import type { Acquirer } from "./institution.ts";

const FactsSchema = z.strictObject({
  operation: z.enum(["purchase", "refund"]),
  amount: MoneySchema,
  entryMode: EntryModeSchema,
  localTime: z.string(),
  acquirerId: z.string(),
  acceptor: z.strictObject({ terminal: z.string(), merchant: z.string(), category: z.string() }),
  rrn: z.string(),
  iccData: z.string().optional(),
});
type Facts = z.infer<typeof FactsSchema>;

export interface FactsInput {
  readonly question: Omit<Question, "attempt" | "card">;
  readonly acquirer: Acquirer;
  /** Of the first message about this payment. */
  readonly first: Trace;
}

export function factsOf({ question, acquirer, first }: FactsInput): string {
  const { key, operation, amount, entryMode = "chip", iccData, at } = question;
  const facts: Facts = {
    ...{ operation, entryMode, amount: toWireMoney(amount), acquirerId: acquirer.id, rrn: rrnOf(first) },
    localTime: new Date(at).toISOString().slice(0, "2026-01-05T10:15:00".length),
    acceptor: {
      terminal: acceptorTerminal(key.terminalId),
      merchant: acquirer.merchant,
      category: acquirer.category,
    },
    ...(iccData === undefined ? {} : { iccData: toHex(encodeTlv(issuerObjects(iccData))) }),
  };
  return JSON.stringify(facts);
}

const ACCEPTOR_TERMINAL_CHARACTERS = 8;

/** DE 41 has eight characters: a longer id is told by its digest; DE 48 has it whole. */
function acceptorTerminal(terminalId: TerminalId): string {
  if (terminalId.length <= ACCEPTOR_TERMINAL_CHARACTERS) return terminalId;
  const digest = createHash("sha256").update(terminalId).digest("hex");
  return digest.slice(0, ACCEPTOR_TERMINAL_CHARACTERS).toUpperCase();
}

type Told = Pick<Exchange, "terminalId" | "paymentId" | "facts" | "day">;

function paymentOf({ terminalId, paymentId, facts, day }: Told, card: CardData | KeptCard): IssuerPayment {
  const parsed = FactsSchema.safeParse(parseJson(facts));
  if (!parsed.success) throw new Fault("message.invalid", `what was kept of a payment: ${firstIssue(parsed.error)}`);
  const { amount, iccData, ...rest } = parsed.data;
  const more = { settlementDate: day, ...(iccData === undefined ? {} : { iccData }) };
  return { ...rest, ...more, terminalId, paymentId, amount: fromWireMoney(amount), card };
}

export interface RequestInput {
  readonly version: MtiVersion;
  readonly exchange: Told & Pick<Exchange, "attempt" | "trace">;
  readonly card: CardData;
}

/** Throws Fault `codec.…` for a track that is none. */
export const requestOf = ({ version, exchange, card }: RequestInput): Iso8583Message =>
  requestMessage({
    version,
    payment: paymentOf(exchange, card),
    trace: exchange.trace,
    attempt: exchange.attempt,
    of: "financial",
  });

export interface AdviceInput {
  readonly version: MtiVersion;
  readonly advice: Advice;
  readonly exchange: Exchange;
  readonly card: KeptCard;
}

/** 0220 or 0420, or the repeat of one. */
export function messageOf({ version, advice, exchange, card }: AdviceInput): Iso8583Message {
  const { kind, attempt, reason, trace, approved, responseCode, approvalCode, state } = advice;
  assert(trace !== undefined, "what is sent has a trace");
  const payment = paymentOf({ ...exchange, day: advice.day ?? exchange.day }, card);
  const common = { version, payment, trace, repeat: state.sends > 1 };
  const original = { of: "financial", trace: exchange.trace } as const;
  if (kind === "reversal") return reversalMessage({ ...common, attempt, original, reason });
  return adviceMessage({
    ...common,
    of: "financial",
    decision: approved
      ? { approved, ...(approvalCode === undefined ? {} : { approvalCode }) }
      : { approved, responseCode },
    reason: reasonOf(reason),
    ...(attempt === 0 ? {} : { attempt }),
    ...(exchange.sent ? { original } : {}),
  });
}

function reasonOf(reason: string): "offline" | "stand-in-timeout" | "stand-in-signed-off" {
  assert(
    reason === "offline" || reason === "stand-in-timeout" || reason === "stand-in-signed-off",
    `an advice says why it comes: ${reason}`,
  );
  return reason;
}
