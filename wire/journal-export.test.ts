/** An export proves who wrote it and that nothing in it was changed, left out or added. */
import { expect, test } from "vitest";
import type { Epoch, PaymentId, TerminalId } from "../base/ids.ts";
import { GENESIS_HASH, hashEntry, type StoredEntry } from "./journal-entry.ts";
import { type ExportOptions, ExportReader, exportLines, writeExport } from "./journal-export.ts";
import { newSigningKeys, publicKeyText, signText } from "./signing.ts";

const terminalId = "shop-1" as TerminalId;
const epoch = "00112233445566aa" as Epoch;
const keys = newSigningKeys();

function chain(count: number): StoredEntry[] {
  const entries: StoredEntry[] = [];
  for (let sequence = 1; sequence <= count; sequence += 1) {
    const place = {
      sequence,
      previousHash: entries.at(-1)?.hash ?? GENESIS_HASH,
      text: `{"n":"${sequence} \u2028 é"}`,
    };
    entries.push({ ...place, hash: hashEntry({ terminalId, epoch, ...place }) });
  }
  return entries;
}
const all = chain(5);
const options = (more: Partial<ExportOptions> = {}): ExportOptions => ({
  terminalId,
  epoch,
  publicKey: publicKeyText(keys.publicKey),
  range: { first: 1, last: 5 },
  madeAt: "2026-01-05T18:00:00.000Z",
  sign: (text) => signText("journal-export", text, keys.privateKey).signature,
  ...more,
});
const lines = [...writeExport(all, options())];
const changed = (at: number, change: (line: string) => string): string[] =>
  lines.map((line, index) => (index === at ? change(line) : line));
async function readExport(from: AsyncIterable<string> | Iterable<string>) {
  const reader = new ExportReader();
  const entries: StoredEntry[] = [];
  for await (const line of from) {
    const entry = reader.take(line);
    if (entry) entries.push(entry);
  }
  return { ...reader.finish(), entries };
}

test("what was written is read back, entry by entry, and its signature holds", async () => {
  const read = await readExport(lines);
  expect(read).toMatchObject({ count: 5, signatureHolds: true, header: { terminalId, epoch, first: 1, last: 5 } });
  expect(read.entries).toEqual(all);
  expect(read.firstBad).toBeUndefined();
});

test("sealed card data that lie beside an entry are never written", () => {
  const beside = all.map((entry) => ({ ...entry, sealed: { ciphertext: "AAAA" } }));
  expect([...writeExport(beside, options())].join()).not.toContain("ciphertext");
});

test("a changed text shows in the signature and names its entry", async () => {
  const read = await readExport(changed(3, (line) => line.replace("é", "e")));
  expect(read).toMatchObject({ signatureHolds: false, firstBad: { sequence: 3 } });
});

test("an entry left out or put elsewhere is named, though each hash holds", async () => {
  expect(await readExport(lines.filter((_, at) => at !== 2))).toMatchObject({
    signatureHolds: false,
    firstBad: { sequence: 3, why: expect.stringContaining("missing") },
  });
  const short = [...writeExport(all.slice(0, 4), options())];
  expect(await readExport(short)).toMatchObject({ signatureHolds: true, firstBad: { sequence: 5 } });
});

test("a header that names another terminal or key does not hold", async () => {
  const other = publicKeyText(newSigningKeys().publicKey);
  const forged = changed(0, (line) => line.replace(publicKeyText(keys.publicKey), other));
  expect((await readExport(forged)).signatureHolds).toBe(false);
  const foreign = await readExport(changed(0, (line) => line.replace("shop-1", "shop-2")));
  expect(foreign).toMatchObject({ signatureHolds: false, firstBad: { sequence: 1 } });
});

test("a part of the journal, chosen by payment, may leave entries out but not change their order", async () => {
  const some = all.filter(({ sequence }) => sequence % 2 === 1);
  const part = options({ payment: "p-1" as PaymentId });
  expect(await readExport(writeExport(some, part))).toMatchObject({ count: 3, signatureHolds: true });
  expect((await readExport(writeExport(some, part))).firstBad).toBeUndefined();
  expect((await readExport(writeExport(some.toReversed(), part))).firstBad).toMatchObject({ sequence: 3 });
});

test.each([
  ["nothing", [], "nothing in it"],
  ["no signature", lines.slice(0, -1), "after line 6 without its signature"],
  ["a line that was cut", changed(2, (line) => line.slice(0, 40)), "line 3"],
  ["something after the signature", [...lines, lines[1] ?? ""], "line 8"],
  ["another file", ["hello"], "line 1"],
])("refuses %s, naming the line", async (_what, wrong, where) => {
  await expect(readExport(wrong)).rejects.toMatchObject({
    code: "message.invalid",
    message: expect.stringContaining(where),
  });
});

test("lines end at line feeds alone, wherever the file's chunks were cut", async () => {
  const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
  for (const size of [1, 7, 1_000, bytes.length]) {
    const chunks = async function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    };
    expect(await readExport(exportLines(chunks()))).toMatchObject({ count: 5, signatureHolds: true });
  }
});
