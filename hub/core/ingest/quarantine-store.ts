/** SQL of what was set aside for a person. A row stays for good; closing it says what became of the entry. */
import type { Epoch, TerminalId } from "../../../base/ids.ts";
import type { EntryReceipt } from "../../../wire/advice.ts";
import type { ReasonCode } from "../../../wire/common.ts";
import type { StoredEntry } from "../../../wire/journal-entry.ts";
import { type Reading, sql, type Within } from "../../store/store.ts";
import type { Presented } from "../authorisation/index.ts";
import { timeOf } from "./entry-time.ts";
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

export type WhySetAside = Pick<SetAside, "reason" | "detail" | "card">;

export interface NewSetAside {
  readonly entry: StoredEntry;
  readonly why: WhySetAside;
  readonly at: number;
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

const PUT = sql(
  `INSERT INTO ingest__quarantine (terminal_id, epoch, sequence, hash, text, at, reason, detail, received_at, forward,
     previous_hash, sealed_digest, card) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
);
const FIND = sql<[string, string, number, string], Row>(
  `SELECT ${COLUMNS} FROM ingest__quarantine WHERE terminal_id = ? AND epoch = ? AND sequence = ? AND hash = ?`,
);
const BY_NUMBER = sql<[number], Row>(`SELECT ${COLUMNS} FROM ingest__quarantine WHERE number = ?`);
const SAY = sql<[string, string, string | null, number]>(
  "UPDATE ingest__quarantine SET reason = ?, detail = ?, card = coalesce(?, card) WHERE number = ?",
);
const CLOSE = sql<[number, string, string, string, string | null, string | null, number]>(
  `UPDATE ingest__quarantine SET closed_at = ?, closed_by = ?, closed_why = ?, result = ?, result_reason = ?,
     result_detail = ? WHERE number = ? AND closed_at IS NULL`,
);
const LIST = sql<{ afterNumber: number; terminalId: string | null; open: number; limit: number }, Row>(
  `SELECT ${COLUMNS} FROM ingest__quarantine WHERE number > @afterNumber
     AND (CAST(@terminalId AS TEXT) IS NULL OR terminal_id = @terminalId) AND (@open = 0 OR closed_at IS NULL)
   ORDER BY number LIMIT @limit`,
);
const ANY_OPEN = sql<[string, string], { one: number }>(
  "SELECT 1 AS one FROM ingest__quarantine WHERE terminal_id = ? AND epoch = ? AND closed_at IS NULL LIMIT 1",
);
const COUNT_OPEN = sql<[], { open: number }>("SELECT count(*) AS open FROM ingest__quarantine WHERE closed_at IS NULL");

const optional = (row: Row | undefined) => row && toSetAside(row);
const cardText = (card: SetAside["card"]) =>
  card === undefined ? null : JSON.stringify({ token: card.token, expiry: card.expiry });

export const quarantineStore = {
  /** True when it was not there yet. */
  async put(within: Within, { terminalId, epoch }: Source, { entry, why, at }: NewSetAside): Promise<boolean> {
    const done = await within.run(PUT, [
      terminalId,
      epoch,
      entry.sequence,
      entry.hash,
      entry.text,
      timeOf(entry.text),
      why.reason,
      why.detail,
      at,
      entry.forward ?? null,
      entry.previousHash,
      entry.sealedDigest ?? null,
      cardText(why.card),
    ]);
    return done === 1;
  },
  find: async (
    reading: Reading,
    { terminalId, epoch }: Source,
    { sequence, hash }: Pick<StoredEntry, "sequence" | "hash">,
  ) => optional(await reading.get(FIND, [terminalId, epoch, sequence, hash])),
  get: async (reading: Reading, number: number) => optional(await reading.get(BY_NUMBER, [number])),
  /** Why it is still set aside. */
  say: (within: Within, number: number, { reason, detail, card }: WhySetAside) =>
    within.run(SAY, [reason, detail, cardText(card), number]),
  /** False when it was closed before. */
  close: async (within: Within, number: number, { at, by, why, status, reason, detail }: Closing & SetAsideResult) =>
    (await within.run(CLOSE, [at, by, why, status, reason ?? null, detail ?? null, number])) === 1,
  async list(reading: Reading, { afterNumber, terminalId, only, limit }: SetAsideFilter): Promise<readonly SetAside[]> {
    const open = only === "open" ? 1 : 0;
    return (await reading.all(LIST, { afterNumber, terminalId: terminalId ?? null, open, limit })).map(toSetAside);
  },
  anyOpen: async (reading: Reading, { terminalId, epoch }: Source) =>
    (await reading.get(ANY_OPEN, [terminalId, epoch])) !== undefined,
  countOpen: async (reading: Reading) => (await reading.get(COUNT_OPEN, []))?.open ?? 0,
};
