import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import { encodeTlv, type Tag, type Tlv } from "./ber-tlv.ts";
import { encodeDol } from "./dol.ts";
import {
  formatTranscript,
  maskTranscript,
  parseTranscript,
  TRANSCRIPT_CHARACTERS_MAX,
  TRANSCRIPT_EXCHANGES_MAX,
  type Transcript,
} from "./transcript.ts";
import { keyRule, TRANSCRIPT_KEYS, type TranscriptKey } from "./transcript-keys.ts";

const withoutLines = ({ header, exchanges }: Transcript): Transcript => ({
  header: header.map(({ key, value }) => ({ key, value })),
  exchanges: exchanges.map(({ command, answer }) => ({ command, ...(answer && { answer }) })),
});

test("reads comments, header, commands and answers, and knows their lines", () => {
  const { header, exchanges } = parseTranscript(
    "# a card\r\n@ amount 0100 # one euro\n\n@country 276\n@ date 260105\n@ time 09:00:01\n>00a40400 07 A0000000041010 00\n< 6A82\n> 80CA9F3600",
  );
  expect(header).toEqual([
    { key: "amount", value: "100", line: 2 },
    { key: "country", value: "0276", line: 4 },
    { key: "date", value: "2026-01-05", line: 5 },
    { key: "time", value: "090001", line: 6 },
  ]);
  expect(exchanges).toEqual([
    { command: fromHex("00A4040007A000000004101000"), answer: fromHex("6A82"), line: 7 },
    { command: fromHex("80CA9F3600"), line: 9 },
  ]);
});

test.each([
  ["> 00", 1, "ended at byte"],
  ["> 00A404000", 1, "odd number"],
  ["\n> 00A4040\u00df", 2, "not a hex digit"],
  ["< 9000", 1, "an answer to no command"],
  ["> 80CA9F3600\n< 90", 2, "without a status word"],
  ["> 80CA9F3600\n< 9000\n< 9000", 3, "an answer to no command"],
  ["> 80CA9F3600\n> 80CA9F3600", 2, "before the last one is answered"],
  ["# x\n@ amuont 1", 2, '"amuont" is no key'],
  ["@ constructor 1", 1, "is no key"],
  ["@ amount 1.00", 1, "amount is minor units"],
  ["@ amount 1\n@ amount 1", 2, "amount comes twice"],
  ["@ aid F054494C4C\n@ floor-limit 1\n@ floor-limit 2", 3, "floor-limit comes twice"],
  ["@ date 2026-02-30", 1, "date is a day"],
  ["@ random 0", 1, "random is"],
  ["@ data 9F1X 00", 1, "data is a tag"],
  ["hello", 1, "begins with none of"],
])("%j is refused with its line", (text, line, words) => {
  let thrown: unknown;
  try {
    parseTranscript(text);
  } catch (error) {
    thrown = error;
  }
  expect(isFault(thrown, "codec.invalid", "codec.truncated") && thrown.details["line"]).toBe(line);
  expect(String(thrown)).toContain(`line ${line}: `);
  expect(String(thrown)).toContain(words);
});

test("a key of an application may come once for each", () => {
  const text = "@ floor-limit 5\n@ aid F054494C4C\n@ floor-limit 6\n@ aid F054494C4D\n@ floor-limit 7\n";
  expect(formatTranscript(parseTranscript(text))).toBe(text);
});

test("what is too long is refused and not read", () => {
  expect(() => parseTranscript(" ".repeat(TRANSCRIPT_CHARACTERS_MAX + 1))).toThrow(/more than/);
  const many = "> 80CA9F3600\n< 9000\n".repeat(TRANSCRIPT_EXCHANGES_MAX);
  expect(parseTranscript(many).exchanges.length).toBe(TRANSCRIPT_EXCHANGES_MAX);
  expect(() => parseTranscript(`${many}> 80CA9F3600\n`)).toThrow(/more than/);
});

const hexText = (min: number, max = min) =>
  fc.uint8Array({ minLength: min, maxLength: max }).map((b) => toHex(b).toUpperCase());
