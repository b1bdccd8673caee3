/** Writes a file for a bank: whole under its name, or not there at all, as half of one would pay only some. */
import { closeSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";

/** Readable by its owner alone. Throws where there is a file of this name, or no room for it. */
export function writeNewFile(path: string, text: string): void {
  // Takes the name: no file is ever overwritten.
  closeSync(openSync(path, "wx", 0o600));
  const part = `${path}.part`;
  try {
    writeFileSync(part, text, { mode: 0o600, flush: true });
    renameSync(part, path);
  } catch (error) {
    for (const begun of [part, path]) rmSync(begun, { force: true });
    throw error;
  }
}
