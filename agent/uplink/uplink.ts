/** The link to the hub as the rest of the agent sees it, whichever way the bytes go. */
import type { DownEnvelope, UpEnvelope } from "../../wire/envelope.ts";

export type LinkState = "up" | "down";

/** One way to the hub: MQTT or HTTPS. Below it are native libraries, above it everything can be simulated. */
export interface Uplink extends AsyncDisposable {
  /** "mqtt", "https" or what a test calls it. */
  readonly name: string;
  readonly state: LinkState;
  /** Down for all but advices, as this terminal's certificate has ended (RM18). Absent where that cannot be told. */
  readonly advicesOnly?: boolean;
  /**
   * Hands an envelope over. Resolves when the hub's side took it, which is not an answer. Throws Fault `uplink.down`
   * when nothing left, `uplink.timeout` when that is not known, `uplink.refused` when the hub says no to this terminal.
   */
  send(envelope: UpEnvelope, signal: AbortSignal): Promise<void>;
  onMessage(listener: (envelope: DownEnvelope) => void): () => void;
  onState(listener: (state: LinkState, why: string) => void): () => void;
}

/** An uplink that keeps itself connected while it runs. */
export interface RunningUplink extends Uplink {
  /** Connects, and connects again after every loss, until the signal ends it. Never throws for what the network does. */
  run(signal: AbortSignal): Promise<void>;
}
