/**
 * Decides every step of one purchase: one card, at most one online attempt, one final outcome (RM1, RM3).
 * It performs nothing: each effect is carried out by the shell, whose result is the next event.
 */
import { unreachable } from "../../base/assert.ts";
import type { Step } from "../../base/machine.ts";
import type { ReasonCode } from "../../wire/common.ts";

/** Cryptograms of GENERATE AC: approved offline, online wanted, declined (EMV Book 3, 6.5.5). */
export type Cryptogram = "TC" | "ARQC" | "AAC";

export type CardFailure =
  | "removed"
  | "mute"
  | "refused-command"
  | "unsupported"
  | "no-reader"
  | "no-card"
  /** Nothing that a card says counts without the hub. */
  | "no-hub"
  | "cancelled";

export interface HubAnswer {
  readonly responseCode: string;
  readonly approvalCode?: string;
  readonly reason?: ReasonCode;
}

export interface PurchaseDecision {
  readonly outcome: "approved" | "declined" | "aborted";
  readonly mode: "online" | "offline";
  /** The card declined for want of an answer, and the merchant sells at the own risk (RM9). */
  readonly deferred?: true;
  readonly reason?: ReasonCode;
  readonly detail?: string;
  readonly responseCode?: string;
  readonly approvalCode?: string;
  /** Every online attempt of the payment, so that an advice names what it supersedes. */
  readonly attempts: readonly number[];
  /** Attempts that may have been authorised and must not count. */
  readonly reversals: readonly { readonly attempt: number; readonly reason: string }[];
}

/** What the machine needs to know of an answer. */
export const answerOf = ({
  responseCode,
  approvalCode,
  reason,
}: {
  readonly responseCode: string;
  readonly approvalCode?: string | undefined;
  readonly reason?: ReasonCode | undefined;
}): HubAnswer => ({
  responseCode,
  ...(approvalCode === undefined ? {} : { approvalCode }),
  ...(reason === undefined ? {} : { reason }),
});

/** The one request of a purchase; a payment id that failed is not tried again under the same id. */
export const ONLINE_ATTEMPT = 1;

/** What is known of the online attempt when the card is asked for the last time. */
type Online =
  | { readonly was: "approved"; readonly answer: HubAnswer }
  | { readonly was: "declined"; readonly answer: HubAnswer }
  | { readonly was: "unknown" }
  | { readonly was: "not-tried"; readonly deferrable?: true };

export type PurchaseState =
  | { readonly at: "new" }
  | { readonly at: "storing-intent" }
  | { readonly at: "awaiting-card" }
  | { readonly at: "reading-card" }
  | { readonly at: "reserving"; readonly online: Online; readonly first: FirstAsk }
  | ({ readonly at: "first-cryptogram"; readonly refusal?: Refusal } & FirstAsk)
  | { readonly at: "storing-request" }
  | { readonly at: "asking-hub" }
  | { readonly at: "storing-unknown" }
  | {
      readonly at: "second-cryptogram";
      readonly asked: "TC" | "AAC";
      readonly online: Online;
      readonly refusal?: Refusal;
    }
  | { readonly at: "storing-decision"; readonly decision: PurchaseDecision }
  | { readonly at: "ended"; readonly decision: PurchaseDecision };

/**
 * What speaks against a card beside its own answer: a signature that makes its TC none (RM13), or a check that it failed,
 * such as forged data or a date. No merchant's risk covers these (RM9).
 */
export type RefusedBy = "signature" | "failed-check";

/** What the card is asked for first, and whom an ARQC goes to: the hub, or nobody when it cannot be reached. */
export interface FirstAsk {
  readonly asked: Cryptogram;
  readonly route: "hub" | "alone";
  readonly deferrable?: true;
}

export interface Refusal {
  readonly reason: ReasonCode;
  readonly detail: string;
}

