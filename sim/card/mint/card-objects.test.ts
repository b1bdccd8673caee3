import { expect, test } from "vitest";
import { toHex } from "../../../base/bytes.ts";
import { type CheckReport, checkTransaction } from "../../../protocols/emv/oda/check-transaction.ts";
import { parseTransactionFile } from "../../../protocols/emv/oda/transaction-file.ts";
import { type CardOptions, cardObjects } from "./card-objects.ts";
import { KEY_CHAINS } from "./minted.ts";
import { testCaKeys, testRevoked } from "./test-keys.ts";

const CARD = { pan: "4761739001010010", expiry: "3112" } as const;
const KINDS = ["sda", "dda", "cda"] as const;
const EVERY = KINDS.flatMap((oda) =>
  KEY_CHAINS.filter((chain) => oda !== "cda" || chain !== "longest").map((chain) => ({ oda, chain })),
);
/** What a card can send at once in a short APDU, and the longest record. */
const ANSWER_BYTES_MAX = 256;
const RECORD_BYTES_MAX = 254;

function checked(options: CardOptions, day = { year: 2026, month: 1, day: 5 }): CheckReport {
  const text = cardObjects(options)
    .map((object) => toHex(object))
    .join("\n");
  return checkTransaction(parseTransactionFile(text), { caKeys: testCaKeys(), revoked: testRevoked(), today: day });
}

test.each(EVERY)("the terminal finds $oda of a card with the keys $chain to hold", ({ oda, chain }) => {
  expect(checked({ ...CARD, oda, chain })).toMatchObject({ method: oda, holds: true });
});

test.each(EVERY)("the terminal finds the planted faults of $oda with the keys $chain", ({ oda, chain }) => {
  const last = (fault: "wrong-ca" | "revoked-issuer") => checked({ ...CARD, oda, chain, fault }).steps.at(-1);
  expect(last("wrong-ca")).toMatchObject({ step: "issuer key", holds: false, why: "format" });
  expect(last("revoked-issuer")).toMatchObject({ step: "issuer key", holds: false, why: "revoked" });
});

test("a certificate holds to the end of its month and no longer", () => {
  const expiring = { ...CARD, expiry: "2602", oda: "dda" } as const;
  expect(checked(expiring, { year: 2026, month: 2, day: 28 }).holds).toBe(true);
  expect(checked(expiring, { year: 2026, month: 3, day: 1 }).steps.at(-1)).toMatchObject({ why: "expired" });
});

test.each([
  ["2402", "5f2403240229"],
  ["2602", "5f2403260228"],
  ["3112", "5f2403311231"],
])("the card that expires in %s says so with the last day of the month", (expiry, object) => {
  expect(
    cardObjects({ ...CARD, expiry, oda: "sda" })
      .map(toHex)
      .join(),
  ).toContain(object);
});

test.each(EVERY)("every record and answer of $oda with the keys $chain fits a real card", ({ oda, chain }) => {
  for (const object of cardObjects({ ...CARD, oda, chain })) {
    expect(object.length).toBeLessThanOrEqual(object[0] === 0x70 ? RECORD_BYTES_MAX : ANSWER_BYTES_MAX);
  }
});

test("a CDA card with a key that no answer has room for is refused", () => {
  expect(() => cardObjects({ ...CARD, oda: "cda", chain: "longest" })).toThrow("room");
});
