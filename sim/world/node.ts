/** One machine of the world: its disk, clock and network die with it, and a new life begins with the same disk. */
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import type { RandomBytes } from "../../base/ids.ts";
import type { Fields, Log } from "../../base/log.ts";
import type { ChanceStream } from "./chance.ts";
import type { SimulatedClock } from "./clock.ts";
import type { CrashKind, DiskFaults, Volume } from "./disk.ts";
import type { NetworkPort, Receive, SimulatedNetwork } from "./network.ts";

/** What a program is given to live on. All of it is dead from the instant of a crash, even in the midst of a call. */
export interface NodeContext {
  readonly name: string;
  /** 1 in the first life. */
  readonly life: number;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** On the node's disk. */
  readonly folder: string;
  /** Goes to the world's trace. */
  readonly log: Log;
  /** Aborts once this life is over, when the world has come to rest after it. */
  readonly signal: AbortSignal;
  /** False from the instant of the crash: what simulates a device must then do and tell nothing. */
  readonly isAlive: () => boolean;
  /** The node's way to the others; `receive` is not called once this life is over. */
  attach(receive: Receive): NetworkPort;
}

export interface RunningNode {
  /** An orderly end. A crash does not call it. */
  stop(): Promise<void>;
}

export type NodeFactory = (context: NodeContext) => Promise<RunningNode>;

/** `failed`: the factory threw, or `stop` did. */
export type NodeState = "off" | "starting" | "running" | "stopping" | "crashed" | "failed";

export const NODE_FAULT_NAMES = ["node.power-cut", "node.killed"] as const;

export interface NodeParts {
  readonly name: string;
  readonly factory: NodeFactory;
  readonly clock: SimulatedClock;
  readonly volume: Volume;
  readonly network: SimulatedNetwork;
  readonly random: ChanceStream;
  /** What a crash does to the disk is drawn from this. */
  readonly crashes: ChanceStream;
  readonly record: (name: string, text: string) => void;
  readonly count: (fault: (typeof NODE_FAULT_NAMES)[number]) => void;
  readonly changed: (node: WorldNode, state: NodeState, why: string) => void;
}

const UINT32_LIMIT = 2 ** 32;

