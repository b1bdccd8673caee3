import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../base/bytes.ts";
import { COMMON_POS_LAYOUT, decodePosReport, encodePosReports, isPosScanner, posLayout } from "./pos-report.ts";
import { parseReportDescriptor } from "./report-descriptor.ts";
import { CODE_BYTES_MAX, CODE_PARTS_MAX, type Decoded, PART_GAP_MAX_MS, PosScanDecoder } from "./scan-decoder.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/hid/pos.json", import.meta.url), "utf8")) as {
  readonly descriptor: string;
  readonly published: readonly { readonly reports: readonly string[]; readonly aim: string; readonly text: string }[];
  readonly layouts: readonly { readonly what: string; readonly descriptor: string; readonly layout: object }[];
};
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const decoded = (decoder: PosScanDecoder, reports: readonly Uint8Array[], nowMs = 0): readonly Decoded[] =>
  reports.flatMap((report) => decoder.push(report, nowMs));
const dropped = (why: string) => ({ what: "dropped", why });

test("the declared layout of a Honeywell scanner is the common one", () => {
  const descriptor = parseReportDescriptor(fromHex(vectors.descriptor));
  expect(isPosScanner(descriptor)).toBe(true);
  expect(posLayout(descriptor)).toEqual(COMMON_POS_LAYOUT);
});

test.each(vectors.layouts)("a layout with $what is read from its descriptor", ({ descriptor, layout }) => {
  expect(posLayout(parseReportDescriptor(fromHex(descriptor)))).toEqual(layout);
});

test.each(vectors.published)("the published reports of $text join to it", ({ reports, aim, text }) => {
  const decoder = new PosScanDecoder(COMMON_POS_LAYOUT);
  expect(decoded(decoder, reports.map(fromHex))).toEqual([{ what: "scan", text, aim }]);
  expect(decoder.partial).toBe(false);
});

test("every code comes out as it went in, in as many reports as it takes, on every layout", () => {
  const layouts = [
    COMMON_POS_LAYOUT,
    ...vectors.layouts.map(({ descriptor }) => posLayout(parseReportDescriptor(fromHex(descriptor)))),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...layouts),
      fc.string({ unit: "grapheme", minLength: 1, maxLength: 400 }).filter((text) => !/[\r\n\0]$/.test(text)),
      (layout, text) => {
        const data = bytesOf(text);
        fc.pre(!text.startsWith("]") && data.length > 0 && text.isWellFormed());
        fc.pre(layout.continued !== undefined || data.length <= layout.dataBytes);
        fc.pre(layout.countAt !== undefined || !data.includes(0));
        const aim = layout.aimAt && "]Q3";
        const reports = encodePosReports({ data, ...(aim && { aim }) }, layout);
        expect(decoded(new PosScanDecoder(layout), reports)).toEqual([{ what: "scan", text, ...(aim && { aim }) }]);
      },
    ),
  );
});

test("an AIM identifier in the text is split off when the report has none", () => {
  const reports = encodePosReports({ data: bytesOf("]C1hello\r") });
  expect(decoded(new PosScanDecoder(COMMON_POS_LAYOUT), reports)).toEqual([
    { what: "scan", text: "hello", aim: "]C1" },
  ]);
});

test("bytes that are no UTF-8 are read as ISO 8859-1", () => {
  const reports = encodePosReports({ data: Uint8Array.of(0x47, 0x72, 0xfc, 0x6e) });
  expect(decoded(new PosScanDecoder(COMMON_POS_LAYOUT), reports)).toEqual([{ what: "scan", text: "Grün" }]);
});

test("a report of another id, such as a status, is not looked at", () => {
  expect(decodePosReport(Uint8Array.of(4, 1), COMMON_POS_LAYOUT)).toBeUndefined();
});

test("a code whose rest does not come is dropped in time, and the next one is whole", () => {
  const decoder = new PosScanDecoder(COMMON_POS_LAYOUT);
  const [first = new Uint8Array()] = encodePosReports({ aim: "]Q3", data: bytesOf("x".repeat(100)) });
  expect(decoder.push(first, 0)).toEqual([]);
  expect(decoder.expire(PART_GAP_MAX_MS - 1)).toEqual([]);
  expect(decoder.expire(PART_GAP_MAX_MS)).toEqual([dropped("rest-missing")]);
  expect(decoder.push(first, 10_000)).toEqual([]);
  const next = encodePosReports({ aim: "]Q3", data: bytesOf("next") });
  expect(decoded(decoder, next, 20_000)).toEqual([dropped("rest-missing"), { what: "scan", text: "next", aim: "]Q3" }]);
  expect(decoder.dropped.get("rest-missing")).toBe(2);
});

test("parts of two symbologies are never joined", () => {
  const decoder = new PosScanDecoder(COMMON_POS_LAYOUT);
  const [first = new Uint8Array()] = encodePosReports({ aim: "]Q3", data: bytesOf("x".repeat(100)) });
  const next = encodePosReports({ aim: "]C1", data: bytesOf("next") });
  expect(decoded(decoder, [first, ...next])).toEqual([
    dropped("parts-mixed"),
    { what: "scan", text: "next", aim: "]C1" },
  ]);
});

test("a report that is cut, or counts more than it holds, drops the code under way by name", () => {
  const decoder = new PosScanDecoder(COMMON_POS_LAYOUT);
  const [first = new Uint8Array()] = encodePosReports({ data: bytesOf("x".repeat(100)) });
  expect(decoded(decoder, [first, first.subarray(0, 32)])).toEqual([dropped("wrong-size")]);
  const wrong = first.slice();
  wrong[1] = 57;
  expect(decoded(decoder, [wrong])).toEqual([dropped("bad-length")]);
  expect(decoded(decoder, encodePosReports({ data: new Uint8Array() }))).toEqual([dropped("empty")]);
});

test("a code without end is dropped at the limit, and its further reports are no code of their own", () => {
  const decoder = new PosScanDecoder(COMMON_POS_LAYOUT);
  const reports = encodePosReports({ data: bytesOf("x".repeat(CODE_BYTES_MAX + 500)) });
  expect(decoded(decoder, reports)).toEqual([dropped("too-long")]);
  expect(decoded(decoder, encodePosReports({ data: bytesOf("next") }))).toEqual([{ what: "scan", text: "next" }]);
  const empty = encodePosReports({ data: bytesOf("x".repeat(60)) })[0] ?? new Uint8Array();
  empty[1] = 0;
  const endless = Array.from({ length: CODE_PARTS_MAX + 1 }, () => empty);
  expect(decoded(decoder, endless)).toEqual([dropped("too-long")]);
  expect(decoder.expire(PART_GAP_MAX_MS)).toEqual([]);
  expect(decoder.partial).toBe(false);
});

test("whatever reports come give scans or named drops, and what is held stays bounded", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 60 }), fc.nat(1_000), (reports, gapMs) => {
      const decoder = new PosScanDecoder(COMMON_POS_LAYOUT);
      reports.forEach((report, index) => {
        // Half of them look like a scanner's, so that the inner checks are reached.
        const full = new Uint8Array(64);
        full.set(report.subarray(0, 64));
        full[0] = 2;
        for (const event of decoder.push(index % 2 === 0 ? full : report, index * gapMs)) {
          if (event.what === "scan") expect(event.text.length).toBeLessThanOrEqual(CODE_BYTES_MAX);
        }
      });
    }),
  );
  expect(toHex(encodePosReports({ aim: "]Q3", data: bytesOf("A") })[0] ?? new Uint8Array()).slice(0, 14)).toBe(
    "02015d51334100",
  );
});
