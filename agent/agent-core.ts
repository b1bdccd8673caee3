/**
 * The agent below its native parts: journal, payments, store-and-forward and the link to the hub, on the clock, chance, disk
 * and devices it is given. The daemon runs it on the machine's; a simulation runs many of them in one process.
 */
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { PaymentId, RandomBytes } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import { TILLWAY_VERSION } from "../wire/version.ts";
import type { AgentConfig } from "./config.ts";
import type { Devices } from "./devices/devices.ts";
import { DialogueRecorder } from "./dialogues/dialogue-recorder.ts";
import { DialogueStore } from "./dialogues/dialogue-store.ts";
import { CardPayments } from "./features/card-verification/card-payments.ts";
import { createNoteDesk } from "./features/offline-notes/index.ts";
import type { Identity } from "./identity.ts";
import type { Journal } from "./journal/journal.ts";
import { startRetention } from "./journal/retention.ts";
import { openJournal } from "./journal/sqlite-journal.ts";
import { type Boot, wallTime } from "./lease/hub-clock.ts";
import { businessDate } from "./payment/business-date.ts";
import { PaymentDesk } from "./payment/desk.ts";
import { readCard } from "./payment/emv-session.ts";
import { terminalSettings } from "./payment/emv-terminal.ts";
import type { PaymentStage } from "./payment/payments.ts";
import { type AnswerFirst, ReaderLane } from "./payment/reader-lane.ts";
import type { Site } from "./payment/receipt.ts";
import { abortInterrupted } from "./payment/recovery.ts";
import { ScannerLane } from "./payment/scanner-lane.ts";
import { TicketPrinter } from "./payment/ticket-printer.ts";
import { startDailyComparison } from "./reconciliation/daily-comparison.ts";
import { createReconciler, type Reconciler } from "./reconciliation/reconciler.ts";
import { type Forwarder, startForwarder } from "./saf/forwarder.ts";
import { createHubLink, type HubLink, type HubLinkOptions } from "./uplink/hub-link.ts";

export interface AgentCoreOptions {
  readonly config: AgentConfig;
  readonly identity: Identity;
  readonly devices: Devices;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly boot: Boot;
  /** Free bytes on the disk of the data folder. */
  readonly freeBytes: () => number;
  /** A way to the hub in the place of MQTT and HTTPS. */
  readonly uplink?: NonNullable<HubLinkOptions["uplink"]>;
  /** What the journal holds is unknown: the process must end and start again. */
  readonly onFatal: (error: unknown) => void;
  /** Sees every stage of a payment before anything later happens. */
  readonly onStage: (id: PaymentId, stage: PaymentStage) => void;
  readonly answerFirst: AnswerFirst;
}

export interface AgentCore extends AsyncDisposable {
  readonly journal: Journal;
  readonly link: HubLink;
  readonly desk: PaymentDesk;
  readonly tickets: TicketPrinter;
  readonly dialogues: DialogueRecorder;
  readonly cardPayments: CardPayments;
  readonly forwarder: Forwarder;
  readonly reconciler: Reconciler;
  /** Free bytes on the disk, and how many must stay free for offline sales. */
  readonly disk: { freeBytes(): number; readonly reserveBytes: number };
}

const BYTES_PER_MB = 1_048_576;

