/**
 * A world from one seed: nodes with disks that fail, links that lie and clocks that drift, all in virtual time. It knows
 * no product: what runs on a node is a factory. Two runs of a seed give the same trace hash.
 */
import { createHash } from "node:crypto";
import { assert } from "../../base/assert.ts";
import { Fault } from "../../base/fault.ts";
import { Chance } from "./chance.ts";
import { CLOCK_FAULT_NAMES, SimulatedClock, Timeline } from "./clock.ts";
import { Counts, type CountsTable } from "./counts.ts";
import { DISK_FAULT_NAMES, type SimulatedDisk } from "./disk.ts";
import { Immediates, nextTurn } from "./immediates.ts";
import { type Corrupt, NETWORK_FAULT_NAMES, SimulatedNetwork } from "./network.ts";
import { NODE_FAULT_NAMES, type NodeFactory, type NodeState, WorldNode } from "./node.ts";
import { Trace } from "./trace.ts";

export interface WorldOptions {
  readonly seed: string;
  readonly disk: SimulatedDisk;
  /** The wall clock of every node at the beginning; default 2026-01-05 09:00 UTC. */
  readonly wall?: number;
  /** How a link garbles a value; without it none does. */
  readonly corrupt?: Corrupt;
}

const DEFAULT_WALL = Date.UTC(2026, 0, 5, 9, 0, 0);
/** An event that leads to more never comes to rest. */
export const IMMEDIATES_PER_EVENT_MAX = 100_000;
/** How long `drive` lets its work take, in simulated milliseconds. */
const DRIVE_LIMIT_MS = 3_600_000;

export type NodeListener = (node: WorldNode, state: NodeState, why: string) => void;

/** Every class of fault that a world of itself knows; a soak that never hits one proves nothing of it. */
export const WORLD_FAULT_NAMES: readonly string[] = [
  ...NODE_FAULT_NAMES,
  ...DISK_FAULT_NAMES,
  ...NETWORK_FAULT_NAMES,
  ...CLOCK_FAULT_NAMES,
];

/** Only one world of a process may be alive at a time: SQLite's own chance and `setImmediate` belong to the process. */
export function createWorld(options: WorldOptions): World {
  return new World(options);
}

