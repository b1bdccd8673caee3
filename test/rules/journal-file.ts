/** A terminal's journal as the file that an operator has of it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { StoredEntry } from "../../wire/journal-entry.ts";
import { writeExport } from "../../wire/journal-export.ts";
import { publicKeyText, type SigningKeys, signText } from "../../wire/signing.ts";
import type { FakeTerminal } from "./hub-fixture.ts";

export interface FileOptions {
  readonly keys?: SigningKeys;
  change?(lines: string[]): void;
}

export function fileOf(terminal: FakeTerminal, entries: readonly StoredEntry[], options: FileOptions = {}): string {
  const { keys = terminal.keys, change } = options;
  const folder = mkdtempSync(join(tmpdir(), "tillway-import-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "journal.jsonl");
  const lines = [
    ...writeExport(entries, {
      terminalId: terminal.terminalId,
      epoch: terminal.epoch,
      publicKey: publicKeyText(keys.publicKey),
      range: { first: 1, last: entries.length },
      madeAt: "2026-01-05T10:00:00Z",
      sign: (text) => signText("journal-export", text, keys.privateKey).signature,
    }),
  ];
  change?.(lines);
  writeFileSync(path, lines.map((line) => `${line}\n`).join(""));
  return path;
}
