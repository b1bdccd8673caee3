/**
 * The stand-in decision (system 3): one request against one institution's parameters, in a fixed order, and the first check
 * that fails decides and is named. Hub and agent run these same lines; counters and their store are the caller's.
 */
import type { PaymentId, TerminalId } from "../base/ids.ts";
import type { Money } from "../base/money.ts";
import { RESPONSE_CODES } from "./authorisation.ts";
import type { EntryMode, ReasonCode } from "./common.ts";
import type { StandInParameters, TransactionType } from "./stand-in.ts";

/** In the order of the specification: account, institution, initiating institution, amount, then the rest. */
export interface StandInRequest {
  readonly account: {
    /** Of the account's number, `ACCOUNT_PREFIX_DIGITS_MAX` digits or all that it has. */
    readonly leadingDigits: string;
    /** HMAC-SHA-256 of the number under the key that the stop list names; absent when that key is not at hand. */
    readonly stopListToken?: string;
  };
  readonly institutionId: string;
  readonly acquirerId: string;
  readonly amount: Money;
  readonly paymentId: PaymentId;
  readonly terminalId: TerminalId;
  readonly mcc: string;
  /** Milliseconds since 1970, as the terminal says: told onwards, never decided by. */
  readonly at: number;
  readonly entryMode: EntryMode;
  /** Cash is in no institution's set, as it is gone once it is given; nor is a tip, for which no card is there. */
  readonly type: TransactionType | "purchase-with-cashback" | "tip";
}

/**
 * What was approved and the institution has not taken yet. The caller reads these, decides, and writes the increments in one
 * transaction; `accountCount` and `accountSumMinor` are of the request's account.
 */
export interface StandInCounters {
  readonly accountCount: number;
  readonly accountSumMinor: bigint;
  readonly institutionSumMinor: bigint;
  /** The latest `at` of any decision for this institution, 0 before the first. Never reset. */
  readonly latestAt: number;
}

export interface StandInIncrements {
  readonly accountCount: 1;
  readonly accountSumMinor: bigint;
  readonly institutionSumMinor: bigint;
}

/** Every check in its order. `parameters`: none are held; the others name the field that decided. */
export const STAND_IN_CHECKS = [
  "parameters",
  "validFrom",
  "validTo",
  "institution.id",
  "institution.enabled",
  "institution.window",
  "acquirer.deny",
  "acquirer.allow",
  "account.range",
  "account.stopList",
  "txn.types",
  "txn.mccDeny",
  "currency",
  "limit.single",
  "limit.accountCount",
  "limit.accountSum",
  "limit.institutionSum",
] as const;
export type StandInCheck = (typeof STAND_IN_CHECKS)[number];

/** `at`: the time decided by, to be kept as `latestAt` when it is later. A refusal raises nothing else. */
export type StandInDecision =
  | {
      readonly decision: "approve";
      readonly responseCode: string;
      readonly at: number;
      readonly increments: StandInIncrements;
    }
  | {
      readonly decision: "decline" | "refer";
      readonly decidedBy: StandInCheck;
      readonly responseCode: string;
      readonly reason: ReasonCode;
      readonly at: number;
    };

export interface StandInCase {
  /** As opened and in force; absent when there are none, be it that they were forged. */
  readonly parameters: StandInParameters | undefined;
  readonly request: StandInRequest;
  readonly counters: StandInCounters;
  /**
   * Milliseconds since 1970. The hub gives its clock, the agent proven hub time (RM8); a clock that was set back is held
   * at `counters.latestAt`, so that no validity or window opens twice.
   */
  readonly now: number;
}

interface Checked extends StandInCase {
  readonly parameters: StandInParameters;
}

type Fails = (checked: Checked) => boolean;

const within = (now: number, from: string, to: string): boolean => Date.parse(from) <= now && now < Date.parse(to);

