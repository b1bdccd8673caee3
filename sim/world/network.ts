/** Links between named nodes, which carry values that they do not look into, and lose, delay, repeat, reorder and garble them. */
import type { ChanceStream } from "./chance.ts";
import type { Timeline } from "./clock.ts";
import type { Counts } from "./counts.ts";

/** Probabilities are in [0, 1], drawn for each message. What is absent does not happen. */
export interface LinkQuality {
  /** One way, drawn evenly; messages keep their order all the same. */
  readonly latencyMs: { readonly least: number; readonly most: number };
  readonly loss?: number;
  /** Held back for up to so long; what was sent after it waits behind it. */
  readonly delay?: { readonly probability: number; readonly mostMs: number };
  /** Delivered a second time, up to so much later. */
  readonly repeat?: { readonly probability: number; readonly withinMs: number };
  /** Held back for up to so long, and overtaken by what was sent after it. */
  readonly reorder?: { readonly probability: number; readonly withinMs: number };
  /** Garbled by the function that the network was given. */
  readonly corruption?: number;
}

export const GOOD_LINK: LinkQuality = { latencyMs: { least: 5, most: 40 } };

export type Receive = (from: string, value: unknown) => void;
/** Garbles a value, or gives undefined for one that no longer arrives at all. */
export type Corrupt = (value: unknown, chance: ChanceStream) => unknown;

/** One node's way to the others. */
export interface NetworkPort {
  /** Hands over and forgets: there is no answer and no error, whatever becomes of it. */
  send(to: string, value: unknown): void;
  detach(): void;
}

export interface NetworkOptions {
  readonly timeline: Timeline;
  readonly chance: ChanceStream;
  readonly counts: Counts;
  readonly record: (name: string, text: string) => void;
  readonly corrupt?: Corrupt;
}

/** What is counted as a fault, each with `network.` before it. */
const NETWORK_FAULTS = [
  "lost",
  "delayed",
  "repeated",
  "reordered",
  "corrupted",
  "cut",
  "half-open",
  "into-dead-link",
  "into-dead-node",
] as const;
export const NETWORK_FAULT_NAMES: readonly string[] = NETWORK_FAULTS.map((name) => `network.${name}`);
type NetworkCount = (typeof NETWORK_FAULTS)[number] | "sent" | "delivered";

interface Direction {
  quality: LinkQuality;
  open: boolean;
  /** The latest arrival so far: what keeps its order comes no earlier. */
  latestUs: number;
}

const US_PER_MS = 1_000;

export class SimulatedNetwork {
  readonly #options: NetworkOptions;
  readonly #directions = new Map<string, Map<string, Direction>>();
  readonly #receivers = new Map<string, Receive>();
  readonly #listeners = new Set<(from: string, to: string, open: boolean) => void>();
  #quality: LinkQuality = GOOD_LINK;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** Values for `name` go to `receive` from now on. What is on its way when a node restarts reaches its next life. */
  attach(name: string, receive: Receive): NetworkPort {
    this.#receivers.set(name, receive);
    const isAttached = () => this.#receivers.get(name) === receive;
    return {
      send: (to, value) => {
        if (isAttached()) this.#send(name, to, value);
      },
      detach: () => {
        if (isAttached()) this.#receivers.delete(name);
      },
    };
  }

