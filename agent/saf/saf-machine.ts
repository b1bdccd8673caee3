/**
 * The life of one store-and-forward entry: eligible -> forwarding -> processed | declined | expired | quarantined. Before it
 * was ever sent it may be voided (RM12); out of quarantine a person takes it back (`retry`) or ends it (`cancel`), or the hub's
 * newest word does. A void that the hub declines leaves it processed. The journal asks this machine before every change of a
 * queue row; resending is the forwarder's affair.
 */
import { unreachable } from "../../base/assert.ts";
import type { Step } from "../../base/machine.ts";

export type SafState =
  /** `attempts` counts how often it was sent: above 0 when a person took it out of quarantine. */
  | { readonly at: "eligible"; readonly attempts: number }
  /** May be at the hub. */
  | { readonly at: "forwarding"; readonly attempts: number }
  | { readonly at: "processed"; readonly attempts: number }
  | { readonly at: "declined"; readonly attempts: number }
  | { readonly at: "expired"; readonly attempts: number }
  | { readonly at: "quarantined"; readonly attempts: number }
  | { readonly at: "voided"; readonly attempts: number };

export type SafEvent =
  | { readonly on: "send" }
  | {
      readonly on: "receipt";
      readonly status: "processed" | "declined" | "expired" | "duplicate" | "quarantined";
      /** Given later than all that was heard before. */
      readonly fresh: boolean;
    }
  /** The till takes its own sale back. */
  | { readonly on: "void" }
  /** A person asks the hub once more about an entry that it set aside. */
  | { readonly on: "retry" }
  /** A person ends an entry that the hub has not taken. */
  | { readonly on: "cancel" }
  /** The hub had taken the entry before it heard of the void. */
  | { readonly on: "void-declined" }
  /** The hub holds less than it receipted: it was restored from a backup (RM18). */
  | { readonly on: "resend" };

/** The sealed card data serve nobody any more (RM5). */
export type SafEffect = { readonly do: "erase-sealed" };

type SafStep = Step<SafState, SafEffect>;

/** An event that does not apply leaves the very same state object and asks for nothing. */
export function safStep(state: SafState, event: SafEvent): SafStep {
  switch (state.at) {
    case "eligible":
    case "forwarding":
      return openStep(state, event);
    case "quarantined":
      return quarantinedStep(state, event);
    case "processed":
    case "declined":
    case "expired":
      return endedStep(state, event);
    case "voided":
      return event.on === "void-declined" ? moved(state, "processed") : stay(state);
    default:
      return unreachable(state);
  }
}

function openStep(state: SafState, event: SafEvent): SafStep {
  switch (event.on) {
    case "send":
      return { state: { at: "forwarding", attempts: state.attempts + 1 }, effects: [] };
    case "void":
    case "cancel":
      return state.at === "eligible" ? ended(state, "voided") : stay(state);
    case "receipt":
      return receipted(state, event.status);
    case "retry":
    case "resend":
    case "void-declined":
      return stay(state);
    default:
      return unreachable(event);
  }
}

function endedStep(state: SafState, event: SafEvent): SafStep {
  // It may be at the hub, which is what `forwarding` says: so it is not voided while it is told again.
  if (event.on === "resend") return moved(state, "forwarding");
  // A hub that was restored judged it anew, and the receipt from before came in between: its newest word holds.
  if (event.on !== "receipt" || !event.fresh) return stay(state);
  const { at } = receipted(state, event.status).state;
  return at === state.at ? stay(state) : moved(state, at);
}

function receipted(state: SafState, status: Extract<SafEvent, { on: "receipt" }>["status"]): SafStep {
  // What a person may yet send again keeps its card data, which the hub needs to judge it anew.
  if (status === "quarantined") return state.at === "quarantined" ? stay(state) : moved(state, "quarantined");
  return ended(state, status === "duplicate" ? "processed" : status);
}

function quarantinedStep(state: SafState, event: SafEvent): SafStep {
  if (event.on === "retry") return moved(state, "eligible");
  // What was set aside there is forgotten there as well, and nobody at the hub would look at it.
  if (event.on === "resend") return moved(state, "forwarding");
  // It was sent twice, and the hub could judge the second: that word came after the one that set it aside.
  if (event.on === "receipt" && event.fresh) return receipted(state, event.status);
  return event.on === "cancel" ? ended(state, "voided") : stay(state);
}

const stay = (state: SafState): SafStep => ({ state, effects: [] });
const moved = ({ attempts }: SafState, at: SafState["at"]): SafStep => ({ state: { at, attempts }, effects: [] });
const ended = (state: SafState, at: "processed" | "declined" | "expired" | "voided"): SafStep => ({
  ...moved(state, at),
  effects: [{ do: "erase-sealed" }],
});
