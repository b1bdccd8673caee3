/**
 * The advice log's way to the issuer (system 3, RM15): each decision made in its name is told in the order of its account,
 * and repeated until it is answered. What the issuer refuses too often goes to the exception list and holds nobody up.
 */
import { unreachable } from "../../../base/assert.ts";
import type { PaymentId, TerminalId } from "../../../base/ids.ts";
import type { Machine, Step } from "../../../base/machine.ts";

export interface RecoveryPolicy {
  /** Refusals after which an entry goes to the exception list. */
  readonly refusalsMax: number;
  /** Entries under way at one time, each of another account. */
  readonly inFlightMax: number;
  /** Until the first repeat; each later one waits twice as long, up to `retryMaxMs`. */
  readonly retryFirstMs: number;
  readonly retryMaxMs: number;
}

export const RECOVERY_DEFAULTS: RecoveryPolicy = {
  refusalsMax: 3,
  inFlightMax: 16,
  retryFirstMs: 1_000,
  retryMaxMs: 60_000,
};

/** `advice`: what was decided. `reversal`: takes back what the issuer may have approved, or what was approved here and withdrawn. */
export type AdviceKind = "advice" | "reversal";

/** An ended entry never moves. `sends` counts what left, or was about to when the program ended. */
export type AdviceState =
  /** `dueAt`: milliseconds since 1970. */
  | { readonly at: "waiting"; readonly sends: number; readonly refusals: number; readonly dueAt: number }
  /** May be at the issuer. */
  | { readonly at: "sent"; readonly sends: number; readonly refusals: number }
  | { readonly at: "delivered"; readonly sends: number; readonly refusals: number }
  /** On the exception list: the issuer would not post it, as its last answer says, or never answered it. */
  | {
      readonly at: "exception";
      readonly sends: number;
      readonly refusals: number;
      readonly responseCode?: string;
    };

export interface AdviceEntry {
  /** Rises through the whole log. */
  readonly number: number;
  readonly kind: AdviceKind;
  readonly terminalId: TerminalId;
  readonly paymentId: PaymentId;
  /** 0 where the payment was decided by its terminal, and no attempt at it. */
  readonly attempt: number;
  /** The hub's token of the account: what orders entries and keys counters. */
  readonly account: string;
  /** Of an advice: whether it says that money moved. */
  readonly approved: boolean;
  readonly state: AdviceState;
}

/**
 * What one decision adds to the log, in this order (RM1). An approval is advised only: should the issuer have approved as
 * well, the advice confirms it. A decline whose request was sent is reversed first.
 */
export function entriesFor({ approved, sent }: Decided): readonly AdviceKind[] {
  return sent && !approved ? ["reversal", "advice"] : ["advice"];
}

export interface Decided {
  readonly approved: boolean;
  /** The request may have reached the issuer, who may have approved it. */
  readonly sent: boolean;
}

/** An attempt has one entry of a kind: the same decision, logged again, is known by this name. */
export const entryKey = ({
  kind,
  terminalId,
  paymentId,
  attempt,
}: Pick<AdviceEntry, "kind" | "terminalId" | "paymentId" | "attempt">): string =>
  `${terminalId}/${paymentId}/${attempt}/${kind}`;

/** `again`: the issuer cannot just now, which says nothing of the entry. */
export type AdviceAnswer =
  | { readonly what: "taken" }
  | { readonly what: "again" }
  | { readonly what: "refused"; readonly responseCode: string };

export type AdviceEvent =
  | { readonly on: "send" }
  | { readonly on: "answer"; readonly answer: AdviceAnswer; readonly now: number }
  /** No answer in time, or the program began again: what was under way may or may not have arrived. */
  | { readonly on: "lost"; readonly now: number }
  /** A person takes an entry out of the way that the issuer will not answer. */
  | { readonly on: "set-aside" };

export type AdviceEffect =
  | { readonly do: "transmit"; readonly repeat: "first" | "repeat" }
  /** The institution is told what it did not post. */
  | { readonly do: "list-exception" };

export const NEW_ADVICE: AdviceState = { at: "waiting", sends: 0, refusals: 0, dueAt: 0 };

