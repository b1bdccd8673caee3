/**
 * The life of one store-and-forward entry: eligible -> forwarding -> processed | declined | quarantined, or
 * eligible -> voided (RM12). The journal asks it before every change of a queue row, the forwarder performs what it says.
 */
import { unreachable } from "../../base/assert.ts";
import type { Step } from "../../base/machine.ts";

export type SafState =
  | { readonly at: "eligible" }
  /** May be at the hub. `attempts` counts how often it was sent. */
  | { readonly at: "forwarding"; readonly attempts: number }
  | { readonly at: "processed" }
  | { readonly at: "declined" }
  | { readonly at: "quarantined" }
  | { readonly at: "voided" };

export type SafEvent =
  | { readonly on: "send" }
  /** The receipt did not come in time, or the link went: what the hub has is not known. */
  | { readonly on: "no-receipt" }
  | { readonly on: "receipt"; readonly status: "processed" | "declined" | "duplicate" | "quarantined" }
  | { readonly on: "void" };

export type SafEffect =
  /** `repeat`: the hub may have it already. */
  | { readonly do: "forward"; readonly repeat: boolean }
  | { readonly do: "retry-later" }
  /** The sealed card data serve nobody any more (RM5). */
  | { readonly do: "erase-sealed" }
  /** A person must look: an honoured sale was not taken by the hub. */
  | { readonly do: "alert"; readonly why: "declined" | "quarantined" };

type SafStep = Step<SafState, SafEffect>;

/** An event that does not apply leaves the very same state object and asks for nothing. */
export function safStep(state: SafState, event: SafEvent): SafStep {
  const stay: SafStep = { state, effects: [] };
  if (state.at !== "eligible" && state.at !== "forwarding") return stay;
  switch (event.on) {
    case "send": {
      const sent = state.at === "forwarding" ? state.attempts : 0;
      return {
        state: { at: "forwarding", attempts: sent + 1 },
        effects: [{ do: "forward", repeat: state.at === "forwarding" }],
      };
    }
    case "no-receipt":
      return state.at === "forwarding" ? { state, effects: [{ do: "retry-later" }] } : stay;
    case "void":
      return state.at === "eligible" ? { state: { at: "voided" }, effects: [{ do: "erase-sealed" }] } : stay;
    case "receipt":
      return receipted(event.status);
    default:
      return unreachable(event);
  }
}

function receipted(status: "processed" | "declined" | "duplicate" | "quarantined"): SafStep {
  if (status === "processed" || status === "duplicate") {
    return { state: { at: "processed" }, effects: [{ do: "erase-sealed" }] };
  }
  return { state: { at: status }, effects: [{ do: "erase-sealed" }, { do: "alert", why: status }] };
}
