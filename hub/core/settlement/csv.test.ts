import fc from "fast-check";
import { expect, test } from "vitest";
import { csvText } from "./csv.ts";

test("the examples of RFC 4180, section 2", () => {
  expect(
    csvText([
      ["aaa", "bbb", "ccc"],
      ["a,b", 'c"d', "e\r\nf"],
    ]),
  ).toBe('aaa,bbb,ccc\r\n"a,b","c""d","e\r\nf"\r\n');
});

/** A reader after the grammar of RFC 4180, written from it and not from our writer. */
function read(text: string): string[][] {
  const records: string[][] = [];
  let record: string[] = [];
  for (let at = 0; at < text.length; ) {
    let field = "";
    if (text[at] === '"') {
      at += 1;
      while (text[at] !== '"' || text[at + 1] === '"') {
        field += text[at];
        at += text[at] === '"' ? 2 : 1;
      }
      at += 1;
    } else {
      while (text[at] !== "," && text[at] !== "\r") {
        field += text[at];
        at += 1;
      }
    }
    record.push(field);
    if (text[at] === ",") at += 1;
    else {
      expect(text.slice(at, at + 2)).toBe("\r\n");
      at += 2;
      records.push(record);
      record = [];
    }
  }
  return records;
}

test("whatever stands in a field is read back as it was", () => {
  const field = fc.string({ unit: fc.constantFrom(..."ab,\"'\r\n =é") });
  fc.assert(
    fc.property(fc.array(fc.array(field, { minLength: 2, maxLength: 4 }), { minLength: 1 }), (records) => {
      expect(read(csvText(records))).toEqual(records);
    }),
  );
});
