/** SQL of findings: one open row for each terminal, epoch and kind. */
import type { Epoch, TerminalId } from "../../../base/ids.ts";
import type { Sqlite } from "../../../base/sqlite.ts";
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

export type FindingStore = ReturnType<typeof createFindingStore>;

export function createFindingStore(database: Sqlite) {
  const open = database.prepare<[string, string, FindingKind], Row>(
    `SELECT ${COLUMNS} FROM ingest__finding WHERE terminal_id = ? AND epoch = ? AND kind = ? AND closed_at IS NULL`,
  );
  const insert = database.prepare(
    `INSERT INTO ingest__finding (terminal_id, epoch, kind, sequence, detail, first_seen_at, last_seen_at)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
  );
  const again = database.prepare("UPDATE ingest__finding SET times = times + 1, last_seen_at = ? WHERE number = ?");
  const close = database.prepare(
    "UPDATE ingest__finding SET closed_at = ?, closed_by = ?, closed_why = ? WHERE number = ? AND closed_at IS NULL",
  );
  const byNumber = database.prepare<[number], Row>(`SELECT ${COLUMNS} FROM ingest__finding WHERE number = ?`);
  const list = database.prepare<[Record<string, unknown>], Row>(
    `SELECT ${COLUMNS} FROM ingest__finding WHERE number > @afterNumber
       AND (@terminalId IS NULL OR terminal_id = @terminalId) AND (@open = 0 OR closed_at IS NULL)
     ORDER BY number LIMIT @limit`,
  );
  const count = database
    .prepare<[], number>("SELECT count(*) FROM ingest__finding INDEXED BY ingest__finding_open WHERE closed_at IS NULL")
    .pluck();
  const closedBy = database
    .prepare<[string, string, FindingKind, string], number>(
      `SELECT count(*) FROM ingest__finding
       WHERE terminal_id = ? AND epoch = ? AND kind = ? AND closed_by = ? AND closed_at IS NOT NULL`,
    )
    .pluck();
  const optional = (row: Row | undefined) => row && toFinding(row);
  return {
    open: ({ terminalId, epoch }: Source, kind: FindingKind) => optional(open.get(terminalId, epoch, kind)),
    insert: ({ terminalId, epoch }: Source, f: Pick<Finding, "kind" | "sequence" | "detail">, at: number) =>
      void insert.run(terminalId, epoch, f.kind, f.sequence, f.detail, at, at),
    again: (number: number, at: number) => void again.run(at, number),
    /** False when it was closed before. */
    close: (number: number, { at, by, why }: Closing): boolean => close.run(at, by, why, number).changes === 1,
    get: (number: number) => optional(byNumber.get(number)),
    list: (filter: FindingFilter): readonly Finding[] =>
      list
        .all({
          afterNumber: filter.afterNumber,
          terminalId: filter.terminalId ?? null,
          open: filter.only === "open" ? 1 : 0,
          limit: filter.limit,
        })
        .map(toFinding),
    countOpen: (): number => count.get() ?? 0,
    /** How often one of this kind was closed by this closer. */
    timesClosedBy: ({ terminalId, epoch }: Source, kind: FindingKind, by: string): number =>
      closedBy.get(terminalId, epoch, kind, by) ?? 0,
  };
}