const VALUES: Partial<Record<TranscriptKey, fc.Arbitrary<string>>> = {
  amount: fc.bigInt({ min: 0n, max: 999_999_999_999n }).map(String),
  country: fc.integer({ min: 0, max: 999 }).map((n) => String(n).padStart(4, "0")),
  type: hexText(1),
  "unpredictable-number": hexText(4),
  date: fc
    .date({ min: new Date("1980-01-01"), max: new Date("2060-01-01"), noInvalidDate: true })
    .map((d) => d.toISOString().slice(0, 10)),
  data: fc.tuple(fc.constantFrom("9F16", "5A", "9F1C"), hexText(1, 20)).map((pair) => pair.join(" ")),
  aid: hexText(5, 16),
  script: hexText(2, 60),
  choose: fc.constantFrom("none", "0", "12"),
  online: fc.constantFrom("approved", "declined", "unable"),
};
const headerLine = fc
  .constantFrom(...(Object.keys(VALUES) as TranscriptKey[]))
  .chain((key) => (VALUES[key] ?? fc.constant("")).map((value) => ({ key, value })));
const header = fc
  .array(headerLine, { maxLength: 20 })
  .map((all) =>
    all.filter(({ key }, at) => keyRule(key).rule.many || all.findIndex((each) => each.key === key) === at),
  );
const exchange = fc.record({
  command: fc
    .tuple(hexText(4), hexText(1, 60))
    .map(([head, data]) => fromHex(`${head}${toHex(Uint8Array.of(data.length / 2))}${data}00`)),
  answer: fc.uint8Array({ minLength: 2, maxLength: 258 }),
});

test("what is written is read back", () => {
  fc.assert(
    fc.property(header, fc.array(exchange, { maxLength: 8 }), (lines, exchanges) => {
      const transcript = { header: lines, exchanges };
      expect(withoutLines(parseTranscript(formatTranscript(transcript)))).toEqual(transcript);
    }),
  );
});

test("any text is a transcript or a Fault with a line, and any transcript has a masked view of the same lines", () => {
  const word = fc.constantFrom(
    "@",
    ">",
    "<",
    "#",
    "\n",
    "\r\n",
    " ",
    "amount",
    "aid",
    "5A08",
    "00B2010C00",
    "9000",
    "70",
    "z",
  );
  const texts = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(word, { maxLength: 40 }).map((words) => words.join(" ")),
  );
  fc.assert(
    fc.property(texts, (text) => {
      try {
        const transcript = parseTranscript(text);
        expect(maskTranscript(transcript).split("\n").length).toBe(formatTranscript(transcript).split("\n").length + 1);
      } catch (error) {
        expect(isFault(error, "codec.invalid", "codec.truncated", "codec.too-long")).toBe(true);
        expect(String(error)).toMatch(/line \d+: |a transcript of more/);
      }
    }),
  );
});

test("every key has a form in words", () => {
  for (const key of TRANSCRIPT_KEYS) expect(keyRule(key).rule.wants).not.toBe("");
});

const PAN = "5413330089604111";
const HOLDER = toHex(Buffer.from("DOE/JANE ADELAIDE"));
type Objects = readonly (readonly [Tag, string | Objects])[];
const tlv = (objects: Objects): string => toHex(encodeTlv(nodes(objects)));
const nodes = (objects: Objects): readonly Tlv[] =>
  objects.map(([tag, content]) =>
    typeof content === "string" ? { tag, value: fromHex(content) } : { tag, children: nodes(content) },
  );
const dol = (...entries: (readonly [Tag, number])[]): string =>
  toHex(encodeDol(entries.map(([tag, length]) => ({ tag, length }))));
const sized = (data: string): string => `${toHex(Uint8Array.of(data.length / 2))}${data}`;

