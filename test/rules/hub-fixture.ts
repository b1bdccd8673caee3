/** A hub in memory with one enrolled terminal and one customer, and the words to say to it what an agent would. */
import { createHash } from "node:crypto";
import { type Clock, ManualClock } from "../../base/clock.ts";
import {
  type Epoch,
  newEpoch,
  newMessageId,
  type PaymentId,
  type RandomBytes,
  type TerminalId,
} from "../../base/ids.ts";
import { type Log, silentLog } from "../../base/log.ts";
import { currencyOf, money } from "../../base/money.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import { createHubCore, type HubCore, type HubCoreOptions, type HubPolicy } from "../../hub/hub-core.ts";
import { type HubKeys, newHubKeys } from "../../hub/keys.ts";
import type { Metrics } from "../../hub/metrics.ts";
import type { SealingRing } from "../../hub/sealing-ring.ts";
import type { HubStore } from "../../hub/store/store.ts";
import { batchText, type EntryReceipt, type ForwardedEntry } from "../../wire/advice.ts";
import type { AuthorisationRequest, AuthorisationResponse } from "../../wire/authorisation.ts";
import { digestOfSealed, type SealedCardData, sealCardData } from "../../wire/card-data.ts";
import type { DownEnvelope, DownOf, UpEnvelope } from "../../wire/envelope.ts";
import { type EntryBody, type EntryOf, GENESIS_HASH, hashEntry, type StoredEntry } from "../../wire/journal-entry.ts";
import { newSigningKeys, publicKeyText, type SigningKeys, signText } from "../../wire/signing.ts";
import type { Presence } from "../../wire/terminal.ts";
import { openTestStore } from "./test-store.ts";

/** A test number of no issuer. */
export const TEST_PAN = "9999990000000015";
export const TEST_EXPIRY = "3012";
export const EUR = currencyOf("EUR");
const MINUTE_MS = 60_000;

/** Chance that repeats: SHA-256 in counter mode over a seed. */
export function seededRandom(seed: string): RandomBytes {
  let counter = 0;
  return (length) => {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 32) {
      const block = createHash("sha256").update(`${seed}/${counter}`).digest();
      counter += 1;
      bytes.set(block.subarray(0, Math.min(32, length - at)), at);
    }
    return bytes;
  };
}

export const TEST_POLICY: HubPolicy = {
  merchantId: "shop",
  holdMs: 24 * 60 * MINUTE_MS,
  riskParties: { offline: "operator", declined: "merchant" },
  leaseOf: () => ({
    currency: EUR,
    perSaleMinor: 5_000n,
    sumMinor: 20_000n,
    countMax: 10,
    hours: 24,
    means: ["chip"],
    deferredAuthorisation: false,
  }),
};

export interface HubFixture {
  readonly hub: HubCore;
  readonly database: Sqlite;
  readonly keys: HubKeys;
  readonly clock: ManualClock;
  readonly terminal: FakeTerminal;
  readonly sealing: SealingRing;
  readonly customer: string;
  readonly merchant: string;
  /** Every row of every table, as text. */
  dump(): Promise<string>;
  /** The store of another replica of this hub. */
  anotherStore(): Promise<HubStore>;
  /** Called whenever the hub draws this many random bytes. */
  onChance: (length: number) => void;
  /** Whether today's leases permit deferred authorisation. */
  deferring: boolean;
}

export interface FixtureOptions {
  /** A file for the hub's database; in memory when not said. */
  readonly path?: string;
  readonly balanceMinor?: bigint;
  readonly seed?: string;
  /** The cards that the hub issues itself. */
  readonly issuing?: NonNullable<HubPolicy["issuing"]>;
  /** Issuers of other cards, whom the hub asks. */
  readonly issuers?: HubCoreOptions["issuers"];
  readonly metrics?: Metrics;
  readonly payer?: NonNullable<HubPolicy["payer"]>;
  readonly holdMs?: number;
  readonly log?: Log;
  /** Fresh ones when not said. */
  readonly keys?: HubKeys;
}

