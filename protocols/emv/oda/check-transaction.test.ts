import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import fc from "fast-check";
import { afterAll, expect, test, vi } from "vitest";
import { fromHex, toHex } from "../../../base/bytes.ts";
import { isFault } from "../../../base/fault.ts";
import { encodeTlv } from "../ber-tlv.ts";
import { parseCaKeys } from "./capk.ts";
import { checkTransaction } from "./check-transaction.ts";
import { registerCapk, registerVerify } from "./cli.ts";
import { dayOf, firstSet, made } from "./oda-fixture.ts";
import { parseTransactionFile } from "./transaction-file.ts";

const set = firstSet();
const folder = mkdtempSync(join(tmpdir(), "tillway-oda-"));
afterAll(() => rmSync(folder, { recursive: true }));

const upper = (bytes: Uint8Array) => toHex(bytes).toUpperCase();
const object = (tag: number, value: string) => upper(encodeTlv([{ tag, value: fromHex(value) }]));
const template = (tag: 0x70 | 0x77 | 0x6f, content: string): string => {
  const bytes = fromHex(content);
  const length = bytes.length < 0x80 ? Uint8Array.of(bytes.length) : Uint8Array.of(0x81, bytes.length);
  return upper(Uint8Array.of(tag, ...length, ...bytes));
};
const of = (...tags: readonly string[]) =>
  tags.flatMap((tag) => {
    const value = set.values[tag];
    return value === undefined ? [] : [object(Number.parseInt(tag, 16), value)];
  });

/** The signed record is the made static data without the AIP, which the tag list puts behind it. */
const SIGNED_RECORD = template(0x70, set.staticData.slice(0, -4));
const AID = "4F08F054494C4C574159";

function sdaLines(): readonly string[] {
  const rest = template(0x70, of("8F", "9F32", "92", "93").join(""));
  return [
    AID,
    template(0x77, "82026100" + "94080801010110010200"),
    SIGNED_RECORD,
    rest,
    template(0x70, of("90").join("")),
  ];
}

function ddaLines(): readonly string[] {
  return [
    AID,
    "800A6100 08010101 10010200",
    SIGNED_RECORD,
    template(0x70, of("8F", "9F32", "92", "90").join("")),
    template(0x70, of("9F46", "9F47", "9F48").join("")),
    object(0x9f37, set.dda.terminalData),
    object(0x9f4b, set.dda.signed),
  ];
}

/** The transaction data of the vector: amounts and number by PDOL and CDOL1, then the answer's objects. */
function cdaLines(): readonly string[] {
  const answer = `9F2701409F36020005${object(0x9f4b, set.cda.signed)}9F100706010A03A00000`;
  return [
    template(0x6f, `8408F054494C4C574159${object(0x9f38, "9F0206")}`),
    "9F0206000000000250 # the amount",
    template(0x77, "82026100" + "940808010101 10010200"),
    SIGNED_RECORD,
    template(0x70, of("8F", "9F32", "92", "90").join("")),
    template(0x70, of("9F46", "9F47", "9F48").join("") + object(0x8c, "9F03069F3704")),
    object(0x9f03, "000000000000"),
    object(0x9f37, set.cda.unpredictableNumber),
    template(0x77, answer),
  ];
}

/** The issuer's answer between the two cryptograms is a decision, and not signed. */
function secondLines(): readonly string[] {
  const lines = cdaLines();
  const records = lines.slice(0, -3).map((line) => line.replace("94080801010110010200", "94080801010110010300"));
  const lists = template(0x70, object(0x8d, "9F3704"));
  const first = template(0x77, "9F2701809F360200059F26081122334455667788");
  const second = `9F2701409F36020005${object(0x9f4b, set.secondSigned)}9F100706010A03A00000`;
  return [...records, lists, ...lines.slice(-3, -1), first, template(0x77, second)];
}

const settings = { caKeys: parseCaKeys([set.caKey]), revoked: [], today: dayOf(made.today) };
const check = (lines: readonly string[]) => checkTransaction(parseTransactionFile(lines.join("\n")), settings);
const PROFILES = { sda: sdaLines, dda: ddaLines, cda: cdaLines } as const;

test.each(Object.entries(PROFILES))("RM13 a finished %s transaction holds in each of its steps", (method, lines) => {
  const report = check(lines());
  expect(report).toEqual(expect.objectContaining({ method, holds: true }));
  expect(report.steps.map(({ holds }) => holds)).not.toContain(false);
  expect(report.steps.at(-1)?.step).toBe(method.toUpperCase());
});

