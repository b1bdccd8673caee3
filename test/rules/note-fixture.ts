/** A hub in memory, phones with wallets, and tills that take notes with no hub in reach: the real parts of both sides. */
import { createSecretKey } from "node:crypto";
import { createNoteDesk, type NoteDesk } from "../../agent/features/offline-notes/index.ts";
import type { Journal } from "../../agent/journal/journal.ts";
import { LeaseKeeper } from "../../agent/lease/lease-keeper.ts";
import type { LeaseRefusal } from "../../agent/uplink/hub.ts";
import { ManualClock } from "../../base/clock.ts";
import { newMessageId, type PaymentId, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { type Money, money } from "../../base/money.ts";
import { fail, ok, type Result } from "../../base/result.ts";
import type { PayerDevice } from "../../hub/core/payers/index.ts";
import { createHubCore, type HubCore } from "../../hub/hub-core.ts";
import { type HubKeys, newHubKeys } from "../../hub/keys.ts";
import type { OfflineNotePolicy } from "../../hub/service.ts";
import type { Reading } from "../../hub/store/store.ts";
import { createNoteWallet, memoryStore, type NoteWallet } from "../../sim/phone/notes.ts";
import type { EntryReceipt, ForwardedEntry } from "../../wire/advice.ts";
import type { Means, ReasonCode } from "../../wire/common.ts";
import type { NoteFacts } from "../../wire/journal-entry.ts";
import { countersign } from "../../wire/offline-note.ts";
import type { PhoneAnswer } from "../../wire/phone.ts";
import { newSigningKeys, publicKeyText, type SigningKeys, signText } from "../../wire/signing.ts";
import { EUR, FakeTerminal, seededRandom, TEST_EXPIRY, TEST_PAN, TEST_POLICY } from "./hub-fixture.ts";
import { MemoryJournal } from "./lease-fixture.ts";
import { askOperator } from "./operator.ts";
import { openTestStore, type TestStore } from "./test-store.ts";

export const ALLOWANCE = 5_000n;
export const NOTE_POLICY: OfflineNotePolicy = {
  maxMinor: ALLOWANCE,
  ttlSec: 86_400,
  graceSec: 604_800,
  riskParty: "operator",
};
const CLAIM_MS = 3_600_000;

interface WorldOptions {
  readonly means?: readonly Means[];
  readonly leaseSumMinor?: bigint;
  readonly balanceMinor?: bigint;
  readonly seed?: string;
}

interface SetUp {
  readonly options: WorldOptions;
  readonly clock: ManualClock;
  readonly random: (length: number) => Uint8Array;
  readonly keys: HubKeys;
}
interface RunningHub {
  readonly books: TestStore;
  readonly hub: HubCore;
}

async function hubOn({ options, clock, random, keys }: SetUp, path?: string): Promise<RunningHub> {
  const { means = ["note"], leaseSumMinor = 20_000n } = options;
  const lease = { currency: EUR, perSaleMinor: ALLOWANCE, sumMinor: leaseSumMinor, countMax: 100, hours: 24 * 90 };
  const books = await openTestStore(path);
  const hub = await createHubCore({
    store: books.store,
    keys,
    policy: {
      ...TEST_POLICY,
      offlineNotes: NOTE_POLICY,
      leaseOf: () => ({ ...lease, means: [...means], deferredAuthorisation: false }),
    },
    clock,
    random,
    log: silentLog,
  });
  return { books, hub };
}

export class NoteWorld {
  readonly clock: ManualClock;
  readonly random: (length: number) => Uint8Array;
  readonly keys: HubKeys;
  readonly customer: string;
  hub: HubCore;
  readonly #setUp: SetUp;
  #books: TestStore;

  private constructor(setUp: SetUp, { books, hub }: RunningHub, customer: string) {
    this.clock = setUp.clock;
    this.random = setUp.random;
    this.keys = setUp.keys;
    this.customer = customer;
    this.hub = hub;
    this.#setUp = setUp;
    this.#books = books;
  }

  static async open(options: WorldOptions = {}): Promise<NoteWorld> {
    const { balanceMinor = 10_000n, seed = "notes" } = options;
    const random = seededRandom(seed);
    const setUp: SetUp = { options, clock: new ManualClock(), random, keys: newHubKeys(random) };
    const running = await hubOn(setUp);
    const { hub } = running;
    const card = { pan: TEST_PAN, expiry: TEST_EXPIRY, balance: money(balanceMinor, "EUR") };
    const opened = await hub.store.transaction((within) => hub.authorisation.openAccount(within, card));
    if (!opened.ok) throw new Error(opened.error);
    return new NoteWorld(setUp, running, opened.value.id);
  }

  /** The hub's database as it is now, in a file. */
  backUp(path: string): void {
    this.#books.database.prepare("VACUUM INTO ?").run(path);
  }

  /** The hub goes on from that file: what came after it is forgotten. */
  async restore(path: string, ...tills: readonly NoteTill[]): Promise<void> {
    const { books, hub } = await hubOn(this.#setUp, path);
    this.#books = books;
    this.hub = hub;
    for (const { fake } of tills) fake.connect(this.hub);
  }

  async phone(userId = "anna"): Promise<NotePhone> {
    const { store, payers } = this.hub;
    const keys = newSigningKeys();
    const enrolled = await store.transaction(async (within) => {
      const claim = await payers.createClaim(within, { userId, accountId: this.customer, validMs: CLAIM_MS });
      return await payers.enrol(within, { ...claim, publicKey: publicKeyText(keys.publicKey) });
    });
    if (!enrolled.ok) throw new Error(enrolled.error.detail);
    return new NotePhone(this, keys, enrolled.value.deviceId);
  }

  async till(name: string): Promise<NoteTill> {
    const { store, terminals } = this.hub;
    const terminalId = name as TerminalId;
    const keys = newSigningKeys();
    const enrolled = await store.transaction(async (within) => {
      const claim = await terminals.createClaim(within, { terminalId, validMs: CLAIM_MS });
      return await terminals.enrol(within, { ...claim, signingKey: publicKeyText(keys.publicKey) });
    });
    if (!enrolled.ok) throw new Error(enrolled.error.detail);
    const till = new NoteTill(this, { terminalId, keys, cardTokenKey: enrolled.value.cardTokenKey });
    await till.online();
    return till;
  }

  /** What the account has for good, in minor units: credits less debits. */
  async balance(accountId: string): Promise<bigint> {
    const account = await this.#read((reading) => this.hub.ledger.account(reading, accountId));
    return account ? account.creditsPosted - account.debitsPosted : 0n;
  }

  balances(...accountIds: readonly string[]): Promise<readonly bigint[]> {
    return Promise.all(accountIds.map((id) => this.balance(id)));
  }

  /** Every account's balance: money is neither made nor lost when it is nothing. */
  async sum(): Promise<bigint> {
    const accounts = await this.#read((reading) => this.hub.ledger.accounts(reading, { limit: 1_000 }));
    return accounts.reduce((sum, { creditsPosted, debitsPosted }) => sum + creditsPosted - debitsPosted, 0n);
  }

  async exposure(): Promise<bigint> {
    return -(await this.balance("exposure:operator:EUR"));
  }

  /** What the operator is shown. */
  async conflicts(): Promise<readonly Conflict[]> {
    const shown = await askOperator(this.hub, "GET /v1/offline-notes/conflicts");
    return (shown as { conflicts: readonly Conflict[] }).conflicts;
  }

  statusOf(deviceId: string): Promise<PayerDevice["status"] | undefined> {
    return this.#read(async (reading) => (await this.hub.payers.device(reading, deviceId))?.status);
  }

  setStatus(deviceId: string, status: PayerDevice["status"]): Promise<boolean> {
    return this.hub.store.transaction((within) => this.hub.payers.setStatus(within, deviceId, status));
  }

  /** Whom terminals are told to refuse. */
  denied() {
    return this.#read((reading) => this.hub.terminals.denyList.list(reading));
  }

  #read<T>(work: (reading: Reading) => Promise<T>): Promise<T> {
    return this.hub.store.read(work);
  }

  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms);
  }
}

