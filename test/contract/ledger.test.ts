/** The ledger on both stores does what the model does. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { openSqlite } from "../../base/sqlite.ts";
import { createLedger, type Ledger } from "../../hub/core/ledger/ledger.ts";
import { ledgerMigrations } from "../../hub/core/ledger/migrations.ts";
import type { NewAccount, NewTransfer } from "../../hub/core/ledger/model.ts";
import { ACCOUNT_STATUSES, TRANSFER_STATUSES } from "../../hub/core/ledger/statuses.ts";
import { openPostgresStore } from "../../hub/store/postgres-store.ts";
import { sqliteStore } from "../../hub/store/sqlite-store.ts";
import type { HubStore, Within } from "../../hub/store/store.ts";
import { type PostgresServer, startPostgres } from "../../scripts/lib/postgres.ts";
import { type Dated, historyFrom, operationsIn, type Step } from "./ledger-histories.ts";
import { LedgerModel } from "./ledger-model.ts";

/** Here a sample; the whole by `TILLWAY_LEDGER_OPERATIONS=100000`. */
const OPERATIONS = Number(process.env["TILLWAY_LEDGER_OPERATIONS"] ?? 3_000);
/** From so many on every status was among the answers. */
const EVERY_STATUS = 20_000;
const WITHIN_MS = 60_000 + OPERATIONS * 5;

const QUERIED_EVERY = 5;

let server: PostgresServer;
beforeAll(async () => {
  // What is tested here is not whether the disk keeps it.
  server = await startPostgres({ fsync: "off" });
});
afterAll(() => server[Symbol.asyncDispose]());

const STORES: Readonly<Record<string, () => Promise<HubStore>>> = {
  sqlite: async () => sqliteStore(openSqlite(":memory:", { migrations: ledgerMigrations })),
  postgres: () => openPostgresStore({ urls: [server.newDatabase()], migrations: ledgerMigrations }),
};

/** A clock that can also go back. */
class Clock extends ManualClock {
  ms = Date.UTC(2026, 0, 5, 9);
  override now(): number {
    return this.ms;
  }
}

class World {
  readonly clock = new Clock();
  readonly store: HubStore;
  readonly ledger: Ledger;
  #histories = 0;
  readonly seen = new Set<string>();
  operations = 0;

  constructor(store: HubStore) {
    this.store = store;
    this.ledger = createLedger({ kind: store.kind, clock: this.clock });
  }

  /** Under ids of its own, and an hour after all that was before. */
  async play(steps: readonly Step[]): Promise<void> {
    this.#histories += 1;
    this.clock.ms += 3_600_000;
    await this.store.transaction((within) => this.ledger.expireDue(within, 10_000));
    this.clock.ms += 1_000;
    const prefix = `h${this.#histories}/`;
    const model = new LedgerModel();
    for (const step of steps) {
      this.operations += operationsIn(step);
      await this.#step(model, step, prefix);
    }
    await this.#compare(model, prefix);
  }