test("comments and line ends may stand between any two bytes", () => {
  const text = sdaLines()
    .join("")
    .replace(/(.{6})/g, "$1 # a comment\n\n ");
  expect(checkTransaction(parseTransactionFile(text), settings).holds).toBe(true);
});

test("lengths count as the card wrote them", () => {
  const long = SIGNED_RECORD.replace(/^70(..)/, "7081$1");
  expect(check(sdaLines().map((line) => (line === SIGNED_RECORD ? long : line))).holds).toBe(true);
});

test("RM13 the signature of a second GENERATE AC covers the values of CDOL1 and CDOL2", () => {
  const report = check(secondLines());
  expect(report.steps.at(-1)).toEqual(expect.objectContaining({ step: "CDA", holds: true }));
  expect(lastFailure(secondLines().filter((line) => !line.startsWith("77149F270180")))).toEqual(["CDA", "hash"]);
});

test("RM13 a record of a file above 10 is signed with its template", () => {
  const high = sdaLines().map((line) =>
    line.replace("080801010110010200", "085801010110010200").replace(set.values["93"] ?? "", set.highFileSigned),
  );
  expect(check(high)).toEqual(expect.objectContaining({ method: "sda", holds: true }));
  expect(lastFailure(high.map((line) => line.replace(set.highFileSigned, set.values["93"] ?? "")))).toEqual([
    "SDA",
    "hash",
  ]);
});

test("RM13 a DDOL that does not ask for the unpredictable number fails DDA", () => {
  const ddol = (list: string) =>
    ddaLines().map((line) =>
      line.replace(
        template(0x70, of("8F", "9F32", "92", "90").join("")),
        template(0x70, of("8F", "9F32", "92", "90").join("") + object(0x9f49, list)),
      ),
    );
  expect(check(ddol("9F3704")).holds).toBe(true);
  expect(lastFailure(ddol("9F1A02"))).toEqual(["DDA", "missing"]);
});

function lastFailure(lines: readonly string[]): readonly [string | undefined, string | undefined] {
  const report = check(lines);
  expect(report.holds).toBe(false);
  const last = report.steps.at(-1);
  return [last?.step, last?.why];
}

test("the step that fails is named, with its kind", () => {
  const without = (lines: readonly string[], start: string) => lines.filter((line) => !line.startsWith(start));
  expect(lastFailure(without(sdaLines(), "4F"))).toEqual(["static data", "missing"]);
  expect(lastFailure(without(sdaLines(), SIGNED_RECORD))).toEqual(["static data", "missing"]);
  expect(lastFailure(sdaLines().map((line) => line.replace("82026100", "82026101")))).toEqual(["SDA", "hash"]);
  expect(lastFailure(ddaLines().map((line) => line.replace("800A6100", "800A6101")))).toEqual(["ICC key", "hash"]);
  expect(lastFailure(without(ddaLines(), "9F37"))).toEqual(["DDA", "missing"]);
  expect(lastFailure(without(ddaLines(), "9F4B"))).toEqual(["signature", "missing"]);
  expect(lastFailure(without(cdaLines(), "9F37"))).toEqual(["CDA", "missing"]);
  expect(lastFailure(cdaLines().map((line) => line.replace("9F270140", "9F270180")))).toEqual(["CDA", "identifier"]);
  expect(lastFailure(cdaLines().map((line) => line.replace("9F36020005", "9F36020006")))).toEqual(["CDA", "hash"]);
});

test("what a DOL asks for and the file lacks is named when the hash code does not hold", () => {
  const report = check(cdaLines().filter((line) => !line.startsWith("9F02")));
  expect(report.steps.at(-1)?.detail).toContain("PDOL asks for 9F02");
});

test.each([
  ["", /there are no data objects/],
  ["# only a comment", /there are no data objects/],
  ["5A 01\n5A0Z", /^line 2: not a hex digit/],
  ["4F08F054", /wants 8 bytes/],
  ["70800000", /an indefinite length is not allowed/],
  [AID, /GET PROCESSING OPTIONS .* is missing/],
  ["82026100 9403080101", /an AFL of 3 bytes/],
])("the file %j is refused with its reason", (text, reason) => {
  expect(() => parseTransactionFile(text)).toThrow(reason);
});

