/**
 * The life of one store-and-forward entry: eligible -> forwarding -> processed | declined | quarantined, or
 * eligible -> voided (RM12). The journal asks it before every change of a queue row; resending is the forwarder's affair.
 */
import { unreachable } from "../../base/assert.ts";
import type { Step } from "../../base/machine.ts";

export type SafState =
  | { readonly at: "eligible" }
  /** May be at the hub. `attempts` counts how often it was sent. */
  | { readonly at: "forwarding"; readonly attempts: number }
  | { readonly at: "processed" }
  | { readonly at: "declined" }
  | { readonly at: "expired" }
  | { readonly at: "quarantined" }
  | { readonly at: "voided" };

export type SafEvent =
  | { readonly on: "send" }
  | { readonly on: "receipt"; readonly status: "processed" | "declined" | "expired" | "duplicate" | "quarantined" }
  | { readonly on: "void" };

/** The sealed card data serve nobody any more (RM5). */
export type SafEffect = { readonly do: "erase-sealed" };

type SafStep = Step<SafState, SafEffect>;

/** An event that does not apply leaves the very same state object and asks for nothing: an ended entry never moves. */
export function safStep(state: SafState, event: SafEvent): SafStep {
  const stay: SafStep = { state, effects: [] };
  if (state.at !== "eligible" && state.at !== "forwarding") return stay;
  switch (event.on) {
    case "send": {
      const sent = state.at === "forwarding" ? state.attempts : 0;
      return { state: { at: "forwarding", attempts: sent + 1 }, effects: [] };
    }
    case "void":
      return state.at === "eligible" ? ended("voided") : stay;
    case "receipt":
      return ended(event.status === "duplicate" ? "processed" : event.status);
    default:
      return unreachable(event);
  }
}

const ended = (at: "processed" | "declined" | "expired" | "quarantined" | "voided"): SafStep => ({
  state: { at },
  effects: [{ do: "erase-sealed" }],
});
