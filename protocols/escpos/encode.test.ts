import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import vectors from "../../test/vectors/escpos/ticket.json" with { type: "json" };
import type { ReceiptDocument, ReceiptLine } from "./document.ts";
import { encodeTicket, QR_BYTES_MAX } from "./encode.ts";
import { pairLines, wrap } from "./layout.ts";
import { COLUMNS, DEFAULT_MODEL, type PrinterModel } from "./model.ts";

const ticket = (lines: readonly ReceiptLine[], model: PrinterModel = DEFAULT_MODEL) =>
  encodeTicket({ title: "test", lines }, model);
const ascii = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

describe("a ticket in ESC/POS", () => {
  test.each(vectors.tickets)("$what", ({ lines, hex, replaced }) => {
    const encoded = ticket(lines as readonly ReceiptLine[], vectors.model as PrinterModel);
    expect(toHex(encoded.bytes)).toBe(toHex(fromHex(hex)));
    expect(encoded.replaced).toBe(replaced);
  });

  test("carries a QR code by GS ( k: model 2, size, level M, data, print", () => {
    const hex = toHex(ticket([{ kind: "qr", text: "https://pay.example/r/1" }]).bytes);
    const order = [
      "1d286b040031413200",
      "1d286b0300314306",
      "1d286b0300314531",
      "1d286b1a00315030",
      "1d286b0300315130",
    ];
    const places = order.map((command) => hex.indexOf(command));
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });

  test("pulses the drawer first, and cuts as the printer can", () => {
    const document: ReceiptDocument = { title: "t", lines: [{ kind: "text", text: "Total" }], openDrawer: true };
    const bytes = toHex(encodeTicket(document, DEFAULT_MODEL).bytes);
    expect(bytes.indexOf("1b7000")).toBeGreaterThan(-1);
    expect(bytes.indexOf("1b7000")).toBeLessThan(bytes.indexOf(toHex(Buffer.from("Total"))));
    expect(bytes).toMatch(/1d5601$/);
    expect(toHex(ticket([], { ...DEFAULT_MODEL, cut: "full" }).bytes)).toMatch(/1d5600$/);
    expect(toHex(ticket([], { ...DEFAULT_MODEL, cut: "none" }).bytes)).not.toContain("1d56");
  });

  test("never lets text from outside become a command", () => {
    const { bytes, replaced } = ticket([
      { kind: "text", text: "Bob\u001bp\u0000\u0019\u00fa's shop" },
      { kind: "pair", label: "\u0010\u0004\u0001", value: "\u001dV\u0000" },
    ]);
    expect(ascii(bytes)).toContain("Bob?p??");
    expect(ascii(bytes)).not.toContain("\u001bp");
    expect(ascii(bytes)).not.toContain("\u0010");
    expect(ascii(bytes)).not.toContain("\u001dV\u0000");
    expect(replaced).toBe(8);
  });

  test("prints the spaces and signs of number formats by their equals", () => {
    const { bytes, replaced } = ticket([{ kind: "text", text: "\u22121\u202f234,50\u00a0EUR" }]);
    expect(ascii(bytes)).toContain("-1 234,50 EUR");
    expect(replaced).toBe(0);
  });

  test.each([
    ["a QR code that is too long", [{ kind: "qr", text: "x".repeat(QR_BYTES_MAX + 1) }], "codec.too-long"],
    ["a QR code beyond ASCII", [{ kind: "qr", text: "é" }], "codec.invalid"],
    ["a line without end", [{ kind: "text", text: "x".repeat(5_000) }], "codec.too-long"],
    ["too many lines", Array.from({ length: 501 }, () => ({ kind: "blank" })), "codec.too-long"],
  ] as const)("is refused for %s", (_what, lines, code) => {
    expect(() => ticket(lines as readonly ReceiptLine[])).toThrow(expect.objectContaining({ code }));
  });

  test("throws nothing but a Fault, and holds no real-time command, for any document", () => {
    const text = fc.string({ unit: "binary", maxLength: 120 });
    const line: fc.Arbitrary<ReceiptLine> = fc.oneof(
      fc.record({ kind: fc.constant("text" as const), text, align: fc.constantFrom("left", "center", "right") }),
      fc.record({ kind: fc.constant("text" as const), text, large: fc.constant(true as const) }),
      fc.record({ kind: fc.constant("pair" as const), label: text, value: text }),
      fc.record({ kind: fc.constant("qr" as const), text: fc.oneof(text, fc.string({ maxLength: 500 })) }),
      fc.constant({ kind: "rule" as const }),
      fc.constant({ kind: "blank" as const }),
    );
    const columns = fc.constantFrom(...COLUMNS);
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), columns, (lines, width) => {
        try {
          const { bytes } = ticket(lines, { ...DEFAULT_MODEL, columns: width });
          // DLE followed by EOT, ENQ or DC4 would be obeyed at once, wherever it stands.
          return !["\u0010\u0004", "\u0010\u0005", "\u0010\u0014"].some((command) => ascii(bytes).includes(command));
        } catch (error) {
          return isFault(error, "codec.too-long", "codec.invalid");
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("layout", () => {
  test("puts a label left and its value right on one line of the paper's width", () => {
    expect(pairLines("Milk", "1,20 €", 20)).toEqual(["Milk          1,20 €"]);
  });

  test("wraps a long label and ends its last line with the value", () => {
    expect(pairLines("Organic whole milk, one litre", "1,20 €", 20)).toEqual([
      "Organic whole milk,",
      "one litre     1,20 €",
    ]);
    expect(pairLines("Organic whole milk in glass", "1.234.567,20 €", 20)).toEqual([
      "Organic whole milk",
      "in glass",
      "      1.234.567,20 €",
    ]);
  });

  test("keeps an indent and cuts only words that are longer than a line", () => {
    expect(wrap("  2 x 0,60", 20)).toEqual(["  2 x 0,60"]);
    expect(wrap("a supercalifragilistic word", 10)).toEqual(["a", "supercalif", "ragilistic", "word"]);
    expect(wrap("", 10)).toEqual([""]);
  });

  test("makes no line wider than the paper and loses no letter", () => {
    const words = fc.string({ unit: "grapheme-ascii", maxLength: 90 });
    fc.assert(
      fc.property(words, words, fc.constantFrom(...COLUMNS), (label, value, columns) => {
        const lines = pairLines(label, value, columns);
        const letters = (text: string) => text.replaceAll(" ", "");
        expect(lines.every((line) => [...line].length <= columns)).toBe(true);
        expect(letters(lines.join(""))).toBe(letters(label + value));
      }),
    );
  });
});
