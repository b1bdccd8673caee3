/** All SQL of ingest, with statements prepared once: this is the other hot path. */
import type { Epoch, TerminalId } from "../../../base/ids.ts";
import type { Sqlite } from "../../../base/sqlite.ts";
import type { EntryReceipt } from "../../../wire/advice.ts";
import type { StoredEntry } from "../../../wire/journal-entry.ts";

export interface Source {
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
}

export interface KnownEntry {
  readonly hash: string;
  readonly status: EntryReceipt["status"];
  readonly reason: EntryReceipt["reason"] | null;
  readonly detail: string | null;
  readonly paymentId: EntryReceipt["paymentId"] | null;
}

export interface EpochView {
  readonly terminalId: string;
  readonly epoch: string;
  readonly watermark: number;
  readonly firstSeenAt: number;
  /** Numbers held above the watermark; those between are missing. */
  readonly ahead: readonly number[];
}

export type IngestStore = ReturnType<typeof createIngestStore>;

/** How many numbers above a gap are shown. */
const AHEAD_SHOWN_MAX = 100;

export function createIngestStore(database: Sqlite) {
  const known = database.prepare<[string, string, number], KnownEntry>(
    `SELECT hash, status, reason, detail, payment_id AS paymentId FROM ingest__entry
     WHERE terminal_id = ? AND epoch = ? AND sequence = ?`,
  );
  const insert = database.prepare(
    `INSERT INTO ingest__entry (terminal_id, epoch, sequence, forward, previous_hash, hash, sealed_digest, text,
       payment_id, status, reason, detail, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const quarantine = database.prepare(
    `INSERT OR IGNORE INTO ingest__quarantine (terminal_id, epoch, sequence, hash, text, reason, detail, received_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const hubEpoch = database.prepare<[], string>("SELECT epoch FROM ingest__hub").pluck();
  const setHubEpoch = database.prepare("INSERT INTO ingest__hub (one, epoch) VALUES (1, ?)");

  return {
    ...forwardSql(database),
    known: (source: Source, sequence: number) => known.get(source.terminalId, source.epoch, sequence),
    insert: (source: Source, entry: StoredEntry, receipt: EntryReceipt, at: number) =>
      void insert.run(
        source.terminalId,
        source.epoch,
        entry.sequence,
        entry.forward ?? null,
        entry.previousHash,
        entry.hash,
        entry.sealedDigest ?? null,
        entry.text,
        receipt.paymentId ?? null,
        receipt.status,
        receipt.reason ?? null,
        receipt.detail ?? null,
        at,
      ),
    /** True when it was not there yet. */
    quarantine: (source: Source, entry: StoredEntry, receipt: EntryReceipt, at: number): boolean =>
      quarantine.run(
        source.terminalId,
        source.epoch,
        entry.sequence,
        entry.hash,
        entry.text,
        receipt.reason ?? "",
        receipt.detail ?? "",
        at,
      ).changes === 1,
    hubEpoch: () => hubEpoch.get(),
    setHubEpoch: (epoch: string) => void setHubEpoch.run(epoch),
  };
}

/** Which `forward` numbers are held: a watermark, and those above it. */
function forwardSql(database: Sqlite) {
  const begin = database.prepare(
    "INSERT OR IGNORE INTO ingest__epoch (terminal_id, epoch, first_seen_at) VALUES (?, ?, ?)",
  );
  const watermark = database
    .prepare<[string, string], number>("SELECT watermark FROM ingest__epoch WHERE terminal_id = ? AND epoch = ?")
    .pluck();
  const raise = database.prepare("UPDATE ingest__epoch SET watermark = ? WHERE terminal_id = ? AND epoch = ?");
  const putAhead = database.prepare(
    "INSERT OR IGNORE INTO ingest__ahead (terminal_id, epoch, forward) VALUES (?, ?, ?)",
  );
  const takeAhead = database.prepare("DELETE FROM ingest__ahead WHERE terminal_id = ? AND epoch = ? AND forward = ?");
  const ahead = database
    .prepare<[string, string, number], number>(
      "SELECT forward FROM ingest__ahead WHERE terminal_id = ? AND epoch = ? ORDER BY forward LIMIT ?",
    )
    .pluck();
  const epochs = database.prepare<[string], Omit<EpochView, "ahead">>(
    `SELECT terminal_id AS terminalId, epoch, watermark, first_seen_at AS firstSeenAt FROM ingest__epoch
     WHERE terminal_id = ? ORDER BY first_seen_at`,
  );
  return {
    beginEpoch: ({ terminalId, epoch }: Source, at: number) => void begin.run(terminalId, epoch, at),
    watermark: ({ terminalId, epoch }: Source) => watermark.get(terminalId, epoch) ?? 0,
    raise: ({ terminalId, epoch }: Source, to: number) => void raise.run(to, terminalId, epoch),
    putAhead: ({ terminalId, epoch }: Source, forward: number) => void putAhead.run(terminalId, epoch, forward),
    /** True when it was held. */
    takeAhead: ({ terminalId, epoch }: Source, forward: number) =>
      takeAhead.run(terminalId, epoch, forward).changes === 1,
    epochs: (terminalId: string): readonly EpochView[] =>
      epochs.all(terminalId).map((row) => ({ ...row, ahead: ahead.all(terminalId, row.epoch, AHEAD_SHOWN_MAX) })),
  };
}
