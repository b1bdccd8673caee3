/**
 * Decides every step of a purchase paid by a code that a scanner read. A pre-authorised code needs the hub (RM10); a note of
 * staged value needs nobody (RM11). It performs nothing: each effect is carried out by the shell.
 */
import { unreachable } from "../../base/assert.ts";
import type { Step } from "../../base/machine.ts";
import type { ReasonCode } from "../../wire/common.ts";
import { type HubAnswer, ONLINE_ATTEMPT, type PurchaseDecision, type Refusal } from "./purchase-machine.ts";

/**
 * How often the hub is asked. A repeat is the same attempt, so that an answer which was lost on its way is given again and
 * nothing is debited twice.
 */
export const CODE_ASKS_MAX = 2;

export type CodeState =
  | { readonly at: "new" }
  | { readonly at: "storing-request" }
  | { readonly at: "asking-hub"; readonly asked: number }
  | { readonly at: "storing-unknown"; readonly asked: number }
  | { readonly at: "checking-note" }
  | { readonly at: "reserving" }
  | { readonly at: "storing-decision"; readonly decision: PurchaseDecision }
  | { readonly at: "ended"; readonly decision: PurchaseDecision };

export type CodeEvent =
  | { readonly on: "pre-authorised-code"; readonly hub: "up" | "down" }
  | { readonly on: "note" }
  | { readonly on: "request-stored" }
  | { readonly on: "hub-approved"; readonly answer: HubAnswer }
  | { readonly on: "hub-declined"; readonly answer: HubAnswer }
  | { readonly on: "hub-unknown" }
  | { readonly on: "cancelled" }
  | { readonly on: "unknown-stored" }
  | { readonly on: "note-accepted" }
  | { readonly on: "refused"; readonly refusal: Refusal }
  | { readonly on: "reserved" }
  | { readonly on: "decision-stored" };

export type CodeEffect =
  | { readonly do: "store-request"; readonly attempt: number }
  | { readonly do: "ask-hub"; readonly attempt: number }
  | { readonly do: "store-unknown"; readonly attempt: number }
  | { readonly do: "check-note" }
  | { readonly do: "reserve" }
  | { readonly do: "store-decision"; readonly decision: PurchaseDecision };

export type CodeStep = Step<CodeState, CodeEffect>;

export function codeMachine(state: CodeState, event: CodeEvent): CodeStep {
  switch (state.at) {
    case "new":
      return presented(state, event);
    case "storing-request":
      return event.on === "request-stored" ? ask(1) : stay(state);
    case "asking-hub":
      return hubAnswered(state, event);
    case "storing-unknown":
      if (event.on !== "unknown-stored") return stay(state);
      return state.asked < CODE_ASKS_MAX ? ask(state.asked + 1) : decide(NO_ANSWER);
    case "checking-note":
      if (event.on === "note-accepted") return go({ at: "reserving" }, { do: "reserve" });
      return event.on === "refused" ? decide(declinedHere(event.refusal)) : stay(state);
    case "reserving":
      if (event.on === "reserved") return decide(TAKEN_OFFLINE);
      return event.on === "refused" ? decide(declinedHere(event.refusal)) : stay(state);
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

function presented(state: CodeState, event: CodeEvent): CodeStep {
  switch (event.on) {
    case "pre-authorised-code":
      if (event.hub === "down") return decide(declinedHere(NEEDS_THE_HUB));
      return go({ at: "storing-request" }, { do: "store-request", attempt: ONLINE_ATTEMPT });
    case "note":
      return go({ at: "checking-note" }, { do: "check-note" });
    default:
      return stay(state);
  }
}

function hubAnswered(state: Extract<CodeState, { at: "asking-hub" }>, event: CodeEvent): CodeStep {
  switch (event.on) {
    case "hub-approved":
      return decide({ outcome: "approved", mode: "online", ...event.answer, attempts: ATTEMPTS, reversals: [] });
    case "hub-declined":
      return decide({
        outcome: "declined",
        mode: "online",
        reason: "E_DENIED",
        detail: `the hub declined with response code ${event.answer.responseCode}`,
        ...event.answer,
        attempts: ATTEMPTS,
        reversals: [],
      });
    case "hub-unknown":
      return go({ at: "storing-unknown", asked: state.asked }, { do: "store-unknown", attempt: ONLINE_ATTEMPT });
    case "cancelled":
      return decide(reversed({ outcome: "aborted", reason: "E_STATE", detail: "cancelled" }, "cancelled"));
    default:
      return stay(state);
  }
}

const ATTEMPTS = [ONLINE_ATTEMPT];

/** RM10: nothing is queued for a hub that may come back. */
const NEEDS_THE_HUB: Refusal = {
  reason: "E_UNAVAILABLE",
  detail: "a pre-authorised code needs the hub, which cannot be reached; take a card or try again",
};

const TAKEN_OFFLINE: PurchaseDecision = { outcome: "approved", mode: "offline", attempts: [], reversals: [] };

type Undone = { readonly outcome: "aborted" | "declined"; readonly reason: ReasonCode; readonly detail: string };
const reversed = (undone: Undone, why: string): PurchaseDecision => ({
  ...undone,
  mode: "online",
  attempts: ATTEMPTS,
  reversals: [{ attempt: ONLINE_ATTEMPT, reason: why }],
});

const NO_ANSWER = reversed(
  {
    outcome: "declined",
    reason: "E_TIMEOUT",
    detail: "no answer from the hub; what it may have charged is taken back, and then the code is good again",
  },
  "no answer",
);

const declinedHere = (refusal: Refusal): PurchaseDecision => ({
  outcome: "declined",
  mode: "offline",
  ...refusal,
  attempts: [],
  reversals: [],
});

const ask = (asked: number): CodeStep => go({ at: "asking-hub", asked }, { do: "ask-hub", attempt: ONLINE_ATTEMPT });
const go = (state: CodeState, effect: CodeEffect): CodeStep => ({ state, effects: [effect] });
const stay = (state: CodeState): CodeStep => ({ state, effects: [] });
const decide = (decision: PurchaseDecision): CodeStep =>
  go({ at: "storing-decision", decision }, { do: "store-decision", decision });
