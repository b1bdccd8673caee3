/**
 * How many durable entries a second the agent's journal takes, beside a bare SQLite loop: one row of the same size per
 * commit, WAL and `synchronous=FULL` as well, with no chain, no queue and no promise. Entries are sealed beforehand;
 * sealing is a figure of its own.
 */
import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Journal, NewEntry } from "../../agent/journal/journal.ts";
import { openJournal } from "../../agent/journal/sqlite-journal.ts";
import { systemClock } from "../../base/clock.ts";
import { type PaymentId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { currencyOf } from "../../base/money.ts";
import { openSqlite } from "../../base/sqlite.ts";
import { type SealedCardData, sealCardData } from "../../wire/card-data.ts";
import { compared, type Figure, measured, type Pair, rate } from "./figures.ts";

const RUNS = 5;
/** Runs that are not counted: they warm code, caches and the files' space on both sides, as in a daemon that has sold for an hour. */
const WARM_UP_RUNS = 3;
const RUN_MS = 1_000;
/**
 * Both sides take turns in slices this long: a disk grows slower under load and recovers in a pause, so that of two long
 * runs the one after the pause would look the faster.
 */
const SLICE_MS = 50;
const CONCURRENT_SALES = 16;
const TERMINAL = "bench-1" as TerminalId;
/** Sales of the probe that tells the size of a row. */
const PROBE_SALES = 50;
/** Sealed data are taken in turn from this many. */
const SEALED_POOL = 64;

export async function benchJournal(options: { readonly onProgress: (text: string) => void }): Promise<Figure[]> {
  // On many machines /tmp is memory, where an fsync costs nothing and says nothing.
  const folder = mkdtempSync(join(existsSync("/var/tmp") ? "/var/tmp" : tmpdir(), "tillway-bench-"));
  try {
    const sealing = sealer();
    const sale = saleMaker(Array.from({ length: SEALED_POOL }, sealing));
    const rowBytes = await sizeOfRow(join(folder, "probe.db"), sale);
    using bare = openBare(join(folder, "bare.db"), rowBytes);
    await using alone = openBench(join(folder, "single.db"));
    await using shared = openBench(join(folder, "concurrent.db"));
    const seals: number[] = [];
    const single: Pair[] = [];
    const concurrent: Pair[] = [];
    for (let run = -WARM_UP_RUNS; run < RUNS; run += 1) {
      options.onProgress(run < 0 ? "warming up" : `run ${run + 1} of ${RUNS}`);
      const sealed = await rate(RUN_MS / 2, sealing);
      const insert = () => rate(SLICE_MS, bare.insert);
      const one = await inTurns(() => journalRate(alone, sale, 1), insert);
      const many = await inTurns(() => journalRate(shared, sale, CONCURRENT_SALES), insert);
      if (run < 0) continue;
      seals.push(sealed);
      single.push(one);
      concurrent.push(many);
    }
    const against = { unit: "entries/s", reference: "bare-sqlite-full" };
    return [
      measured({ figure: "journal.seal", unit: "seals/s" }, seals),
      compared({ figure: "journal.single", ...against }, single),
      compared({ figure: "journal.concurrent16", ...against }, concurrent),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The mean rates of two sides that take turns for `RUN_MS` each. */
async function inTurns(ours: () => Promise<number>, reference: () => Promise<number>): Promise<Pair> {
  const turns = RUN_MS / SLICE_MS;
  const sums = { ours: 0, reference: 0 };
  for (let turn = 0; turn < turns; turn += 1) {
    sums.ours += await ours();
    sums.reference += await reference();
  }
  return { ours: sums.ours / turns, reference: sums.reference / turns };
}

type Sale = { readonly intent: NewEntry; readonly decision: NewEntry };

function sealer(): () => SealedCardData {
  const { publicKey } = generateKeyPairSync("x25519");
  return () =>
    sealCardData({
      data: { pan: "5413330000000014", expiry: "2912", sequenceNumber: "0" },
      terminalId: TERMINAL,
      paymentId: "bench-payment",
      key: { keyId: "hub-1", publicKey },
      random: systemRandom,
    });
}

/** An offline sale as the agent journals it: an intent, then an approval that enters the queue with its sealed card. */
function saleMaker(sealed: readonly SealedCardData[]): () => Sale {
  let count = 0;
  return () => {
    count += 1;
    const paymentId = `0198c0de-7000-7000-8000-${String(count).padStart(12, "0")}` as PaymentId;
    const head = { paymentId, at: "2026-01-05T09:00:00.000Z", operation: "purchase" } as const;
    const amount = { minor: String(100 + (count % 9_000)), currency: currencyOf("EUR") };
    const seal = sealed[count % sealed.length];
    return {
      intent: { body: { ...head, kind: "intent", amount } },
      decision: {
        forward: true,
        ...(seal === undefined ? {} : { sealed: seal }),
        body: {
          ...head,
          kind: "decision",
          outcome: "approved",
          mode: "offline",
          amount,
          responseCode: "Y1",
          attempts: [],
          leaseId: "lease-000001",
          card: {
            entryMode: "chip",
            maskedPan: "541333******0014",
            cardToken: "5a".repeat(32),
            aid: "a0000000041010",
            label: "MASTERCARD",
            cryptogramType: "TC",
            iccData: "9f2608".padEnd(220, "0"),
          },
          businessDate: "2026-01-05",
        },
      },
    };
  };
}

const openBench = (path: string): Journal =>
  openJournal({ path, terminalId: TERMINAL, clock: systemClock, random: systemRandom, log: silentLog });

async function runSale(journal: Journal, { intent, decision }: Sale): Promise<void> {
  await journal.append([intent]);
  await journal.append([decision]);
}

/** Entries a second, with so many sales under way at one time, each awaiting both of its commits. */
async function journalRate(journal: Journal, sale: () => Sale, sales: number): Promise<number> {
  const [first, start] = [journal.head.sequence, performance.now()];
  await Promise.all(Array.from({ length: sales }, () => rate(SLICE_MS, () => runSale(journal, sale()))));
  return ((journal.head.sequence - first) / (performance.now() - start)) * 1_000;
}

/** The mean number of bytes that the journal's tables hold for an entry: its row with 16 bytes for its numbers. */
async function sizeOfRow(path: string, sale: () => Sale): Promise<number> {
  {
    await using journal = openBench(path);
    for (let count = 0; count < PROBE_SALES; count += 1) await runSale(journal, sale());
  }
  const database = openSqlite(path, { migrations: [], readonly: true });
  const bytes = database
    .prepare<[], number>(
      `SELECT sum(length(text) + length(payment_id) + length(kind) + length(hash) + length(previous_hash)
                  + coalesce(length(sealed_digest), 0) + coalesce(length(sealed), 0) + 16) / count(*) FROM journal__entry`,
    )
    .pluck()
    .get();
  database.close();
  return Math.round(bytes ?? 0);
}

/** Inserts one row of `rowBytes` in a commit of its own, and does nothing else. */
function openBare(path: string, rowBytes: number): { readonly insert: () => void } & Disposable {
  const sql = "CREATE TABLE bench__row (sequence INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT";
  const database = openSqlite(path, { migrations: [{ id: "bench-1", sql }] });
  const insert = database.prepare("INSERT INTO bench__row (text) VALUES (?)");
  const text = "x".repeat(rowBytes);
  return { insert: () => void insert.run(text), [Symbol.dispose]: () => void database.close() };
}
