/** Reads a journal's file twice into an import, part by part, and sums up what became of its entries. */
import { createReadStream } from "node:fs";
import { Fault, reasonOf } from "../base/fault.ts";
import type { EntryReceipt } from "../wire/advice.ts";
import { EXPORT_LINE_MAX } from "../wire/journal-export.ts";
import { type CheckedImport, type ImportSink, PART_LINES_MAX } from "./import-sessions.ts";

export interface ImportReport extends CheckedImport {
  /** Entries that a hub is never told of. */
  readonly skipped: number;
  /** Entries that were here before, and changed nothing. */
  readonly held: number;
  /** What became of the others. */
  readonly counts: Readonly<Record<EntryReceipt["status"], number>>;
  /** Every entry that is not posted, with its reason; the first 1,000. */
  readonly refused: readonly EntryReceipt[];
}

/** Characters in one part; with those of one line more it stays below what one request may carry. */
const PART_CHARACTERS_MAX = 262_144;
const REFUSED_MAX = 1_000;

/** Throws Fault: `message.invalid` for what is no journal's file, `signature.invalid`, `identity.invalid`. */
export async function importFile(path: string, sink: ImportSink): Promise<ImportReport> {
  const id = await sink.begin();
  for await (const part of partsOf(path)) await sink.check(id, part);
  const checked = await sink.checked(id);
  const counts = { processed: 0, declined: 0, expired: 0, duplicate: 0, quarantined: 0 };
  const refused: EntryReceipt[] = [];
  let [skipped, held] = [0, 0];
  for await (const part of partsOf(path)) {
    const applied = await sink.apply(id, part);
    skipped += applied.skipped;
    held += applied.held;
    for (const result of applied.results) {
      counts[result.status] += 1;
      if (isRefused(result) && refused.length < REFUSED_MAX) refused.push(result);
    }
  }
  return { ...checked, skipped, held, counts, refused };
}

const isRefused = ({ status }: EntryReceipt): boolean =>
  status === "declined" || status === "expired" || status === "quarantined";

async function* partsOf(path: string): AsyncGenerator<readonly string[]> {
  let part: string[] = [];
  let size = 0;
  for await (const line of linesOf(path)) {
    part.push(line);
    size += line.length;
    if (part.length < PART_LINES_MAX && size < PART_CHARACTERS_MAX) continue;
    yield part;
    part = [];
    size = 0;
  }
  if (part.length > 0) yield part;
}

async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = "";
  try {
    for await (const chunk of createReadStream(path, { encoding: "utf8" })) {
      const lines = (rest + String(chunk)).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
      if (rest.length > EXPORT_LINE_MAX)
        throw new Fault(
          "message.invalid",
          `${path} is no export of a journal: a line is longer than ${EXPORT_LINE_MAX}`,
        );
    }
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw new Fault("config.invalid", `${path}: ${reasonOf(error)}; name a file that tillway journal export wrote`);
  }
  if (rest !== "") yield rest;
}