  /** What every link is like that was not given a quality of its own; sets those that exist, too. */
  setAll(quality: LinkQuality): void {
    this.#quality = quality;
    for (const row of this.#directions.values()) for (const direction of row.values()) direction.quality = quality;
  }

  /** Both directions alike. */
  setLink(a: string, b: string, quality: LinkQuality): void {
    this.setDirection(a, b, quality);
    this.setDirection(b, a, quality);
  }

  /** One direction: two calls make an asymmetric link. */
  setDirection(from: string, to: string, quality: LinkQuality): void {
    this.#direction(from, to).quality = quality;
  }

  /** Nothing passes, neither what is sent from now on nor what is on its way. */
  cut(a: string, b: string): void {
    this.#setOpen(a, b, { open: false, count: "cut" });
    this.#setOpen(b, a, { open: false, count: undefined });
  }

  /** The direction from `from` to `to` is dead, the other lives: neither side is told. */
  halfOpen(from: string, to: string): void {
    this.#setOpen(from, to, { open: false, count: "half-open" });
  }

  heal(a: string, b: string): void {
    this.#setOpen(a, b, { open: true, count: undefined });
    this.#setOpen(b, a, { open: true, count: undefined });
  }

  isOpen(from: string, to: string): boolean {
    return this.#direction(from, to).open;
  }

  /** Told of every direction that dies or heals, as an operating system tells of a pulled cable. */
  onChange(listener: (from: string, to: string, open: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #setOpen(from: string, to: string, change: { open: boolean; count: NetworkCount | undefined }): void {
    const direction = this.#direction(from, to);
    if (direction.open === change.open) return;
    direction.open = change.open;
    if (change.count) this.#count(change.count);
    this.#options.record("network", `${from}>${to} ${change.open ? "open" : "dead"}`);
    for (const listener of this.#listeners) listener(from, to, change.open);
  }

  #send(from: string, to: string, value: unknown): void {
    const { chance, timeline, corrupt } = this.#options;
    const direction = this.#direction(from, to);
    const { quality } = direction;
    this.#count("sent");
    const isLost = chance.happens(quality.loss ?? 0);
    if (isLost || !direction.open) {
      this.#count(isLost ? "lost" : "into-dead-link");
      return;
    }
    let carried = value;
    if (corrupt && chance.happens(quality.corruption ?? 0)) {
      this.#count("corrupted");
      carried = corrupt(value, chance);
      if (carried === undefined) return;
    }
    let arrivalUs = timeline.nowUs + this.#drawUs(quality.latencyMs.least, quality.latencyMs.most);
    if (chance.happens(quality.reorder?.probability ?? 0)) {
      this.#count("reordered");
      arrivalUs += this.#drawUs(0, quality.reorder?.withinMs ?? 0);
    } else {
      if (chance.happens(quality.delay?.probability ?? 0)) {
        this.#count("delayed");
        arrivalUs += this.#drawUs(0, quality.delay?.mostMs ?? 0);
      }
      arrivalUs = Math.max(arrivalUs, direction.latestUs);
      direction.latestUs = arrivalUs;
    }
    this.#deliverAt(arrivalUs, { from, to, value: carried });
    if (chance.happens(quality.repeat?.probability ?? 0)) {
      this.#count("repeated");
      this.#deliverAt(arrivalUs + this.#drawUs(0, quality.repeat?.withinMs ?? 0), { from, to, value: carried });
    }
  }

  #deliverAt(dueUs: number, message: { from: string; to: string; value: unknown }): void {
    const { from, to, value } = message;
    this.#options.timeline.at(dueUs, () => {
      const receive = this.#receivers.get(to);
      if (!receive || !this.#direction(from, to).open) {
        this.#count(receive ? "into-dead-link" : "into-dead-node");
        return;
      }
      this.#count("delivered");
      this.#options.record("network", `${from}>${to} delivered`);
      receive(from, value);
    });
  }

  #drawUs(leastMs: number, mostMs: number): number {
    return (leastMs + this.#options.chance.fraction() * Math.max(mostMs - leastMs, 0)) * US_PER_MS;
  }

  #direction(from: string, to: string): Direction {
    let row = this.#directions.get(from);
    if (!row) {
      row = new Map();
      this.#directions.set(from, row);
    }
    let direction = row.get(to);
    if (!direction) {
      direction = { quality: this.#quality, open: true, latestUs: 0 };
      row.set(to, direction);
    }
    return direction;
  }

  #count(name: NetworkCount): void {
    this.#options.counts.add(`network.${name}`);
  }
}
