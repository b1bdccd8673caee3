/** SQL of entries and of which numbers are held, with statements prepared once: this is the other hot path. */
import type { Epoch, TerminalId } from "../../../base/ids.ts";
import type { Sqlite } from "../../../base/sqlite.ts";
import type { EntryReceipt } from "../../../wire/advice.ts";
import type { StoredEntry } from "../../../wire/journal-entry.ts";

export interface Source {
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
}

export interface KnownEntry {
  readonly sequence: number;
  readonly hash: string;
  readonly status: EntryReceipt["status"];
  readonly reason: EntryReceipt["reason"] | null;
  readonly detail: string | null;
  readonly paymentId: EntryReceipt["paymentId"] | null;
  readonly receivedAt: number;
}

export interface EpochView {
  readonly terminalId: string;
  readonly epoch: string;
  readonly watermark: number;
  readonly firstSeenAt: number;
  /** Numbers held above the watermark; those between are missing. */
  readonly ahead: readonly number[];
}

/** What is held of a journal's epoch beside its entries. */
export interface EpochRecord {
  readonly watermark: number;
  /** The highest that was seen; 0 when none was. */
  readonly fence: number;
  /** Counts the epochs of a terminal in the order in which each was first shown as the present one. */
  readonly opened: number | null;
  readonly headSequence: number | null;
  readonly headHash: string | null;
}

export interface Head {
  readonly sequence: number;
  readonly forward: number;
  readonly hash: string;
}

export type IngestStore = ReturnType<typeof createIngestStore>;

/** How many numbers above a gap are shown. */
const AHEAD_SHOWN_MAX = 100;

export function createIngestStore(database: Sqlite) {
  return { ...entrySql(database), ...epochSql(database), ...forwardSql(database), ...hubSql(database) };
}