/** Opens the journal, ends what a crash interrupted, and starts to drain and to print. Throws what `openJournal` throws. */
export async function startAgentCore(options: AgentCoreOptions): Promise<AgentCore> {
  await using stack = new AsyncDisposableStack();
  const { config, identity, clock, log, onFatal } = options;
  const disk = { freeBytes: options.freeBytes, reserveBytes: config.reserve.diskMb * BYTES_PER_MB };
  const journal = stack.use(
    openJournal({
      path: join(config.dataDir, "journal.db"),
      terminalId: identity.terminalId,
      clock,
      random: options.random,
      log: log.for("journal"),
      onFailed: onFatal,
      signingKey: identity.signingKey,
      onCorrupt: onFatal,
    }),
  );
  const link = stack.use(linkToHub(options, { journal, disk }));
  const dialogueStore = stack.use(new DialogueStore(join(config.dataDir, "dialogues.db")));
  const payments = createPayments(options, { journal, link, dialogueStore });
  stack.use(payments.tickets);
  await abortInterrupted({
    journal,
    log: log.for("payment"),
    now: wallOf(link, clock),
    businessDate: dayIn(config.site.timeZone),
  });
  const forwarder = beginForwarding(stack, options, { journal, link });
  const now = wallOf(link, clock);
  const { days } = config.retention;
  stack.use(startRetention({ journal, days, clock, hubClock: link.clock, log: log.for("journal") }));
  payments.tickets.start();
  const reconciler = reconcilerOf(options, { journal, link });
  const { timeZone } = config.site;
  const daily = { reconciler, journal, hub: link.hub, clock, random: options.random, timeZone, now };
  stack.use(startDailyComparison({ ...daily, log: log.for("reconciliation") }));
  const owned = stack.move();
  return { journal, link, ...payments, forwarder, reconciler, disk, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

type Opened = Pick<AgentCore, "journal" | "link">;

function beginForwarding(stack: AsyncDisposableStack, options: AgentCoreOptions, { journal, link }: Opened): Forwarder {
  const ending = new AbortController();
  const forwarder = startForwarder({
    journal,
    hub: link.hub,
    clock: options.clock,
    random: options.random,
    log: options.log.for("saf"),
    signal: ending.signal,
  });
  // The link outlives what uses it, and says goodbye to the hub where it is disposed of.
  link.start(new AbortController().signal).catch(options.onFatal);
  stack.defer(() => ending.abort());
  return forwarder;
}

const reconcilerOf = ({ config, clock, random, log }: AgentCoreOptions, { journal, link }: Opened): Reconciler =>
  createReconciler({
    ...{ journal, random },
    hub: link.days,
    timeZone: config.site.timeZone,
    now: wallOf(link, clock),
    log: log.for("reconciliation"),
  });

function linkToHub(
  { config, identity, clock, random, log, boot, uplink }: AgentCoreOptions,
  { journal, disk }: Pick<AgentCore, "journal" | "disk">,
): HubLink {
  const { prefer, mqttUrl, httpsUrl } = config.uplink;
  return createHubLink({
    identity,
    journal,
    clock,
    log,
    random,
    boot,
    dataDir: config.dataDir,
    ...(uplink === undefined ? {} : { uplink }),
    options: {
      version: TILLWAY_VERSION,
      prefer,
      ...(mqttUrl === undefined ? {} : { mqttUrl }),
      ...(httpsUrl === undefined ? {} : { httpsUrl }),
      onlineTimeoutMs: config.payment.onlineTimeoutMs,
      disk,
    },
  });
}

type Made = Pick<AgentCore, "desk" | "tickets" | "dialogues" | "cardPayments">;

function createPayments(
  options: AgentCoreOptions,
  { journal, link, dialogueStore }: Opened & { readonly dialogueStore: DialogueStore },
): Made {
  const { config, identity, clock, random, devices, onFatal, onStage, answerFirst } = options;
  const log = options.log.for("payment");
  const { merchantName, addressLines, timeZone, locale } = config.site;
  const { terminalId, cardTokenKey } = identity;
  const site: Site = { merchantName, addressLines, timeZone, language: locale };
  const now = wallOf(link, clock);
  const common = { journal, clock, log, onFatal, onStage };
  const tickets = new TicketPrinter({
    ...common,
    devices,
    site,
    timestamp: () => new Date(now()).toISOString(),
    onTicket: (id) => desk.ticketChanged(id),
  });
  const dialogues = new DialogueRecorder({
    store: dialogueStore,
    terminalId,
    sealingKey: () => link.leases.sealingKey,
    random,
    now,
    log,
  });
  const noteDesk = createNoteDesk({
    ...identity,
    epoch: journal.epoch,
    journal,
    hubClock: link.clock,
    leases: link.leases,
    random,
    payee: merchantName,
  });
  const lane = new ReaderLane(devices, answerFirst);
  const cardTimeoutMs = config.payment.cardTimeoutSec * 1_000;
  const cardPayments = new CardPayments({ terminalId, hub: link.cards, lane, clock, log, now, cardTimeoutMs });
  const desk: PaymentDesk = new PaymentDesk({
    ...common,
    now,
    businessDate: dayIn(timeZone),
    hub: link.hub,
    hubClock: link.clock,
    leases: link.leases,
    lane,
    scanner: new ScannerLane(devices),
    get notes() {
      return link.leases.takes("note") && devices.lend("code-scanner") ? noteDesk : undefined;
    },
    answerFirst,
    readCard,
    random,
    terminal: {
      timeZone,
      cardTokenKey,
      settings: terminalSettings({ emv: config.emv, site: config.site, terminalId }),
    },
    floorLimitMinor: BigInt(config.emv.floorLimitMinor),
    ...(config.payment.cashback && { cashbackMaxMinor: BigInt(config.payment.cashback.maxMinor) }),
    onRecord: (id, record) => answerFirst(() => dialogues.keep(id, record)),
    cardTimeoutMs,
    tickets,
  });
  return { desk, tickets, dialogues, cardPayments };
}

const dayIn = (timeZone: string) => (atMs: number) => businessDate(atMs, timeZone);
const wallOf = (link: HubLink, clock: Clock) => (): number => wallTime(link.clock, clock);
