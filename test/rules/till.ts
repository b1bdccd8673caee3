/** A till in one process: the real journal, desk, machine and card engine, with the hub, reader and printer in a few lines each. */
import { createPublicKey, createSecretKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { z } from "zod";
import { EmvSchema } from "../../agent/config.ts";
import type { Devices } from "../../agent/devices/devices.ts";
import type { Journal } from "../../agent/journal/journal.ts";
import { openJournal } from "../../agent/journal/sqlite-journal.ts";
import type { OfflineSale, Reservation } from "../../agent/lease/lease-keeper.ts";
import { businessDate } from "../../agent/payment/business-date.ts";
import type { CardRecord } from "../../agent/payment/card-dialogue.ts";
import type { NoteDesk } from "../../agent/payment/code-purchase.ts";
import { PaymentDesk } from "../../agent/payment/desk.ts";
import { readCard } from "../../agent/payment/emv-session.ts";
import { terminalSettings } from "../../agent/payment/emv-terminal.ts";
import type { PaymentStage, PaymentView, PurchaseRequest } from "../../agent/payment/payments.ts";
import { ReaderLane } from "../../agent/payment/reader-lane.ts";
import { abortInterrupted } from "../../agent/payment/recovery.ts";
import { ScannerLane } from "../../agent/payment/scanner-lane.ts";
import { TicketPrinter } from "../../agent/payment/ticket-printer.ts";
import type { Hub, LeaseRefusal, OnlineRequest } from "../../agent/uplink/hub.ts";
import type { LinkState } from "../../agent/uplink/uplink.ts";
import { ManualClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { type PaymentId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { money } from "../../base/money.ts";
import { fail, ok } from "../../base/result.ts";
import type {
  CapabilityMap,
  CapabilityName,
  CardSession,
  CodeScanner,
  PrintFailure,
  Scan,
} from "../../drivers/capability.ts";
import type { ReceiptDocument } from "../../protocols/escpos/document.ts";
import { EmvCard } from "../../sim/card/emv-card.ts";
import { testCaKeys, testRevoked } from "../../sim/card/mint/test-keys.ts";
import { type CardProfile, cardProfile } from "../../sim/card/profiles.ts";
import type { AuthorisationResponse } from "../../wire/authorisation.ts";

const SITE = { merchantName: "Shop", addressLines: [], timeZone: "Europe/Berlin", language: "en" } as const;
/** Of the one terminal that every till here is, also after a restart. */
const SIGNING_KEY = generateKeyPairSync("ed25519").privateKey;
const time = { text: "{}", signature: "" };

/** A card in a slot; `pullAfter` takes it out after so many commands. */
export class Slot {
  /** By name, or as the test made it. */
  profile: string | CardProfile = "standard";
  /** What the reader does with a command instead of passing it on. */
  fault: Fault | undefined;
  pullAfter = Number.POSITIVE_INFINITY;
  mute = false;
  commands: Uint8Array[] = [];
  /** What becomes of each answer on its way from the card, by the number of its command. */
  garble: (response: Uint8Array, index: number) => Uint8Array = (response) => response;

  session(): CardSession {
    const profile = typeof this.profile === "string" ? cardProfile(this.profile) : this.profile;
    const card = new EmvCard({ profile, atc: 1, saveAtc: () => {} });
    const removed = new AbortController();
    this.commands = [];
    return {
      atr: Uint8Array.of(0x3b, 0x00),
      removed: removed.signal,
      transceive: async (command) => {
        if (this.commands.length >= this.pullAfter) {
          removed.abort(new Fault("card.removed", "pulled"));
          throw new Fault("card.removed", "pulled");
        }
        if (this.fault) throw this.fault;
        if (this.mute) throw new Fault("card.mute", "no answer");
        this.commands.push(command);
        return this.garble(card.respond(command), this.commands.length - 1);
      },
      async [Symbol.asyncDispose]() {},
    };
  }
}

export type HubAnswer = "approve" | "decline" | "silence" | "stale";

export class TillHub implements Hub {
  state: LinkState = "up";
  readonly silent = false;
  readonly advicesOnly = false;
  readonly via = "test";
  answer: HubAnswer = "approve";
  /** Told of a pre-authorisation that is approved. */
  heldUntil = "2026-01-12T09:00:00.000Z";
  readonly requests: OnlineRequest[] = [];
  /** So many of the next answers are lost on their way. */
  lost = 0;
  /** What its issuer has for the card. */
  issuerScripts: readonly string[] = [];

  async authorise(request: OnlineRequest, _sequence: number, signal: AbortSignal): Promise<AuthorisationResponse> {
    this.requests.push(request);
    const { paymentId, attempt } = request;
    if (this.lost > 0) {
      this.lost -= 1;
      throw new Fault("uplink.timeout", "no answer within 5000 ms");
    }
    const account = request.code ? { maskedAccount: "****1234" } : {};
    const held = request.kind === "pre-authorisation" ? { heldUntil: this.heldUntil } : {};
    const approved = { outcome: "approved", responseCode: "00", approvalCode: "A1B2C3" } as const;
    const forCard = this.issuerScripts.length > 0 ? { issuerScripts: [...this.issuerScripts] } : {};
    if (this.answer === "approve") return { paymentId, attempt, ...approved, time, ...account, ...held, ...forCard };
    if (this.answer === "decline")
      return { paymentId, attempt, outcome: "declined", responseCode: "51", time, ...forCard };
    if (this.answer === "stale")
      return { paymentId, attempt, outcome: "stale", responseCode: "96", reason: "E_STALE", time };
    if (signal.aborted) throw new Fault("aborted", "cancelled");
    throw new Fault("uplink.timeout", "no answer within 5000 ms");
  }
  async forward(): Promise<void> {}
  onReceipt = () => () => {};
  onHeld = () => () => {};
  readonly #states = new Set<(state: LinkState) => void>();
  onState(listener: (state: LinkState) => void): () => void {
    this.#states.add(listener);
    return () => this.#states.delete(listener);
  }
  /** Somebody waits for the link to change. */
  get isWaitedFor(): boolean {
    return this.#states.size > 0;
  }
  linkIs(state: LinkState): void {
    this.state = state;
    for (const listener of [...this.#states]) listener(state);
  }
}

export class Paper {
  /** A print waits for it in the middle. */
  hold: Promise<void> = Promise.resolve();
  readonly documents: ReceiptDocument[] = [];
  /** What the next prints do; `ok` when there is nothing. */
  failures: (PrintFailure & { readonly begun: boolean })[] = [];
}

/** Gives the codes that a test put down, in order; waits when there is none. */
export class Scanner implements CodeScanner {
  readonly codes: string[] = [];
  #waiting: ((scan: Scan) => void) | undefined;

  scan(text: string): void {
    if (this.#waiting) this.#waiting({ text });
    else this.codes.push(text);
  }

  nextScan(signal: AbortSignal): Promise<Scan> {
    const text = this.codes.shift();
    if (text !== undefined) return Promise.resolve({ text });
    return new Promise((resolve, reject) => {
      this.#waiting = resolve;
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  }
}

export interface TillOptions {
  /** Takes notes of staged value. */
  readonly notes?: NoteDesk | undefined;
  readonly folder?: string;
  readonly onStage?: (stage: PaymentStage, id: PaymentId) => void;
  /** Below it a sale need not go online although the hub is in reach; everything goes when not said. */
  readonly floorLimitMinor?: bigint;
  /** What the shop's configuration says of cards, over the defaults. */
  readonly emv?: Partial<z.input<typeof EmvSchema>>;
  /** None is given when not said. */
  readonly cashbackMaxMinor?: bigint;
}

export class Till implements AsyncDisposable {
  readonly clock = new ManualClock();
  /** Milliseconds that hub time is behind this box's clock, and whether it is proven. */
  hubTime = { behindMs: 0, proven: true };
  deferrable = false;
  onExceptionFile = false;
  readonly records = new Map<PaymentId, CardRecord>();
  readonly slot = new Slot();
  readonly hub = new TillHub();
  readonly paper = new Paper();
  readonly stages: PaymentStage[] = [];
  readonly fatal: unknown[] = [];
  leaseRefusal: LeaseRefusal | undefined;
  readonly reservations = { made: 0, committed: 0, released: 0 };
  /** What the lease was asked for, in order. */
  readonly leased: OfflineSale[] = [];
  readonly folder: string;
  readonly journal: Journal;
  readonly desk: PaymentDesk;
  readonly tickets: TicketPrinter;
  readonly sealing: { readonly publicKey: KeyObject; readonly privateKey: KeyObject } = generateKeyPairSync("x25519");
  /** So many of the next appends find the disk full. */
  appendsRefused = 0;
  /** Whether a card is presented when one is awaited. */
  cardComes = true;
  readonly scanner = new Scanner();

  constructor(options: TillOptions = {}) {
    this.folder = options.folder ?? mkdtempSync(join(tmpdir(), "till-"));
    const { clock } = this;
    this.journal = openJournal({
      path: join(this.folder, "journal.db"),
      terminalId: "till-1" as TerminalId,
      clock,
      random: systemRandom,
      log: silentLog,
      signingKey: SIGNING_KEY,
    });
    const append = this.journal.append.bind(this.journal);
    this.journal.append = (entries) => {
      if (this.appendsRefused === 0) return append(entries);
      this.appendsRefused -= 1;
      return Promise.reject(new Fault("journal.full", "no space left"));
    };
    const devices = this.#devices();
    const common = {
      journal: this.journal,
      clock,
      log: silentLog,
      now: () => clock.now(),
      businessDate: (at: number) => businessDate(at, SITE.timeZone),
      onFatal: (error: unknown) => this.fatal.push(error),
      onStage: (id: PaymentId, stage: PaymentStage) => {
        this.stages.push(stage);
        options.onStage?.(stage, id);
      },
    };
    this.tickets = new TicketPrinter({
      ...common,
      devices,
      site: SITE,
      timestamp: () => new Date(clock.now()).toISOString(),
      onTicket: (id) => this.desk.ticketChanged(id),
    });
    this.desk = new PaymentDesk({
      ...common,
      hub: this.hub,
      hubClock: {
        now: () => ({ at: clock.now() - this.hubTime.behindMs, proven: this.hubTime.proven }),
      },
      leases: this.#leases(),
      lane: new ReaderLane(devices, setImmediate),
      scanner: new ScannerLane(devices),
      get notes() {
        return options.notes;
      },
      answerFirst: setImmediate,
      readCard,
      random: systemRandom,
      terminal: {
        timeZone: SITE.timeZone,
        cardTokenKey: createSecretKey(new Uint8Array(32)),
        settings: {
          ...terminalSettings({
            emv: EmvSchema.parse(options.emv ?? {}),
            site: { merchantName: SITE.merchantName, countryCode: 276 },
            terminalId: "till-1",
          }),
          caKeys: testCaKeys(),
          revoked: testRevoked(),
        },
      },
      floorLimitMinor: options.floorLimitMinor ?? 0n,
      cashbackMaxMinor: options.cashbackMaxMinor,
      onRecord: (id, record) => void this.records.set(id, record),
      cardTimeoutMs: 60_000,
      tickets: this.tickets,
    });
    this.tickets.start();
  }

  async recover(): Promise<void> {
    await abortInterrupted({
      journal: this.journal,
      log: silentLog,
      now: () => this.clock.now(),
      businessDate: (at) => businessDate(at, SITE.timeZone),
    });
  }

  sell(id: string, minor = 1234n, more: Pick<PurchaseRequest, "cashback"> = {}): Promise<PaymentView> {
    const begun = this.desk.begin({ id: id as PaymentId, amount: money(minor, "EUR"), ...more });
    if (!begun.ok) throw new Error(begun.error.why);
    return this.desk.ended(id as PaymentId, new AbortController().signal);
  }

  kinds(id: string): string[] {
    return this.journal.entriesOf(id as PaymentId).map((entry) => entry.body.kind);
  }

  /** Waits until what is due on paper is on paper. */
  async printed(id: string): Promise<void> {
    for (let turn = 0; turn < 200 && this.desk.get(id as PaymentId)?.ticket !== "printed"; turn += 1)
      await this.clock.advance(500);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tickets[Symbol.asyncDispose]();
    await this.journal[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #leases() {
    const till = this;
    return {
      sealingKey: { keyId: "k1", publicKey: createPublicKey(this.sealing.privateKey) },
      spentBy: (payer: string) => till.journal.outstandingOf(payer).minor,
      denies: () => till.onExceptionFile,
      hasRoom: () => till.leaseRefusal === undefined,
      reserve(sale: OfflineSale) {
        till.leased.push(sale);
        if (till.leaseRefusal) return fail(till.leaseRefusal);
        till.reservations.made += 1;
        let open = true;
        const end = (how: "committed" | "released") => {
          if (open) till.reservations[how] += 1;
          open = false;
        };
        return ok<Reservation>({
          leaseId: "L-1",
          deferrable: till.deferrable,
          commit: () => end("committed"),
          release: () => end("released"),
        });
      },
    };
  }

  #devices(): Devices {
    const { slot, paper } = this;
    const reader: CapabilityMap["card-reader"] = {
      awaitCard: (signal) =>
        this.cardComes
          ? Promise.resolve(slot.session())
          : new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    };
    const printer: CapabilityMap["receipt-printer"] = {
      status: async () => ({ online: true, paper: "ok", coverOpen: false }),
      async print(document, { beforeFirstByte }) {
        const failure = paper.failures.shift();
        if (failure && !failure.begun) return fail(failure);
        await beforeFirstByte();
        await paper.hold;
        if (failure?.printed !== "nothing") paper.documents.push(document);
        return failure ? fail(failure) : ok(undefined);
      },
    };
    const map: CapabilityMap = { "card-reader": reader, "receipt-printer": printer, "code-scanner": this.scanner };
    return { lend: <N extends CapabilityName>(name: N) => map[name], list: () => [], onChange: () => () => {} };
  }
}
