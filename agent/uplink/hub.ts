/** What payments and store-and-forward ask of the hub, over whichever uplink is up. */

import type { Epoch } from "../../base/ids.ts";
import type { AdviceBatch, EntryReceipt } from "../../wire/advice.ts";
import type { AuthorisationRequest, AuthorisationResponse } from "../../wire/authorisation.ts";
import type { Lease } from "../../wire/lease.ts";
import type { StandInCheck } from "../../wire/stand-in-checks.ts";
import type { LinkState } from "./uplink.ts";

/** A request without its deadline; the session adds `answerBy` in hub time (RM2). */
export type OnlineRequest = Omit<AuthorisationRequest, "answerBy">;

/** What the hub durably holds of this journal, in its own words (RM18). */
export interface HubHolding {
  readonly hubEpoch: Epoch;
  /** Every entry with a `forward` number up to this one. */
  readonly watermark: number;
  /** The highest that came with a batch of this journal, where the hub says so. */
  readonly fence?: number | undefined;
  /** Said later than all that was heard before: an older word, come late, proves no loss. */
  readonly fresh: boolean;
  /** Hub time when it was said, milliseconds since 1970. */
  readonly saidAt: number;
}

export interface HeardReceipt {
  readonly epoch: string;
  readonly results: readonly EntryReceipt[];
  /** Given later than all that was heard before. */
  readonly fresh: boolean;
  /** Hub time when it was given, milliseconds since 1970. */
  readonly saidAt: number;
}

export interface Hub {
  /** `up` while the hub can be asked: down also while the link stands and nobody answers on it. */
  readonly state: LinkState;
  /** The link stands, and nobody answers on it. */
  readonly silent: boolean;
  /** This terminal's certificate has ended: the state is `down`, yet what is stored is taken (RM18). */
  readonly advicesOnly: boolean;
  readonly via: string;
  /**
   * One attempt. Throws Fault `uplink.down` when nothing left and nothing will; `uplink.timeout` when the answer did not
   * come within the limit: the outcome is unknown. Late answers are dropped and counted (RM1).
   */
  authorise(request: OnlineRequest, sequence: number, signal: AbortSignal): Promise<AuthorisationResponse>;
  /** Sends a batch; its receipt comes to `onReceipt`. */
  forward(batch: Omit<AdviceBatch, "signature">, signal: AbortSignal): Promise<void>;
  onReceipt(listener: (receipt: HeardReceipt) => void): () => void;
  /** Called before the receipt that says so, if one does. */
  onHeld(listener: (held: HubHolding) => void): () => void;
  /** Also when `advicesOnly` changes. */
  onState(listener: (state: LinkState) => void): () => void;
}

/** RM18: what is stored is taken also when the certificate has ended. */
export const takesAdvices = ({ state, advicesOnly }: Pick<Hub, "state" | "advicesOnly">): boolean =>
  state === "up" || advicesOnly;

/** Hub time as far as it can be proven here (RM8). */
export interface HubClock {
  /** Milliseconds since 1970. `proven` is false when time since the hub was last heard cannot be shown. */
  now(): { readonly at: number; readonly proven: boolean };
}

/** Why an offline sale may not be. */
export type LeaseRefusal =
  | "no-lease"
  | "expired"
  | "time-unproven"
  | "per-sale"
  | "sum"
  | "count"
  | "currency"
  | "means"
  | "denied-card"
  | "age"
  | "velocity"
  | "disk-reserve"
  /** The check of the card's institution that says no. */
  | `stand-in ${StandInCheck}`;

/** The lease in force and what is left of it. */
export interface LeaseView {
  readonly lease: Lease;
  readonly remainingMinor: bigint;
  readonly remainingCount: number;
}
