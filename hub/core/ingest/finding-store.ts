/** SQL of findings: one open row for each terminal, epoch and kind. */
import type { Epoch, TerminalId } from "../../../base/ids.ts";
import { type Reading, sql, type Within } from "../../store/store.ts";
import type { Source } from "./store.ts";

/**
 * gap: a number of the queue is missing though later ones came. fork: two entries claim one place. restored: the disk is
 * older than what is held of it. clone: two disks of one journal are alive. old-epoch: a journal that had been replaced is
 * back.
 */
export const FINDING_KINDS = ["gap", "fork", "restored", "clone", "old-epoch"] as const;
export type FindingKind = (typeof FINDING_KINDS)[number];

export interface Finding {
  readonly number: number;
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
  readonly kind: FindingKind;
  /** Of the first entry that showed it; for a gap, the missing number of the queue. */
  readonly sequence: number;
  /** One sentence that names the terminal and what to do. */
  readonly detail: string;
  /** How often it was seen. */
  readonly times: number;
  readonly firstSeenAt: number;
  readonly lastSeenAt: number;
  readonly closed?: Closing;
}

export interface Closing {
  readonly at: number;
  readonly by: string;
  readonly why: string;
}

export interface NewFinding extends Pick<Finding, "kind" | "sequence" | "detail"> {
  readonly at: number;
}

export interface FindingFilter {
  readonly terminalId?: string | undefined;
  /** Absent: open and closed ones. */
  readonly only?: "open" | undefined;
  readonly afterNumber: number;
  readonly limit: number;
}

interface Row extends Omit<Finding, "closed"> {
  readonly closedAt: number | null;
  readonly closedBy: string | null;
  readonly closedWhy: string | null;
}

const COLUMNS = `number, terminal_id AS terminalId, epoch, kind, sequence, detail, times, first_seen_at AS firstSeenAt,
  last_seen_at AS lastSeenAt, closed_at AS closedAt, closed_by AS closedBy, closed_why AS closedWhy`;

const toFinding = ({ closedAt, closedBy, closedWhy, ...rest }: Row): Finding => ({
  ...rest,
  ...(closedAt === null ? {} : { closed: { at: closedAt, by: closedBy ?? "", why: closedWhy ?? "" } }),
});

const OPEN = sql<[string, string, FindingKind], Row>(
  `SELECT ${COLUMNS} FROM ingest__finding WHERE terminal_id = ? AND epoch = ? AND kind = ? AND closed_at IS NULL`,
);
const INSERT = sql<[string, string, FindingKind, number, string, number, number]>(
  `INSERT INTO ingest__finding (terminal_id, epoch, kind, sequence, detail, first_seen_at, last_seen_at)
   VALUES (?, ?, ?, ?, ?, ?, ?)`,
);
const AGAIN = sql<[number, number]>("UPDATE ingest__finding SET times = times + 1, last_seen_at = ? WHERE number = ?");
const CLOSE = sql<[number, string, string, number]>(
  "UPDATE ingest__finding SET closed_at = ?, closed_by = ?, closed_why = ? WHERE number = ? AND closed_at IS NULL",
);
const BY_NUMBER = sql<[number], Row>(`SELECT ${COLUMNS} FROM ingest__finding WHERE number = ?`);
const LIST = sql<{ afterNumber: number; terminalId: string | null; open: number; limit: number }, Row>(
  `SELECT ${COLUMNS} FROM ingest__finding WHERE number > @afterNumber
     AND (CAST(@terminalId AS TEXT) IS NULL OR terminal_id = @terminalId) AND (@open = 0 OR closed_at IS NULL)
   ORDER BY number LIMIT @limit`,
);
const COUNT_OPEN = sql<[], { open: number }>("SELECT count(*) AS open FROM ingest__finding WHERE closed_at IS NULL");
const TIMES_CLOSED = sql<[string, string, FindingKind, string], { times: number }>(
  `SELECT count(*) AS times FROM ingest__finding
   WHERE terminal_id = ? AND epoch = ? AND kind = ? AND closed_by = ? AND closed_at IS NOT NULL`,
);

const optional = (row: Row | undefined) => row && toFinding(row);

export const findingStore = {
  open: async (reading: Reading, { terminalId, epoch }: Source, kind: FindingKind) =>
    optional(await reading.get(OPEN, [terminalId, epoch, kind])),
  insert: (within: Within, { terminalId, epoch }: Source, { kind, sequence, detail, at }: NewFinding) =>
    within.run(INSERT, [terminalId, epoch, kind, sequence, detail, at, at]),
  again: (within: Within, number: number, at: number) => within.run(AGAIN, [at, number]),
  /** False when it was closed before. */
  close: async (within: Within, number: number, { at, by, why }: Closing) =>
    (await within.run(CLOSE, [at, by, why, number])) === 1,
  get: async (reading: Reading, number: number) => optional(await reading.get(BY_NUMBER, [number])),
  async list(reading: Reading, { afterNumber, terminalId, only, limit }: FindingFilter): Promise<readonly Finding[]> {
    const open = only === "open" ? 1 : 0;
    return (await reading.all(LIST, { afterNumber, terminalId: terminalId ?? null, open, limit })).map(toFinding);
  },
  countOpen: async (reading: Reading) => (await reading.get(COUNT_OPEN, []))?.open ?? 0,
  /** How often one of this kind was closed by this closer. */
  timesClosed: async (
    reading: Reading,
    { terminalId, epoch }: Source,
    { kind, by }: Pick<Finding, "kind"> & Pick<Closing, "by">,
  ) => (await reading.get(TIMES_CLOSED, [terminalId, epoch, kind, by]))?.times ?? 0,
};
