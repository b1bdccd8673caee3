/** The composition root of the agent: the only file that knows every part, the machine's clock, chance and environment. */
import { readFileSync, statfsSync } from "node:fs";
import { uptime } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../base/clock.ts";
import { type RunningDaemon, runDaemon } from "../base/daemon.ts";
import { reasonOf } from "../base/fault.ts";
import { type PaymentId, systemRandom } from "../base/ids.ts";
import { takeLock } from "../base/lock-file.ts";
import { createLog, type Log } from "../base/log.ts";
import { deviceCatalogue } from "../drivers/catalogue.ts";
import { TILLWAY_VERSION } from "../wire/version.ts";
import { type RunningApi, startApi } from "./api/api.ts";
import { type AgentConfig, loadAgentConfig } from "./config.ts";
import { DeviceManager } from "./devices/device-manager.ts";
import { DialogueRecorder, type Dialogues } from "./dialogues/dialogue-recorder.ts";
import { DialogueStore } from "./dialogues/dialogue-store.ts";
import { CardPayments } from "./features/card-verification/card-payments.ts";
import { createHealth, type Health } from "./health/health.ts";
import { type Identity, loadIdentity } from "./identity.ts";
import type { Journal } from "./journal/journal.ts";
import { openJournal } from "./journal/sqlite-journal.ts";
import { type Boot, wallTime } from "./lease/hub-clock.ts";
import { PaymentDesk } from "./payment/desk.ts";
import { cardTokenOf, readCard } from "./payment/emv-session.ts";
import { terminalSettings } from "./payment/emv-terminal.ts";
import { businessDate } from "./payment/local-time.ts";
import type { PaymentStage } from "./payment/payments.ts";
import { type AnswerFirst, ReaderLane } from "./payment/reader-lane.ts";
import type { Site } from "./payment/receipt.ts";
import { abortInterrupted } from "./payment/recovery.ts";
import { TicketPrinter } from "./payment/ticket-printer.ts";
import { type Forwarder, startForwarder } from "./saf/forwarder.ts";
import { createHubLink, type HubLink } from "./uplink/hub-link.ts";

/** Runs until a signal ends it. */
export function runAgent({ configPath }: { readonly configPath: string }): Promise<never> {
  return runDaemon({ start: (signal) => startAgent(loadAgentConfig(configPath, process.env), signal) });
}

/** Tests end the process by SIGKILL at `stage` or `stage:paymentId`; nothing else reads this. */
const KILL_AT = process.env["TILLWAY_TEST_KILL_AT"];

async function startAgent(config: AgentConfig, signal: AbortSignal): Promise<RunningDaemon> {
  await using stack = new AsyncDisposableStack();
  const log = createLog(config.log.level);
  const clock = systemClock;
  stack.use(takeLock({ folder: config.dataDir, what: "agent" }));
  const identity = loadIdentity(config.dataDir);
  const { terminalId } = identity;
  const journal = stack.use(
    openJournal({
      path: join(config.dataDir, "journal.db"),
      terminalId,
      clock,
      random: systemRandom,
      log: log.for("journal"),
      onFailed: (fault) => endBecause(log, fault),
    }),
  );
  const link = stack.use(linkToHub({ config, identity, journal, clock, log }));
  const devices = stack.use(
    new DeviceManager({
      specs: config.devices,
      open: deviceCatalogue({ clock, log: log.for("devices") }),
      clock,
      log: log.for("devices"),
      chance: Math.random,
    }),
  );
  const dialogueStore = stack.use(new DialogueStore(join(config.dataDir, "dialogues.db")));
  const made = createPayments({ config, identity, journal, link, devices, clock, log, dialogueStore });
  const { desk, tickets, dialogues, cardPayments } = made;
  stack.use(tickets);
  await abortInterrupted({
    journal,
    log: log.for("payment"),
    now: wallOf(link, clock),
    businessDate: dayIn(config.site.timeZone),
  });
  const health = healthOf({ config, link, devices, desk, journal, clock });
  const { api, forwarder } = await joinUp(stack, {
    config,
    link,
    devices,
    desk,
    dialogues,
    cardPayments,
    journal,
    clock,
    log,
    health,
  });
  tickets.start();
  stack.defer(collectBetweenSales(desk, clock));
  signal.throwIfAborted();
  process.stdout.write(`${JSON.stringify({ ready: true, api: api.port })}\n`);
  const owned = stack.move();
  return {
    log,
    status: `local API on 127.0.0.1:${api.port}`,
    lanes: () => [desk.lane, tickets.lane, forwarder.lane],
    async drain(limit) {
      await Promise.all([desk.drain(limit), cardPayments.drain(limit)]);
      // What the last sales left until after their answers, such as their dialogues and the cards' release, came before this.
      await new Promise<void>(answerFirst);
      await owned.disposeAsync();
    },
  };
}

