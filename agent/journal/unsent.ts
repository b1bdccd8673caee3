/** Every entry that the hub has not receipted is money in this file alone: all are verified before the first sale, however old. */
import type { Sqlite } from "../../base/sqlite.ts";
import { type ChainError, type ChainOwner, type ChainRow, chainColumns, entryFits, sealedFits } from "./chain.ts";

type SealedRow = readonly [sequence: number, digest: string, sealed: unknown, state: string | null];

const SEALED = "e.sequence, coalesce(lower(hex(e.sealed_digest)), ''), e.sealed";
const UNTOUCHED = `FROM journal__entry e WHERE e.sequence >= ? AND e.forward IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM queue__state q WHERE q.sequence = e.sequence)`;
const STATED = `FROM queue__state q CROSS JOIN journal__entry e ON e.sequence = q.sequence
  WHERE q.state IN ('eligible', 'forwarding')`;

export interface UnsentOptions extends ChainOwner {
  readonly database: Sqlite;
  /** Below it no entry is untouched. */
  readonly floor: number;
  /** Entries after it were checked by a walk; of those only the sealed data are left to check. */
  readonly walkedFrom: number;
}

/** The first unsent entry that is not what its hash or its digest says, or a state that the next new entry would take for its own. */
export function checkUnsent(options: UnsentOptions): ChainError | undefined {
  return stateOfNone(options) ?? wrongSeal(options) ?? wrongText(options);
}

function stateOfNone({ database }: UnsentOptions): ChainError | undefined {
  const sequence = database
    .prepare<[], number>(
      `SELECT sequence FROM queue__state WHERE sequence > coalesce((SELECT max(sequence) FROM journal__entry), 0)
       ORDER BY sequence LIMIT 1`,
    )
    .pluck()
    .get();
  return sequence === undefined ? undefined : { sequence, why: "is not there, and has a state in the queue" };
}

function wrongSeal({ database, floor }: UnsentOptions): ChainError | undefined {
  const sealed = [
    () =>
      database
        .prepare<[number], SealedRow>(`SELECT ${SEALED}, NULL ${UNTOUCHED} ORDER BY e.sequence`)
        .raw()
        .iterate(floor),
    () => database.prepare<[], SealedRow>(`SELECT ${SEALED}, q.state ${STATED} ORDER BY q.sequence`).raw().iterate(),
  ];
  for (const rows of sealed) {
    for (const [sequence, digest, bytes, state] of rows()) {
      if (sealedFits(digest, bytes) || (state !== null && isErased(bytes))) continue;
      return { sequence, why: "lies beside sealed card data that are not its own" };
    }
  }
  return undefined;
}

function wrongText({ database, floor, walkedFrom, terminalId, epoch }: UnsentOptions): ChainError | undefined {
  const owner = { terminalId, epoch };
  const columns = chainColumns("e.held");
  const texts = [
    () =>
      database
        .prepare<[number, number], ChainRow>(`SELECT ${columns} ${UNTOUCHED} AND e.sequence <= ? ORDER BY e.sequence`)
        .raw()
        .iterate(floor, walkedFrom),
    () =>
      database
        .prepare<[number], ChainRow>(`SELECT ${columns} ${STATED} AND q.sequence <= ? ORDER BY q.sequence`)
        .raw()
        .iterate(walkedFrom),
  ];
  for (const rows of texts) {
    for (const row of rows()) {
      const body = entryFits(row, owner, {});
      if (typeof body === "string") return { sequence: row[0], why: body };
    }
  }
  return undefined;
}

/** Sent again after its receipt, because the hub was restored from a backup: its card data were erased then (RM18). */
const isErased = (sealed: unknown): boolean => sealed instanceof Uint8Array && sealed.every((byte) => byte === 0);
