import { describe, expect, test } from "vitest";
import { postingOf } from "./posting.ts";

const message = (mti: string, processingCode: string, more: Record<number, string> = {}) => ({
  mti,
  fields: { 3: processingCode, 4: "000000000650", 49: "978", ...more },
});
const original = (mti: string) => `${mti}000001010510000000000100000${"0".repeat(11)}`;

describe("what a message moves in the issuer's books", () => {
  test.each([
    ["a purchase", message("0200", "000000"), "debit"],
    ["a tip on top of one", message("0200", "020000"), "debit"],
    ["a purchase with cashback", message("0200", "090000"), "debit"],
    ["a refund", message("0200", "200000"), "credit"],
    ["a completion", message("0220", "000000", { 39: "00" }), "debit"],
    ["a repeated advice of a refund", message("0221", "200000", { 39: "00" }), "credit"],
    ["a reversal, of what it takes back", message("0420", "000000", { 90: original("0200") }), "debit"],
    ["a repeated reversal of a refund", message("0421", "200000", { 90: original("0200") }), "credit"],
    ["a purchase of 1993", message("1200", "000000"), "debit"],
    ["an advice of 1993", message("1220", "000000", { 39: "000" }), "debit"],
    ["a reversal of 1993", message("1420", "000000", { 56: "1200000001260105101500" }), "debit"],
  ])("%s", (_, sent, side) => {
    expect(postingOf(sent)).toEqual({ side, minor: 650n, currency: "EUR" });
  });

  test.each([
    ["a pre-authorisation", message("0100", "000000")],
    ["one that was decided for him", message("0120", "000000", { 39: "00" })],
    ["the reversal of one", message("0420", "000000", { 90: original("0100") })],
    ["a reversal that names no original", message("0420", "000000")],
    ["an advice of a decline", message("0220", "000000", { 39: "61" })],
    ["a question after a balance", message("0200", "310000")],
    ["nothing", message("0200", "000000", { 4: "000000000000" })],
    ["a message without a processing code", { mti: "0200", fields: { 4: "000000000650", 49: "978" } }],
  ])("nothing moves with %s", (_, sent) => {
    expect(postingOf(sent)).toBeUndefined();
  });
});