type AdviceStep = Step<AdviceState, AdviceEffect>;
/** An event that does not apply leaves the very same state object and asks for nothing. The state is stored before an effect. */
export function adviceMachine(policy: RecoveryPolicy): Machine<AdviceState, AdviceEvent, AdviceEffect> {
  return (state, event) => {
    if (state.at === "delivered" || state.at === "exception") return stay(state);
    switch (event.on) {
      case "send":
        return state.at === "waiting" ? send(state) : stay(state);
      case "lost":
        return state.at === "sent" ? again(policy, state, event.now) : stay(state);
      case "answer":
        return answered(policy, state, event);
      case "set-aside":
        return exception(state);
      default:
        return unreachable(event);
    }
  };
}

type Open = Extract<AdviceState, { at: "waiting" | "sent" }>;

const send = ({ sends, refusals }: Open): AdviceStep => ({
  state: { at: "sent", sends: sends + 1, refusals },
  effects: [{ do: "transmit", repeat: sends === 0 ? "first" : "repeat" }],
});

function answered(policy: RecoveryPolicy, state: Open, event: Extract<AdviceEvent, { on: "answer" }>): AdviceStep {
  const { answer, now } = event;
  const { sends } = state;
  // Whenever it comes, it says that the issuer has the entry. Any other late answer is of a sending that no longer counts.
  if (answer.what === "taken" && sends > 0)
    return { state: { at: "delivered", sends, refusals: state.refusals }, effects: [] };
  if (state.at === "waiting") return stay(state);
  if (answer.what !== "refused") return again(policy, state, now);
  const refused = { ...state, refusals: state.refusals + 1 };
  return refused.refusals < policy.refusalsMax ? again(policy, refused, now) : exception(refused, answer.responseCode);
}

const exception = ({ sends, refusals }: Open, responseCode?: string): AdviceStep => ({
  state: { at: "exception", sends, refusals, ...(responseCode === undefined ? {} : { responseCode }) },
  effects: [{ do: "list-exception" }],
});

const again = (policy: RecoveryPolicy, { sends, refusals }: Open, now: number): AdviceStep => ({
  state: { at: "waiting", sends, refusals, dueAt: now + retryDelayMs(policy, sends) },
  effects: [],
});

/** Beyond so many doublings every delay is the longest. */
const DOUBLINGS_MAX = 30;
const retryDelayMs = ({ retryFirstMs, retryMaxMs }: RecoveryPolicy, sends: number): number =>
  Math.min(retryFirstMs * 2 ** Math.min(Math.max(sends - 1, 0), DOUBLINGS_MAX), retryMaxMs);

const stay = (state: AdviceState): AdviceStep => ({ state, effects: [] });

export const isOpen = ({ state }: AdviceEntry): boolean => state.at === "waiting" || state.at === "sent";

/** Whether this entry keeps its account from the issuer: it is open and moves money (`AccountFacts.held`). */
export const holdsAccount = (entry: AdviceEntry): boolean =>
  isOpen(entry) && (entry.kind === "reversal" || entry.approved);

/**
 * The entries to send now: of each account its oldest open one, when it is not under way and its time has come. `open` are
 * the open entries in order of number; the oldest of each account are enough, and the caller bounds how many it reads.
 */
export function dueAdvices<Entry extends AdviceEntry>(
  open: readonly Entry[],
  policy: RecoveryPolicy,
  now: number,
): readonly Entry[] {
  const heads = new Map<string, Entry>();
  for (const entry of open) {
    if (isOpen(entry) && !heads.has(entry.account)) heads.set(entry.account, entry);
  }
  const oldest = [...heads.values()];
  const free = policy.inFlightMax - oldest.filter(({ state }) => state.at === "sent").length;
  return oldest.filter(({ state }) => isDue(state, policy, now)).slice(0, Math.max(free, 0));
}

/** A clock that was set back makes nobody wait longer than the longest delay. */
function isDue(state: AdviceState, { retryMaxMs }: RecoveryPolicy, now: number): boolean {
  return state.at === "waiting" && (state.dueAt <= now || state.dueAt > now + retryMaxMs);
}