/** Starts what speaks: store-and-forward, the link to the hub, and last the local API. */
async function joinUp(
  stack: AsyncDisposableStack,
  parts: Joined & {
    readonly dialogues: Dialogues;
    readonly cardPayments: CardPayments;
    readonly health: Health;
    readonly log: Log;
  },
): Promise<{ readonly api: RunningApi; readonly forwarder: Forwarder }> {
  const { config, link, devices, desk, dialogues, cardPayments, journal, clock, health, log } = parts;
  const ending = new AbortController();
  const { signal } = ending;
  const forwarder = startForwarder({
    journal,
    hub: link.hub,
    clock,
    random: systemRandom,
    log: log.for("saf"),
    signal,
  });
  // The link outlives what uses it, and says goodbye to the hub where it is disposed of.
  link.start(new AbortController().signal).catch((error: unknown) => endBecause(log, error));
  stack.defer(() => ending.abort());
  const starting = startApi({
    payments: desk,
    dialogues,
    cardPayments,
    devices,
    health,
    journal,
    forwarder,
    hub: link.hub,
    config,
    clock,
    log: log.for("api"),
  });
  return { api: stack.use(await starting), forwarder };
}

interface Joined {
  readonly config: AgentConfig;
  readonly link: HubLink;
  readonly devices: DeviceManager;
  readonly desk: PaymentDesk;
  readonly journal: Journal;
  readonly clock: Clock;
}

function healthOf({ config, link, devices, desk, journal, clock }: Joined): Health {
  return createHealth({
    version: TILLWAY_VERSION,
    timeZone: config.site.timeZone,
    clock,
    devices,
    payments: desk,
    journal,
    hub: link.hub,
    hubClock: link.clock,
    lease: () => link.leases.view(),
    disk: diskOf(config),
    draining: () => desk.draining,
  });
}

interface Parts {
  readonly config: AgentConfig;
  readonly identity: Identity;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Log;
}

function linkToHub({ config, identity, journal, clock, log }: Parts): HubLink {
  const { prefer, mqttUrl, httpsUrl } = config.uplink;
  return createHubLink({
    identity,
    journal,
    clock,
    log,
    random: systemRandom,
    boot: thisBoot(),
    options: {
      version: TILLWAY_VERSION,
      prefer,
      ...(mqttUrl === undefined ? {} : { mqttUrl }),
      ...(httpsUrl === undefined ? {} : { httpsUrl }),
      onlineTimeoutMs: config.payment.onlineTimeoutMs,
      disk: diskOf(config),
    },
  });
}

interface PaymentParts extends Parts {
  readonly link: HubLink;
  readonly devices: DeviceManager;
  readonly dialogueStore: DialogueStore;
}

