/** How long an agent needs from opening a long journal to the first sale in it, and the rest of its chain afterwards. */
import { generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import type { Journal, NewEntry } from "../../../agent/journal/journal.ts";
import { openJournal } from "../../../agent/journal/sqlite-journal.ts";
import { systemClock } from "../../../base/clock.ts";
import { type PaymentId, systemRandom, type TerminalId } from "../../../base/ids.ts";
import { silentLog } from "../../../base/log.ts";
import { currencyOf } from "../../../base/money.ts";

export interface ReopenOptions {
  readonly folder: string;
  readonly entries: number;
  readonly onProgress: (text: string) => void;
}

const ENTRIES_PER_COMMIT = 2_000;
/** The newest of them wait for the hub, as after a long outage. */
const UNSENT_MAX = 50_000;

export interface Reopened {
  /** From opening the journal to the first entry stored in it. */
  readonly firstSaleMs: number;
  /** From opening it to its last entry verified in the background. */
  readonly verifiedMs: number;
}

export async function reopen({ folder, entries, onProgress }: ReopenOptions): Promise<Reopened> {
  const options = {
    path: join(folder, "long.db"),
    terminalId: "bench-1" as TerminalId,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    signingKey: generateKeyPairSync("ed25519").privateKey,
  };
  {
    await using journal = openJournal(options);
    await fill(journal, entries, onProgress);
  }
  onProgress("opening it");
  const verified = Promise.withResolvers<undefined>();
  const began = performance.now();
  const onChecked = () => verified.resolve(undefined);
  await using journal = openJournal({ ...options, onChecked, onCorrupt: verified.reject });
  await journal.append([saleEntry(entries)]);
  const firstSaleMs = performance.now() - began;
  onProgress("verifying the rest in the background, a minute at most");
  await verified.promise;
  return { firstSaleMs, verifiedMs: performance.now() - began };
}

async function fill(journal: Journal, entries: number, onProgress: (text: string) => void): Promise<void> {
  const unsent = Math.min(UNSENT_MAX, Math.floor(entries / 2));
  for (let at = 0; at < entries; at += ENTRIES_PER_COMMIT) {
    const batch = Array.from({ length: Math.min(ENTRIES_PER_COMMIT, entries - at) }, (_, index) => {
      const entry = saleEntry(at + index);
      return at + index >= entries - unsent ? { ...entry, forward: true as const } : entry;
    });
    await journal.append(batch);
    if (at % 100_000 === 0) onProgress(`writing entry ${at} of ${entries}`);
  }
}

const saleEntry = (number: number): NewEntry => ({
  body: {
    kind: "decision",
    paymentId: `0198c0de-7000-7000-8000-${String(number).padStart(12, "0")}` as PaymentId,
    at: "2026-01-05T09:00:00.000Z",
    outcome: "approved",
    mode: "offline",
    operation: "purchase",
    amount: { minor: "100", currency: currencyOf("EUR") },
    responseCode: "Y1",
    attempts: [],
    leaseId: "lease-000001",
    businessDate: "2026-01-05",
  },
});