export type PurchaseEvent =
  | { readonly on: "start" }
  | { readonly on: "intent-stored" }
  | { readonly on: "card-presented" }
  /** `proposed`: by the kernel's action analysis. */
  | { readonly on: "card-read"; readonly hub: "up" | "down"; readonly proposed: Cryptogram }
  | { readonly on: "card-failed"; readonly why: CardFailure; readonly detail: string }
  /** `deferrable`: the lease permits deferred authorisation (RM9). */
  | { readonly on: "reserved"; readonly deferrable?: true }
  | { readonly on: "lease-refused"; readonly refusal: Refusal }
  | { readonly on: "cryptogram"; readonly type: Cryptogram; readonly refusedBy?: RefusedBy }
  | { readonly on: "request-stored" }
  | { readonly on: "hub-approved"; readonly answer: HubAnswer }
  | { readonly on: "hub-declined"; readonly answer: HubAnswer }
  | { readonly on: "hub-unknown" }
  | { readonly on: "hub-cancelled" }
  | { readonly on: "unknown-stored" }
  | { readonly on: "decision-stored" };

export type PurchaseEffect =
  | { readonly do: "store-intent" }
  | { readonly do: "await-card" }
  | { readonly do: "read-card" }
  | { readonly do: "reserve" }
  | { readonly do: "first-cryptogram"; readonly ask: Cryptogram }
  | { readonly do: "store-request"; readonly attempt: number }
  | { readonly do: "ask-hub"; readonly attempt: number }
  | { readonly do: "store-unknown"; readonly attempt: number }
  | { readonly do: "second-cryptogram"; readonly ask: "TC" | "AAC"; readonly responseCode: string }
  | { readonly do: "store-decision"; readonly decision: PurchaseDecision };

export type PurchaseStep = Step<PurchaseState, PurchaseEffect>;

/** EMV Book 4, Annex A6: response codes that the terminal makes up itself. */
const OFFLINE_APPROVED = "Y1";
const OFFLINE_DECLINED = "Z1";
const UNABLE_ONLINE_APPROVED = "Y3";
const UNABLE_ONLINE_DECLINED = "Z3";

export function purchaseMachine(state: PurchaseState, event: PurchaseEvent): PurchaseStep {
  switch (state.at) {
    case "new":
      return event.on === "start" ? go({ at: "storing-intent" }, { do: "store-intent" }) : stay(state);
    case "storing-intent":
      return event.on === "intent-stored" ? go({ at: "awaiting-card" }, { do: "await-card" }) : stay(state);
    case "awaiting-card":
      if (event.on === "card-presented") return go({ at: "reading-card" }, { do: "read-card" });
      return event.on === "card-failed" ? decide(cardFailed(event)) : stay(state);
    case "reading-card":
      return cardRead(state, event);
    case "reserving":
      return reserving(state, event);
    case "first-cryptogram":
      return firstCryptogram(state, event);
    case "storing-request":
      return event.on === "request-stored"
        ? go({ at: "asking-hub" }, { do: "ask-hub", attempt: ONLINE_ATTEMPT })
        : stay(state);
    case "asking-hub":
      return hubAnswered(state, event);
    case "storing-unknown":
      return event.on === "unknown-stored"
        ? go({ at: "reserving", online: { was: "unknown" }, first: { asked: "ARQC", route: "hub" } }, { do: "reserve" })
        : stay(state);
    case "second-cryptogram":
      return secondCryptogram(state, event);
    case "storing-decision":
      return event.on === "decision-stored"
        ? { state: { at: "ended", decision: state.decision }, effects: [] }
        : stay(state);
    case "ended":
      return stay(state);
    default:
      return unreachable(state);
  }
}

function cardRead(state: PurchaseState, event: PurchaseEvent): PurchaseStep {
  if (event.on === "card-failed") return decide(cardFailed(event));
  if (event.on !== "card-read") return stay(state);
  const first: FirstAsk = { asked: event.proposed, route: event.hub === "up" ? "hub" : "alone" };
  if (first.asked === "AAC") return askFirst(first, RISK_REFUSED);
  if (first.asked === "ARQC" && first.route === "hub") return askFirst(first);
  return go({ at: "reserving", online: { was: "not-tried" }, first }, { do: "reserve" });
}

/** Terminal action analysis with the action codes of card and terminal (EMV Book 3, 10.7). */
const RISK_REFUSED: Refusal = {
  reason: "E_DENIED",
  detail: "the risk rules of the card and of this terminal refuse it",
};

const askFirst = (first: FirstAsk, refusal?: Refusal): PurchaseStep =>
  go(
    { at: "first-cryptogram", ...first, ...(refusal ? { refusal } : {}) },
    { do: "first-cryptogram", ask: first.asked },
  );

