/** The life of a long-running process: start, tell systemd, drain on a signal, end with the exit code that says why. */
import { type Clock, deadline, systemClock } from "./clock.ts";
import type { Environment } from "./config-file.ts";
import { Fault, isFault, reasonOf } from "./fault.ts";
import { createLog, type Log } from "./log.ts";
import { type SdNotify, sdNotify } from "./sd-notify.ts";

/** A part of the process that must move for the whole to count as alive. */
export interface Lane {
  readonly name: string;
  /** `clock.monotonic()` when it last got something done. */
  readonly lastProgressMs: number;
  /** It has nothing to do, so standing still is no fault. */
  readonly idle?: boolean;
  /** How long it may stand still; default 30 s. */
  readonly limitMs?: number;
}

export interface RunningDaemon {
  readonly log: Log;
  lanes(): readonly Lane[];
  /** Finishes what runs and frees everything; aborted when the limit is over. */
  drain(signal: AbortSignal): Promise<void>;
  /** Words after start-up for `systemctl status` and the log: where it listens. */
  readonly status?: string;
}

export interface DaemonOptions {
  /** Brings everything up, or throws a Fault. A signal that comes before it is done aborts it. */
  start(signal: AbortSignal): Promise<RunningDaemon>;
  /** Default `process.env`. */
  readonly env?: Environment;
  readonly clock?: Clock;
  readonly drainLimitMs?: number;
}

export const EXIT = { ok: 0, failed: 1, config: 2, crashed: 70 } as const;

const DRAIN_LIMIT_MS = 20_000;
const LANE_LIMIT_MS = 30_000;
const LANE_CHECK_MS = 10_000;

/** 2 for a mistake in the configuration, else 1. */
export const exitCodeOf = (error: unknown): number =>
  isFault(error, "config.invalid", "config.missing") ? EXIT.config : EXIT.failed;

/** What a person sees of a failure: one line for an operating error, the stack for a bug. */
export function failureText(error: unknown): string {
  if (isFault(error)) return `tillway: ${oneLine(error.message)}`;
  return error instanceof Error && error.stack ? error.stack : `tillway: ${reasonOf(error)}`;
}
const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, " ");

/** Runs until a signal ends it; the process exits here and nowhere else. */
export async function runDaemon(options: DaemonOptions): Promise<never> {
  const { env = process.env, clock = systemClock, drainLimitMs = DRAIN_LIMIT_MS } = options;
  const starting = new AbortController();
  const stopped = onSignals(starting);
  let log: Log | undefined;
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (error: unknown) => crash(event, error, log));
  }
  let running: RunningDaemon;
  try {
    running = await options.start(starting.signal);
  } catch (error) {
    if (starting.signal.aborted) return process.exit(EXIT.ok);
    process.stderr.write(`${failureText(error)}\n`);
    return process.exit(exitCodeOf(error));
  }
  log = running.log;
  const systemd = sdNotify(env, log);
  void systemd.notify("READY=1", `STATUS=${running.status ?? "running"}`);
  const unwatch = watchLanes({ lanes: () => running.lanes(), clock, systemd, log });
  const signal = await stopped;
  log.info("draining", { signal, limitMs: drainLimitMs });
  void systemd.notify("STOPPING=1");
  const drained = await drain(running, { clock, drainLimitMs });
  unwatch();
  return process.exit(drained ? EXIT.ok : EXIT.failed);
}

/** The first SIGTERM or SIGINT resolves; a second ends the process at once. */
function onSignals(starting: AbortController): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (name: string) => {
      if (asked) process.exit(EXIT.failed);
      asked = true;
      starting.abort(new Fault("aborted", `stopped by ${name}`));
      resolve(name);
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
}

async function drain(
  running: RunningDaemon,
  { clock, drainLimitMs }: { clock: Clock; drainLimitMs: number },
): Promise<boolean> {
  using limit = deadline(clock, drainLimitMs);
  const overrun = new Promise<never>((_, reject) => {
    limit.signal.addEventListener("abort", () => reject(new Fault("aborted", "the drain's limit is over")));
  });
  try {
    await Promise.race([running.drain(limit.signal), overrun]);
    running.log.info("stopped");
    return true;
  } catch (error) {
    running.log.error("the drain did not finish; what is on disk is taken up at the next start", {
      reason: reasonOf(error),
    });
    return false;
  }
}

function crash(event: string, error: unknown, log: Log | undefined): never {
  const reason = error instanceof Error ? (error.stack ?? error.message) : reasonOf(error);
  (log ?? createLog("error")).error("a bug ended the process", { event, reason });
  process.exit(EXIT.crashed);
}

interface Watch {
  lanes(): readonly Lane[];
  readonly clock: Clock;
  readonly systemd: SdNotify;
  readonly log: Log;
}

/** Feeds systemd's watchdog only while every lane moves. Returns how to stop. */
export function watchLanes({ lanes, clock, systemd, log }: Watch): () => void {
  const everyMs = systemd.watchdogMs === undefined ? LANE_CHECK_MS : systemd.watchdogMs / 2;
  let stalledBefore: string | undefined;
  let cancel = clock.after(everyMs, check);
  function check(): void {
    const now = clock.monotonic();
    const stalled = lanes().find((lane) => !lane.idle && now - lane.lastProgressMs > (lane.limitMs ?? LANE_LIMIT_MS));
    if (stalled === undefined) void systemd.notify("WATCHDOG=1");
    if (stalled?.name !== stalledBefore) {
      if (stalled) log.error("a lane stands still; the watchdog is no longer fed", { lane: stalled.name });
      else log.warn("every lane moves again", { lane: stalledBefore });
      stalledBefore = stalled?.name;
    }
    cancel = clock.after(everyMs, check);
  }
  return () => cancel();
}

/** Wraps the action of a command: a failure is one line on standard error and the exit code that says whose it is. */
export const guarded =
  <Args extends unknown[]>(work: (...args: Args) => Promise<void> | void) =>
  async (...args: Args): Promise<void> => {
    try {
      await work(...args);
    } catch (error) {
      process.stderr.write(`${failureText(error)}\n`);
      process.exitCode = exitCodeOf(error);
    }
  };
