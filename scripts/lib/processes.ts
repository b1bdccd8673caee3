/** Starts the product's programs as their own processes and ends them by process id, for the demo, the benches and the tests. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** The checkout: two folders up from this source, one from the bundle in dist/. */
const ROOT = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "../.." : "..", import.meta.url));
const TILLWAY = join(ROOT, "scripts/tillway");

export interface Program {
  readonly name: string;
  readonly pid: number;
  /** Resolves with how it ended: an exit code or a signal's name. */
  readonly ended: Promise<number | string>;
  readonly hasEnded: boolean;
  /** Sends the signal and waits for the end, by SIGKILL after ten seconds. */
  stop(signal?: NodeJS.Signals): Promise<number | string>;
}

export interface StartOptions {
  readonly name: string;
  readonly args: readonly string[];
  /** Takes both outputs: a program that outlives its starter must not write into a closed pipe. */
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A program and its arguments in front of it, which must become it (by exec): whose process id is told is tillway's. */
  readonly through?: readonly string[];
}

const STOP_WITHIN_MS = 10_000;

/** Runs `tillway ARGS`, everything it prints going to the log file. */
function startProgram({ name, args, logFile, env, through = [] }: StartOptions): Program {
  const log = openSync(logFile, "a");
  const [program = TILLWAY, ...rest] = [...through, TILLWAY, ...args];
  const child = spawn(program, rest, { stdio: ["ignore", log, log], env: { ...process.env, ...env } });
  closeSync(log);
  return programOf(child, name);
}

const running = new Set<ChildProcess>();

/** For a program that is itself told to end: what it started does not outlive it. */
export function endPrograms(): void {
  for (const child of running) child.kill("SIGKILL");
}

function programOf(child: ChildProcess, name: string): Program {
  let hasEnded = false;
  running.add(child);
  const ended = new Promise<number | string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => {
      hasEnded = true;
      running.delete(child);
      resolve(signal ?? code ?? "unknown");
    });
  });
  return {
    name,
    pid: child.pid ?? 0,
    ended,
    get hasEnded() {
      return hasEnded;
    },
    async stop(signal = "SIGTERM") {
      if (hasEnded) return await ended;
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
      const how = await ended;
      clearTimeout(timer);
      return how;
    },
  };
}

const READY = /^(?:\{"(?:ready|event)"|hub ready).*$/m;

/** Starts a program that says on standard output that it is ready, and gives the object if it says so in JSON. */
export async function startReady(
  options: StartOptions,
  withinMs = 30_000,
): Promise<{ program: Program; ready: Record<string, unknown> }> {
  const from = existsSync(options.logFile) ? statSync(options.logFile).size : 0;
  const program = startProgram(options);
  const end = Date.now() + withinMs;
  for (;;) {
    const said = READY.exec(readFileSync(options.logFile).subarray(from).toString("utf8"))?.[0];
    if (said !== undefined)
      return { program, ready: said.startsWith("{") ? (JSON.parse(said) as Record<string, unknown>) : {} };
    if (program.hasEnded || Date.now() > end) break;
    await delay(READY_POLL_MS);
  }
  const how = await program.stop("SIGKILL");
  throw new Error(`${options.name} did not get ready (${how}):\n${tail(options.logFile)}`);
}
const READY_POLL_MS = 5;

/** Runs a program to its end and gives what it printed. */
export function runTillway(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(TILLWAY, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => {
      stdout += chunk.toString("utf8");
    });
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString("utf8");
    });
    child.once("error", reject);
    child.once("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}

export function tail(file: string, lines = 12): string {
  return existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n").slice(-lines).join("\n") : "(no log)";
}

/** Asks until the answer is there; the question is cheap, the wait has an end. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  withinMs = 15_000,
): Promise<T> {
  const end = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > end) throw new Error(`waited ${withinMs} ms for: ${what}`);
    await delay(25);
  }
}
