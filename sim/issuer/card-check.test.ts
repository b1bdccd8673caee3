import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../base/bytes.ts";
import type { Tag, Tlv } from "../../protocols/emv/ber-tlv.ts";
import { arpcMethod1, arpcMethod2, deriveMasterKey } from "../../protocols/emv/cryptogram.ts";
import { type CryptogramVersion, cryptogramKey, makeCryptogram } from "../../protocols/emv/cryptogram-versions.ts";
import { encodeNumeric } from "../../protocols/emv/numeric.ts";
import { CARD_PROFILES, TEST_ISSUER_MASTER_KEY } from "../card/profiles.ts";
import { Books } from "./books.ts";
import { checkCard } from "./card-check.ts";
import type { Claim } from "./claim.ts";
import { CODE, decideRequest } from "./decisions.ts";

const PAN = "4761739001010119";
const ISSUER_DATA: Readonly<Record<string, string>> = {
  18: "06011203A00000",
  "common-core": `0fa5${"00".repeat(30)}`,
};

function keyOf(pan: string): Uint8Array {
  return deriveMasterKey({ issuerMasterKey: TEST_ISSUER_MASTER_KEY, pan, sequenceNumber: "01", option: "B" });
}

interface CardUse {
  readonly pan?: string;
  readonly minor?: bigint;
  readonly atc?: string;
  readonly version?: CryptogramVersion;
}

/** What a card of that number gives, in the data objects of DE 55. */
function objectsOf({ pan = PAN, minor = 400n, atc = "0007", version = 18 }: CardUse = {}): readonly Tlv[] {
  const values = new Map<Tag, Uint8Array>([
    [0x9f02, encodeNumeric(minor, 6)],
    [0x9f03, encodeNumeric(0n, 6)],
    [0x9f1a, fromHex("0276")],
    [0x95, fromHex("0000000000")],
    [0x5f2a, fromHex("0978")],
    [0x9a, fromHex("260105")],
    [0x9c, fromHex("00")],
    [0x9f37, fromHex("01020304")],
    [0x82, fromHex("1980")],
    [0x9f36, fromHex(atc)],
    [0x9f10, fromHex(ISSUER_DATA[version] ?? "")],
  ]);
  const made = makeCryptogram(version, keyOf(pan), values);
  if (!made.ok) throw new Error("no cryptogram");
  return [...values.set(0x9f26, made.value)].map(([tag, value]) => ({ tag, value }));
}

const arqcOf = (objects: readonly Tlv[]): Uint8Array => {
  const found = objects.find(({ tag }) => tag === 0x9f26);
  return found && "value" in found ? found.value : new Uint8Array(0);
};
const claim = { pan: PAN, sequenceNumber: "001", minor: 400n, currency: "978" };

describe("the issuer's check of a card", () => {
  test("a cryptogram that was made for no cash holds for none", () => {
    expect(checkCard({ ...claim, cashbackMinor: 100n, objects: objectsOf() })).toBe("wrong");
  });

  test("its own cryptogram of this sale holds", () => {
    expect(checkCard({ ...claim, objects: objectsOf() })).toMatchObject({ atc: 7 });
  });

  test.each([
    ["another amount", { minor: 401n }],
    ["another currency", { currency: "840" }],
    ["another card", { pan: "4761739001010001" }],
    ["another sequence number", { sequenceNumber: "002" }],
  ])("for %s it is wrong", (_, other) => {
    expect(checkCard({ ...claim, ...other, objects: objectsOf() })).toBe("wrong");
  });

  test("altered by a bit it is wrong, and without one there is nothing to check", () => {
    const objects = objectsOf();
    const altered = objects.map((one) => (one.tag === 0x95 ? { tag: one.tag, value: fromHex("0000000001") } : one));
    expect(checkCard({ ...claim, objects: altered })).toBe("wrong");
    expect(checkCard({ ...claim, objects: objects.filter(({ tag }) => tag !== 0x9f26) })).toBe("absent");
    expect(checkCard({ ...claim, objects: objects.filter(({ tag }) => tag !== 0x9f10) })).toBe("wrong");
  });
});

function decide(objects: readonly Tlv[], { books = new Books(), paymentId = "p-1", pan = PAN } = {}) {
  if (!books.account(pan)) books.setAccount(pan, { expiry: "3012", currency: "978", balanceMinor: 10_000n });
  const whole: Claim = {
    ...claim,
    pan,
    key: { terminalId: "counter-7", paymentId },
    attempt: 1,
    of: "financial",
    operation: "purchase",
    expiry: "3012",
    where: { acquirerId: "12345678", day: "0105" },
    objects,
  };
  return decideRequest({ books, policy: { partial: false }, claim: whole, month: "2601", approvalCode: "000001" });
}

describe("an issuer's answer to a card", () => {
  test("knows its card and says so by ARPC, method 1", () => {
    const objects = objectsOf();
    const code = new Uint8Array(Buffer.from("00", "ascii"));
    const arpc = arpcMethod1(cryptogramKey(18, keyOf(PAN), 7), arqcOf(objects), code);
    expect(decide(objects)).toMatchObject({ responseCode: "00", issuerAuthenticationData: toHex(concat(arpc, code)) });
  });

  test("of a card that was made for method 2 it is by method 2", () => {
    const card = CARD_PROFILES.flatMap((one) => [one, ...(one.further ?? [])]).find(
      ({ cryptogramVersion }) => cryptogramVersion === "common-core",
    );
    const pan = card?.pan ?? "";
    const objects = objectsOf({ pan, version: "common-core" });
    const cardStatusUpdate = fromHex("00800000");
    const key = cryptogramKey("common-core", keyOf(pan), 7);
    const arpc = arpcMethod2({ key, arqc: arqcOf(objects), cardStatusUpdate });
    expect(decide(objects, { pan }).issuerAuthenticationData).toBe(toHex(concat(arpc, cardStatusUpdate)));
  });

  test("a wrong cryptogram is declined, and gets no answer cryptogram (EMV Book 2, 8.2)", () => {
    const declined = decide(objectsOf({ minor: 1n }));
    expect(declined.responseCode).toBe(CODE.doNotHonour);
    expect(declined.issuerAuthenticationData).toBeUndefined();
  });

  test("a cryptogram that paid for something else is declined", () => {
    const books = new Books();
    expect(decide(objectsOf(), { books }).responseCode).toBe("00");
    expect(decide(objectsOf(), { books, paymentId: "p-2" }).responseCode).toBe(CODE.doNotHonour);
    expect(decide(objectsOf({ atc: "0008" }), { books, paymentId: "p-3" }).responseCode).toBe("00");
  });
});
