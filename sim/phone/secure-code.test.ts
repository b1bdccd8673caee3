import { expect, test } from "vitest";
import { secureCodeText } from "./secure-code.ts";

test.each([
  ["f", "MY"],
  ["fo", "MZXQ"],
  ["foo", "MZXW6"],
  ["foob", "MZXW6YQ"],
  ["fooba", "MZXW6YTB"],
  ["foobar", "MZXW6YTBOI"],
])("%s is %s, as the vectors of RFC 4648 say", (plain, text) => {
  expect(secureCodeText(Buffer.from(plain))).toBe(text);
});

test("16 bytes give 26 characters, and the last bits are zero", () => {
  expect(secureCodeText(new Uint8Array(16).fill(0xff))).toBe(`${"7".repeat(25)}4`);
});
