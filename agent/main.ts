/** The composition root of the agent: the only file that knows every part, the machine's clock, chance and environment. */
import { readFileSync, statfsSync } from "node:fs";
import { uptime } from "node:os";
import { type Clock, systemClock } from "../base/clock.ts";
import { type RunningDaemon, runDaemon } from "../base/daemon.ts";
import { reasonOf } from "../base/fault.ts";
import { type PaymentId, systemRandom } from "../base/ids.ts";
import { takeLock } from "../base/lock-file.ts";
import { createLog, type Log } from "../base/log.ts";
import { deviceCatalogue } from "../drivers/catalogue.ts";
import { TILLWAY_VERSION } from "../wire/version.ts";
import { type AgentCore, startAgentCore } from "./agent-core.ts";
import { type RunningApi, startApi } from "./api/api.ts";
import { type AgentConfig, loadAgentConfig } from "./config.ts";
import { DeviceManager } from "./devices/device-manager.ts";
import { createHealth } from "./health/health.ts";
import { loadIdentity } from "./identity.ts";
import { type Boot, wallTime } from "./lease/hub-clock.ts";
import type { PaymentDesk } from "./payment/desk.ts";
import type { PaymentStage } from "./payment/payments.ts";
import type { AnswerFirst } from "./payment/reader-lane.ts";

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
  const devices = stack.use(
    new DeviceManager({
      specs: config.devices,
      open: deviceCatalogue({ clock, log: log.for("devices"), environment: process.env }),
      clock,
      log: log.for("devices"),
      chance: Math.random,
    }),
  );
  const core = stack.use(
    await startAgentCore({
      config,
      identity,
      devices,
      clock,
      random: systemRandom,
      log,
      boot: thisBoot(),
      freeBytes: freeBytesUnder(config.dataDir),
      onFatal: (error) => endBecause(log, error),
      onStage: killHere,
      answerFirst,
    }),
  );
  const { desk, tickets, forwarder, cardPayments } = core;
  const api = stack.use(await serve({ config, core, devices, clock, log }));
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

interface Serving {
  readonly config: AgentConfig;
  readonly core: AgentCore;
  readonly devices: DeviceManager;
  readonly clock: Clock;
  readonly log: Log;
}

function serve({ config, core, devices, clock, log }: Serving): Promise<RunningApi> {
  const { journal, link, desk, dialogues, cardPayments, forwarder, reconciler } = core;
  const health = createHealth({
    version: TILLWAY_VERSION,
    timeZone: config.site.timeZone,
    clock,
    devices,
    payments: desk,
    journal,
    forwarder,
    hub: link.hub,
    hubClock: link.clock,
    leases: link.leases,
    certificate: () => link.credential.tls,
    disk: core.disk,
    draining: () => desk.draining,
  });
  return startApi({
    payments: desk,
    dialogues,
    cardPayments,
    devices,
    health,
    journal,
    forwarder,
    reconciler,
    hub: link.hub,
    config,
    clock,
    now: () => wallTime(link.clock, clock),
    log: log.for("api"),
  });
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
    if (event.type === "payment.stage" || event.type === "payment.hint") return;
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

const freeBytesUnder = (folder: string) => (): number => {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
};