test("any bytes and any text are a transaction or a fault", () => {
  const lines = Object.values(PROFILES).map((of) => fromHex(of().join("").replace(/#.*/g, "")));
  const mutated = fc
    .tuple(fc.constantFrom(...lines), fc.nat(), fc.nat({ max: 255 }))
    .map(([bytes, at, value]) => upper(bytes.map((byte, index) => (index === at % bytes.length ? value : byte))));
  const text = fc.oneof(fc.string(), fc.uint8Array({ maxLength: 300 }).map(upper), mutated);
  fc.assert(
    fc.property(text, (input) => {
      try {
        expect(typeof checkTransaction(parseTransactionFile(input), settings).holds).toBe("boolean");
      } catch (error) {
        expect(isFault(error, "codec.invalid", "codec.truncated", "codec.too-long")).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
});

const write = (name: string, content: string) => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};

/** What a command prints, and the exit code it asks for. */
async function run(...words: readonly string[]): Promise<{ lines: string[]; errors: string; exit: number }> {
  const lines: string[] = [];
  let errors = "";
  const log = vi.spyOn(console, "log").mockImplementation((line: string) => void lines.push(line));
  const error = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    errors += String(text);
    return true;
  });
  const emv = new Command("emv").exitOverride();
  registerCapk(emv);
  registerVerify(emv);
  try {
    await emv.parseAsync(words, { from: "user" });
    return { lines, errors, exit: Number(process.exitCode ?? 0) };
  } finally {
    process.exitCode = 0;
    log.mockRestore();
    error.mockRestore();
  }
}

const capkFile = write("capk.json", JSON.stringify([set.caKey]));

test("verify prints each step and asks for exit 0 only when it holds", async () => {
  const file = write("cda.hex", cdaLines().join("\n"));
  const good = await run("verify", file, "--capk", capkFile, "--date", made.today);
  expect(good.exit).toBe(0);
  expect(good.lines.at(-1)).toBe("CDA holds");
  const late = await run("verify", file, "--capk", capkFile, "--date", "2050-01-01", "--json");
  expect(late.exit).toBe(1);
  expect(JSON.parse(late.lines.join(""))).toMatchObject({ method: "cda", holds: false });
});

test("verify obeys the revocation list", async () => {
  const file = write("sda.hex", sdaLines().join("\n"));
  const revoked = write("revoked.json", JSON.stringify([{ rid: "F054494C4C", index: 7, serialNumber: "000A01" }]));
  const words = ["verify", file, "--capk", capkFile, "--date", made.today];
  expect((await run(...words)).exit).toBe(0);
  const found = await run(...words, "--revoked", revoked);
  expect(found.exit).toBe(1);
  expect(found.lines.join("\n")).toContain("issuer key: FAILS (revoked)");
});

test("verify says in one line which file is not of the form, and where", async () => {
  const bad = await run("verify", write("bad.hex", "4F08\nXX"), "--capk", capkFile);
  expect(bad.exit).toBe(1);
  expect(bad.errors).toContain("bad.hex: line 2: not a hex digit");
  const lost = await run("verify", join(folder, "no-such-file"), "--capk", capkFile);
  expect(lost.exit).toBe(2);
  expect(lost.errors).toContain("cannot read");
});

test("capk check tells wrong hashes and expired keys, and only a wrong hash asks for exit 1", async () => {
  const good = await run("capk", "check", capkFile, "--date", "2026-11-15");
  expect(good).toEqual({
    lines: ["holds: F054494C4C 07  640 bits, exponent 03, expires 2049-12-31"],
    errors: "",
    exit: 0,
  });
  const late = await run("capk", "check", capkFile, "--date", "2050-01-01", "--json");
  expect(late.exit).toBe(0);
  expect(JSON.parse(late.lines.join(""))).toMatchObject([{ expired: true, holds: true }]);
  const forged = write("forged.json", JSON.stringify([{ ...set.caKey, sha1: "00".repeat(20) }]));
  const wrong = await run("capk", "check", forged, "--date", "2026-11-15");
  expect(wrong.exit).toBe(1);
  expect(wrong.lines[0]).toContain("WRONG HASH");
});

test("capk list shows the keys as they stand, and names the file and field of a wrong list", async () => {
  const listed = await run("capk", "list", capkFile, "--json");
  expect(JSON.parse(listed.lines.join(""))).toMatchObject([{ rid: "F054494C4C", index: "07", bits: 640 }]);
  const wrong = await run("capk", "list", write("wrong.json", JSON.stringify([{ ...set.caKey, rid: "F0" }])));
  expect(wrong.exit).toBe(2);
  expect(wrong.errors).toContain("wrong.json: list of CA keys: entry 1, rid is not 5 bytes long");
});

test("a date that is no day is refused", async () => {
  for (const date of ["2026-02-30", "26-01-01", "today"]) {
    await expect(run("capk", "check", capkFile, "--date", date)).rejects.toThrow("give a day as YYYY-MM-DD");
  }
});
