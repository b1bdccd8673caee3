/**
 * What each journal of a terminal told of itself, and which terminals may still hold entries that only an older sealing key
 * opens: a key goes when every journal holds a lease with a newer one, and all that it had written by then is here.
 */
import type { Epoch, TerminalId } from "../../../base/ids.ts";
import type { Presence } from "../../../wire/terminal.ts";
import { type Reading, sql, type Within } from "../../store/store.ts";

export interface JournalView {
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
  readonly firstHeardAt: number;
  readonly heardAt: number;
  /** The newest number of its queue, where it tells it. */
  readonly headForward?: number;
}

interface JournalRow extends Omit<JournalView, "headForward"> {
  readonly headForward: number | null;
}

const HEAR = sql<[string, string, number, number, number | null]>(
  `INSERT INTO terminals__journal (terminal_id, epoch, first_heard_at, heard_at, head_forward) VALUES (?, ?, ?, ?, ?)
   ON CONFLICT (terminal_id, epoch) DO UPDATE SET heard_at = excluded.heard_at, head_forward = excluded.head_forward`,
);
const HOLDS = sql<[string, string, string, number]>(
  `INSERT INTO terminals__key_held (terminal_id, epoch, sealing_key_id, since) VALUES (?, ?, ?, ?)
   ON CONFLICT DO NOTHING`,
);
const JOURNALS = sql<[string], JournalRow>(
  `SELECT terminal_id AS terminalId, epoch, first_heard_at AS firstHeardAt, heard_at AS heardAt,
     head_forward AS headForward FROM terminals__journal WHERE terminal_id = ? ORDER BY first_heard_at`,
);
const HELD = sql<[string, string], { readonly keyId: string; readonly since: number }>(
  "SELECT sealing_key_id AS keyId, since FROM terminals__key_held WHERE terminal_id = ? AND epoch = ?",
);

/** All SQL of what journals told. */
export const journalBook = {
  async hear(within: Within, source: Source, { presence, at }: Heard): Promise<void> {
    await within.run(HEAR, [source.terminalId, source.epoch, at, at, presence.head?.forward ?? null]);
  },
  async holds(within: Within, source: Source, { keyId, at }: { keyId: string; at: number }): Promise<void> {
    await within.run(HOLDS, [source.terminalId, source.epoch, keyId, at]);
  },
  async of(reading: Reading, terminalId: string): Promise<readonly JournalView[]> {
    const rows = await reading.all(JOURNALS, [terminalId]);
    return rows.map(({ headForward, ...row }) => (headForward === null ? row : { ...row, headForward }));
  },
  keysOf: (reading: Reading, { terminalId, epoch }: Source) => reading.all(HELD, [terminalId, epoch]),
};

interface Heard {
  readonly presence: Presence;
  readonly at: number;
}

interface Source {
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
}

/** A sale that had its key before the newer lease came has ended by then: a customer may take ten minutes at most. */
const SALES_END_MS = 900_000;

export interface NeedInput {
  readonly terminal: { readonly id: TerminalId; readonly enrolledAt: number; readonly enrolledKeyId?: string };
  /** Whether this key is newer than the one that is asked about. */
  isNewer(keyId: string): boolean;
  takenOf(reading: Reading, terminalId: TerminalId, epoch: Epoch): Promise<Taken>;
}

/** What the hub has of a journal. */
export interface Taken {
  /** Below and at this number, it holds every entry. */
  readonly watermark: number;
  /** Some of these wait for a person, after whom the terminal may send them once more. */
  readonly setAside: boolean;
}

/** Why a terminal may still need an older key; undefined when it certainly does not. */
export async function needOf(reading: Reading, input: NeedInput): Promise<string | undefined> {
  const { terminal, isNewer } = input;
  const enrolledNewer = terminal.enrolledKeyId !== undefined && isNewer(terminal.enrolledKeyId);
  const journals = await journalBook.of(reading, terminal.id);
  if (journals.length === 0)
    return enrolledNewer ? undefined : "it was enrolled with an older key and was not heard since";
  for (const journal of journals) {
    if (enrolledNewer && journal.firstHeardAt >= terminal.enrolledAt) continue;
    const need = await journalNeed(reading, input, journal);
    if (need !== undefined) return `journal ${journal.epoch}: ${need}`;
  }
  return undefined;
}

async function journalNeed(
  reading: Reading,
  { isNewer, takenOf }: NeedInput,
  journal: JournalView,
): Promise<string | undefined> {
  const newer = (await journalBook.keysOf(reading, journal)).filter(({ keyId }) => isNewer(keyId));
  if (newer.length === 0) return "it has not told that it holds a lease with a newer key";
  const settledAt = Math.min(...newer.map(({ since }) => since)) + SALES_END_MS;
  if (journal.heardAt < settledAt)
    return `it took the newer key only now; ask again after ${new Date(settledAt).toISOString()}`;
  if (journal.headForward === undefined) return "it does not tell how many entries it has written";
  const { watermark, setAside } = await takenOf(reading, journal.terminalId, journal.epoch);
  const missing = journal.headForward - watermark;
  if (missing > 0) return `${missing} of its entries are not here yet`;
  return setAside ? "entries of it are set aside; decide on them first: tillway hub quarantine" : undefined;
}
