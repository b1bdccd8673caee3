/** Workers for a soak: a world has its process for itself, so there are as many processes as worlds at one time. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Fault } from "../../base/fault.ts";
import type { Order, WorkerReport } from "./orders.ts";

/** The checkout: two folders up from this source, one from the bundle. Worlds run from the sources, as bugs are planted there. */
const ROOT = new URL(import.meta.url.endsWith(".ts") ? "../../" : "../", import.meta.url);
const WORKER = fileURLToPath(new URL("scripts/soak/worker.ts", ROOT));
/** A seed that takes longer has come to no end. */
const SEED_WITHIN_MS = 600_000;
/**
 * What the simulation allocates lives long: without room the collector runs all the time. Most of the product runs too
 * seldom in one world to get warm, so all of it is compiled at its first call.
 */
const NODE_OPTIONS = ["--max-semi-space-size=32", "--always-sparkplug"];

export interface PoolOptions {
  readonly workers: number;
  /** A bug planted into the sources that the workers load. */
  readonly plant?: string;
  /** 10 minutes when not said. */
  readonly seedWithinMs?: number;
}

export class Pool implements AsyncDisposable {
  readonly #plant: string | undefined;
  readonly #children = new Set<ChildProcess>();
  readonly #free: ChildProcess[];
  readonly #seedWithinMs: number;
  readonly #waiting: ((child: ChildProcess) => void)[] = [];

  constructor({ workers, plant, seedWithinMs = SEED_WITHIN_MS }: PoolOptions) {
    this.#seedWithinMs = seedWithinMs;
    this.#plant = plant;
    this.#free = Array.from({ length: workers }, () => this.#fork());
  }

  /** Runs one seed on the next free worker. Throws Fault `aborted` when the worker dies of it, or never ends. */
  async run(order: Order): Promise<WorkerReport> {
    const child = await this.#take();
    try {
      return await answerOf(child, order, this.#seedWithinMs);
    } finally {
      // Whoever died of a seed must not be given the next one.
      const able = child.connected ? child : this.#replaced(child);
      const next = this.#waiting.shift();
      if (next) next(able);
      else this.#free.push(able);
    }
  }

  #replaced(child: ChildProcess): ChildProcess {
    this.#children.delete(child);
    return this.#fork();
  }

  #fork(): ChildProcess {
    const plant = this.#plant;
    const hook = fileURLToPath(new URL("test/simulation/plants/hook.ts", ROOT));
    const child = fork(WORKER, {
      execArgv: plant === undefined ? NODE_OPTIONS : [...NODE_OPTIONS, "--import", hook],
      env: { ...process.env, ...(plant === undefined ? {} : { TILLWAY_PLANT: plant }) },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#children.add(child);
    return child;
  }

  #take(): Promise<ChildProcess> {
    const child = this.#free.pop();
    return child ? Promise.resolve(child) : new Promise((resolve) => this.#waiting.push(resolve));
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.connected) child.disconnect();
      // One in the midst of a world would not hear of it before that world's end.
      if (!this.#free.includes(child)) child.kill("SIGKILL");
    }
    return Promise.resolve();
  }
}

function answerOf(child: ChildProcess, order: Order, withinMs: number): Promise<WorkerReport> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      child.off("message", onMessage);
      child.off("exit", onExit);
    };
    const onMessage = (report: unknown) => {
      end();
      // Our own worker, of the same sources.
      resolve(report as WorkerReport);
    };
    const onExit = (code: number | null, signal: string | null) => {
      end();
      reject(new Fault("aborted", `seed ${order.seed}: its process ended with ${signal ?? code ?? "nothing"}`));
    };
    const timer = setTimeout(() => {
      end();
      child.kill("SIGKILL");
      child.disconnect();
      reject(new Fault("aborted", `seed ${order.seed}: came to no end within ${withinMs / 1_000} s`));
    }, withinMs);
    child.on("message", onMessage);
    child.on("exit", onExit);
    if (!child.connected) return onExit(child.exitCode, child.signalCode);
    child.send(order);
  });
}
