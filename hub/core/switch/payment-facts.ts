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
import {
  EntryModeSchema,
  fromWireMoney,
  MoneySchema,
  type Operation,
  OperationSchema,
  toWireMoney,
} from "../../../wire/common.ts";
import { firstIssue, parseJson } from "../../../wire/signing.ts";
import type { OfflineApproval } from "../authorisation/index.ts";
import {
  type AdviceReason,
  adviceMessage,
  type IssuerPayment,
  issuerObjects,
  type MessageClass,
  type Original,
  requestMessage,
  reversalMessage,
  type Trace,
} from "../issuers/index.ts";
import type { Advice } from "./advice-store.ts";
import type { KeptCard } from "./card-vault.ts";
import type { Exchange } from "./exchange-store.ts";
import type { Acquirer } from "./institution.ts";

const FactsSchema = z.strictObject({
  operation: OperationSchema,
  amount: MoneySchema,
  cashback: MoneySchema.optional(),
  entryMode: EntryModeSchema,
  localTime: z.string(),
  acquirerId: z.string(),
  acceptor: z.strictObject({ terminal: z.string(), merchant: z.string(), category: z.string() }),
  rrn: z.string(),
  iccData: z.string().optional(),
  /** Of a completion: the 0100 that it completes, where the issuer may have seen one. */
  completes: z.strictObject({ stan: z.string(), transmittedAt: z.int() }).optional(),
});
type Facts = z.infer<typeof FactsSchema>;

export interface FactsInput {
  readonly question: Omit<OfflineApproval, "card" | "completes">;
  readonly completes?: Trace | undefined;
  readonly acquirer: Acquirer;
  /** Of the first message about this payment; of a tip that of its sale. */
  readonly rrn: string;
}

export function factsOf({ question, completes, acquirer, rrn }: FactsInput): string {
  const { key, operation, amount, cashback, entryMode = "chip", iccData, at } = question;
  const facts: Facts = {
    ...{ operation, entryMode, amount: toWireMoney(amount), acquirerId: acquirer.id, rrn },
    localTime: new Date(at).toISOString().slice(0, "2026-01-05T10:15:00".length),
    acceptor: {
      terminal: acceptorTerminal(key.terminalId),
      merchant: acquirer.merchant,
      category: acquirer.category,
    },
    ...(cashback && { cashback: toWireMoney(cashback) }),
    ...(iccData === undefined ? {} : { iccData: toHex(encodeTlv(issuerObjects(iccData))) }),
    ...(completes && { completes }),
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

function factsIn({ facts }: Pick<Told, "facts">): Facts {
  const parsed = FactsSchema.safeParse(parseJson(facts));
  if (parsed.success) return parsed.data;
  throw new Fault("message.invalid", `what was kept of a payment: ${firstIssue(parsed.error)}`);
}

/** DE 37, the same in all that is said of a payment. */
export const rrnIn = (exchange: Pick<Told, "facts">): string => factsIn(exchange).rrn;

interface AboutPayment {
  readonly payment: IssuerPayment;
  readonly of: MessageClass;
}

function aboutPayment({ terminalId, paymentId, day }: Told, facts: Facts, card: CardData | KeptCard): AboutPayment {
  const { operation, amount, cashback, iccData, completes: _, ...rest } = facts;
  const more = {
    settlementDate: day,
    ...(iccData === undefined ? {} : { iccData }),
    ...(cashback && { cashback: fromWireMoney(cashback) }),
  };
  const moves = operation === "refund" || operation === "tip" ? operation : "purchase";
  return {
    payment: { ...rest, ...more, operation: moves, terminalId, paymentId, amount: fromWireMoney(amount), card },
    of: classOf(operation),
  };
}

/** A pre-authorisation reserves; all else moves money (RM14). */
const classOf = (operation: Operation): MessageClass =>
  operation === "pre-authorisation" ? "authorisation" : "financial";

export interface RequestInput {
  readonly version: MtiVersion;
  readonly exchange: Told & Pick<Exchange, "attempt" | "trace">;
  readonly card: CardData;
}

/** Throws Fault `codec.…` for a track that is none. */
export const requestOf = ({ version, exchange, card }: RequestInput): Iso8583Message =>
  requestMessage({
    version,
    ...aboutPayment(exchange, factsIn(exchange), card),
    trace: exchange.trace,
    attempt: exchange.attempt,
  });

export interface AdviceInput {
  readonly version: MtiVersion;
  readonly advice: Advice;
  readonly exchange: Exchange;
  readonly card: KeptCard;
}

/** 0120, 0220 or 0420, or the repeat of one. */
export function messageOf({ version, advice, exchange, card }: AdviceInput): Iso8583Message {
  const { kind, attempt, reason, trace, approved, responseCode, approvalCode, scriptResults, state } = advice;
  assert(trace !== undefined, "what is sent has a trace");
  const facts = factsIn(exchange);
  const { payment, of } = aboutPayment({ ...exchange, day: advice.day ?? exchange.day }, facts, card);
  const common = { version, payment, trace, repeat: state.sends > 1 };
  if (kind === "reversal")
    return reversalMessage({
      ...{ ...common, attempt, original: { of, trace: exchange.trace }, reason },
      ...(scriptResults !== undefined && { scriptResults }),
    });
  const original = originalOf(exchange, facts);
  return adviceMessage({
    ...common,
    of,
    decision: approved
      ? { approved, ...(approvalCode === undefined ? {} : { approvalCode }) }
      : { approved, responseCode },
    reason: reasonOf(reason),
    ...(attempt === 0 ? {} : { attempt }),
    ...(original && { original }),
  });
}

/** What an advice is about, where the issuer may have seen it. */
function originalOf({ sent, trace }: Exchange, { operation, completes }: Facts): Original | undefined {
  if (completes) return { of: "authorisation", trace: completes };
  return sent ? { of: classOf(operation), trace } : undefined;
}

const REASONS: readonly string[] = [
  "completion",
  "offline",
  "stand-in-timeout",
  "stand-in-signed-off",
] satisfies AdviceReason[];

function reasonOf(reason: string): AdviceReason {
  assert(REASONS.includes(reason), `an advice says why it comes: ${reason}`);
  return reason as AdviceReason;
}
