/**
 * Whether one issuer can be asked: UP -> DOWN -> RECOVERING -> UP (system 3, RM15). Silence or a sign-off takes it down, its
 * own echoes bring it back, and the emptied advice log makes it whole. Live traffic has no voice while it is down.
 */
import { unreachable } from "../../../base/assert.ts";
import type { Machine, Step } from "../../../base/machine.ts";

export interface AvailabilityPolicy {
  /** Consecutive time-outs that take the issuer down. */
  readonly failThreshold: number;
  /** How long the link waits for an answer, before it reports a time-out. */
  readonly hostTimeoutMs: number;
  /** Consecutive good echoes that begin the recovery. */
  readonly upProbes: number;
}

export const AVAILABILITY_DEFAULTS: AvailabilityPolicy = { failThreshold: 3, hostTimeoutMs: 2_000, upProbes: 3 };

/** Why the hub stands in; told to the issuer with each advice. */
export type StandInReason = "timeout" | "signed-off";

export type Availability =
  /** `timeouts`: consecutive, up to now. */
  | { readonly at: "up"; readonly timeouts: number }
  /** `signedOff`: it said that it is away, and nothing counts before it signs on. `echoes`: consecutive good ones. */
  | { readonly at: "down"; readonly why: StandInReason; readonly signedOff: boolean; readonly echoes: number }
  | { readonly at: "recovering"; readonly why: StandInReason; readonly timeouts: number };

/** A request that a payer waits for, or an echo. Advices say nothing here: one that is never answered takes nobody down. */
export type Asked = "request" | "echo";

export type AvailabilityEvent =
  /** In time; an echo with response code 00. */
  | { readonly on: "answered"; readonly asked: Asked }
  /** No answer within `hostTimeoutMs`, no link to send it on, or an echo refused. */
  | { readonly on: "timed-out"; readonly asked: Asked }
  /** An answer after its time-out. The decision was made without it. */
  | { readonly on: "answered-late" }
  | { readonly on: "signed-off" }
  /** Its notice, or its answer to ours. */
  | { readonly on: "signed-on" }
  /** The last open entry of the advice log ended; also when the log was found empty at the beginning of a recovery. */
  | { readonly on: "drained" };

export type AvailabilityEffect =
  /** Decide the request that timed out, at once. */
  | { readonly do: "stand-in" }
  /** Send echoes until they bring the issuer back. */
  | { readonly do: "probe" }
  /** Deliver the advice log, and report when it is empty. */
  | { readonly do: "drain" }
  /** The issuer knows all that was decided for it. To be done in the transaction that finds the log empty, or not at all. */
  | { readonly do: "reset-counters" };

type AvailabilityStep = Step<Availability, AvailabilityEffect>;

/** Also after a restart: entries left in the log keep their accounts with stand-in, whatever the state. */
export const FIRST_AVAILABILITY: Availability = { at: "up", timeouts: 0 };

/** An event that does not apply leaves the very same state object and asks for nothing. */
export function availabilityMachine(
  policy: AvailabilityPolicy,
): Machine<Availability, AvailabilityEvent, AvailabilityEffect> {
  return (state, event) => {
    if (event.on === "signed-off") return signedOff(state);
    const step = state.at === "down" ? downStep(policy, state, event) : reachedStep(policy, state, event);
    if (event.on !== "timed-out" || event.asked !== "request") return step;
    return { ...step, effects: [{ do: "stand-in" }, ...step.effects] };
  };
}

type Reached = Extract<Availability, { at: "up" | "recovering" }>;
type Down = Extract<Availability, { at: "down" }>;
type OtherEvent = Exclude<AvailabilityEvent, { on: "signed-off" }>;

function reachedStep({ failThreshold }: AvailabilityPolicy, state: Reached, event: OtherEvent): AvailabilityStep {
  switch (event.on) {
    case "answered":
      return state.timeouts === 0 ? stay(state) : { state: { ...state, timeouts: 0 }, effects: [] };
    case "timed-out": {
      const timeouts = state.timeouts + 1;
      return timeouts < failThreshold ? { state: { ...state, timeouts }, effects: [] } : down("timeout");
    }
    case "drained":
      return { state: { at: "up", timeouts: state.timeouts }, effects: [{ do: "reset-counters" }] };
    case "answered-late":
    case "signed-on":
      return stay(state);
    default:
      return unreachable(event);
  }
}

function downStep({ upProbes }: AvailabilityPolicy, state: Down, event: OtherEvent): AvailabilityStep {
  switch (event.on) {
    case "signed-on":
      return state.signedOff ? { state: { ...state, signedOff: false }, effects: [] } : stay(state);
    case "answered": {
      if (event.asked !== "echo" || state.signedOff) return stay(state);
      const echoes = state.echoes + 1;
      if (echoes < upProbes) return { state: { ...state, echoes }, effects: [] };
      return { state: { at: "recovering", why: state.why, timeouts: 0 }, effects: [{ do: "drain" }] };
    }
    case "timed-out":
      return event.asked === "echo" && state.echoes > 0 ? { state: { ...state, echoes: 0 }, effects: [] } : stay(state);
    case "answered-late":
    case "drained":
      return stay(state);
    default:
      return unreachable(event);
  }
}

function signedOff(state: Availability): AvailabilityStep {
  if (state.at !== "down") return down("signed-off");
  return state.signedOff ? stay(state) : { ...down("signed-off"), effects: [] };
}

const stay = (state: Availability): AvailabilityStep => ({ state, effects: [] });
const down = (why: StandInReason): AvailabilityStep => ({
  state: { at: "down", why, signedOff: why === "signed-off", echoes: 0 },
  effects: [{ do: "probe" }],
});

/** The log is delivered whenever the issuer can be asked: a single time-out leaves entries too. */
export const mayDrain = (state: Availability): boolean => state.at !== "down";

export interface AccountFacts {
  /** Whether entries that move this account's money are open in the advice log: approvals and reversals, not declines. */
  readonly held: boolean;
}

export type Route = { readonly to: "issuer" } | { readonly to: "stand-in"; readonly why: StandInReason };

/**
 * Who decides a request. An account that the issuer has yet to be told of stays with stand-in until it was: the issuer would
 * decide on a balance that is no longer so. Declines hold nobody back, so that the holds of an outage are as many as the
 * limits let it approve, and every account comes free however often it is tried.
 */
export function routeOf(state: Availability, account: AccountFacts): Route {
  if (state.at === "down") return { to: "stand-in", why: state.why };
  if (!account.held) return { to: "issuer" };
  return { to: "stand-in", why: state.at === "recovering" ? state.why : "timeout" };
}
