/** Walks everything that a journal ever held: its archives in order, then the file's own chain, numbering and checkpoints. */
import { join } from "node:path";
import { archiveFolder, checkArchive } from "./archive-files.ts";
import { type ChainError, FROM_GENESIS } from "./chain.ts";
import type { JournalReader } from "./journal-reader.ts";

export interface VerifyReport {
  readonly ok: boolean;
  readonly path: string;
  readonly terminalId: string;
  readonly epoch: string;
  /** Entries in the file, from where its chain begins. */
  readonly entries: number;
  readonly checkpoints: number;
  readonly archives: number;
  /** Entries in the archives that were read. */
  readonly archived: number;
  readonly firstBad?: ChainError;
}

/**
 * `publicKey`: the terminal's, which must have signed the checkpoints; without one, each one's own is taken. Archives may bear
 * an earlier key: their entries are vouched for by the chain that runs through them up to a signed checkpoint.
 */
export async function verifyJournal(reader: JournalReader, publicKey?: string): Promise<VerifyReport> {
  const { path, terminalId, epoch, checkpoints, archives } = reader;
  const report = { path, terminalId, epoch, checkpoints: checkpoints.length, archives: archives.length };
  let before = FROM_GENESIS;
  let archived = 0;
  const bad = (firstBad: ChainError, entries = 0): VerifyReport => ({
    ok: false,
    ...report,
    entries,
    archived,
    firstBad,
  });
  const cut = reader.cut(publicKey);
  if ("why" in cut) return bad(cut);
  for (const { first, last, file } of archives) {
    if (first !== before.sequence + 1) return bad({ sequence: before.sequence + 1, why: "is in no archive" });
    const part = { path: join(archiveFolder(path), file), first, last, before };
    const end = await checkArchive({ terminalId, epoch }, part);
    if ("why" in end) return bad(end);
    archived += last - first + 1;
    before = end;
  }
  if (before.sequence !== cut.sequence || before.hash !== cut.hash) {
    return bad({ sequence: cut.sequence, why: "is not the one that the newest archive ends with" });
  }
  const check = reader.check(cut, publicKey);
  const error = check.run() ?? checkpoints.find(({ sequence }) => sequence > check.last.sequence);
  if (error) {
    const firstBad =
      "why" in error
        ? error
        : { sequence: reader.newest + 1, why: `is missing: a checkpoint speaks of ${error.sequence}` };
    return bad(firstBad, check.entries);
  }
  const unsent = reader.checkUnsent(cut);
  if (unsent) return bad(unsent, check.entries);
  return { ok: true, ...report, entries: check.entries, archived };
}
