/** What a feature of the hub is: what it may ask of the core, and the points at which it joins in. */
import type { KeyObject } from "node:crypto";
import type { z } from "zod";
import type { Clock } from "../base/clock.ts";
import type { Epoch, RandomBytes, TerminalId } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { Currency } from "../base/money.ts";
import type { Migration } from "../base/sqlite.ts";
import type { DownEnvelope, UpEnvelope } from "../wire/envelope.ts";
import type { PhoneMessage, PhoneReply } from "../wire/phone.ts";
import type { SigningKeys } from "../wire/signing.ts";
import type { Means } from "./core/authorisation/index.ts";
import type { Ledger } from "./core/ledger/index.ts";
import type { Role } from "./core/operators/index.ts";
import type { PayerDevice, PayerDirectory } from "./core/payers/index.ts";
import type { Metrics } from "./metrics.ts";
import type { Reading, Within } from "./store/store.ts";

/** The messages that core handles itself. */
type CoreType = "authorisation.request" | "advice.batch" | "presence" | "health" | "day.summary";
/** The messages that belong to features. */
export type FeatureMessage = Exclude<UpEnvelope, { readonly type: CoreType }>;

type ContentOf<E> = E extends { readonly type: infer T; readonly body: infer B }
  ? { readonly type: T; readonly body: B }
  : never;
/** A message down without its envelope. */
export type Reply = ContentOf<DownEnvelope>;

export interface RouteRequest {
  readonly body: unknown;
  readonly query: unknown;
}

interface RouteContract {
  /** Under `/v1/<service>/`. */
  readonly path: string;
  /** The least that may ask. */
  readonly role: Role;
  /** It moves money: a repeat under the same `Idempotency-Key` gets the first answer. */
  readonly idempotent?: true;
  /** What of request and answer the audit log may show, such as `body.userId`. */
  readonly named?: readonly string[];
  readonly summary: string;
  readonly body?: z.ZodType;
  readonly query?: z.ZodType;
  readonly answer: z.ZodType;
  readonly status: 200 | 201;
}

interface ReadingRoute extends RouteContract {
  readonly method: "GET";
  /** Throws HttpRefusal. */
  handle(request: RouteRequest, reading: Reading): Promise<unknown>;
}

interface WritingRoute extends RouteContract {
  readonly method: "POST";
  /** Throws HttpRefusal, which undoes what it did. */
  handle(request: RouteRequest, within: Within): Promise<unknown>;
}

/** One request of the operator's API. */
export type OperatorRoute = ReadingRoute | WritingRoute;

/** How a service speaks with customers' phones. */
export interface PhoneDesk {
  /** The messages that are this service's. */
  readonly types: readonly PhoneMessage["type"][];
  /**
   * The answer leaves after the commit. The device has signed the message and is not blocked. A repeat must get its first
   * answer. What a service refuses is a `refused`, not a throw.
   */
  answer(within: Within, message: PhoneMessage, device: PayerDevice): Promise<PhoneReply>;
}

export interface HubService {
  readonly phone?: PhoneDesk;
  /** A way to pay that this service brings. */
  readonly means?: Means;
  /** Does what is due by now; called about once a minute. */
  sweep?(within: Within): Promise<void>;
  /** The answer, which leaves after the commit; undefined for a message that is not this service's. */
  answer(within: Within, message: FeatureMessage): Promise<Reply | undefined>;
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
  terminalSigningKey(reading: Reading, terminalId: TerminalId): Promise<KeyObject | undefined>;
  /** Nothing is taken from this phone any more: not by the hub, nor by a terminal that has heard of it. */
  blockPayer(within: Within, deviceId: string, why: string): Promise<void>;
  /** The account of this hub's own merchant; it comes into being when first needed. */
  merchantAccount(within: Within, currency: Currency): Promise<string>;
}

export interface ServiceDefinition {
  /** Its folder, the prefix of its tables, its paths. */
  readonly name: string;
  readonly migrations: readonly Migration[];
  define(core: ServiceCore): HubService;
}
