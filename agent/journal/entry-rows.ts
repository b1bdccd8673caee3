/** How entries lie in their table, and back. */
import { toHex } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";
import { fromWireMoney } from "../../wire/common.ts";
import { type EntryBody, EntryBodySchema, type StoredEntry } from "../../wire/journal-entry.ts";
import { firstIssue, parseJson } from "../../wire/signing.ts";
import type { JournalEntry } from "./journal.ts";

export interface EntryRow {
  readonly sequence: number;
  readonly forward: number | null;
  readonly previous_hash: Uint8Array;
  readonly hash: Uint8Array;
  readonly sealed_digest: Uint8Array | null;
  readonly text: string;
}

export const ENTRY_COLUMNS = "e.sequence, e.forward, e.previous_hash, e.hash, e.sealed_digest, e.text";

export function toStored(row: EntryRow): StoredEntry {
  return {
    sequence: row.sequence,
    ...(row.forward === null ? {} : { forward: row.forward }),
    previousHash: toHex(row.previous_hash),
    hash: toHex(row.hash),
    ...(row.sealed_digest === null ? {} : { sealedDigest: toHex(row.sealed_digest) }),
    text: row.text,
  };
}

export const toEntry = (row: EntryRow): JournalEntry => ({ ...toStored(row), body: readBody(row) });

/** The columns in the order of `ENTRY_INSERT`; `sealed` is the text of the sealed card data. */
export function toColumns(entry: StoredEntry, body: EntryBody, sealed: string | undefined): unknown[] {
  return [
    entry.sequence,
    entry.forward ?? null,
    body.paymentId,
    body.kind,
    Buffer.from(entry.previousHash, "hex"),
    Buffer.from(entry.hash, "hex"),
    entry.sealedDigest === undefined ? null : Buffer.from(entry.sealedDigest, "hex"),
    (entry.forward === undefined ? undefined : heldBy(body)) ?? null,
    entry.text,
    sealed === undefined ? null : Buffer.from(sealed, "utf8"),
  ];
}
export const ENTRY_INSERT = "INSERT INTO journal__entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/** What an entry says. Throws Fault `journal.corrupt` for text that no version of this program wrote. */
export function readBody(row: { readonly sequence: number; readonly text: string }): EntryBody {
  const parsed = EntryBodySchema.safeParse(parseJson(row.text));
  if (parsed.success) return parsed.data;
  throw new Fault(
    "journal.corrupt",
    `entry ${row.sequence} is of unknown form (${firstIssue(parsed.error)}); keep the file for recovery`,
  );
}

/** The minor units that an approved offline sale holds against the lease (RM8); undefined for all else. */
export function heldBy(body: EntryBody): number | undefined {
  if (body.kind !== "decision" || body.outcome !== "approved" || body.mode !== "offline") return undefined;
  return body.operation === "purchase" ? Number(body.amount.minor) : undefined;
}

export const amountOf = (body: EntryBody) => ("amount" in body ? fromWireMoney(body.amount) : undefined);
