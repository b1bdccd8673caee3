/**
 * Opens the seals of a drain on other threads: a key agreement costs more than all the rest of an entry, and waits for
 * nothing. Without these threads, or when one fails, each seal is opened where it is needed, with the same result.
 */
import type { KeyObject } from "node:crypto";
import { Worker } from "node:worker_threads";
import type { Clock } from "../base/clock.ts";
import { reasonOf } from "../base/fault.ts";
import type { Log } from "../base/log.ts";
import type { SealedCardData } from "../wire/card-data.ts";
import { OPENING_BYTES } from "../wire/hpke.ts";
import type { FromWorker, ToWorker } from "./openings-worker.ts";

export interface SealOpenings {
  /** Resolves when what can be done ahead is done; never rejects. */
  prepare(seals: readonly SealedCardData[]): Promise<void>;
  /** What was prepared for these very data. */
  of(sealed: SealedCardData): Uint8Array | undefined;
}

export interface OpeningsOptions {
  /** 0 or more; they begin when first needed. */
  readonly threads: number;
  readonly keys: { find(keyId: string): { readonly privateKey: KeyObject } | undefined };
  readonly clock: Clock;
  readonly log: Log;
}

/** A batch takes some 5 ms; one that takes so long has a thread that is stuck. */
const ANSWER_WITHIN_MS = 5_000;
/** Batches with one thread at a time; more are opened where they are needed. */
const ASKED_MAX = 64;

export function createOpenings(options: OpeningsOptions): SealOpenings & AsyncDisposable {
  const prepared = new WeakMap<SealedCardData, Uint8Array>();
  const threads = Array.from({ length: options.threads }, () => new OpeningThread(options));
  return {
    of: (sealed) => prepared.get(sealed),
    async prepare(seals) {
      const [thread] = [...threads].sort((a, b) => a.asked - b.asked);
      if (!thread || seals.length === 0) return;
      const openings = await thread.ask(seals);
      for (const [index, sealed] of seals.entries()) {
        const opening = openings?.subarray(index * OPENING_BYTES, (index + 1) * OPENING_BYTES);
        if (opening?.some((byte) => byte !== 0)) prepared.set(sealed, opening);
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(threads.map((thread) => thread.end()));
    },
  };
}

/** Beside this chunk in the bundle, a source file in a checkout. */
const entry = (): URL =>
  import.meta.url.endsWith(".ts")
    ? new URL("./openings-worker.ts", import.meta.url)
    : new URL("./hub-openings.js", import.meta.url);

interface Question {
  answer(openings: Uint8Array | undefined): void;
}

class OpeningThread {
  readonly #options: OpeningsOptions;
  readonly #questions = new Map<number, Question>();
  readonly #given = new Set<string>();
  #worker: Worker | undefined;
  #last = 0;

  constructor(options: OpeningsOptions) {
    this.#options = options;
  }

  get asked(): number {
    return this.#questions.size;
  }

  /** Undefined when the thread cannot say. */
  ask(seals: readonly SealedCardData[]): Promise<Uint8Array | undefined> {
    if (this.asked >= ASKED_MAX) return Promise.resolve(undefined);
    const worker = this.#running();
    for (const { keyId } of seals) this.#give(worker, keyId);
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(ANSWER_WITHIN_MS, () => this.#fail(worker, "it does not answer"));
      this.#questions.set(id, {
        answer: (openings) => {
          cancel();
          resolve(openings);
        },
      });
      this.#say(worker, { id, seals: seals.map(({ keyId, enc }) => ({ keyId, enc })) });
    });
  }

  async end(): Promise<void> {
    const worker = this.#forget();
    await worker?.terminate();
  }

  #running(): Worker {
    if (this.#worker) return this.#worker;
    const worker = new Worker(entry());
    // It serves only those who wait: alone it keeps no process alive.
    worker.unref();
    worker.on("message", ({ id, openings }: FromWorker) => this.#answer(id, openings));
    worker.on("error", (error) => this.#fail(worker, reasonOf(error)));
    worker.on("exit", () => this.#fail(worker, "it has ended"));
    this.#worker = worker;
    return worker;
  }

  #give(worker: Worker, keyId: string): void {
    if (this.#given.has(keyId)) return;
    const key = this.#options.keys.find(keyId);
    if (!key) return;
    this.#given.add(keyId);
    this.#say(worker, { keyId, privateKey: key.privateKey });
  }

  #say(worker: Worker, message: ToWorker): void {
    worker.postMessage(message);
  }

  #answer(id: number, openings: Uint8Array | undefined): void {
    this.#questions.get(id)?.answer(openings);
    this.#questions.delete(id);
  }

  /** What was asked of it is opened where it is needed; the next question begins a new thread. */
  #fail(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return;
    this.#forget();
    this.#options.log.warn("a thread that opens seals failed", { reason });
    void worker.terminate();
  }

  #forget(): Worker | undefined {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#given.clear();
    for (const id of [...this.#questions.keys()]) this.#answer(id, undefined);
    return worker;
  }
}
