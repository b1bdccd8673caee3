import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex } from "../../base/bytes.ts";
import { isAim, splitAim } from "./aim.ts";
import { characterOf, KEYBOARD_LAYOUTS, type KeyboardLayout, keyOf } from "./keyboard-layouts.ts";
import { BOOT_KEYBOARD, encodeKeyReports, isKeyboard, keyReportLayout } from "./keyboard-report.ts";
import { parseReportDescriptor } from "./report-descriptor.ts";
import { CODE_BYTES_MAX, type Decoded, KeyboardScanDecoder, PART_GAP_MAX_MS, type Terminator } from "./scan-decoder.ts";

interface Typed {
  readonly layout: KeyboardLayout;
  readonly what: string;
  readonly reports: readonly string[];
}
const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/hid/keyboard.json", import.meta.url), "utf8")) as {
  readonly descriptor: string;
  readonly typed: readonly (Typed & { readonly text: string; readonly aim?: string })[];
  readonly dropped: readonly (Typed & { readonly why: string })[];
};

const decoderFor = (
  options: { readonly layout?: KeyboardLayout; readonly terminator?: Terminator; readonly prefix?: string } = {},
): KeyboardScanDecoder =>
  new KeyboardScanDecoder({ report: BOOT_KEYBOARD, layout: "us", terminator: "enter-or-tab", prefix: "", ...options });
const decoded = (decoder: KeyboardScanDecoder, reports: readonly Uint8Array[], nowMs = 0): readonly Decoded[] =>
  reports.flatMap((report) => decoder.push(report, nowMs));
const typing = (text: string, terminator: "enter" | "tab" | "none" = "enter"): readonly Uint8Array[] =>
  encodeKeyReports(text, { layout: "us", terminator });
const dropped = (why: string) => ({ what: "dropped", why });

test("the declared layout of a boot keyboard is that of the boot protocol", () => {
  const descriptor = parseReportDescriptor(fromHex(vectors.descriptor));
  expect(isKeyboard(descriptor)).toBe(true);
  expect(keyReportLayout(descriptor)).toEqual(BOOT_KEYBOARD);
});

test("a keyboard whose reports have an id has everything one byte later", () => {
  const withId = vectors.descriptor.replace("05010906a101", "05010906a1018501");
  expect(keyReportLayout(parseReportDescriptor(fromHex(withId)))).toEqual({
    reportId: 1,
    bytes: 9,
    modifiersAt: 1,
    keysAt: 3,
    keys: 6,
  });
});

test.each(vectors.typed)("$layout: $what", ({ layout, reports, text, aim }) => {
  expect(decoded(decoderFor({ layout }), reports.map(fromHex))).toEqual([{ what: "scan", text, ...(aim && { aim }) }]);
});

test.each(vectors.dropped)("$layout: $what drops the code, and the next one is whole", ({ layout, reports, why }) => {
  const decoder = decoderFor({ layout });
  expect(decoded(decoder, reports.map(fromHex))).toEqual([dropped(why)]);
  expect(decoded(decoder, encodeKeyReports("42", { layout, terminator: "tab" }))).toEqual([
    { what: "scan", text: "42" },
  ]);
});

test.each(KEYBOARD_LAYOUTS)("%s: every character that has a key comes out as it went in", (layout) => {
  const characters = Array.from({ length: 0x2_100 }, (_, code) => String.fromCharCode(code)).filter(
    (character) => character >= " " && keyOf(layout, character) !== undefined,
  );
  expect(characters.length).toBeGreaterThan(90);
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...characters), { minLength: 1, maxLength: 200 }), (all) => {
      const text = all.join("");
      fc.pre(!text.startsWith("]"));
      const decoder = decoderFor({ layout });
      expect(decoded(decoder, encodeKeyReports(text, { layout, terminator: "enter" }))).toEqual([
        { what: "scan", text },
      ]);
    }),
  );
});

test("all of ASCII that prints has a key on both layouts", () => {
  for (const layout of KEYBOARD_LAYOUTS) {
    for (let code = 0x20; code < 0x7f; code += 1) expect(keyOf(layout, String.fromCharCode(code))).toBeDefined();
    expect(characterOf(layout, 0x39, "plain")).toBeUndefined();
  }
});

test("a code on another layout than configured is not what was scanned, so the layout is to be set", () => {
  const reports = encodeKeyReports("OF1:yz", { layout: "de", terminator: "enter" });
  expect(decoded(decoderFor(), reports)).toEqual([{ what: "scan", text: "OF1>zy" }]);
});

test("a text without its terminator is dropped in time, never taken for a code", () => {
  const decoder = decoderFor();
  expect(decoded(decoder, typing("4006381333931", "none"))).toEqual([]);
  expect(decoder.partial).toBe(true);
  expect(decoder.expire(PART_GAP_MAX_MS)).toEqual([dropped("rest-missing")]);
  expect(decoder.partial).toBe(false);
});

test("only the configured terminator ends a code", () => {
  const decoder = decoderFor({ terminator: "enter" });
  expect(decoded(decoder, [...typing("a", "tab"), ...typing("b")])).toEqual([{ what: "scan", text: "a\tb" }]);
});

test("with a prefix, what a person types is dropped and what the scanner sends is stripped of it", () => {
  const decoder = decoderFor({ prefix: "~" });
  expect(decoded(decoder, typing("42"))).toEqual([dropped("prefix-missing")]);
  expect(decoded(decoder, typing("~]Q342"))).toEqual([{ what: "scan", text: "42", aim: "]Q3" }]);
});

test("a text longer than any code is dropped at its end", () => {
  const decoder = decoderFor();
  expect(decoded(decoder, typing("x".repeat(CODE_BYTES_MAX + 10)))).toEqual([dropped("too-long")]);
});

test("whatever reports come give scans or named drops", () => {
  const keys = fc.array(fc.constantFrom(0, 1, 4, 0x1e, 0x28, 0x2b, 0x35, 0x64, 0xe1), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 10 }), keys), { maxLength: 100 }), (reports) => {
      for (const layout of KEYBOARD_LAYOUTS) {
        const decoder = decoderFor({ layout });
        for (const report of reports) decoder.push(Uint8Array.from(report), 0);
        expect(decoder.expire(PART_GAP_MAX_MS).length).toBeLessThanOrEqual(1);
        expect(decoder.partial).toBe(false);
      }
    }),
  );
});

test.each(["]Q3", "]C1", "]d2", "]E0", "]A0", "]z0", "]e0"])("%s is an AIM identifier and is split off", (aim) => {
  expect(isAim(aim)).toBe(true);
  expect(splitAim(`${aim}text`)).toEqual({ text: "text", aim });
});

test.each(["]", "]Q", "]q3", "]Q-", "Q3]", "x]Q3"])("%s begins with no AIM identifier", (text) => {
  expect(splitAim(text)).toEqual({ text });
});
