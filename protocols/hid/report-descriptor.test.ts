import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import { keyReportLayout } from "./keyboard-report.ts";
import { posLayout } from "./pos-report.ts";
import { findInput, inputReportBytes, parseReportDescriptor } from "./report-descriptor.ts";

test("a usage of four bytes carries its own page, one of two takes the page that holds at the main item", () => {
  const { applications, inputs } = parseReportDescriptor(
    fromHex("0b02008c00 a101 0b fe008c00 0501 7508 9501 8102 09fe 058c 8102 c0".replaceAll(" ", "")),
  );
  expect(applications).toEqual([0x008c_0002]);
  expect(inputs.map(({ usages }) => usages)).toEqual([[0x008c_00fe], [0x008c_00fe]]);
});

test("each report id counts its own bits, and push and pop keep the rest", () => {
  const descriptor = parseReportDescriptor(
    fromHex("058c0902a101 8501 7508 9502 09fb 8102 a4 8502 9504 09fe 8102 b4 09fc 8102 c0".replaceAll(" ", "")),
  );
  expect(inputReportBytes(descriptor, 1)).toBe(5);
  expect(inputReportBytes(descriptor, 2)).toBe(5);
  expect(findInput(descriptor, 0x008c_00fc)).toMatchObject({ bitOffset: 24, index: 0 });
});

test("a long item is passed over", () => {
  expect(parseReportDescriptor(fromHex("fe03aa010203 058c0902a101c0".replaceAll(" ", ""))).applications).toEqual([
    0x008c_0002,
  ]);
});

test.each([
  ["a collection that is not closed", "058c0902a101", "codec.truncated"],
  ["an end without a beginning", "c0", "codec.invalid"],
  ["a pop without a push", "b4", "codec.invalid"],
  ["an item cut short", "26ff", "codec.truncated"],
  ["a report id of zero", "8500", "codec.invalid"],
  ["a report of too many bits", "77ffffff7f 97ffffff7f 8102".replaceAll(" ", ""), "codec.too-long"],
  ["collections without end", "a101".repeat(40), "codec.too-long"],
  ["pushes without end", "a4".repeat(40), "codec.too-long"],
  ["more than 4096 bytes", "c0".repeat(5_000), "codec.too-long"],
])("%s is refused", (_, hex, code) => {
  expect(() => parseReportDescriptor(fromHex(hex))).toThrow(expect.objectContaining({ code }));
});

test("whatever the bytes are, they give a descriptor and a layout, or a Fault", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const read of [posLayout, keyReportLayout]) {
        try {
          read(parseReportDescriptor(bytes));
        } catch (error) {
          expect(isFault(error)).toBe(true);
        }
      }
    }),
    { numRuns: 2_000 },
  );
});
