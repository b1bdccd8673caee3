/** `tillway journal export` and `check-export`: a part of a journal for a dispute, and whether such a file proves what it says. */
import { closeSync, createReadStream, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Fault, reasonOf } from "../../base/fault.ts";
import { syncFolder } from "../../base/sqlite.ts";
import type { StoredEntry } from "../../wire/journal-entry.ts";
import { ExportReader, type ExportSummary, ExportWriter, exportLines } from "../../wire/journal-export.ts";
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
  const { payment, day } = selection;
  const first = Math.max(selection.from ?? 1, 1);
  const last = Math.max(Math.min(selection.to ?? reader.newest, reader.newest), first - 1);
  const writer = new ExportWriter({
    terminalId: reader.terminalId,
    epoch: reader.epoch,
    publicKey: signer.publicKey,
    range: { first, last },
    madeAt,
    ...(payment !== undefined && { payment }),
    ...(day !== undefined && { day }),
    sign: (text) => signText("journal-export", text, signer.key).signature,
  });
  await writeLines(path, linesOf(writer, selectedEntries(reader, selection)));
  return writer.count;
}

async function* linesOf(writer: ExportWriter, entries: AsyncIterable<StoredEntry>): AsyncGenerator<string, void> {
  yield writer.header;
  for await (const entry of entries) yield writer.line(entry);
  yield writer.end();
}

/** What of the selection left the file for its archives, and then what is still in it: one by one, as years may be many. */
export async function* selectedEntries(reader: JournalReader, selection: Selection): AsyncGenerator<StoredEntry, void> {
  yield* archivedEntries(reader, selection);
  // Rows of what is archived may still be on their way out.
  const archived = reader.archives.at(-1)?.last ?? 0;
  yield* reader.entries({ ...selection, from: Math.max(selection.from ?? 1, archived + 1) });
}

/** Written beside its place, made durable, and only then given its name. */
async function writeLines(path: string, lines: AsyncIterable<string>): Promise<void> {
  const fresh = `${path}.new`;
  try {
    rmSync(fresh, { force: true });
    const descriptor = openSync(fresh, "wx", 0o600);
    try {
      let text = "";
      for await (const line of lines) {
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

async function* archivedEntries(reader: JournalReader, selection: Selection): AsyncGenerator<StoredEntry, void> {
  const { from = 1, to = Number.MAX_SAFE_INTEGER, payment, day } = selection;
  for (const { first, last, file } of reader.archives) {
    if (last < from || first > to) continue;
    const path = join(archiveFolder(reader.path), file);
    const onDay = day === undefined ? undefined : await paymentsOn(day, path);
    for await (const entry of readArchive(path)) {
      if (entry.sequence < from || entry.sequence > to) continue;
      const of = payment === undefined && !onDay ? undefined : facts(entry).paymentId;
      if ((payment === undefined || of === payment) && (!onDay || onDay.has(of))) yield entry;
    }
  }
}

/**
 * A payment's day is told only after its first entries, so the file is read once more for it. None is in two archives, and
 * one archive holds at most `ARCHIVE_ENTRIES_MAX`.
 */
async function paymentsOn(day: string, path: string): Promise<ReadonlySet<unknown>> {
  const found = new Set<unknown>();
  for await (const entry of readArchive(path)) {
    const { businessDate, paymentId } = facts(entry);
    if (businessDate === day) found.add(paymentId);
  }
  return found;
}

const facts = ({ text }: StoredEntry) => parseJson(text) as { paymentId?: unknown; businessDate?: unknown };

async function* readArchive(path: string): AsyncGenerator<StoredEntry, void> {
  const reader = new ExportReader();
  try {
    for await (const line of exportLines(createReadStream(path))) {
      const entry = reader.take(line);
      if (entry) yield entry;
    }
    reader.finish();
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