export class World implements Disposable {
  readonly seed: string;
  readonly chance: Chance;
  readonly timeline = new Timeline();
  readonly network: SimulatedNetwork;
  readonly trace: Trace;
  readonly #options: WorldOptions;
  readonly #counts = new Counts();
  readonly #nodes = new Map<string, WorldNode>();
  readonly #listeners = new Set<NodeListener>();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.seed = options.seed;
    this.chance = new Chance(options.seed);
    this.trace = new Trace({
      now: () => this.timeline.now,
      canonical: (line) => options.disk.withoutFolders(line),
    });
    const record = (name: string, text: string) => this.trace.record(name, text);
    this.network = new SimulatedNetwork({
      timeline: this.timeline,
      chance: this.chance.stream("network"),
      counts: this.#counts,
      record,
      ...(options.corrupt === undefined ? {} : { corrupt: options.corrupt }),
    });
    options.disk.seed(this.chance.stream("sqlite").next());
  }

  /** Milliseconds since the world began. */
  get now(): number {
    return this.timeline.now;
  }

  /** Counts a fault of the caller's own, such as a cloned phone. */
  count(name: string, by = 1): void {
    this.#counts.add(name, by);
  }

  /** How often each class of fault was hit so far, those of network and disks included. */
  get counts(): CountsTable {
    const all = new Counts();
    all.addAll(this.#counts.table());
    for (const node of this.#nodes.values()) all.addAll(node.volume.faultCounts());
    return all.table();
  }

  /** Over all that happened and every byte on every disk: two runs of a seed must share it. 64 hex digits. */
  hash(): string {
    const hash = createHash("sha256").update(this.trace.hash());
    for (const { name, volume } of this.#nodes.values()) {
      for (const file of volume.files()) hash.update(`\n${name}/${file.name}\n`).update(volume.bytes(file.name));
    }
    return hash.digest("hex");
  }

  get nodes(): readonly WorldNode[] {
    return [...this.#nodes.values()];
  }

  node(name: string): WorldNode {
    const node = this.#nodes.get(name);
    assert(node !== undefined, `there is no node ${name}`);
    return node;
  }

  /** A new machine with an empty disk; its first life begins when the world runs on. */
  spawn(name: string, factory: NodeFactory): WorldNode {
    assert(!this.#nodes.has(name), `there is a node ${name} already`);
    const node = new WorldNode({
      name,
      factory,
      clock: new SimulatedClock({
        timeline: this.timeline,
        wall: this.#options.wall ?? DEFAULT_WALL,
        count: (fault) => this.count(fault),
      }),
      volume: this.#options.disk.volume(name),
      network: this.network,
      random: this.chance.stream(`random of ${name}`),
      crashes: this.chance.stream(`crashes of ${name}`),
      record: (event, text) => this.trace.record(event, text),
      count: (fault) => this.count(fault),
      changed: (changed, state, why) => {
        for (const listener of this.#listeners) listener(changed, state, why);
      },
    });
    this.#nodes.set(name, node);
    this.timeline.after(0, () => node.start());
    return node;
  }

  /** Told of every change of a node's state; who wants a crashed node back starts it, at once or by the timeline. */
  onNode(listener: NodeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Runs until that many simulated milliseconds since the world began, or until the condition holds with all at rest.
   * Rejects with what an event threw, and with Fault `aborted` when the condition does not hold by `latestMs`, which is
   * also since the world began, or can no longer come to hold.
   */
  run(until: number | (() => boolean), latestMs = Number.POSITIVE_INFINITY): Promise<void> {
    return typeof until === "number"
      ? this.#run({ holds: undefined, limitUs: until * US_PER_MS })
      : this.#run({ holds: until, limitUs: latestMs * US_PER_MS });
  }

  /** Starts the work and runs until it is done; the limit counts from now. */
  async drive<T>(work: () => Promise<T>, limitMs = DRIVE_LIMIT_MS): Promise<T> {
    let outcome: { readonly value: T } | { readonly error: unknown } | undefined;
    this.timeline.after(0, () => {
      work().then(
        (value) => {
          outcome = { value };
        },
        (error: unknown) => {
          outcome = { error };
        },
      );
    });
    await this.run(() => outcome !== undefined, this.now + limitMs);
    assert(outcome !== undefined, "the run ends when there is an outcome");
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  }

  #run(goal: Goal): Promise<void> {
    const immediates = new Immediates();
    return new Promise<void>((resolve, reject) => {
      let waited = 0;
      const turn = () => {
        try {
          if (this.#guarded(() => immediates.runOne())) {
            waited += 1;
            if (waited > IMMEDIATES_PER_EVENT_MAX) throw new Fault("aborted", "an event never comes to rest");
          } else {
            waited = 0;
            for (const node of this.#nodes.values()) node.settle();
            if (goal.holds?.() || !this.#guarded(() => this.#advance(goal))) return resolve();
          }
          nextTurn(turn);
        } catch (error) {
          reject(error);
        }
      };
      nextTurn(turn);
    }).finally(() => immediates[Symbol.dispose]());
  }

  /** What a program throws because its machine died in that call, nobody is there to see. */
  #guarded(step: () => boolean): boolean {
    try {
      return step();
    } catch (error) {
      if (!this.nodes.some((node) => node.hasFired)) throw error;
      return true;
    }
  }

  /** One event further; false when the goal's time has come. */
  #advance({ holds, limitUs }: Goal): boolean {
    if (this.timeline.step(limitUs)) return true;
    if (holds) {
      const why = this.timeline.nextUs === undefined ? "nothing is left that could happen" : "the time is over";
      throw new Fault("aborted", `the world waits for what never comes: ${why} after ${this.now} ms`);
    }
    this.timeline.moveTo(limitUs);
    return false;
  }

  /** Frees the disks; nodes that still live are gone. */
  [Symbol.dispose](): void {
    this.#listeners.clear();
    for (const node of this.#nodes.values()) {
      node.crash("process");
      node.volume[Symbol.dispose]();
    }
    this.#nodes.clear();
  }
}

interface Goal {
  readonly holds: (() => boolean) | undefined;
  readonly limitUs: number;
}

const US_PER_MS = 1_000;