function createPayments(parts: PaymentParts): {
  desk: PaymentDesk;
  tickets: TicketPrinter;
  dialogues: DialogueRecorder;
  cardPayments: CardPayments;
} {
  const { config, identity, journal, link, devices, clock } = parts;
  const log = parts.log.for("payment");
  const { merchantName, addressLines, timeZone, locale } = config.site;
  const { cardTokenKey } = identity;
  const site: Site = { merchantName, addressLines, timeZone, language: locale };
  const now = wallOf(link, clock);
  const onFatal = (error: unknown): void => endBecause(log, error);
  const common = { journal, clock, log, onFatal, onStage: killHere };
  const tickets = new TicketPrinter({
    ...common,
    devices,
    site,
    timestamp: () => new Date(now()).toISOString(),
    onTicket: (id) => desk.ticketChanged(id),
  });
  const dialogues = new DialogueRecorder({
    store: parts.dialogueStore,
    terminalId: identity.terminalId,
    sealingKey: () => link.leases.sealingKey,
    random: systemRandom,
    now,
    log,
  });
  const lane = new ReaderLane(devices, answerFirst);
  const cardTimeoutMs = config.payment.cardTimeoutSec * 1_000;
  const { terminalId } = identity;
  const cardPayments = new CardPayments({ terminalId, hub: link.cards, lane, clock, log, now, cardTimeoutMs });
  const desk: PaymentDesk = new PaymentDesk({
    ...common,
    now,
    businessDate: dayIn(timeZone),
    hub: link.hub,
    leases: link.leases,
    lane,
    answerFirst,
    readCard,
    random: systemRandom,
    terminal: {
      timeZone,
      cardTokenKey,
      settings: terminalSettings({
        emv: config.emv,
        site: config.site,
        terminalId: identity.terminalId,
        onExceptionFile: (pan) => link.leases.denies(cardTokenOf(pan, cardTokenKey)),
      }),
    },
    floorLimitMinor: BigInt(config.emv.floorLimitMinor),
    onRecord: (id, record) => answerFirst(() => dialogues.keep(id, record)),
    cardTimeoutMs,
    tickets,
  });
  return { desk, tickets, dialogues, cardPayments };
}

/** A till's process is woken and reads its answer within this, where all that a sale goes on to do waits so long. */
const ANSWER_LEAVES_MS = 4;
const answerFirst: AnswerFirst = (then) => void systemClock.after(ANSWER_LEAVES_MS, then);

/** After a sale's last word; a ticket takes about as long. */
const REST_MS = 300;

/**
 * Collects what a sale left behind when nobody pays, so that the next one need not stop for it: 2 to 3 ms between two card
 * commands otherwise, now and then. Without `--expose-gc` nothing is done, and V8 chooses the moment.
 */
function collectBetweenSales(desk: PaymentDesk, clock: Clock): () => void {
  const { gc } = globalThis;
  if (!gc) return () => {};
  let cancel: (() => void) | undefined;
  const unsubscribe = desk.onEvent((event) => {
    if (event.type === "payment.stage") return;
    cancel?.();
    cancel = clock.after(REST_MS, () => {
      if (desk.running === 0) void gc({ type: "minor", execution: "sync" });
    });
  });
  return () => {
    unsubscribe();
    cancel?.();
  };
}

const dayIn = (timeZone: string) => (atMs: number) => businessDate(atMs, timeZone);

const wallOf = (link: HubLink, clock: Clock) => (): number => wallTime(link.clock, clock);

function killHere(id: PaymentId, stage: PaymentStage): void {
  if (KILL_AT !== undefined && (KILL_AT === stage || KILL_AT === `${stage}:${id}`))
    process.kill(process.pid, "SIGKILL");
}

/** What a journal that failed holds is unknown: the process ends, and its supervisor starts one that reads it again. */
function endBecause(log: Log, error: unknown): void {
  log.error("the agent ends and must be started again", { why: reasonOf(error) });
  process.exit(1);
}

function thisBoot(): Boot {
  return { id: bootId(), uptimeMs: () => uptime() * 1_000 };
}

/** Without the kernel's word every start counts as another boot: time is then unproven, never wrongly proven. */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return Buffer.from(systemRandom(16)).toString("hex");
  }
}

const BYTES_PER_MB = 1_048_576;
const diskOf = (config: AgentConfig) => ({
  freeBytes() {
    const { bavail, bsize } = statfsSync(config.dataDir);
    return bavail * bsize;
  },
  reserveBytes: config.reserve.diskMb * BYTES_PER_MB,
});
