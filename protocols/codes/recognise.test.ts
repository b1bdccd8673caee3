import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crc16Of } from "./crc.ts";
import { preAuthorisedCodeText } from "./own-codes.ts";
import { isGtin, isUpcE } from "./product-code.ts";
import { CODE_NAMES, type RecognisedCode, recogniseCode } from "./recognise.ts";

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../test/vectors/codes/${name}`, import.meta.url), "utf8"));
const emvco = read("emvco.json") as {
  readonly crc: readonly (readonly [string, string])[];
  readonly merchant: readonly ({ readonly text: string; readonly accounts: readonly string[] } & object)[];
  readonly merchantRefused: readonly { readonly what: string; readonly text: string; readonly why: string }[];
  readonly consumer: readonly { readonly text: string; readonly applications: object }[];
};
const wallets = read("wallets.json") as {
  readonly codes: readonly { readonly text: string; readonly aim?: string; readonly family: string }[];
};

const CODE = { userId: "alice", secureCode: "ABCDEFGHIJKLMNOPQRSTUVWXYE", expiresAt: 1_767_603_600_000 };
const TEXT = preAuthorisedCodeText(CODE);
const why = (code: RecognisedCode): string => (code.family === "refused" ? `${code.like}: ${code.why}` : code.family);
/** With the checksum that the rest asks for. */
const summed = (body: string): string => `${body}:${crc16Of(body)}`;

test.each(emvco.crc)("the published CRC of %j is %s", (text, crc) => {
  expect(crc16Of(text)).toBe(crc);
});

describe("a pre-authorised code", () => {
  test("has one text, of which its parts come back", () => {
    expect(TEXT).toBe("OF1:alice:ABCDEFGHIJKLMNOPQRSTUVWXYE:1767603600000:86B0");
    expect(recogniseCode(TEXT, "]Q3")).toEqual({ family: "pre-authorised", name: "pre-authorised code", ...CODE });
  });

  test("comes back whatever its parts are", () => {
    const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"];
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/),
        fc.array(fc.constantFrom(...letters), { minLength: 25, maxLength: 25 }),
        fc.constantFrom(..."AEIMQUY4"),
        fc.integer({ min: 1_000_000_000_000, max: 9_999_999_999_999 }),
        (userId, body, last, expiresAt) => {
          const code = { userId, secureCode: body.join("") + last, expiresAt };
          expect(recogniseCode(preAuthorisedCodeText(code))).toMatchObject(code);
        },
      ),
    );
  });

  test("with one character changed, lost or doubled is never another code", () => {
    for (let at = PREFIX_LENGTH; at < TEXT.length; at += 1) {
      const changed = TEXT[at] === "Z" ? "Y" : "Z";
      for (const put of [changed, "", `${TEXT[at]}${TEXT[at]}`]) {
        const text = TEXT.slice(0, at) + put + TEXT.slice(at + 1);
        expect(recogniseCode(text).family, text).toBe("refused");
      }
    }
  });

  test.each([
    ["a part too few", "OF1:alice:ABCDEFGHIJKLMNOPQRSTUVWXYE:86B0", "wrong-shape"],
    ["a part too many", `${TEXT}:0000`, "wrong-shape"],
    ["another checksum", TEXT.replace(/.{4}$/, "0000"), "wrong-checksum"],
    ["a checksum in lower case", TEXT.replace("86B0", "86b0"), "wrong-checksum"],
    ["a short secure code", summed("OF1:alice:ABCDEFGHIJKLMNOPQRSTUVWXY:1767603600000"), "wrong-length"],
    [
      "a secure code that is no base32",
      summed("OF1:alice:ABCDEFGHIJKLMNOPQRSTUVWX1E:1767603600000"),
      "wrong-characters",
    ],
    ["bits beyond the 128", summed("OF1:alice:ABCDEFGHIJKLMNOPQRSTUVWXYZ:1767603600000"), "wrong-characters"],
    ["a user id with a blank", summed("OF1:al ice:ABCDEFGHIJKLMNOPQRSTUVWXYE:1767603600000"), "wrong-characters"],
    ["an empty user id", summed("OF1::ABCDEFGHIJKLMNOPQRSTUVWXYE:1767603600000"), "wrong-characters"],
    ["an expiry in another form", summed("OF1:alice:ABCDEFGHIJKLMNOPQRSTUVWXYE:2026-01-05"), "wrong-characters"],
  ])("with %s is refused by name", (_, text, reason) => {
    expect(why(recogniseCode(text))).toBe(`pre-authorised: ${reason}`);
  });

  test("is not made of parts that no scanner could give back", () => {
    expect(() => preAuthorisedCodeText({ ...CODE, userId: "a:b" })).toThrow("user id");
    expect(() => preAuthorisedCodeText({ ...CODE, secureCode: "abc" })).toThrow("3 characters");
    expect(() => preAuthorisedCodeText({ ...CODE, expiresAt: 1_767_603_600 })).toThrow("13 digits");
  });

  test("keeps its secret out of what a refusal says", () => {
    const refused = recogniseCode(TEXT.replace("86B0", "0000"));
    expect(JSON.stringify(refused)).not.toContain(CODE.secureCode);
  });
});

const PREFIX_LENGTH = "OF1:".length;

describe("the three families of our own", () => {
  test("are told apart by their prefixes alone", () => {
    expect(recogniseCode("OA1:eyJ2IjoxfQ.c2ln")).toMatchObject({ family: "offline-note", body: "eyJ2IjoxfQ.c2ln" });
    expect(recogniseCode("OC1:eyJ2IjoxfQ.c2ln")).toMatchObject({ family: "payee-challenge", body: "eyJ2IjoxfQ.c2ln" });
    for (const prefix of ["OA1:", "OC1:"])
      expect(recogniseCode(TEXT.replace("OF1:", prefix)).family).not.toBe("pre-authorised");
  });

  test.each(["of1:", "OF2:", "OF1", " OF1:", "OA2:x", "0F1:", "OB1:x"])("do not include %j", (text) => {
    expect(recogniseCode(text).family).toBe("unknown");
  });

  test("are refused by name when nothing, or nothing of theirs, follows the prefix", () => {
    expect(why(recogniseCode("OA1:"))).toBe("offline-note: wrong-length");
    expect(why(recogniseCode("OC1:a b"))).toBe("payee-challenge: wrong-characters");
    expect(why(recogniseCode(`OA1:${"x".repeat(3_000)}`))).toBe("offline-note: too-long");
  });
});

describe("EMVCo merchant codes", () => {
  test.each(emvco.merchant)(
    "the published one of $merchantName at $merchantCity is read",
    ({ text, accounts, ...told }) => {
      const code = recogniseCode(text);
      expect(code).toMatchObject({ family: "emvco-merchant", ...told });
      expect(code.family === "emvco-merchant" && code.accounts.map(({ id }) => id)).toEqual(accounts);
    },
  );

  test.each(emvco.merchantRefused)("$what is refused", ({ text, why: reason }) => {
    expect(why(recogniseCode(text))).toBe(`emvco-merchant: ${reason}`);
  });

  const sealed = (body: string): string => `${body}6304${crc16Of(`${body}6304`)}`;
  const HEAD = "000201";
  const REST = "5204411153031565802CN5901A6001B";
  const ACCOUNT = "2604ABCD";
  test.each([
    ["no account", sealed(`${HEAD}${REST}`), "missing-field"],
    ["no name", sealed(`${HEAD}${ACCOUNT}5204411153031565802CN6001B`), "missing-field"],
    ["a field twice", sealed(`${HEAD}${ACCOUNT}${ACCOUNT}${REST}`), "repeated-field"],
    ["a length that runs over the end", sealed(`${HEAD}${ACCOUNT}${REST}6299x`), "wrong-length"],
    ["letters for a length", sealed(`${HEAD}${ACCOUNT}${REST}62xx1`), "wrong-shape"],
    ["an amount with two points", sealed(`${HEAD}${ACCOUNT}54051.2.3${REST}`), "wrong-characters"],
    ["too many characters", sealed(`${HEAD}${ACCOUNT}${REST}${"x".repeat(1_100)}`), "too-long"],
  ])("with %s are refused by name", (_, text, reason) => {
    expect(why(recogniseCode(text))).toBe(`emvco-merchant: ${reason}`);
  });
});

describe("EMVCo consumer codes", () => {
  test.each(emvco.consumer)("the published one $text is read", ({ text, applications }) => {
    expect(recogniseCode(text)).toEqual({ family: "emvco-consumer", name: CODE_NAMES["emvco-consumer"], applications });
  });

  test("give no more of an account number than its last four digits", () => {
    for (const { text } of emvco.consumer) {
      const told = JSON.stringify(recogniseCode(text), (key, value: unknown) => (key === "aid" ? undefined : value));
      expect(told).toContain("accountEnds");
      expect(told).not.toMatch(/\d{5}/);
    }
  });

  test.each([
    ["no application", "hQVDUFYwMQ==", "missing-field"],
    ["another version", "hQVDUFYwMmEJTwegAAAAVVVV", "wrong-shape"],
    ["an application without a name", "hQVDUFYwMWEEUAJBQg==", "missing-field"],
    ["data that is cut", "hQVDUFYwMWETTwegAAAAVVVV", "wrong-length"],
    ["characters of no base64", "hQVDUFYwMQ==?", "wrong-characters"],
    ["its format twice", "hQVDUFYwMYUFQ1BWMDE=", "repeated-field"],
  ])("with %s are refused by name", (_, text, reason) => {
    expect(why(recogniseCode(text))).toBe(`emvco-consumer: ${reason}`);
  });
});

test.each(wallets.codes)("$text is $family", ({ text, aim, family }) => {
  const code = recogniseCode(text, aim);
  expect(code.family).toBe(family);
  expect(code.name).not.toBe("");
});

test("a retail symbol with a wrong check digit is refused, not taken for something else", () => {
  expect(why(recogniseCode("4006381333932", "]E0"))).toBe("product: wrong-checksum");
  expect(why(recogniseCode("40063813339A1", "]E0"))).toBe("product: wrong-characters");
});

test("UPC-E numbers are checked as the UPC-A numbers they abbreviate", () => {
  expect(isUpcE("01234565")).toBe(true);
  expect(isUpcE("04252614")).toBe(true);
  expect(isUpcE("04252615")).toBe(false);
  expect(isGtin("00614141000036")).toBe(true);
});

test("any text, with any AIM identifier, is recognised, refused by name or unknown", () => {
  const heads = fc.constantFrom("", "OF1:", "OA1:", "OC1:", "000201", "hQVDUFYw", "28", "25", "13");
  const tail = fc.oneof(fc.string({ unit: "binary", maxLength: 300 }), fc.stringMatching(/^[0-9A-Za-z:+/=]{0,80}$/));
  fc.assert(
    fc.property(heads, tail, fc.option(fc.string({ maxLength: 4 }), { nil: undefined }), (head, rest, aim) => {
      const code = recogniseCode(head + rest, aim);
      expect(code.name.length).toBeGreaterThan(0);
    }),
    { numRuns: 2_000 },
  );
});
