/**
 * A note beside the journal that there is one, and of which epoch: an emptied or missing file would else open as a new
 * journal, and what the hub has not received of the old one would be missed by nobody.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { Fault } from "../../base/fault.ts";
import type { Epoch } from "../../base/ids.ts";
import { syncFolder } from "../../base/sqlite.ts";

export const epochNotePath = (journalPath: string): string => `${journalPath}.epoch`;

/** Throws Fault `journal.corrupt` where a journal was here before. `path` is of one that holds nothing. */
export function refuseLost(path: string): void {
  const note = epochNotePath(path);
  if (!existsSync(note)) return;
  const why = `${path}: is empty or gone, and ${note} says that journal ${readFileSync(note, "utf8").trim().slice(0, 32)} was here`;
  const mend = `bring it back from a copy; only if it is lost for good, remove ${note} to begin a new one`;
  throw new Fault("journal.corrupt", `${why}; ${mend}`);
}

/** After the epoch is on disk in the journal itself, so that a crash in between leaves no note of what never was. */
export function noteEpoch(path: string, epoch: Epoch): void {
  const note = epochNotePath(path);
  if (existsSync(note) && readFileSync(note, "utf8").trim() === epoch) return;
  const descriptor = openSync(`${note}.new`, "w", 0o600);
  try {
    writeSync(descriptor, `${epoch}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(`${note}.new`, note);
  syncFolder(dirname(note));
}
