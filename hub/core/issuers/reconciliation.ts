/** Totals agreed with an issuer: 0500 and its advice 0520 (RM14), over what was posted and not what was reserved. */
import type { Currency } from "../../../base/money.ts";
import { responseCodeOf } from "../../../protocols/iso8583/editions.ts";
import { transmissionDateTime } from "../../../protocols/iso8583/exchange.ts";
import { DE, type FieldValue, type Iso8583Message, textOf } from "../../../protocols/iso8583/message.ts";
import type { MtiVersion } from "../../../protocols/iso8583/spec.ts";
import { currencyText, dateText } from "./messages.ts";
import type { Trace } from "./network.ts";

export interface Total {
  readonly count: number;
  readonly minor: bigint;
}

/** Debits take from cardholders, credits give to them. */
export interface ReconciliationTotals {
  readonly debits: Total;
  readonly debitReversals: Total;
  readonly credits: Total;
  readonly creditReversals: Total;
}

export interface ReconciliationMessage {
  readonly version: MtiVersion;
  readonly trace: Trace;
  readonly acquirerId: string;
  /** YYYY-MM-DD: the totals are of this one, and asked for again they are the same. */
  readonly settlementDate: string;
  readonly currency: Currency;
  readonly totals: ReconciliationTotals;
  /** `request` asks the issuer to compare, 0500; `advice` tells him, 0520, and `repeat` once more, 0521. */
  readonly as: "request" | "advice" | "repeat";
}

/** Numbers and amounts by data element. */
const ELEMENTS: readonly {
  readonly kind: keyof ReconciliationTotals;
  readonly number: number;
  readonly amount: number;
}[] = [
  { kind: "credits", number: 74, amount: 86 },
  { kind: "creditReversals", number: 75, amount: 87 },
  { kind: "debits", number: 76, amount: 88 },
  { kind: "debitReversals", number: 77, amount: 89 },
];
const NET_SETTLEMENT = 97;
const CURRENCY_SETTLEMENT = 50;
const FINAL_RECONCILIATION = "500";
const NUMBER_DIGITS = 10;
const AMOUNT_DIGITS = 16;

const FUNCTION: Readonly<Record<ReconciliationMessage["as"], string>> = { request: "00", advice: "20", repeat: "21" };

export function reconciliationMessage(message: ReconciliationMessage): Iso8583Message {
  const { version, trace, acquirerId, settlementDate, currency, totals, as } = message;
  return {
    mti: `${version}5${FUNCTION[as]}`,
    fields: {
      [DE.transmissionDateTime]: transmissionDateTime(trace.transmittedAt),
      [DE.stan]: trace.stan,
      [DE.settlementDate]: dateText(version, settlementDate),
      ...(version === "1" && { [DE.functionCode]: FINAL_RECONCILIATION }),
      [DE.acquirer]: acquirerId,
      [CURRENCY_SETTLEMENT]: currencyText(currency),
      ...totalFields(totals),
      [NET_SETTLEMENT]: netText(netMinor(totals)),
    },
  };
}

function totalFields(totals: ReconciliationTotals): Record<number, FieldValue> {
  return Object.fromEntries(
    ELEMENTS.flatMap(({ kind, number, amount }) => [
      [number, String(totals[kind].count).padStart(NUMBER_DIGITS, "0")],
      [amount, totals[kind].minor.toString().padStart(AMOUNT_DIGITS, "0")],
    ]),
  );
}

/** What the issuer owes the acquirer; below zero the other way round. */
export const netMinor = ({ debits, debitReversals, credits, creditReversals }: ReconciliationTotals): bigint =>
  debits.minor - debitReversals.minor - credits.minor + creditReversals.minor;

/** DE 97: `D` and digits for what the issuer owes, `C` for what he is owed. */
const netText = (net: bigint): string =>
  `${net < 0n ? "C" : "D"}${(net < 0n ? -net : net).toString().padStart(AMOUNT_DIGITS, "0")}`;

/** What the issuer's books say of it. `refused`: he did not compare. */
export type ReconciliationAnswer =
  | { readonly what: "in-balance" }
  | { readonly what: "out-of-balance"; readonly totals?: ReconciliationTotals }
  | { readonly what: "refused"; readonly responseCode?: string };

const RECONCILE_ERROR = "95";
const APPROVED = "00";

/** DE 66 of 1987; 1993 has no word for it but its action code. */
const SETTLEMENT_CODE = 66;
const OUT_OF_BALANCE = "2";
const ERROR = "3";

/** Reads a 0510 or a 0530: his totals, where he gives them, are compared here. */
export function reconciliationAnswer(sent: Iso8583Message, answer: Iso8583Message): ReconciliationAnswer {
  const responseCode = responseCodeOf(answer);
  const totals = totalsOf(answer);
  const outOfBalance = { what: "out-of-balance", ...(totals && { totals }) } as const;
  const settlementCode = sent.mti.startsWith("0") ? textOf(answer, SETTLEMENT_CODE) : undefined;
  if (responseCode === RECONCILE_ERROR) return outOfBalance;
  if (responseCode !== APPROVED || settlementCode === ERROR)
    return { what: "refused", ...(responseCode !== undefined && { responseCode }) };
  if (settlementCode === OUT_OF_BALANCE) return outOfBalance;
  const differs = ELEMENTS.some(({ number, amount }) =>
    [number, amount].some((de) => {
      const his = textOf(answer, de);
      return his !== undefined && BigInt(his) !== BigInt(textOf(sent, de) ?? "0");
    }),
  );
  return differs ? outOfBalance : { what: "in-balance" };
}

/** Undefined unless all are there. */
export function totalsOf(message: Iso8583Message): ReconciliationTotals | undefined {
  const found = ELEMENTS.flatMap(({ kind, number, amount }): [string, Total][] => {
    const [count, minor] = [textOf(message, number), textOf(message, amount)];
    return count === undefined || minor === undefined ? [] : [[kind, { count: Number(count), minor: BigInt(minor) }]];
  });
  const { debits, debitReversals, credits, creditReversals } = Object.fromEntries(found);
  if (!debits || !debitReversals || !credits || !creditReversals) return undefined;
  return { debits, debitReversals, credits, creditReversals };
}
