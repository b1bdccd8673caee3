/** SIGKILL in the middle of a start, where what a crash left behind is being put in order. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { until } from "../lib/processes.ts";

export interface EarlyKill {
  /** Where the process writes its id as soon as it has the folder to itself. */
  readonly dataDir: string;
  /** Resolves when it is ready. */
  readonly start: () => Promise<void>;
  /** From its first sign of life on. */
  readonly afterMs: number;
}

const ALIVE_WITHIN_MS = 20_000;

/** Starts it, kills it before it is ready if it is not quicker, and starts it again. Gives whether it was killed. */
export async function killWhileStarting({ dataDir, start, afterMs }: EarlyKill): Promise<boolean> {
  const last = pidIn(dataDir);
  let isReady = false;
  const starting = start().then(
    () => {
      isReady = true;
    },
    (error: unknown) => error,
  );
  const pid = await until(
    `a process in ${dataDir}`,
    () => {
      const now = pidIn(dataDir);
      return now === last ? undefined : now;
    },
    ALIVE_WITHIN_MS,
  );
  await Promise.race([delay(afterMs), starting]);
  if (isReady) return false;
  process.kill(pid, "SIGKILL");
  await starting;
  await start();
  return true;
}

function pidIn(dataDir: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(join(dataDir, "pid"), "utf8"), 10) || undefined;
  } catch {
    return undefined;
  }
}
