/** An issuer's books on disk: one line of JSON for each change, synced before anybody is answered. */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Fault, reasonOf } from "../../base/fault.ts";
import { type BookRecord, BookRecordSchema } from "./records.ts";

export class BookFile implements Disposable {
  readonly #path: string;
  #file: number | undefined;
  #unsaved: string[] = [];

  constructor(path: string) {
    this.#path = path;
  }

  /** What was written before; a last line that a power cut left half is none. Throws Fault `store.failed`. */
  *read(): Generator<BookRecord> {
    if (!existsSync(this.#path)) return;
    const lines = readFileSync(this.#path, "utf8").split("\n");
    // Behind the last line break there is nothing, or a line that was never whole.
    for (const [index, line] of lines.slice(0, -1).entries()) yield readLine(line, `${this.#path}:${index + 1}`);
  }

  /** Writes them as the whole of the file, in place of all that led to them. */
  begin(records: Iterable<BookRecord>): void {
    const fresh = `${this.#path}.new`;
    const file = openSync(fresh, "w", 0o600);
    for (const record of records) writeFileSync(file, lineOf(record));
    fsyncSync(file);
    renameSync(fresh, this.#path);
    syncFolder(dirname(this.#path));
    this.#file = file;
  }

  add(record: BookRecord): void {
    this.#unsaved.push(lineOf(record));
  }

  /** On disk when it returns: all that was added. */
  save(): void {
    if (this.#unsaved.length === 0 || this.#file === undefined) return;
    writeFileSync(this.#file, this.#unsaved.join(""));
    fsyncSync(this.#file);
    this.#unsaved = [];
  }

  [Symbol.dispose](): void {
    this.save();
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

const lineOf = (record: BookRecord): string => `${JSON.stringify(BookRecordSchema.encode(record))}\n`;

function readLine(line: string, place: string): BookRecord {
  try {
    return BookRecordSchema.parse(JSON.parse(line));
  } catch (error) {
    throw new Fault("store.failed", `${place}: no line of an issuer's books: ${reasonOf(error).split("\n")[0] ?? ""}`);
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  fsyncSync(folder);
  closeSync(folder);
}
