/** Faults of a disk in one running process, by strace: system calls on named files fail, or end the process. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { until } from "../lib/processes.ts";

export interface Injection {
  readonly pid: number;
  /** Only calls on these fail. They must be open already. */
  readonly files: readonly string[];
  /** As strace's -e inject= takes it, such as `fsync:error=EIO:when=3`. */
  readonly inject: string;
  /** Takes what strace saw. */
  readonly logFile: string;
}

export interface RunningInjection {
  readonly hasFired: boolean;
  /** Lets go of the process; whether the fault has fired. */
  stop(): Promise<boolean>;
}

/** Why there is no strace here, if there is none. */
export function whyNoStrace(): string | undefined {
  const { error, status } = spawnSync("strace", ["-V"], { stdio: "ignore" });
  return error === undefined && status === 0 ? undefined : "strace is not installed (apt-get install strace)";
}

/** Resolves when the process is held. Throws when it may not be. */
export async function inject({ pid, files, inject: what, logFile }: Injection): Promise<RunningInjection> {
  const paths = files.flatMap((file) => ["-P", file]);
  const calls = ["-e", `trace=${what.split(":")[0]}`, "-e", `inject=${what}`];
  const child = spawn("strace", ["-f", ...paths, ...calls, "-o", logFile, "-p", String(pid)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const heard: string[] = [];
  child.stderr.setEncoding("utf8").on("data", (text: string) => heard.push(text));
  const ended = once(child, "exit");
  await until("strace to hold the process", () => {
    if (hasEnded(child)) throw new Error(`strace cannot hold the process: ${heard.join("").trim()}`);
    return heard.join("").includes("attached") || undefined;
  });
  return {
    get hasFired() {
      return firedIn(logFile);
    },
    async stop() {
      if (!hasEnded(child)) child.kill("SIGINT");
      await ended;
      return firedIn(logFile);
    },
  };
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

function firedIn(logFile: string): boolean {
  return existsSync(logFile) && /\(INJECTED\)|killed by SIGKILL/.test(readFileSync(logFile, "utf8"));
}
