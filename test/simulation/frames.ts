/**
 * What travels between a simulated terminal and the hub. A link may lose, repeat, delay and reorder frames; a garbled one
 * is noticed, as TLS notices it, and costs the connection.
 */
import type { LinkState } from "../../agent/uplink/uplink.ts";
import type { FaultCode } from "../../base/fault.ts";
import type { ChanceStream } from "../../sim/world/chance.ts";

export type Frame =
  /** A terminal connects, and keeps asking whether the hub is there. */
  | { readonly frame: "hello"; readonly session: number; readonly state: LinkState }
  | { readonly frame: "welcome"; readonly session: number }
  /** `text`: an envelope as it goes over the wire. */
  | { readonly frame: "up"; readonly number: number; readonly text: string }
  /** The hub has taken it, which is no answer. */
  | { readonly frame: "taken"; readonly number: number }
  /** The hub says no, and will say so again. */
  | { readonly frame: "refused"; readonly number: number; readonly code: FaultCode }
  | { readonly frame: "down"; readonly text: string }
  | { readonly frame: "garbled" };

export const garble = (_frame: unknown, _chance: ChanceStream): Frame => ({ frame: "garbled" });
