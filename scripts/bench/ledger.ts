/**
 * Transfers a second through `createTransfers`, beside a bare loop on the same database: one row and two balances for each
 * transfer, so many to a commit. Both are durable, both move between the same accounts, and they take turns.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert } from "../../base/assert.ts";
import { systemClock } from "../../base/clock.ts";
import { currencyOf } from "../../base/money.ts";
import { openSqlite } from "../../base/sqlite.ts";
import { createLedger, type Ledger } from "../../hub/core/ledger/ledger.ts";
import { ledgerMigrations } from "../../hub/core/ledger/migrations.ts";
import { openPostgresStore } from "../../hub/store/postgres-store.ts";
import { sqliteStore } from "../../hub/store/sqlite-store.ts";
import { type HubStore, type StoreKind, sql } from "../../hub/store/store.ts";
import { startPostgres } from "../lib/postgres.ts";
import { compared, type Figure, type Pair } from "./figures.ts";

const BATCHES = [1, 50, 500] as const;
const RUN_MS = 1_000;
/** Both sides take turns in slices this long, or as long as one batch takes. */
const SLICE_MS = 50;
const ACCOUNTS = 1_000;
const EUR = currencyOf("EUR");

const BARE = {
  id: "bench-1",
  sql: `CREATE TABLE bench__transfer (id TEXT PRIMARY KEY, debit TEXT NOT NULL, credit TEXT NOT NULL, amount INTEGER NOT NULL) STRICT;
    CREATE TABLE bench__account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT;`,
};
const NEW_ACCOUNT = sql<[string]>("INSERT INTO bench__account (id, balance) VALUES (?, 0)");
const NEW_ROW = sql<[string, string, string, number]>(
  "INSERT INTO bench__transfer (id, debit, credit, amount) VALUES (?, ?, ?, ?)",
);
const BALANCE = sql<[number, string]>("UPDATE bench__account SET balance = balance + ? WHERE id = ?");

interface BenchOptions {
  readonly store: StoreKind;
  readonly runs: number;
  readonly onProgress: (text: string) => void;
}

export async function benchLedger({ store: kind, runs, onProgress }: BenchOptions): Promise<Figure[]> {
  // On many machines /tmp is memory, where an fsync costs nothing and says nothing.
  const folder = mkdtempSync(join(existsSync("/var/tmp") ? "/var/tmp" : tmpdir(), "tillway-bench-"));
  try {
    await using database = await openDatabase(kind, folder);
    const { store } = database;
    const ledger = createLedger({ kind, clock: systemClock });
    await fill(store, ledger);
    const pairs = new Map<number, Pair[]>(BATCHES.map((size) => [size, []]));
    // The first run is not counted: it warms code and caches on both sides.
    for (let run = 0; run <= runs; run += 1) {
      onProgress(run === 0 ? "warming up" : `run ${run} of ${runs}`);
      for (const size of BATCHES) {
        const pair = await inTurns(
          size,
          () => ours(store, ledger, size),
          () => bare(store, size),
        );
        if (run > 0) pairs.get(size)?.push(pair);
      }
    }
    return BATCHES.map((size) =>
      compared(
        { figure: `ledger.batch${size}`, unit: "transfers/s", reference: `bare-${kind}` },
        pairs.get(size) ?? [],
      ),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function openDatabase(kind: StoreKind, folder: string): Promise<{ readonly store: HubStore } & AsyncDisposable> {
  const migrations = [...ledgerMigrations, BARE];
  if (kind === "sqlite") {
    const store = sqliteStore(openSqlite(join(folder, "hub.db"), { migrations }));
    return { store, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
  }
  const server = await startPostgres();
  const store = await openPostgresStore({ urls: [server.newDatabase()], migrations });
  return {
    store,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

const accountIds = Array.from({ length: ACCOUNTS }, (_, index) => `account:bench:${index}`);

async function fill(store: HubStore, ledger: Ledger): Promise<void> {
  await store.transaction(async (within) => {
    const accounts = accountIds.map((id) => ({ id, currency: EUR, code: 1, limit: "none" as const }));
    const statuses = await ledger.createAccounts(within, accounts);
    assert(
      statuses.every((status) => status === "created"),
      "the accounts of a bench are new",
    );
    for (const id of accountIds) await within.run(NEW_ACCOUNT, [id]);
  });
}

let made = 0;
/** Pairs of accounts from all over the table; ids that rise, as those of payments do. */
function nextTransfer() {
  made += 1;
  const debit = (made * 7_919) % ACCOUNTS;
  const credit = (debit + 1 + ((made * 104_729) % (ACCOUNTS - 1))) % ACCOUNTS;
  return {
    id: `bench-1/0198c0de-7000-7000-8000-${String(made).padStart(12, "0")}/post/0`,
    kind: "single" as const,
    debitAccount: accountIds[debit] ?? "",
    creditAccount: accountIds[credit] ?? "",
    amount: 100n,
    code: 1,
  };
}
const nextBatch = (size: number) => Array.from({ length: size }, nextTransfer);

async function ours(store: HubStore, ledger: Ledger, size: number): Promise<void> {
  const batch = nextBatch(size);
  const statuses = await store.transaction((within) => ledger.createTransfers(within, batch));
  assert(
    statuses.every((status) => status === "created"),
    "every transfer of a bench is created",
  );
}

async function bare(store: HubStore, size: number): Promise<void> {
  const batch = nextBatch(size);
  await store.transaction(async (within) => {
    for (const { id, debitAccount, creditAccount } of batch) {
      await within.run(NEW_ROW, [id, debitAccount, creditAccount, 100]);
      await within.run(BALANCE, [-100, debitAccount]);
      await within.run(BALANCE, [100, creditAccount]);
    }
  });
}

interface Side {
  readonly commit: () => Promise<void>;
  commits: number;
  elapsedMs: number;
}

/** Transfers a second of two sides, each for about `RUN_MS` altogether. */
async function inTurns(
  size: number,
  ...commits: readonly [ours: () => Promise<void>, reference: () => Promise<void>]
): Promise<Pair> {
  const [mine, reference]: [Side, Side] = [side(commits[0]), side(commits[1])];
  while (mine.elapsedMs + reference.elapsedMs < 2 * RUN_MS) for (const each of [mine, reference]) await slice(each);
  return { ours: rateOf(mine, size), reference: rateOf(reference, size) };
}

const side = (commit: () => Promise<void>): Side => ({ commit, commits: 0, elapsedMs: 0 });
const rateOf = ({ commits, elapsedMs }: Side, size: number): number => (commits * size * 1_000) / elapsedMs;

async function slice(of: Side): Promise<void> {
  const start = performance.now();
  const before = of.elapsedMs;
  while (of.elapsedMs - before < SLICE_MS) {
    await of.commit();
    of.commits += 1;
    of.elapsedMs = before + performance.now() - start;
  }
}
