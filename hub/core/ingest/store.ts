/** SQL of entries and of which numbers are held: this is the other hot path. */
import type { Epoch, TerminalId } from "../../../base/ids.ts";
import type { EntryReceipt } from "../../../wire/advice.ts";
import type { StoredEntry } from "../../../wire/journal-entry.ts";
import { type Reading, sql, type Within } from "../../store/store.ts";

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

export interface NewEntry {
  readonly entry: StoredEntry;
  /** The time that it gives itself, as it stands there. */
  readonly at: string;
  readonly receipt: EntryReceipt;
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

/** An epoch with a number missing below others that are held. */
export interface Gap extends Source {
  readonly watermark: number;
  /** When the oldest of those above the gap came. */
  readonly since: number;
}

/** How many numbers above a gap are shown. */
const AHEAD_SHOWN_MAX = 100;

const KNOWN_COLUMNS =
  "sequence, hash, status, reason, detail, payment_id AS paymentId, received_at AS receivedAt FROM ingest__entry";
const KNOWN = sql<[string, string, number], KnownEntry>(
  `SELECT ${KNOWN_COLUMNS} WHERE terminal_id = ? AND epoch = ? AND sequence = ?`,
);
const KNOWN_BETWEEN = sql<[string, string, number, number], KnownEntry>(
  `SELECT ${KNOWN_COLUMNS} WHERE terminal_id = ? AND epoch = ? AND sequence BETWEEN ? AND ?`,
);
const NEWEST = sql<[string, string], KnownEntry>(
  `SELECT ${KNOWN_COLUMNS} WHERE terminal_id = ? AND epoch = ? ORDER BY sequence DESC LIMIT 1`,
);
const INSERT = sql(
  `INSERT INTO ingest__entry (terminal_id, epoch, sequence, forward, previous_hash, hash, sealed_digest, text, at,
     payment_id, status, reason, detail, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
);
const SETTLE = sql<[string, string | null, string | null, string, string, number, string]>(
  `UPDATE ingest__entry SET status = ?, reason = ?, detail = ?
   WHERE terminal_id = ? AND epoch = ? AND sequence = ? AND hash = ?`,
);

const entries = {
  known: (reading: Reading, { terminalId, epoch }: Source, sequence: number) =>
    reading.get(KNOWN, [terminalId, epoch, sequence]),
  /** Both ends included. */
  knownBetween: (
    reading: Reading,
    { terminalId, epoch }: Source,
    ends: { readonly first: number; readonly last: number },
  ) => reading.all(KNOWN_BETWEEN, [terminalId, epoch, ends.first, ends.last]),
  newest: (reading: Reading, { terminalId, epoch }: Source) => reading.get(NEWEST, [terminalId, epoch]),
  insert: (within: Within, { terminalId, epoch }: Source, { entry, at, receipt, receivedAt }: NewEntry) =>
    within.run(INSERT, [
      terminalId,
      epoch,
      entry.sequence,
      entry.forward ?? null,
      entry.previousHash,
      entry.hash,
      entry.sealedDigest ?? null,
      entry.text,
      at,
      receipt.paymentId ?? null,
      receipt.status,
      receipt.reason ?? null,
      receipt.detail ?? null,
      receivedAt,
    ]),
  /** What became of an entry that had been set aside. */
  settle: (
    within: Within,
    { terminalId, epoch }: Source,
    { sequence, hash, status, reason, detail }: Omit<EntryReceipt, "paymentId">,
  ) => within.run(SETTLE, [status, reason ?? null, detail ?? null, terminalId, epoch, sequence, hash]),
};

const BEGIN = sql<[string, string, number]>(
  "INSERT INTO ingest__epoch (terminal_id, epoch, first_seen_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
);
const EPOCH = sql<[string, string], EpochRecord>(
  `SELECT watermark, fence, opened, head_sequence AS headSequence, head_hash AS headHash
   FROM ingest__epoch WHERE terminal_id = ? AND epoch = ?`,
);
const FENCE = sql<[number, string, string]>("UPDATE ingest__epoch SET fence = ? WHERE terminal_id = ? AND epoch = ?");
const NEWEST_OPENED = sql<[string], { newest: number }>(
  "SELECT coalesce(max(opened), 0) AS newest FROM ingest__epoch WHERE terminal_id = ?",
);
const OPEN = sql<[number, string, string]>("UPDATE ingest__epoch SET opened = ? WHERE terminal_id = ? AND epoch = ?");
const HEAD = sql<[number, string, string, string]>(
  "UPDATE ingest__epoch SET head_sequence = ?, head_hash = ? WHERE terminal_id = ? AND epoch = ?",
);
const EPOCHS = sql<[string], Omit<EpochView, "ahead">>(
  `SELECT terminal_id AS terminalId, epoch, watermark, first_seen_at AS firstSeenAt FROM ingest__epoch
   WHERE terminal_id = ? ORDER BY first_seen_at`,
);
const AHEAD = sql<[string, string, number], { forward: number }>(
  "SELECT forward FROM ingest__ahead WHERE terminal_id = ? AND epoch = ? ORDER BY forward LIMIT ?",
);

const epochs = {
  epoch: (reading: Reading, { terminalId, epoch }: Source) => reading.get(EPOCH, [terminalId, epoch]),
  beginEpoch: (within: Within, { terminalId, epoch }: Source, at: number) => within.run(BEGIN, [terminalId, epoch, at]),
  raiseFence: (within: Within, { terminalId, epoch }: Source, to: number) => within.run(FENCE, [to, terminalId, epoch]),
  /** 0 when the terminal has shown none yet. */
  newestOpened: async (reading: Reading, terminalId: TerminalId): Promise<number> =>
    (await reading.get(NEWEST_OPENED, [terminalId]))?.newest ?? 0,
  openEpoch: (within: Within, { terminalId, epoch }: Source, opened: number) =>
    within.run(OPEN, [opened, terminalId, epoch]),
  setHead: (within: Within, { terminalId, epoch }: Source, { sequence, hash }: Head) =>
    within.run(HEAD, [sequence, hash, terminalId, epoch]),
  async epochs(reading: Reading, terminalId: string): Promise<readonly EpochView[]> {
    const views: EpochView[] = [];
    for (const row of await reading.all(EPOCHS, [terminalId])) {
      const ahead = await reading.all(AHEAD, [terminalId, row.epoch, AHEAD_SHOWN_MAX]);
      views.push({ ...row, ahead: ahead.map(({ forward }) => forward) });
    }
    return views;
  },
};

const RAISE = sql<[number, string, string]>(
  "UPDATE ingest__epoch SET watermark = ? WHERE terminal_id = ? AND epoch = ?",
);
const PUT_AHEAD = sql<[string, string, number, number]>(
  "INSERT INTO ingest__ahead (terminal_id, epoch, forward, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
);
const TAKE_AHEAD = sql<[string, string, number]>(
  "DELETE FROM ingest__ahead WHERE terminal_id = ? AND epoch = ? AND forward = ?",
);
const ANY_AHEAD = sql<[string, string], { one: number }>(
  "SELECT 1 AS one FROM ingest__ahead WHERE terminal_id = ? AND epoch = ? LIMIT 1",
);
const GAPS = sql<[number], Gap>(
  `SELECT terminal_id AS terminalId, epoch, watermark, min(at) AS since
   FROM ingest__ahead JOIN ingest__epoch USING (terminal_id, epoch)
   GROUP BY terminal_id, epoch, watermark HAVING min(at) <= ?`,
);

/** Which `forward` numbers are held: a watermark, and those above it. */
const numbers = {
  raise: (within: Within, { terminalId, epoch }: Source, to: number) => within.run(RAISE, [to, terminalId, epoch]),
  putAhead: (within: Within, { terminalId, epoch }: Source, ahead: { readonly forward: number; readonly at: number }) =>
    within.run(PUT_AHEAD, [terminalId, epoch, ahead.forward, ahead.at]),
  /** True when it was held. */
  takeAhead: async (within: Within, { terminalId, epoch }: Source, forward: number) =>
    (await within.run(TAKE_AHEAD, [terminalId, epoch, forward])) === 1,
  anyAhead: async (reading: Reading, { terminalId, epoch }: Source) =>
    (await reading.get(ANY_AHEAD, [terminalId, epoch])) !== undefined,
  /** Gaps whose oldest number above them came at `upTo` or before. */
  gaps: (reading: Reading, upTo: number) => reading.all(GAPS, [upTo]),
};

const HUB_EPOCH = sql<[], { epoch: Epoch }>("SELECT epoch FROM ingest__hub");
const SET_HUB_EPOCH = sql<[string]>("INSERT INTO ingest__hub (one, epoch) VALUES (1, ?)");

export const ingestStore = {
  ...entries,
  ...epochs,
  ...numbers,
  hubEpoch: async (reading: Reading) => (await reading.get(HUB_EPOCH, []))?.epoch,
  setHubEpoch: (within: Within, epoch: Epoch) => within.run(SET_HUB_EPOCH, [epoch]),
};
