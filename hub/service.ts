/** What a feature of the hub is: what it may ask of the core, and the points at which it joins in. */
import type { KeyObject } from "node:crypto";
import type { z } from "zod";
import type { Clock } from "../base/clock.ts";
import type { Epoch, RandomBytes, TerminalId } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { Currency } from "../base/money.ts";
import type { Migration, Sqlite } from "../base/sqlite.ts";
import type { DownEnvelope, UpEnvelope } from "../wire/envelope.ts";
import type { PhoneMessage, PhoneReply } from "../wire/phone.ts";
import type { SigningKeys } from "../wire/signing.ts";
import type { Means } from "./core/authorisation/index.ts";
import type { Ledger } from "./core/ledger/index.ts";
import type { PayerDevice, PayerDirectory } from "./core/payers/index.ts";
import type { Metrics } from "./metrics.ts";

/** The messages that core handles itself. */
type CoreType = "authorisation.request" | "advice.batch" | "presence" | "health" | "day.summary";
/** The messages that belong to features. */
export type FeatureMessage = Exclude<UpEnvelope, { readonly type: CoreType }>;

type ContentOf<E> = E extends { readonly type: infer T; readonly body: infer B }
  ? { readonly type: T; readonly body: B }
  : never;
/** A message down without its envelope. */
export type Reply = ContentOf<DownEnvelope>;

/** One request of the operator's API. */
export interface OperatorRoute {
  readonly method: "GET" | "POST";
  /** Under `/v1/<service>/`. */
  readonly path: string;
  readonly summary: string;
  readonly body?: z.ZodType;
  readonly query?: z.ZodType;
  readonly answer: z.ZodType;
  readonly status: 200 | 201;
  /** Throws HttpRefusal. */
  handle(request: { readonly body: unknown; readonly query: unknown }): unknown;
}

/** How a service speaks with customers' phones. */
export interface PhoneDesk {
  /** The messages that are this service's. */
  readonly types: readonly PhoneMessage["type"][];
  /**
   * Within the hub's transaction; the answer leaves after the commit. The device has signed the message and is not blocked.
   * A repeat must get its first answer. What a service refuses is a `refused`, not a throw.
   */
  answer(message: PhoneMessage, device: PayerDevice): PhoneReply;
}

export interface HubService {
  readonly phone?: PhoneDesk;
  /** A way to pay that this service brings. */
  readonly means?: Means;
  /** Does what is due by now; called about once a minute, within the hub's transaction. */
  sweep?(): void;
  /** The answer, which leaves after the commit; undefined for a message that is not this service's. */
  answer(message: FeatureMessage): Reply | undefined;
  readonly routes: readonly OperatorRoute[];
}

/** Bounds of pre-authorised codes. */
export interface OfflineCodePolicy {
  /** The longest that a code is good, and how long when its phone does not say. */
  readonly ttlSec: number;
  /** Codes of one user that may pay at the same time. */
  readonly maxActivePerUser: number;
  /** The most that a code may pay, and how much when its phone does not say; in minor units. */
  readonly capMinor: bigint;
  /** Wrong codes for one user that revoke all his codes. */
  readonly wrongCodesMax: number;
}

/** Bounds of value that phones spend with no hub in reach (RM11). */
export interface OfflineNotePolicy {
  /** The most that one allowance holds, in minor units. */
  readonly maxMinor: bigint;
  /** How long an allowance may be spent. */
  readonly ttlSec: number;
  /** How long after that its notes may be on their way, before what nobody claimed goes back to its owner. */
  readonly graceSec: number;
  /** Who bears what was spent twice. */
  readonly riskParty: string;
}

/** What the core gives a service. Money moves through the ledger alone. */
export interface ServiceCore {
  readonly database: Sqlite;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly ledger: Ledger;
  readonly payers: PayerDirectory;
  /** 32 bytes that only this hub and this service know, for what it keeps under seal. */
  readonly secret: Uint8Array;
  /** How long a card has to answer its challenge. */
  readonly cardChallengeTtlMs: number;
  readonly offlineCode: OfflineCodePolicy;
  readonly offlineNotes: OfflineNotePolicy;
  /** What this hub signs with, under a domain of its own for each purpose. */
  readonly signing: SigningKeys;
  /** Of this hub's database. */
  readonly hubEpoch: Epoch;
  readonly metrics: Pick<Metrics, "count">;
  /** Checks what the terminal signs; undefined for one that was never enrolled here. */
  terminalSigningKey(terminalId: TerminalId): KeyObject | undefined;
  /** Nothing is taken from this phone any more: not by the hub, nor by a terminal that has heard of it. */
  blockPayer(deviceId: string, why: string): void;
  /** The account of this hub's own merchant; it comes into being when first needed. */
  merchantAccount(currency: Currency): string;
}

export interface ServiceDefinition {
  /** Its folder, the prefix of its tables, its paths. */
  readonly name: string;
  readonly migrations: readonly Migration[];
  define(core: ServiceCore): HubService;
}
