/** The hash that agent and hub must both arrive at, to the byte. */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { batchText } from "./advice.ts";
import { GENESIS_HASH, type HashInput, hashEntry } from "./journal-entry.ts";

const entry: HashInput = {
  terminalId: "shop-1",
  epoch: "0123456789abcdef",
  sequence: 4,
  forward: 1,
  previousHash: GENESIS_HASH,
  sealedDigest: "33".repeat(32),
  text: '{"kind":"reversal"}',
};

test("the hash is SHA-256 over one line per field and the text, as any other program would compute it", () => {
  const lines = ["shop-1", "0123456789abcdef", "4", "1", "0".repeat(64), "33".repeat(32), '{"kind":"reversal"}'];
  expect(hashEntry(entry)).toBe(createHash("sha256").update(lines.join("\n")).digest("hex"));
});

test("absent fields are empty lines", () => {
  const { forward: _forward, sealedDigest: _sealedDigest, ...plain } = entry;
  const lines = ["shop-1", "0123456789abcdef", "4", "", "0".repeat(64), "", '{"kind":"reversal"}'];
  expect(hashEntry(plain)).toBe(createHash("sha256").update(lines.join("\n")).digest("hex"));
});

test.each<Partial<HashInput>>([
  { terminalId: "shop-2" },
  { epoch: "0123456789abcdee" },
  { sequence: 5 },
  { forward: 2 },
  { previousHash: "1".repeat(64) },
  { sealedDigest: "34".repeat(32) },
  { text: '{"kind":"reversal" }' },
])("a change of any field changes it: %j", (change) => {
  expect(hashEntry({ ...entry, ...change })).not.toBe(hashEntry(entry));
});

test("a batch's signed text covers terminal, epoch, head and every hash in order", () => {
  const stored = (hash: string) => ({ sequence: 1, previousHash: GENESIS_HASH, hash, text: "{}" });
  const [first, second] = [stored("11".repeat(32)), stored("22".repeat(32))];
  const batch = { epoch: "0123456789abcdef", chainHead: "44".repeat(32), entries: [first, second] };
  const digest = createHash("sha256").update(first.hash).update(second.hash).digest("hex");
  expect(batchText("shop-1", batch)).toBe(`shop-1\n0123456789abcdef\n${"44".repeat(32)}\n2\n${digest}`);
  expect(batchText("shop-1", { ...batch, entries: [second, first] })).not.toBe(batchText("shop-1", batch));
});