interface Conflict {
  readonly kind: string;
  readonly deviceId: string;
  readonly userId?: string;
  readonly payment: { readonly terminalId: string; readonly paymentId: string; readonly minor: string };
  readonly other?: { readonly terminalId: string; readonly paymentId: string };
  readonly exposure: { readonly minor: string; readonly party: string };
}

export class NotePhone {
  readonly #world: NoteWorld;
  readonly #keys: SigningKeys;
  readonly #store = memoryStore();
  readonly deviceId: string;
  readonly wallet: NoteWallet;

  constructor(world: NoteWorld, keys: SigningKeys, deviceId: string) {
    this.#world = world;
    this.#keys = keys;
    this.deviceId = deviceId;
    const hubSigningKey = world.hub.signingKey;
    this.wallet = createNoteWallet({ payerKey: keys.privateKey, hubSigningKey, store: this.#store });
  }

  /** Its wallet as it lies in its memory. */
  stored(): string | undefined {
    return this.#store.load();
  }

  get privateKey() {
    return this.#keys.privateKey;
  }
  get publicKey() {
    return this.#keys.publicKey;
  }

  say(words: Readonly<Record<string, unknown>>): Promise<PhoneAnswer> {
    const at = new Date(this.#world.clock.now()).toISOString();
    const message = { v: 1, deviceId: this.deviceId, id: newMessageId(this.#world.random), at, ...words };
    return this.#world.hub.receivePhone(signText("phone", JSON.stringify(message), this.#keys.privateKey));
  }

  /** Asks for an allowance, and holds it when it is given. */
  async load(minor = ALLOWANCE): Promise<PhoneAnswer> {
    const body = this.wallet.ask(money(minor, "EUR"), this.#world.random);
    const answer = await this.say({ type: "allowance-request", body });
    if (answer.type === "allowance") this.wallet.hold(answer.body.allowance);
    else this.wallet.refused();
    return answer;
  }

  giveBack(statement = this.wallet.statement()): Promise<PhoneAnswer> {
    return this.say({ type: "allowance-return", body: statement });
  }
}

interface TillIdentity {
  readonly terminalId: TerminalId;
  readonly keys: SigningKeys;
  readonly cardTokenKey: Uint8Array;
}

export interface NoSale {
  readonly reason: ReasonCode | LeaseRefusal;
  readonly detail: string;
}
export interface NoteSold {
  readonly paymentId: PaymentId;
  readonly facts: NoteFacts;
  readonly entry: ForwardedEntry;
}

let payments = 0;

/** Sells against notes with nothing but what it holds. */
export class NoteTill {
  readonly #world: NoteWorld;
  readonly #identity: TillIdentity;
  readonly fake: FakeTerminal;
  readonly journal: MemoryJournal;
  readonly leases: LeaseKeeper;
  desk: NoteDesk;
  /** Sold and not forwarded. */
  queue: NoteSold[] = [];
  proven = true;

  constructor(world: NoteWorld, identity: TillIdentity) {
    this.#world = world;
    this.#identity = identity;
    const { hub, clock, random } = world;
    this.fake = new FakeTerminal({
      terminalId: identity.terminalId,
      clock,
      random,
      keys: identity.keys,
      sealingKey: hub.sealingKey,
      receive: (envelope) => hub.receive(envelope),
    });
    this.journal = Object.assign(new MemoryJournal(), { epoch: this.fake.epoch });
    this.leases = new LeaseKeeper({
      terminalId: identity.terminalId,
      hubSigningKey: hub.signingKey,
      sealingKey: hub.sealingKey,
      journal: this.journal,
      hubClock: this.#hubClock,
      log: silentLog,
      disk: { freeBytes: () => 1_000_000_000, reserveBytes: 1_000 },
    });
    this.desk = this.newDesk();
  }

  get #hubClock() {
    return { now: () => ({ at: this.#world.clock.now(), proven: this.proven }) };
  }

  /** What a restart makes: the same terminal with nothing in memory, over what its journal holds. */
  newDesk(journal: Pick<Journal, "lastNoteOf"> = { lastNoteOf: () => undefined }): NoteDesk {
    const { hub, random } = this.#world;
    const { terminalId, keys, cardTokenKey } = this.#identity;
    return createNoteDesk({
      terminalId,
      epoch: this.fake.epoch,
      hubSigningKey: hub.signingKey,
      signingKey: keys.privateKey,
      cardTokenKey: createSecretKey(cardTokenKey),
      hubClock: this.#hubClock,
      journal,
      leases: this.leases,
      random,
      payee: "Corner shop",
    });
  }

  /** As its desk countersigns. */
  sign(note: string): string {
    return countersign(note, this.#identity.keys.privateKey);
  }

  /** Hears its lease, and with it whom to refuse. */
  async online(): Promise<void> {
    const { lease } = await this.fake.arrive();
    if (lease) this.leases.offer(lease);
  }

  newSale(minor: bigint): { readonly paymentId: PaymentId; readonly amount: Money } {
    payments += 1;
    return { paymentId: `n-${payments}` as PaymentId, amount: money(minor, "EUR") };
  }

  sell(wallet: Pick<NoteWallet, "answer">, minor: bigint): Result<NoteSold, NoSale> {
    const sale = this.newSale(minor);
    return this.take(wallet.answer(this.desk.challenge(sale)), sale);
  }

  /** As a purchase does: the note, then the lease, then the decision in the journal. */
  take(text: string, sale: { readonly paymentId: PaymentId; readonly amount: Money }): Result<NoteSold, NoSale> {
    const accepted = this.desk.accept(text, sale);
    if (!accepted.ok) return accepted;
    const { facts, payerToken } = accepted.value;
    const reserved = this.leases.reserve({ ...sale, means: "note", payerToken, deviceId: facts.deviceId });
    if (!reserved.ok) return fail({ reason: reserved.error, detail: "the lease" });
    const { paymentId, amount } = sale;
    this.journal.unreceipted.push(amount.minor);
    reserved.value.commit();
    const wire = { minor: amount.minor.toString(), currency: amount.currency };
    const entry = this.fake.entry(
      this.fake.decision(paymentId, { amount: wire, note: facts, leaseId: reserved.value.leaseId }),
    );
    const sold = { paymentId, facts, entry };
    this.queue.push(sold);
    return ok(sold);
  }

  /** Forwards all that waits, and hears the receipts. */
  async sync(): Promise<readonly EntryReceipt[]> {
    const entries = this.queue.map(({ entry }) => entry);
    this.queue = [];
    this.journal.unreceipted.length = 0;
    return entries.length === 0 ? [] : await this.fake.tell(...entries);
  }
}