export async function hubFixture(options: FixtureOptions = {}): Promise<HubFixture> {
  const { balanceMinor = 10_000n, seed = "hub", issuing = [], path = ":memory:", issuers, metrics } = options;
  const clock = new ManualClock();
  const random = seededRandom(seed);
  const opened = await openTestStore(path);
  const { store } = opened;
  const { keys = newHubKeys(random) } = options;
  const fixture = {
    onChance: (_length: number) => {},
    deferring: false,
    get database() {
      return opened.database;
    },
  };
  const hub = await createHubCore({
    store,
    keys,
    policy: {
      ...TEST_POLICY,
      issuing,
      ...(options.payer && { payer: options.payer }),
      ...(options.holdMs !== undefined && { holdMs: options.holdMs }),
      leaseOf: (terminalId) => {
        const lease = TEST_POLICY.leaseOf(terminalId);
        return lease && { ...lease, deferredAuthorisation: fixture.deferring };
      },
    },
    clock,
    random: (length) => {
      fixture.onChance(length);
      return random(length);
    },
    log: options.log ?? silentLog,
    ...(issuers && { issuers }),
    ...(metrics && { metrics }),
  });
  const newCustomer = { pan: TEST_PAN, expiry: TEST_EXPIRY, balance: money(balanceMinor, "EUR") };
  const account = await hub.store.transaction((within) => hub.authorisation.openAccount(within, newCustomer));
  if (!account.ok) throw new Error(account.error);
  return Object.assign(fixture, {
    hub,
    keys,
    clock,
    sealing: keys.sealing,
    terminal: await enrolTerminal({ hub, clock, random, terminalId: "T1" as TerminalId }),
    customer: account.value.id,
    merchant: "merchant:shop:EUR",
    dump: () => opened.dump(),
    anotherStore: () => opened.another(),
  });
}

interface EnrolOptions {
  readonly hub: HubCore;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly terminalId: TerminalId;
}

export async function enrolTerminal({ hub, clock, random, terminalId }: EnrolOptions): Promise<FakeTerminal> {
  const keys = newSigningKeys();
  const enrolled = await hub.store.transaction(async (within) => {
    const claim = await hub.terminals.createClaim(within, { terminalId, validMs: 60 * MINUTE_MS });
    return await hub.terminals.enrol(within, { ...claim, signingKey: publicKeyText(keys.publicKey) });
  });
  if (!enrolled.ok) throw new Error(enrolled.error.detail);
  return new FakeTerminal({
    terminalId,
    clock,
    random,
    keys,
    sealingKey: hub.sealingKey,
    receive: (envelope) => hub.receive(envelope),
  });
}

export interface FakeTerminalOptions {
  readonly terminalId: TerminalId;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly keys: SigningKeys;
  readonly sealingKey: HubCore["sealingKey"];
  receive(envelope: UpEnvelope): Promise<readonly DownEnvelope[]>;
}

/** What a purchase of 10.00 asks for when a test does not say. */
export const DEFAULT_MINOR = "1000";
const ANSWER_WITHIN_MS = 5_000;

export class FakeTerminal {
  epoch: Epoch;
  /** Of the journal's present opening; an older agent sends none. */
  fence: number | undefined;
  #receive: FakeTerminalOptions["receive"];
  readonly #options: FakeTerminalOptions;
  #sequence = 0;
  #forward = 0;
  #hash = GENESIS_HASH;

  constructor(options: FakeTerminalOptions) {
    this.#options = options;
    this.#receive = options.receive;
    this.epoch = newEpoch(options.random);
  }

  /** Speaks to this hub from now on. */
  connect({ receive }: Pick<HubCore, "receive">): void {
    this.#receive = receive;
  }

  get terminalId(): TerminalId {
    return this.#options.terminalId;
  }

