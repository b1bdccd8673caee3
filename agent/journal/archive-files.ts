/** The folder of archives beside a journal: names, and reading one back with everything checked that it can prove. */
import { createReadStream, existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { isFault } from "../../base/fault.ts";
import type { StoredEntry } from "../../wire/journal-entry.ts";
import { ExportReader, exportLines } from "../../wire/journal-export.ts";
import type { Anchor, ChainError, ChainOwner } from "./chain.ts";

export const archiveFolder = (journalPath: string): string => join(dirname(journalPath), "archive");
export const archiveName = (epoch: string, first: number, last: number): string => `${epoch}-${first}-${last}.jsonl`;

export interface ArchivePart {
  readonly path: string;
  readonly first: number;
  readonly last: number;
  /** What the archive's first entry follows. */
  readonly before: Anchor;
  readonly onEntry?: (entry: StoredEntry) => void;
}

/** Reads the whole file; its last entry, or the first thing that is wrong with it. */
export async function checkArchive(owner: ChainOwner, part: ArchivePart): Promise<Anchor | ChainError> {
  const { path, first, last, before } = part;
  const wrong = (why: string, sequence = first): ChainError => ({ sequence, why: `lies in ${path}, which ${why}` });
  if (!existsSync(path)) return wrong("is not there");
  const reader = new ExportReader();
  let anchor = before;
  try {
    for await (const line of exportLines(createReadStream(path))) {
      const entry = reader.take(line);
      if (!entry) continue;
      if (entry.sequence === first && entry.previousHash !== before.hash)
        return wrong("does not follow what is before it");
      if (entry.forward !== undefined && entry.forward !== anchor.forward + 1) {
        return wrong(`has forward number ${entry.forward} after ${anchor.forward}`, entry.sequence);
      }
      anchor = { sequence: entry.sequence, hash: entry.hash, forward: entry.forward ?? anchor.forward };
      part.onEntry?.(entry);
    }
    const { header, signatureHolds, firstBad } = reader.finish();
    if (header.terminalId !== owner.terminalId || header.epoch !== owner.epoch) return wrong("is another journal's");
    if (firstBad) return wrong(`holds one that ${firstBad.why}`, firstBad.sequence);
    if (!signatureHolds) return wrong("does not bear a signature that holds");
    if (header.first !== first || anchor.sequence !== last) return wrong(`does not hold ${first} to ${last}`);
    return anchor;
  } catch (error) {
    if (isFault(error, "message.invalid")) return wrong(`is damaged (${error.message})`);
    throw error;
  }
}
