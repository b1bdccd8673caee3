/** An issuer's host: a message in, its answer out, and the books changed in between. */

import { fromHex } from "../../base/bytes.ts";
import type { Clock } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import { decodeTlv } from "../../protocols/emv/ber-tlv.ts";
import { networkRequestOf } from "../../protocols/iso8583/editions.ts";
import { answerTo, isNetwork, wantsAnswer } from "../../protocols/iso8583/exchange.ts";
import { DE, type FieldValue, type Iso8583Message, textOf } from "../../protocols/iso8583/message.ts";
import type { MtiVersion } from "../../protocols/iso8583/spec.ts";
import type { Books } from "./books.ts";
import { claimOf, dayOf, needed } from "./claim.ts";
import { type Answered, CODE, decideRequest, type Policy, takeAdvice, takeReversal } from "./decisions.ts";
import type { DayTotals } from "./records.ts";

/** One connection's part of it. */
export interface Session {
  signedOn: boolean;
}

export interface HostPolicy extends Policy {
  /** Nobody may sign on, and nothing but network messages is served. */
  readonly signedOff: boolean;
  /** Its totals have one debit more than its books. */
  readonly miscount: boolean;
  /** Template 71 or 72 in hex, for the card of every request. */
  readonly script?: string | undefined;
}

export type HostCount =
  | "requests"
  | "advices"
  | "reversals"
  | "reconciliations"
  | "network"
  | "repeats"
  | "not-served"
  | "malformed";

export interface HostOptions {
  readonly books: Books;
  readonly version: MtiVersion;
  readonly clock: Clock;
  /** Asked for each message. */
  readonly policy: () => HostPolicy;
  readonly count: (what: HostCount) => void;
}

const REVERSAL = "4";
const RECONCILIATION = "5";
const ISSUER_AUTHENTICATION = 0x91;

export class IssuerHost {
  readonly #options: HostOptions;
  #approvals = 0;

  constructor(options: HostOptions) {
    this.#options = options;
  }

  /** Undefined for what nobody answers: responses and notifications. */
  answer(message: Iso8583Message, session: Session): Iso8583Message | undefined {
    if (!wantsAnswer(message)) return undefined;
    try {
      return this.#serve(message, session);
    } catch (error) {
      if (!isFault(error, "codec.invalid")) throw error;
      this.#options.count("malformed");
      return this.#plain(message, CODE.formatError);
    }
  }

  #serve(message: Iso8583Message, session: Session): Iso8583Message {
    const { count, policy } = this.#options;
    if (isNetwork(message)) return this.#network(message, session);
    if (!session.signedOn || policy().signedOff) {
      count("not-served");
      return this.#plain(message, CODE.unavailable);
    }
    switch (message.mti[1]) {
      case "1":
      case "2":
        return this.#payment(message, message.mti[2] === "0" ? "requests" : "advices");
      case REVERSAL:
        return this.#payment(message, "reversals");
      case RECONCILIATION:
        return this.#reconciliation(message);
      default:
        count("not-served");
        return this.#plain(message, CODE.invalidTransaction);
    }
  }

  #network(message: Iso8583Message, session: Session): Iso8583Message {
    const { version, count, policy } = this.#options;
    count("network");
    const what = networkRequestOf(version, message);
    if (what === undefined) return this.#plain(message, CODE.invalidTransaction);
    if (what === "sign-on" && policy().signedOff) return this.#plain(message, CODE.unavailable);
    if (what !== "echo") session.signedOn = what === "sign-on";
    return this.#plain(message, CODE.approved);
  }

  #payment(message: Iso8583Message, kind: "requests" | "advices" | "reversals"): Iso8583Message {
    const { books, policy, clock, count } = this.#options;
    const claim = claimOf(message);
    count(kind);
    const take = { requests: decideRequest, advices: takeAdvice, reversals: takeReversal }[kind];
    const approvalCode = String((this.#approvals % APPROVALS_MAX) + 1).padStart(APPROVAL_DIGITS, "0");
    const answered = take({ books, claim, policy: policy(), month: monthOf(clock), approvalCode });
    if (answered.did === "changed") this.#approvals += 1;
    if (answered.did === "repeated") count("repeats");
    const script = kind === "requests" ? policy().script : undefined;
    return this.#plain(message, answered.responseCode, fieldsOf(answered, script));
  }

  /** The totals of that day as these books have them, and whether they are the same. */
  #reconciliation(message: Iso8583Message): Iso8583Message {
    const { books, count, policy } = this.#options;
    count("reconciliations");
    const currency = needed(message, CURRENCY_SETTLEMENT);
    const own = books.totals({ acquirerId: needed(message, DE.acquirer), day: dayOf(message), currency });
    const { debits } = own;
    const fields = totalFields(policy().miscount ? { ...own, debits: { ...debits, count: debits.count + 1 } } : own);
    const inBalance = Object.entries(fields).every(([de, value]) => textOf(message, Number(de)) === value);
    const settlementCode = inBalance ? IN_BALANCE : OUT_OF_BALANCE;
    const more = this.#options.version === "0" ? { ...fields, [SETTLEMENT_CODE]: settlementCode } : fields;
    return this.#plain(message, inBalance ? CODE.approved : CODE.outOfBalance, more);
  }

  #plain(request: Iso8583Message, responseCode: string, more: Record<number, FieldValue> = {}): Iso8583Message {
    const { version } = this.#options;
    const { mti, fields } = answerTo(request, version, responseCode);
    return { mti, fields: { ...fields, ...more } };
  }
}

const APPROVAL_DIGITS = 6;
const APPROVALS_MAX = 999_999;

function fieldsOf(
  { approvalCode, issuerAuthenticationData, minor }: Answered,
  script = "",
): Record<number, FieldValue> {
  const forTheCard = [
    ...(issuerAuthenticationData === undefined
      ? []
      : [{ tag: ISSUER_AUTHENTICATION, value: fromHex(issuerAuthenticationData) }]),
    ...decodeTlv(fromHex(script)),
  ];
  return {
    ...(approvalCode !== undefined && { [DE.approvalCode]: approvalCode }),
    ...(minor !== undefined && { [DE.amountTransaction]: minor.toString().padStart(12, "0") }),
    ...(forTheCard.length > 0 && { [DE.iccData]: forTheCard }),
  };
}

/** YYMM. */
const monthOf = (clock: Clock): string => new Date(clock.now()).toISOString().replace(/^\d\d(\d\d)-(\d\d).*$/, "$1$2");

/** ISO 8583:1987: DE 50, DE 66 with its values, totals by number and amount, and DE 97, which is D for what he owes. */
const CURRENCY_SETTLEMENT = 50;
const SETTLEMENT_CODE = 66;
const IN_BALANCE = "1";
const OUT_OF_BALANCE = "2";

function totalFields({ credits, creditReversals, debits, debitReversals }: DayTotals): Record<number, string> {
  const number = (count: number) => String(count).padStart(10, "0");
  const amount = (minor: bigint) => minor.toString().padStart(16, "0");
  const net = debits.minor - debitReversals.minor - credits.minor + creditReversals.minor;
  return {
    74: number(credits.count),
    75: number(creditReversals.count),
    76: number(debits.count),
    77: number(debitReversals.count),
    86: amount(credits.minor),
    87: amount(creditReversals.minor),
    88: amount(debits.minor),
    89: amount(debitReversals.minor),
    97: `${net < 0n ? "C" : "D"}${amount(net < 0n ? -net : net)}`,
  };
}