/** The lease speaks before the card is asked for a TC: a TC that must not count cannot be taken back from the card. */
function reserving(state: Extract<PurchaseState, { at: "reserving" }>, event: PurchaseEvent): PurchaseStep {
  const first = state.online.was === "not-tried";
  if (event.on === "reserved") {
    return first
      ? askFirst({ ...state.first, ...deferrableIf(event) })
      : askLast(state.online, "TC", UNABLE_ONLINE_APPROVED);
  }
  if (event.on !== "lease-refused") return stay(state);
  const refusal = event.refusal;
  if (!first) return askLast(state.online, "AAC", UNABLE_ONLINE_DECLINED, refusal);
  // A terminal that may not approve alone asks who may.
  if (state.first.route === "hub") return askFirst({ ...state.first, asked: "ARQC" });
  return askFirst({ ...state.first, asked: "AAC" }, refusal);
}

function firstCryptogram(
  state: Extract<PurchaseState, { at: "first-cryptogram" }>,
  event: PurchaseEvent,
): PurchaseStep {
  if (event.on === "card-failed") return decide(state.refusal ? declinedOffline(state.refusal) : cardFailed(event));
  if (event.on !== "cryptogram") return stay(state);
  if (state.refusal) return decide(declinedOffline(state.refusal));
  if (event.type === "AAC") return decide(declinedOffline({ reason: "E_DENIED", detail: "the card declined" }));
  if (event.type === "ARQC") {
    return state.route === "hub"
      ? go({ at: "storing-request" }, { do: "store-request", attempt: ONLINE_ATTEMPT })
      : askLast({ was: "not-tried", ...deferrableIf(state) }, "TC", UNABLE_ONLINE_APPROVED);
  }
  if (state.asked !== "TC") return decide(declinedOffline(NOT_ASKED_FOR));
  return decide({ outcome: "approved", mode: "offline", responseCode: OFFLINE_APPROVED, attempts: [], reversals: [] });
}

const NOT_ASKED_FOR: Refusal = {
  reason: "E_STATE",
  detail: "the card answered with a cryptogram that was not asked for",
};

function hubAnswered(state: PurchaseState, event: PurchaseEvent): PurchaseStep {
  switch (event.on) {
    case "hub-approved":
      return askLast({ was: "approved", answer: event.answer }, "TC", event.answer.responseCode);
    case "hub-declined":
      return askLast({ was: "declined", answer: event.answer }, "AAC", event.answer.responseCode);
    case "hub-unknown":
      return go({ at: "storing-unknown" }, { do: "store-unknown", attempt: ONLINE_ATTEMPT });
    case "hub-cancelled":
      return decide(
        withReversal({ outcome: "aborted", mode: "online", reason: "E_STATE", detail: "cancelled" }, "cancelled"),
      );
    default:
      return stay(state);
  }
}

function secondCryptogram(
  state: Extract<PurchaseState, { at: "second-cryptogram" }>,
  event: PurchaseEvent,
): PurchaseStep {
  if (event.on !== "cryptogram" && event.on !== "card-failed") return stay(state);
  const approved = event.on === "cryptogram" && event.type === "TC" && state.asked === "TC";
  switch (state.online.was) {
    case "approved":
      return decide(approved ? approvedOnline(state.online.answer) : notCompleted(event));
    case "declined":
      return decide(declinedOnline(state.online.answer));
    case "unknown": {
      if (approved) return decide(unableButApproved([ONLINE_ATTEMPT]));
      const why = state.refusal ?? lastWord(event);
      return decide(
        withReversal(
          { ...declinedOffline(why), responseCode: UNABLE_ONLINE_DECLINED },
          "no answer, then not approved offline",
        ),
      );
    }
    case "not-tried":
      if (approved) return decide(unableButApproved([]));
      // A card that failed or was pulled may have been about to refuse for a reason of its own; a copy is no customer's card.
      if (state.online.deferrable && event.on === "cryptogram" && !event.refusedBy) return decide(DEFERRED);
      return decide({ ...declinedOffline(lastWord(event)), responseCode: UNABLE_ONLINE_DECLINED });
    default:
      return unreachable(state.online);
  }
}

