/** Application File Locator: which records belong to the application (Book 3, 10.2). */
import { Fault } from "../../base/fault.ts";

export interface AflEntry {
  /** Short file identifier, 1 to 30. */
  readonly sfi: number;
  readonly firstRecord: number;
  readonly lastRecord: number;
  /** How many records, from the first on, take part in offline data authentication. */
  readonly authenticatedRecords: number;
}

const ENTRY_BYTES = 4;
const AFL_BYTES_MAX = 252;
const SFI_MAX = 30;

/** Faults carry `details.offset`. */
export function decodeAfl(bytes: Uint8Array): readonly AflEntry[] {
  if (bytes.length === 0 || bytes.length % ENTRY_BYTES !== 0 || bytes.length > AFL_BYTES_MAX) {
    const details = { offset: Math.min(bytes.length, AFL_BYTES_MAX) };
    throw new Fault("codec.invalid", `an AFL of ${bytes.length} bytes`, { details });
  }
  return Array.from({ length: bytes.length / ENTRY_BYTES }, (_, index) => decodeEntry(bytes, index * ENTRY_BYTES));
}

function decodeEntry(bytes: Uint8Array, offset: number): AflEntry {
  const entry = bytes.subarray(offset, offset + ENTRY_BYTES);
  const [first = 0, firstRecord = 0, lastRecord = 0, authenticatedRecords = 0] = entry;
  const sfi = first >> 3;
  // The three lower bits are reserved, and not looked at (6.3.6).
  const sound =
    sfi >= 1 &&
    sfi <= SFI_MAX &&
    firstRecord >= 1 &&
    lastRecord >= firstRecord &&
    authenticatedRecords <= lastRecord - firstRecord + 1;
  if (!sound) {
    const details = { offset, entry: [...entry] };
    throw new Fault("codec.invalid", `an AFL entry that names no records, at byte ${offset}`, { details });
  }
  return { sfi, firstRecord, lastRecord, authenticatedRecords };
}

export function encodeAfl(entries: readonly AflEntry[]): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(
    entries.flatMap((entry) => [entry.sfi << 3, entry.firstRecord, entry.lastRecord, entry.authenticatedRecords]),
  );
  decodeAfl(bytes);
  return bytes;
}