/** A card that puts its number wherever a card can. */
const LEAKY = [
  "@ data 5A 5413330089604111",
  "@ data 9F1C 3132333435363738",
  "@ script 8A025413330089604111",
  "> 00A4040008F054494C4C57415900",
  `< ${tlv([
    [
      0x6f,
      [
        [0x84, "F054494C4C574159"],
        [
          0xa5,
          [
            [0x50, "54455354"],
            [0x9f38, dol([0x9f37, 4], [0x57, 19])],
            [
              0xbf0c,
              [
                [0x5f53, PAN],
                [0x9f6e, "AABBCC"],
              ],
            ],
          ],
        ],
      ],
    ],
  ])}9000`,
  `> 80A80000${sized(`8317${"A1B2C3D4"}${PAN}D29122010000000000000F`.padEnd(50, "0").slice(0, 50))}00`,
  `< ${tlv([
    [
      0x77,
      [
        [0x82, "3C00"],
        [0x94, "08010100"],
        [0x57, `${PAN}d2912201000000000000000f`.slice(0, 38)],
        [0x9f10, `06${PAN}A0`],
      ],
    ],
  ])}9000`,
  "> 00B2010C00",
  `< ${tlv([
    [
      0x70,
      [
        [0x5a, PAN],
        [0x5f20, HOLDER],
        [0x8c, dol([0x9f02, 6], [0x5a, 8], [0x9f37, 4], [0x98, 20])],
        [0x8d, dol([0x8a, 2], [0x9f36, 2])],
        [0x9f49, dol([0x9f37, 4], [0x5a, 5])],
      ],
    ],
  ])}9000`,
  "> 00B2020C00",
  `< ${PAN}0102039000`,
  `> 00880000${sized(`A1B2C3D4${PAN.slice(0, 10)}`)}00`,
  `< ${tlv([[0x80, "6A".repeat(16)]])}9000`,
  "> 80CA5A0000",
  `< ${tlv([[0x5a, PAN]])}9000`,
  "> 80CA9F7900",
  `< 9F7906${"112233445566"}9000`,
  `> 80AE4000${sized(`000000001250${PAN}A1B2C3D4${"7E".repeat(20)}`)}00`,
  `< ${tlv([
    [
      0x77,
      [
        [0x9f27, "40"],
        [0x9f36, "0042"],
        [0x9f4b, "6B".repeat(32)],
        [0x9f10, `0${PAN}A`],
      ],
    ],
  ])}9000`,
  `> 80AE0000${sized("5A330042")}00`,
  `< ${tlv([[0x80, `000042${"11".repeat(8)}06010A03A0A000`]])}9000`,
  "> 0020008008241234FFFFFFFFFF",
  "< 9000",
  `> 04DA9F5809${sized(PAN).slice(2)}AA`,
  "< 9000",
].join("\n");

test("RM6 a card that puts its number everywhere is masked everywhere, and what is harmless stays", () => {
  const clear = parseTranscript(LEAKY);
  const masked = maskTranscript(clear).split("\n");
  const shown = masked.join("\n").toLowerCase();
  for (const secret of [
    PAN,
    PAN.slice(0, 10),
    HOLDER,
    toHex(Buffer.from(PAN)),
    "112233445566",
    "7e7e",
    "6a6a",
    "6b6b",
    "241234",
  ]) {
    expect(shown).not.toContain(secret);
  }
  expect(masked).toContain(`@ data 5A ${"**".repeat(8)}`);
  expect(masked).toContain("@ data 9F1C 3132333435363738");
  expect(masked).toContain(`> 80AE400026000000001250${"**".repeat(8)}A1B2C3D4${"**".repeat(20)}00`);
  expect(masked).toContain("> 80AE0000045A33004200");
  expect(masked).toContain(`> 0088000009A1B2C3D4${"**".repeat(5)}00`);
  expect(masked).toContain(`> 80A80000198317A1B2C3D4${"**".repeat(19)}00`);
  expect(masked).toContain(`> 0020008008${"**".repeat(8)}`);
  expect(masked).toContain("< 8012000042111111111111111106010A03A0A0009000");
  expect(masked.map((line) => line.length).slice(1)).toEqual(
    formatTranscript(clear)
      .split("\n")
      .map((line) => line.length),
  );
});

test("RM6 digits of the number at the other half of a byte are found too", () => {
  const text = `> 00B2010C00\n< ${tlv([[0x70, [[0x5a, PAN]]]])}9000\n> 00A4040009A${PAN}0\n< 6A82\n`;
  const masked = maskTranscript(parseTranscript(text));
  expect(masked).toContain(`> 00A4040009${"**".repeat(9)}`);
});

test("RM6 bytes that only look like an object are hidden with their tag", () => {
  const masked = maskTranscript(parseTranscript("> 00B2010C00\n< 70045402AABB9000\n> 00B2020C00\n< 7003AABBCC9000\n"));
  expect(masked).toContain("< 7004********9000");
  expect(masked).toContain("< **********9000");
});

test("RM6 nothing at all is shown of a card with more secrets than can be looked for", () => {
  const records = Array.from({ length: 400 }, (_, at) => {
    const pans = [0, 1, 2].map((part) => `41${String(at * 3 + part).padStart(14, "7")}`);
    return `> 00B2010C00\n< ${tlv([[0x70, pans.map((pan) => [0x5a, pan] as const)]])}9000\n`;
  });
  expect(maskTranscript(parseTranscript(records.join("")))).not.toMatch(/[<>] [0-9A-F]/);
});

test("RM6 of a record only tags and lengths are shown, of what lies outside one more", () => {
  const version = "9F08020001";
  const masked = maskTranscript(
    parseTranscript(`> 00B2010C00\n< 7005${version}9000\n> 80CA9F0800\n< ${version}9000\n`),
  );
  expect(masked).toContain("< 70059F0802****9000");
  expect(masked).toContain("< 9F080200019000");
});