const deferrableIf = ({ deferrable }: { readonly deferrable?: true }): { readonly deferrable?: true } =>
  deferrable ? { deferrable } : {};

/** RM9: sold at the merchant's risk; the ARQC goes to the hub as a request when it is back. */
const DEFERRED: PurchaseDecision = {
  outcome: "approved",
  mode: "offline",
  deferred: true,
  detail: "authorised later, at the merchant's risk",
  attempts: [],
  reversals: [],
};

function askLast(online: Online, ask: "TC" | "AAC", responseCode: string, refusal?: Refusal): PurchaseStep {
  const state: PurchaseState = { at: "second-cryptogram", asked: ask, online, ...(refusal ? { refusal } : {}) };
  return go(state, { do: "second-cryptogram", ask, responseCode });
}

const go = (state: PurchaseState, effect: PurchaseEffect): PurchaseStep => ({ state, effects: [effect] });
const stay = (state: PurchaseState): PurchaseStep => ({ state, effects: [] });
const decide = (decision: PurchaseDecision): PurchaseStep =>
  go({ at: "storing-decision", decision }, { do: "store-decision", decision });

type CardFailed = Extract<PurchaseEvent, { on: "card-failed" }>;
type LastEvent = CardFailed | Extract<PurchaseEvent, { on: "cryptogram" }>;

const REASON_OF: Readonly<Record<CardFailure, ReasonCode>> = {
  removed: "E_TIMEOUT",
  mute: "E_TIMEOUT",
  "refused-command": "E_DENIED",
  unsupported: "E_UNKNOWN",
  "no-reader": "E_UNAVAILABLE",
  "no-card": "E_TIMEOUT",
  "no-hub": "E_UNAVAILABLE",
  cancelled: "E_STATE",
};

function cardFailed(event: CardFailed): PurchaseDecision {
  return {
    outcome: "aborted",
    mode: "offline",
    reason: REASON_OF[event.why],
    detail: event.detail,
    attempts: [],
    reversals: [],
  };
}

function declinedOffline(refusal: Refusal): PurchaseDecision {
  return {
    outcome: "declined",
    mode: "offline",
    ...refusal,
    responseCode: OFFLINE_DECLINED,
    attempts: [],
    reversals: [],
  };
}

function approvedOnline(answer: HubAnswer): PurchaseDecision {
  return { outcome: "approved", mode: "online", ...answer, attempts: [ONLINE_ATTEMPT], reversals: [] };
}

function declinedOnline(answer: HubAnswer): PurchaseDecision {
  return {
    outcome: "declined",
    mode: "online",
    reason: "E_DENIED",
    detail: `the hub declined with response code ${answer.responseCode}`,
    ...answer,
    attempts: [ONLINE_ATTEMPT],
    reversals: [],
  };
}

function unableButApproved(attempts: readonly number[]): PurchaseDecision {
  return { outcome: "approved", mode: "offline", responseCode: UNABLE_ONLINE_APPROVED, attempts, reversals: [] };
}

/** The hub approved, and the card did not: the approval must not stand. */
function notCompleted(event: LastEvent): PurchaseDecision {
  if (event.on === "card-failed") {
    return withReversal(
      { outcome: "aborted", mode: "online", reason: REASON_OF[event.why], detail: event.detail },
      `card ${event.why}`,
    );
  }
  return withReversal(
    { outcome: "declined", mode: "online", reason: "E_DENIED", detail: "the card declined after the hub had approved" },
    "card declined",
  );
}

const REFUSED_BY: Readonly<Record<RefusedBy, string>> = {
  signature: "the card's signature does not hold",
  "failed-check": "the card failed a check, and the hub cannot be asked",
};

function lastWord(event: LastEvent): Refusal {
  if (event.on === "card-failed") return { reason: REASON_OF[event.why], detail: event.detail };
  if (event.refusedBy) return { reason: "E_DENIED", detail: REFUSED_BY[event.refusedBy] };
  return { reason: "E_DENIED", detail: "the card declined without the hub" };
}

function withReversal(decision: Omit<PurchaseDecision, "attempts" | "reversals">, reason: string): PurchaseDecision {
  return { ...decision, attempts: [ONLINE_ATTEMPT], reversals: [{ attempt: ONLINE_ATTEMPT, reason }] };
}