  /** The same identity and epoch on another disk, from the first entry on. */
  twin(): FakeTerminal {
    const twin = new FakeTerminal(this.#options);
    twin.epoch = this.epoch;
    return twin;
  }

  /** The same disk as it is now, copied. */
  copy(): FakeTerminal {
    const copy = this.twin();
    copy.fence = this.fence;
    copy.#sequence = this.#sequence;
    copy.#forward = this.#forward;
    copy.#hash = this.#hash;
    return copy;
  }

  get journalHead() {
    return { sequence: this.#sequence, forward: this.#forward, hash: this.#hash };
  }

  /** The next entry, of a kind that is never sent. */
  kept(body: EntryBody): StoredEntry {
    this.#sequence += 1;
    const content = { sequence: this.#sequence, previousHash: this.#hash, text: JSON.stringify(body) };
    this.#hash = hashEntry({ terminalId: this.terminalId, epoch: this.epoch, ...content });
    return { ...content, hash: this.#hash };
  }

  get keys(): SigningKeys {
    return this.#options.keys;
  }

  /** Says that it is there, and up to where its journal goes; answered with a lease. */
  async arrive(head: Presence["head"] = this.journalHead): Promise<DownOf<"lease">["body"]> {
    const clock = new Date(this.#options.clock.now()).toISOString();
    const body: Presence = { status: "online", version: "0.1.0", clock, ...(head === undefined ? {} : { head }) };
    return only(await this.#receive({ ...this.head(), type: "presence", body }), "lease").body;
  }

  head() {
    return {
      v: 1 as const,
      id: newMessageId(this.#options.random),
      terminalId: this.terminalId,
      epoch: this.epoch,
      sequence: this.#sequence,
      sentAt: new Date(this.#options.clock.now()).toISOString(),
    };
  }

  seal(
    paymentId: string,
    pan = TEST_PAN,
    sealingKey = this.#options.sealingKey,
    track2: string | undefined = undefined,
  ): SealedCardData {
    return sealCardData({
      data: { pan, expiry: TEST_EXPIRY, ...(track2 === undefined ? {} : { track2 }) },
      terminalId: this.terminalId,
      paymentId,
      key: sealingKey,
      random: this.#options.random,
    });
  }

  request(paymentId: string, changes: Partial<AuthorisationRequest> = {}): UpEnvelope {
    const body: AuthorisationRequest = {
      paymentId: paymentId as PaymentId,
      attempt: 1,
      kind: "purchase",
      amount: { minor: DEFAULT_MINOR, currency: EUR },
      answerBy: new Date(this.#options.clock.now() + ANSWER_WITHIN_MS).toISOString(),
      ...(changes.kind !== "refund" && !changes.code ? { card: this.seal(paymentId) } : {}),
      ...changes,
    };
    return { ...this.head(), type: "authorisation.request", body };
  }

  decision(paymentId: string, changes: Partial<EntryOf<"decision">> = {}): EntryOf<"decision"> {
    return {
      kind: "decision",
      paymentId: paymentId as PaymentId,
      at: new Date(this.#options.clock.now()).toISOString(),
      outcome: "approved",
      mode: "offline",
      operation: "purchase",
      amount: { minor: DEFAULT_MINOR, currency: EUR },
      attempts: [],
      businessDate: "2026-01-05",
      ...changes,
    };
  }

  reversal(paymentId: string, attempt = 1): EntryOf<"reversal"> {
    const at = new Date(this.#options.clock.now()).toISOString();
    return { kind: "reversal", paymentId: paymentId as PaymentId, at, attempt, reason: "not approved" };
  }

  voided(paymentId: string, voidedForward: number): EntryOf<"void"> {
    return {
      kind: "void",
      paymentId: paymentId as PaymentId,
      at: new Date(this.#options.clock.now()).toISOString(),
      voidedSequence: 1,
      voidedForward,
      amount: { minor: DEFAULT_MINOR, currency: EUR },
      attempts: [],
    };
  }

  /** The next entry of this terminal's journal. */
  entry(body: EntryBody, { sealed, forward }: { sealed?: SealedCardData; forward?: number } = {}): ForwardedEntry {
    this.#sequence += 1;
    this.#forward = forward ?? this.#forward + 1;
    const content = {
      sequence: this.#sequence,
      forward: this.#forward,
      previousHash: this.#hash,
      ...(sealed === undefined ? {} : { sealedDigest: digestOfSealed(sealed) }),
      text: JSON.stringify(body),
    };
    this.#hash = hashEntry({ terminalId: this.terminalId, epoch: this.epoch, ...content });
    return { ...content, hash: this.#hash, ...(sealed === undefined ? {} : { sealed }) };
  }

  /** An approved decision with its sealed card. */
  advice(paymentId: string, changes: Partial<EntryOf<"decision">> = {}): ForwardedEntry {
    return this.entry(this.decision(paymentId, changes), { sealed: this.seal(paymentId) });
  }

  batch(entries: readonly ForwardedEntry[]): UpEnvelope {
    const unsigned = {
      epoch: this.epoch,
      entries: [...entries],
      chainHead: entries.at(-1)?.hash ?? this.#hash,
      ...(this.fence === undefined ? {} : { fence: this.fence }),
    };
    const { signature } = signText("batch", batchText(this.terminalId, unsigned), this.#options.keys.privateKey);
    return { ...this.head(), type: "advice.batch", body: { ...unsigned, signature } };
  }

  async ask(envelope: UpEnvelope): Promise<AuthorisationResponse> {
    return only(await this.#receive(envelope), "authorisation.response").body;
  }

  async tell(...entries: readonly ForwardedEntry[]): Promise<readonly EntryReceipt[]> {
    return only(await this.#receive(this.batch(entries)), "receipt").body.results;
  }
}

export function only<T extends DownEnvelope["type"]>(messages: readonly DownEnvelope[], type: T): DownOf<T> {
  const found = messages.filter((message): message is DownOf<T> => message.type === type);
  const [first] = found;
  if (!first || messages.length !== 1) throw new Error(`expected one ${type}, got ${messages.map((m) => m.type)}`);
  return first;
}
