/** `tillway journal export` and `check-export`: a part of a journal for a dispute, and whether such a file proves what it says. */
import { closeSync, createReadStream, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Fault, reasonOf } from "../../base/fault.ts";
import { syncFolder } from "../../base/sqlite.ts";
import type { StoredEntry } from "../../wire/journal-entry.ts";
import {
  ExportReader,
  type ExportSummary,
  exportLines,
  type ReadExport,
  readExport,
  writeExport,
} from "../../wire/journal-export.ts";
import { parseJson, signText } from "../../wire/signing.ts";
import { archiveFolder } from "./archive-files.ts";
import type { Signer } from "./checkpoint.ts";
import type { JournalReader, Selection } from "./journal-reader.ts";

/** Characters that are gathered before they are written. */
const CHUNK_CHARACTERS = 65_536;

export interface ExportFile {
  readonly path: string;
  readonly selection: Selection;
  readonly signer: Signer;
  /** ISO time. */
  readonly madeAt: string;
}

/** Writes the file whole or not at all, mode 0600; returns how many entries it holds. */
export async function exportJournal(
  reader: JournalReader,
  { path, selection, signer, madeAt }: ExportFile,
): Promise<number> {
  const archived = await archivedEntries(reader, selection);
  const first = Math.max(selection.from ?? 1, 1);
  const last = Math.max(Math.min(selection.to ?? reader.newest, reader.newest), first - 1);
  const after = archived.at(-1)?.sequence ?? 0;
  let count = 0;
  function* all(): Generator<StoredEntry, void> {
    for (const entry of archived) {
      count += 1;
      yield entry;
    }
    for (const entry of reader.entries({ ...selection, from: Math.max(first, after + 1) })) {
      count += 1;
      yield entry;
    }
  }
  const { payment, day } = selection;
  const lines = writeExport(all(), {
    ...{
      terminalId: reader.terminalId,
      epoch: reader.epoch,
      publicKey: signer.publicKey,
      range: { first, last },
      madeAt,
    },
    ...(payment !== undefined && { payment }),
    ...(day !== undefined && { day }),
    sign: (text) => signText("journal-export", text, signer.key).signature,
  });
  writeLines(path, lines);
  return count;
}

/** Written beside its place, made durable, and only then given its name. */
function writeLines(path: string, lines: Iterable<string>): void {
  const fresh = `${path}.new`;
  try {
    rmSync(fresh, { force: true });
    const descriptor = openSync(fresh, "wx", 0o600);
    try {
      let text = "";
      for (const line of lines) {
        text += `${line}\n`;
        if (text.length < CHUNK_CHARACTERS) continue;
        writeFileSync(descriptor, text);
        text = "";
      }
      writeFileSync(descriptor, text);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(fresh, path);
    syncFolder(dirname(path));
  } catch (error) {
    rmSync(fresh, { force: true });
    if (error instanceof Fault) throw error;
    throw new Fault("store.failed", `cannot write ${path}: ${reasonOf(error)}; name another with -o`, { cause: error });
  }
}

/** What of the selection left the file for its archives. */
async function archivedEntries(reader: JournalReader, selection: Selection): Promise<readonly StoredEntry[]> {
  const { from = 1, to = Number.MAX_SAFE_INTEGER, payment, day } = selection;
  const found: StoredEntry[] = [];
  for (const { first, last, file } of reader.archives) {
    if (last < from || first > to) continue;
    const path = join(archiveFolder(reader.path), file);
    const { entries } = await readArchive(path);
    const texts = entries.map(({ text }) => parseJson(text) as { paymentId?: unknown; businessDate?: unknown });
    const onDay = new Set(texts.filter(({ businessDate }) => businessDate === day).map(({ paymentId }) => paymentId));
    for (const [at, entry] of entries.entries()) {
      const of = texts[at]?.paymentId;
      if (entry.sequence < from || entry.sequence > to) continue;
      if ((payment === undefined || of === payment) && (day === undefined || onDay.has(of))) found.push(entry);
    }
  }
  return found;
}

async function readArchive(path: string): Promise<ReadExport> {
  try {
    return await readExport(exportLines(createReadStream(path)));
  } catch (error) {
    const mend = "bring it back, or leave its entries out with --from";
    throw new Fault("store.failed", `the archive ${path} cannot be read: ${reasonOf(error)}; ${mend}`, {
      cause: error,
    });
  }
}

/** What a file says of itself, and whether it holds. Throws Fault `message.invalid` for a file that is no export, or was cut off. */
export async function checkExport(path: string): Promise<ExportSummary> {
  const reader = new ExportReader();
  try {
    for await (const line of exportLines(createReadStream(path))) reader.take(line);
    return reader.finish();
  } catch (error) {
    const why = `${path}: ${reasonOf(error)}`;
    throw new Fault(error instanceof Fault ? error.code : "store.failed", why, { cause: error });
  }
}