function entrySql(database: Sqlite) {
  const columns =
    "sequence, hash, status, reason, detail, payment_id AS paymentId, received_at AS receivedAt FROM ingest__entry";
  const known = database.prepare<[string, string, number], KnownEntry>(
    `SELECT ${columns} WHERE terminal_id = ? AND epoch = ? AND sequence = ?`,
  );
  const between = database.prepare<[string, string, number, number], KnownEntry>(
    `SELECT ${columns} WHERE terminal_id = ? AND epoch = ? AND sequence BETWEEN ? AND ?`,
  );
  const newest = database.prepare<[string, string], KnownEntry>(
    `SELECT ${columns} WHERE terminal_id = ? AND epoch = ? ORDER BY sequence DESC LIMIT 1`,
  );
  const insert = database.prepare(
    `INSERT INTO ingest__entry (terminal_id, epoch, sequence, forward, previous_hash, hash, sealed_digest, text,
       payment_id, status, reason, detail, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const settle = database.prepare(
    `UPDATE ingest__entry SET status = ?, reason = ?, detail = ?
     WHERE terminal_id = ? AND epoch = ? AND sequence = ? AND hash = ?`,
  );
  return {
    known: (source: Source, sequence: number) => known.get(source.terminalId, source.epoch, sequence),
    /** Both ends included. */
    knownBetween: (source: Source, first: number, last: number) =>
      between.all(source.terminalId, source.epoch, first, last),
    newest: (source: Source) => newest.get(source.terminalId, source.epoch),
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
    /** What became of an entry that had been set aside. */
    settle: (
      source: Source,
      entry: Pick<StoredEntry, "sequence" | "hash">,
      result: Pick<EntryReceipt, "status" | "reason" | "detail">,
    ) =>
      void settle.run(
        result.status,
        result.reason ?? null,
        result.detail ?? null,
        source.terminalId,
        source.epoch,
        entry.sequence,
        entry.hash,
      ),
  };
}

function epochSql(database: Sqlite) {
  const begin = database.prepare(
    "INSERT OR IGNORE INTO ingest__epoch (terminal_id, epoch, first_seen_at) VALUES (?, ?, ?)",
  );
  const get = database.prepare<[string, string], EpochRecord>(
    `SELECT watermark, fence, opened, head_sequence AS headSequence, head_hash AS headHash
     FROM ingest__epoch WHERE terminal_id = ? AND epoch = ?`,
  );
  const fence = database.prepare("UPDATE ingest__epoch SET fence = ? WHERE terminal_id = ? AND epoch = ?");
  const newestOpened = database
    .prepare<[string], number>("SELECT coalesce(max(opened), 0) FROM ingest__epoch WHERE terminal_id = ?")
    .pluck();
  const open = database.prepare("UPDATE ingest__epoch SET opened = ? WHERE terminal_id = ? AND epoch = ?");
  const head = database.prepare(
    "UPDATE ingest__epoch SET head_sequence = ?, head_hash = ? WHERE terminal_id = ? AND epoch = ?",
  );
  const epochs = database.prepare<[string], Omit<EpochView, "ahead">>(
    `SELECT terminal_id AS terminalId, epoch, watermark, first_seen_at AS firstSeenAt FROM ingest__epoch
     WHERE terminal_id = ? ORDER BY first_seen_at`,
  );
  const ahead = database
    .prepare<[string, string, number], number>(
      "SELECT forward FROM ingest__ahead WHERE terminal_id = ? AND epoch = ? ORDER BY forward LIMIT ?",
    )
    .pluck();
  return {
    epoch: ({ terminalId, epoch }: Source) => get.get(terminalId, epoch),
    beginEpoch: ({ terminalId, epoch }: Source, at: number) => void begin.run(terminalId, epoch, at),
    raiseFence: ({ terminalId, epoch }: Source, to: number) => void fence.run(to, terminalId, epoch),
    /** 0 when the terminal has shown none yet. */
    newestOpened: (terminalId: TerminalId): number => newestOpened.get(terminalId) ?? 0,
    openEpoch: ({ terminalId, epoch }: Source, opened: number) => void open.run(opened, terminalId, epoch),
    setHead: ({ terminalId, epoch }: Source, { sequence, hash }: Head) =>
      void head.run(sequence, hash, terminalId, epoch),
    epochs: (terminalId: string): readonly EpochView[] =>
      epochs.all(terminalId).map((row) => ({ ...row, ahead: ahead.all(terminalId, row.epoch, AHEAD_SHOWN_MAX) })),
  };
}

/** An epoch with a number missing below others that are held. */
export interface Gap extends Source {
  readonly watermark: number;
  /** When the oldest of those above the gap came. */
  readonly since: number;
}

/** Which `forward` numbers are held: a watermark, and those above it. */
function forwardSql(database: Sqlite) {
  const watermark = database
    .prepare<[string, string], number>("SELECT watermark FROM ingest__epoch WHERE terminal_id = ? AND epoch = ?")
    .pluck();
  const raise = database.prepare("UPDATE ingest__epoch SET watermark = ? WHERE terminal_id = ? AND epoch = ?");
  const putAhead = database.prepare(
    "INSERT OR IGNORE INTO ingest__ahead (terminal_id, epoch, forward, at) VALUES (?, ?, ?, ?)",
  );
  const takeAhead = database.prepare("DELETE FROM ingest__ahead WHERE terminal_id = ? AND epoch = ? AND forward = ?");
  const anyAhead = database
    .prepare<[string, string], number>("SELECT 1 FROM ingest__ahead WHERE terminal_id = ? AND epoch = ? LIMIT 1")
    .pluck();
  const gaps = database.prepare<[number], Gap>(
    `SELECT terminal_id AS terminalId, epoch, watermark, min(at) AS since
     FROM ingest__ahead JOIN ingest__epoch USING (terminal_id, epoch) GROUP BY terminal_id, epoch HAVING min(at) <= ?`,
  );
  return {
    watermark: ({ terminalId, epoch }: Source) => watermark.get(terminalId, epoch) ?? 0,
    raise: ({ terminalId, epoch }: Source, to: number) => void raise.run(to, terminalId, epoch),
    putAhead: ({ terminalId, epoch }: Source, forward: number, at: number) =>
      void putAhead.run(terminalId, epoch, forward, at),
    /** True when it was held. */
    takeAhead: ({ terminalId, epoch }: Source, forward: number) =>
      takeAhead.run(terminalId, epoch, forward).changes === 1,
    anyAhead: ({ terminalId, epoch }: Source) => anyAhead.get(terminalId, epoch) !== undefined,
    /** Gaps whose oldest number above them came at `upTo` or before. */
    gaps: (upTo: number): readonly Gap[] => gaps.all(upTo),
  };
}

function hubSql(database: Sqlite) {
  const get = database.prepare<[], string>("SELECT epoch FROM ingest__hub").pluck();
  const set = database.prepare("INSERT INTO ingest__hub (one, epoch) VALUES (1, ?)");
  return { hubEpoch: () => get.get(), setHubEpoch: (epoch: string) => void set.run(epoch) };
}