export class WorldNode {
  readonly name: string;
  readonly clock: SimulatedClock;
  readonly volume: Volume;
  readonly #parts: NodeParts;
  #state: NodeState = "off";
  #failure: unknown;
  #life = 0;
  #alive = false;
  /** A crash point was reached in this life, and the rest of the crash is still to be done. */
  #fired = false;
  #running: RunningNode | undefined;
  #ports: NetworkPort[] = [];
  #ending = new AbortController();

  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.name = parts.name;
    this.clock = parts.clock;
    this.volume = parts.volume;
    this.clock.stop();
    this.volume.onFired(() => {
      this.#alive = false;
      this.#fired = true;
      this.clock.stop();
    });
  }

  get state(): NodeState {
    return this.#state;
  }

  /** Why it failed, when it did. */
  get failure(): unknown {
    return this.#failure;
  }

  get life(): number {
    return this.#life;
  }

  /** Replaces the faults of its disk; the errors are drawn from the world's chance. */
  setDiskFaults(faults: DiskFaults): void {
    this.volume.setFaults(faults, this.#parts.crashes.below(UINT32_LIMIT));
  }

  /** A crash point was reached since the world was last at rest. */
  get hasFired(): boolean {
    return this.#fired && this.#state !== "crashed";
  }

  /** Begins a life: the disk is powered, the monotonic clock begins again, the factory is called. */
  start(): void {
    assert(this.#state !== "starting" && this.#state !== "running", `${this.name} lives already`);
    this.#life += 1;
    this.#alive = true;
    this.#fired = false;
    this.#failure = undefined;
    this.#ending = new AbortController();
    this.volume.powerOn();
    this.clock.reboot();
    this.#become("starting", `life ${this.#life}`);
    void this.#live(this.#life);
  }

  /** The power goes, or with "process" only the program: its timers, connections and promises are gone. */
  crash(kind: CrashKind = "power"): void {
    if (this.#state === "off" || this.#state === "crashed" || this.#state === "failed") return;
    this.#parts.count(kind === "power" ? "node.power-cut" : "node.killed");
    this.#end(kind);
    this.#become("crashed", this.#fired ? "in an I/O call" : kind);
  }

  /** Ends this life in good order; what the program left open ends with its process. */
  async stop(): Promise<void> {
    if (this.#state === "starting") this.crash("process");
    if (this.#state !== "running") return;
    const life = this.#life;
    this.#become("stopping", "");
    try {
      await this.#running?.stop();
      if (this.#isStill(life, "stopping")) this.#finish("off", "");
    } catch (error) {
      if (this.#isStill(life, "stopping")) this.#fail(error);
    }
  }

  /** Does what is left of a crash whose point was reached since the last event. */
  settle(): void {
    if (this.hasFired) this.crash("power");
  }

  async #live(life: number): Promise<void> {
    try {
      const running = await this.#parts.factory(this.#context(life));
      if (!this.#isStill(life, "starting")) return;
      this.#running = running;
      this.#become("running", "");
    } catch (error) {
      if (this.#isStill(life, "starting")) this.#fail(error);
    }
  }

  /** Whether nothing else happened to the node while something was waited for. */
  #isStill(life: number, state: NodeState): boolean {
    return life === this.#life && this.#state === state && this.#alive;
  }

  #fail(error: unknown): void {
    this.#failure = error;
    this.#finish("failed", reasonOf(error));
  }

  #finish(state: NodeState, why: string): void {
    this.#end("process");
    this.#become(state, why);
  }

  #end(kind: CrashKind): void {
    this.#alive = false;
    this.clock.stop();
    for (const port of this.#ports) port.detach();
    this.#ports = [];
    this.#running = undefined;
    this.volume.crash({ seed: this.#parts.crashes.below(UINT32_LIMIT), kind });
    this.#ending.abort(new Fault("aborted", `${this.name} is gone`));
  }

  #become(state: NodeState, why: string): void {
    this.#state = state;
    this.#parts.record("node", `${this.name} ${state} ${why}`);
    this.#parts.changed(this, state, why);
  }

  #context(life: number): NodeContext {
    const { name, clock, volume, network, random, record } = this.#parts;
    const isAlive = () => this.#alive && life === this.#life;
    return {
      name,
      life,
      clock: lifeClock(clock, isAlive),
      random: random.bytes,
      folder: volume.folder,
      log: traceLog((level, message, fields) => {
        if (isAlive()) record(`${name}.${level}`, fields === undefined ? message : `${message} ${canonical(fields)}`);
      }),
      signal: this.#ending.signal,
      isAlive,
      attach: (receive) => {
        const port = network.attach(name, (from, value) => {
          if (isAlive()) receive(from, value);
        });
        const lifePort = {
          send: (to: string, value: unknown) => {
            if (isAlive()) port.send(to, value);
          },
          detach: () => port.detach(),
        };
        if (isAlive()) this.#ports.push(lifePort);
        else lifePort.detach();
        return lifePort;
      },
    };
  }
}

/** A clock on which what an earlier life still runs can set no timer. */
function lifeClock(clock: Clock, isAlive: () => boolean): Clock {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after: (delayMs, callback) => (isAlive() ? clock.after(delayMs, callback) : () => undefined),
  };
}

function traceLog(write: (level: string, message: string, fields?: Fields) => void, part = ""): Log {
  const at = (level: string) => (message: string, fields?: Fields) => write(`${level}${part}`, message, fields);
  return {
    error: at("error"),
    warn: at("warn"),
    info: at("info"),
    debug: at("debug"),
    trace: () => undefined,
    for: (name) => traceLog(write, `${part}.${name}`),
  };
}

/** The same text for the same fields in every run: errors as their reasons, no stack and no object without a form. */
function canonical(fields: Fields): string {
  return JSON.stringify(fields, (_name, value: unknown) => {
    if (value instanceof Error) return reasonOf(value);
    if (typeof value === "bigint") return String(value);
    if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
    return value;
  });
}