const FAILS: Readonly<Record<Exclude<StandInCheck, "parameters">, Fails>> = {
  validFrom: ({ parameters, now }) => now < Date.parse(parameters.validFrom),
  validTo: ({ parameters, now }) => now >= Date.parse(parameters.validTo),
  "institution.id": ({ parameters, request }) => request.institutionId !== parameters.institution.id,
  "institution.enabled": ({ parameters }) => !parameters.institution.enabled,
  "institution.window": ({ parameters, now }) =>
    !parameters.institution.window.some(({ from, to }) => within(now, from, to)),
  "acquirer.deny": ({ parameters, request }) => parameters.acquirer.deny.includes(request.acquirerId),
  "acquirer.allow": ({ parameters, request }) => !parameters.acquirer.allow.includes(request.acquirerId),
  "account.range": ({ parameters, request }) =>
    !parameters.account.range.some((prefix) => request.account.leadingDigits.startsWith(prefix)),
  "account.stopList": ({ parameters, request }) => mayBeStopped(parameters.account.stopList.tokens, request),
  "txn.types": ({ parameters, request }) => !parameters.txn.types.some((type) => type === request.type),
  "txn.mccDeny": ({ parameters, request }) => parameters.txn.mccDeny.includes(request.mcc),
  currency: ({ parameters, request }) => request.amount.currency !== parameters.currency,
  "limit.single": ({ parameters, request: { amount } }) =>
    amount.minor <= 0n || amount.minor > BigInt(parameters.limit.single),
  "limit.accountCount": ({ parameters, counters }) => counters.accountCount >= parameters.limit.accountCount,
  "limit.accountSum": ({ parameters, request, counters }) =>
    counters.accountSumMinor + request.amount.minor > BigInt(parameters.limit.accountSum),
  "limit.institutionSum": ({ parameters, request, counters }) =>
    counters.institutionSumMinor + request.amount.minor > BigInt(parameters.limit.institutionSum),
};

/** An account that cannot be looked up is refused by any list that names somebody. */
function mayBeStopped(tokens: readonly string[], { account }: StandInRequest): boolean {
  if (tokens.length === 0) return false;
  return account.stopListToken === undefined || tokens.includes(account.stopListToken);
}

const { doNotHonour, exceedsCount, exceedsLimit, issuerUnavailable, notPermittedToCard, notPermittedToTerminal } =
  RESPONSE_CODES;

interface Refusal {
  readonly declineCode: string;
  readonly reason: ReasonCode;
  /** The set does not cover the request, rather than refuse it: its `fallback` decides between decline and refer. */
  readonly uncovered?: true;
}

const REFUSALS: Readonly<Record<StandInCheck, Refusal>> = {
  parameters: { declineCode: issuerUnavailable, reason: "E_UNAVAILABLE" },
  validFrom: { declineCode: issuerUnavailable, reason: "E_UNAVAILABLE" },
  validTo: { declineCode: issuerUnavailable, reason: "E_EXPIRED" },
  "institution.id": { declineCode: issuerUnavailable, reason: "E_UNKNOWN" },
  "institution.enabled": { declineCode: issuerUnavailable, reason: "E_UNAVAILABLE" },
  "institution.window": { declineCode: issuerUnavailable, reason: "E_UNAVAILABLE" },
  "acquirer.deny": { declineCode: notPermittedToTerminal, reason: "E_DENIED" },
  "acquirer.allow": { declineCode: notPermittedToTerminal, reason: "E_DENIED", uncovered: true },
  "account.range": { declineCode: issuerUnavailable, reason: "E_UNKNOWN", uncovered: true },
  "account.stopList": { declineCode: doNotHonour, reason: "E_DENIED" },
  "txn.types": { declineCode: notPermittedToCard, reason: "E_DENIED", uncovered: true },
  "txn.mccDeny": { declineCode: notPermittedToCard, reason: "E_DENIED" },
  currency: { declineCode: notPermittedToCard, reason: "E_DENIED", uncovered: true },
  "limit.single": { declineCode: exceedsLimit, reason: "E_LIMIT" },
  "limit.accountCount": { declineCode: exceedsCount, reason: "E_LIMIT" },
  "limit.accountSum": { declineCode: exceedsLimit, reason: "E_LIMIT" },
  "limit.institutionSum": { declineCode: issuerUnavailable, reason: "E_LIMIT" },
};

/** Decides one request while its institution cannot. Pure: the caller logs the decision before anybody is told. */
export function decideStandIn({ parameters, request, counters, now }: StandInCase): StandInDecision {
  const at = Math.max(now, counters.latestAt);
  const decidedBy = parameters ? firstFailing({ parameters, request, counters, now: at }) : "parameters";
  if (decidedBy !== undefined) return { ...refusalBy(decidedBy, parameters), decidedBy, at };
  const { minor } = request.amount;
  return {
    decision: "approve",
    responseCode: RESPONSE_CODES.approved,
    at,
    increments: { accountCount: 1, accountSumMinor: minor, institutionSumMinor: minor },
  };
}

const firstFailing = (checked: Checked): StandInCheck | undefined =>
  STAND_IN_CHECKS.find((check) => check !== "parameters" && FAILS[check](checked));

function refusalBy(check: StandInCheck, parameters: StandInParameters | undefined) {
  const { declineCode, reason, uncovered } = REFUSALS[check];
  return uncovered && parameters?.fallback === "REFER"
    ? ({ decision: "refer", responseCode: RESPONSE_CODES.referToIssuer, reason } as const)
    : ({ decision: "decline", responseCode: declineCode, reason } as const);
}