  async #step(model: LedgerModel, step: Step, prefix: string): Promise<void> {
    const now = this.clock.now();
    if (step.step === "wait") this.clock.ms += step.ms;
    if (step.step === "expire") {
      const expired = await this.store.transaction((within) => this.ledger.expireDue(within, step.limit));
      expect(expired).toEqual(model.expire(now, step.limit));
    }
    if (step.step === "accounts") {
      const batch = this.#dated<NewAccount>(step.batch, prefix);
      const statuses = await this.store.transaction((within) => this.ledger.createAccounts(within, batch));
      expect(statuses).toEqual(this.#saw("account", model.createAccounts(batch, now)));
    }
    if (step.step === "transfers") {
      const batches = step.batches.map((batch) => this.#dated<NewTransfer>(batch, prefix));
      const statuses = await this.store.transaction((within) => this.#create(within, batches, step.kept));
      expect(statuses).toEqual(batches.map((batch) => this.#saw("transfer", model.createTransfers(batch, now))));
    }
  }

  async #create(within: Within, batches: readonly (readonly NewTransfer[])[], kept: boolean) {
    const all = async () => {
      const statuses = [];
      for (const batch of batches) statuses.push(await this.ledger.createTransfers(within, batch));
      return statuses;
    };
    return kept ? await this.ledger.batched(within, all) : await all();
  }

  #dated<Event extends NewAccount | NewTransfer>(batch: readonly Dated<Event>[], prefix: string): Event[] {
    const own = (id: string | undefined) => (id === undefined || id === "" ? id : prefix + id);
    return batch.map(({ agoUs, ...event }) => {
      const named = { ...event } as Record<string, unknown>;
      for (const field of ["id", "debitAccount", "creditAccount", "pendingId"])
        if (field in named) named[field] = own(named[field] as string);
      if (agoUs !== undefined) named["timestampUs"] = this.clock.now() * 1_000 - agoUs;
      return named as unknown as Event;
    });
  }

  #saw<Status>(kind: string, statuses: Status[]): Status[] {
    for (const status of statuses) this.seen.add(`${kind} ${status}`);
    return statuses;
  }

  async #compare(model: LedgerModel, prefix: string): Promise<void> {
    const { accounts, transfers, held, balances } = model.state;
    await this.store.read(async (reading) => {
      const found = await this.ledger.lookupAccounts(reading, [...accounts.keys()]);
      expect(found.map(plain)).toEqual([...accounts.values()].map(plain));
      const made = await this.ledger.transfersUnder(reading, prefix, 10_000);
      expect(made.map(plain)).toEqual([...transfers.values()].map(plain));
      for (const [id, { state, expiresAtMs }] of held)
        expect(await this.ledger.pending(reading, id)).toMatchObject({
          transferId: id,
          state,
          ...tidied({ expiresAtMs }),
        });
      // These ask account by account, and the totals ask all accounts there are.
      if (this.#histories % QUERIED_EVERY !== 0) return;
      for (const account of accounts.keys()) {
        const history = await this.ledger.accountBalances(reading, { account, limit: 10_000 });
        expect(history).toEqual(balances.filter((balance) => balance.account === account).sort(byTime));
        const own = [...transfers.values()].filter((t) => [t.debitAccount, t.creditAccount].includes(account));
        const walked = await this.ledger.accountTransfers(reading, { account, limit: 10_000 });
        expect(walked.map(({ id }) => id)).toEqual(own.map(({ id }) => id));
      }
      for (const totals of await this.ledger.totals(reading))
        expect([totals.debitsPending, totals.debitsPosted]).toEqual([totals.creditsPending, totals.creditsPosted]);
    });
  }
}

const byTime = (a: { timestampUs: number }, b: { timestampUs: number }) => a.timestampUs - b.timestampUs;
const tidied = (fields: object) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
/** What does not say anything, and what only the ledger's own order knows. */
function plain(thing: object): object {
  const silent = new Set<unknown>([undefined, false, "", "requested"]);
  return Object.fromEntries(
    Object.entries(thing).filter(
      ([name, value]) =>
        !silent.has(value) &&
        !["requested", "lastTransferUs", "debitPreviousUs", "creditPreviousUs"].includes(name) &&
        !(name === "timeoutMs" && value === 0),
    ),
  );
}

describe.each(Object.entries(STORES))("the ledger in %s", (_, open) => {
  test("random histories end as in the model, status by status and balance by balance", {
    timeout: WITHIN_MS,
  }, async () => {
    await using store = await open();
    const world = new World(store);
    for (let seed = 1; world.operations < OPERATIONS; seed += 1) {
      // The seed is what shows it again.
      await world.play(historyFrom(seed)).catch((error: unknown) => {
        throw new Error(`history ${seed}`, { cause: error });
      });
    }
    process.stderr.write(`${store.kind}: ${world.operations} operations\n`);
    const all = [...ACCOUNT_STATUSES.map((s) => `account ${s}`), ...TRANSFER_STATUSES.map((s) => `transfer ${s}`)];
    const unseen = all.filter((status) => !world.seen.has(status));
    if (OPERATIONS >= EVERY_STATUS) expect(unseen).toEqual([]);
    else expect(unseen.length).toBeLessThan(all.length / 4);
  });
});
