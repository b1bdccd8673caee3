/** SQL of what was set aside for a person. A row stays for good; closing it says what became of the entry. */
import type { Epoch, TerminalId } from "../../../base/ids.ts";
import type { Sqlite } from "../../../base/sqlite.ts";
import type { EntryReceipt } from "../../../wire/advice.ts";
import type { ReasonCode } from "../../../wire/common.ts";
import type { StoredEntry } from "../../../wire/journal-entry.ts";
import type { Presented } from "../authorisation/index.ts";
import type { Closing } from "./finding-store.ts";
import type { Source } from "./store.ts";

/** What became of an entry that had been set aside. */
export type SetAsideResult = Pick<EntryReceipt, "status" | "reason" | "detail">;

/** What was under the seal, as far as it may be kept. */
export type KeptCard = Pick<Extract<Presented, object>, "token" | "expiry">;

export interface SetAside {
  readonly number: number;
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
  readonly sequence: number;
  readonly forward?: number;
  /** Absent for one that an earlier version of the hub set aside. */
  readonly previousHash?: string;
  readonly hash: string;
  readonly sealedDigest?: string;
  readonly text: string;
  readonly card?: KeptCard;
  readonly reason: string;
  readonly detail: string;
  readonly receivedAt: number;
  readonly closed?: Closing & SetAsideResult;
}

export interface SetAsideFilter {
  readonly terminalId?: string | undefined;
  /** Absent: open and closed ones. */
  readonly only?: "open" | undefined;
  readonly afterNumber: number;
  readonly limit: number;
}

interface Row {
  readonly number: number;
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
  readonly sequence: number;
  readonly forward: number | null;
  readonly previousHash: string | null;
  readonly hash: string;
  readonly sealedDigest: string | null;
  readonly text: string;
  readonly card: string | null;
  readonly reason: string;
  readonly detail: string;
  readonly receivedAt: number;
  readonly closedAt: number | null;
  readonly closedBy: string | null;
  readonly closedWhy: string | null;
  readonly result: EntryReceipt["status"] | null;
  readonly resultReason: ReasonCode | null;
  readonly resultDetail: string | null;
}

const COLUMNS = `number, terminal_id AS terminalId, epoch, sequence, forward, previous_hash AS previousHash, hash,
  sealed_digest AS sealedDigest, text, card, reason, detail, received_at AS receivedAt, closed_at AS closedAt,
  closed_by AS closedBy, closed_why AS closedWhy, result, result_reason AS resultReason, result_detail AS resultDetail`;

const closedOf = (row: Row): { closed?: Closing & SetAsideResult } => {
  if (row.closedAt === null || row.result === null) return {};
  return {
    closed: {
      at: row.closedAt,
      by: row.closedBy ?? "",
      why: row.closedWhy ?? "",
      status: row.result,
      ...(row.resultReason === null ? {} : { reason: row.resultReason }),
      ...(row.resultDetail === null ? {} : { detail: row.resultDetail }),
    },
  };
};

const toSetAside = (row: Row): SetAside => ({
  number: row.number,
  terminalId: row.terminalId,
  epoch: row.epoch,
  sequence: row.sequence,
  ...(row.forward === null ? {} : { forward: row.forward }),
  ...(row.previousHash === null ? {} : { previousHash: row.previousHash }),
  hash: row.hash,
  ...(row.sealedDigest === null ? {} : { sealedDigest: row.sealedDigest }),
  text: row.text,
  ...(row.card === null ? {} : { card: JSON.parse(row.card) as KeptCard }),
  reason: row.reason,
  detail: row.detail,
  receivedAt: row.receivedAt,
  ...closedOf(row),
});

export type QuarantineStore = ReturnType<typeof createQuarantineStore>;

export function createQuarantineStore(database: Sqlite) {
  const put = database.prepare(
    `INSERT OR IGNORE INTO ingest__quarantine (terminal_id, epoch, sequence, hash, text, reason, detail, received_at,
       forward, previous_hash, sealed_digest, card) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const find = database.prepare<[string, string, number, string], Row>(
    `SELECT ${COLUMNS} FROM ingest__quarantine WHERE terminal_id = ? AND epoch = ? AND sequence = ? AND hash = ?`,
  );
  const byNumber = database.prepare<[number], Row>(`SELECT ${COLUMNS} FROM ingest__quarantine WHERE number = ?`);
  const say = database.prepare(
    `UPDATE ingest__quarantine SET reason = ?, detail = ?, card = coalesce(?, card) WHERE number = ?`,
  );
  const close = database.prepare(
    `UPDATE ingest__quarantine SET closed_at = ?, closed_by = ?, closed_why = ?, result = ?, result_reason = ?,
       result_detail = ? WHERE number = ? AND closed_at IS NULL`,
  );
  const list = database.prepare<[Record<string, unknown>], Row>(
    `SELECT ${COLUMNS} FROM ingest__quarantine WHERE number > @afterNumber
       AND (@terminalId IS NULL OR terminal_id = @terminalId) AND (@open = 0 OR closed_at IS NULL)
     ORDER BY number LIMIT @limit`,
  );
  const anyOpen = database
    .prepare<[string, string], number>(
      "SELECT 1 FROM ingest__quarantine WHERE terminal_id = ? AND epoch = ? AND closed_at IS NULL LIMIT 1",
    )
    .pluck();
  const count = database
    .prepare<[], number>(
      "SELECT count(*) FROM ingest__quarantine INDEXED BY ingest__quarantine_open WHERE closed_at IS NULL",
    )
    .pluck();
  const optional = (row: Row | undefined) => row && toSetAside(row);
  const cardText = (card: SetAside["card"]) =>
    card === undefined ? null : JSON.stringify({ token: card.token, expiry: card.expiry });
  return {
    /** True when it was not there yet. */
    put: (source: Source, e: StoredEntry, why: Pick<SetAside, "reason" | "detail" | "card">, at: number): boolean =>
      put.run(
        source.terminalId,
        source.epoch,
        e.sequence,
        e.hash,
        e.text,
        why.reason,
        why.detail,
        at,
        e.forward ?? null,
        e.previousHash,
        e.sealedDigest ?? null,
        cardText(why.card),
      ).changes === 1,
    find: (source: Source, { sequence, hash }: Pick<StoredEntry, "sequence" | "hash">) =>
      optional(find.get(source.terminalId, source.epoch, sequence, hash)),
    get: (number: number) => optional(byNumber.get(number)),
    /** Why it is still set aside. */
    say: (number: number, why: Pick<SetAside, "reason" | "detail" | "card">) =>
      void say.run(why.reason, why.detail, cardText(why.card), number),
    /** False when it was closed before. */
    close: (number: number, { at, by, why, status, reason, detail }: Closing & SetAsideResult): boolean =>
      close.run(at, by, why, status, reason ?? null, detail ?? null, number).changes === 1,
    list: (filter: SetAsideFilter): readonly SetAside[] =>
      list
        .all({
          afterNumber: filter.afterNumber,
          terminalId: filter.terminalId ?? null,
          open: filter.only === "open" ? 1 : 0,
          limit: filter.limit,
        })
        .map(toSetAside),
    anyOpen: ({ terminalId, epoch }: Source): boolean => anyOpen.get(terminalId, epoch) !== undefined,
    countOpen: (): number => count.get() ?? 0,
  };
}
