/**
 * Group commit: all writes asked for in one turn of the event loop share one transaction and its fsync. A commit that
 * failed with an I/O error may or may not be in the file after reopening, so nothing more is taken until that is done.
 */
import { Fault, reasonOf } from "../../base/fault.ts";
import { type Sqlite, sqliteFault } from "../../base/sqlite.ts";

/** Entries and marks that wait for one commit; more mean that the disk cannot follow. */
export const PENDING_WRITES_MAX = 2_000;

interface Job {
  readonly weight: number;
  /** Runs inside the transaction. */
  readonly run: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (fault: Fault) => void;
}

export interface GroupCommitOptions {
  readonly database: Sqlite;
  readonly path: string;
  /** Before the first job of a transaction. */
  readonly begun: () => void;
  /** What the jobs did is on disk; runs before their promises resolve. */
  readonly committed: () => void;
  /** A commit failed and nothing more is taken; runs once, before anyone is told. */
  readonly failed?: (fault: Fault) => void;
}

export class GroupCommit {
  readonly #options: GroupCommitOptions;
  readonly #transaction: (jobs: readonly Job[]) => unknown[];
  #jobs: Job[] = [];
  #weight = 0;
  #scheduled = false;
  #ended: Fault | undefined;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
    this.#transaction = options.database.transaction((jobs: readonly Job[]) => {
      options.begun();
      return jobs.map((job) => job.run());
    }).immediate;
  }

  /** Resolves to what `run` returned once that is on disk. `weight` counts rows against the bound. */
  submit<T>(weight: number, run: () => T): Promise<T> {
    if (this.#ended) return Promise.reject(this.#ended);
    if (this.#weight + weight > PENDING_WRITES_MAX) {
      const why = `${this.#weight} writes already wait for the disk, the limit is ${PENDING_WRITES_MAX}`;
      return Promise.reject(new Fault("queue.full", `${this.#options.path}: ${why}`));
    }
    this.#weight += weight;
    return new Promise<T>((resolve, reject) => {
      // The value that `run` returns is the one that `resolve` gets: the list between them cannot say so.
      this.#jobs.push({ weight, run, resolve: resolve as (value: unknown) => void, reject });
      if (this.#scheduled) return;
      this.#scheduled = true;
      setImmediate(() => this.flush());
    });
  }

  /** Commits what waits, now. */
  flush(): void {
    this.#scheduled = false;
    const jobs = this.#jobs;
    if (jobs.length === 0) return;
    this.#jobs = [];
    this.#weight = 0;
    const values = this.#commit(jobs);
    if (values instanceof Fault) {
      for (const job of jobs) job.reject(values);
      return;
    }
    this.#options.committed();
    for (let at = 0; at < jobs.length; at += 1) jobs[at]?.resolve(values[at]);
  }

  /** Takes no more; what waits is committed first. */
  end(why: Fault): void {
    this.flush();
    this.#ended ??= why;
  }

  /** Takes no more because the disk cannot be relied on; told once to whoever opens the journal again. */
  fail(what: string, cause: unknown): Fault {
    if (this.#ended) return this.#ended;
    const why = `${this.#options.path}: ${what}, open the journal again`;
    this.#ended = new Fault("journal.failed", why, { cause });
    this.#options.failed?.(this.#ended);
    return this.#ended;
  }

  #commit(jobs: readonly Job[]): unknown[] | Fault {
    if (this.#ended) return this.#ended;
    try {
      return this.#transaction(jobs);
    } catch (error) {
      const fault = sqliteFault(error, this.#options.path);
      // A full or busy disk is known to have taken nothing: the next write may go better.
      if (fault.code === "journal.full" || fault.code === "journal.busy") return fault;
      return this.fail(`a commit failed (${reasonOf(error)}); what it held is unknown`, error);
    }
  }
}
