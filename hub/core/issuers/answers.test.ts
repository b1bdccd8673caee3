import { describe, expect, test } from "vitest";
import { fromHex } from "../../../base/bytes.ts";
import { decodeTlv } from "../../../protocols/emv/ber-tlv.ts";
import type { FieldValue, Iso8583Message } from "../../../protocols/iso8583/message.ts";
import { acknowledgementOf, decisionOf } from "./answers.ts";

const request: Iso8583Message = { mti: "0200", fields: { 4: "000000001000", 11: "000001", 49: "978" } };
const answered = (fields: Record<number, FieldValue>, mti = "0210"): Iso8583Message => ({ mti, fields });

describe("an issuer's answer to a request", () => {
  test.each(["00", "08", "11"])("%s approves", (code) => {
    expect(decisionOf(request, answered({ 39: code, 38: "A1B2C3", 4: "000000001000", 49: "978" }))).toEqual({
      outcome: "approved",
      responseCode: code,
      approvalCode: "A1B2C3",
    });
  });

  test("approves without an amount and an approval code", () => {
    expect(decisionOf(request, answered({ 39: "00" }))).toEqual({ outcome: "approved", responseCode: "00" });
  });

  test("10 approves a part", () => {
    expect(decisionOf(request, answered({ 39: "10", 4: "000000000400" }))).toEqual({
      outcome: "partly-approved",
      responseCode: "10",
      minor: 400n,
    });
  });

  test.each(["05", "51", "54", "14", "61", "94", "30", "Z9"])("%s declines", (code) => {
    expect(decisionOf(request, answered({ 39: code }))).toEqual({ outcome: "declined", responseCode: code });
  });

  test.each(["19", "90", "91", "92", "96"])("%s says that he cannot decide", (code) => {
    expect(decisionOf(request, answered({ 39: code }))).toEqual({ outcome: "unable", responseCode: code });
  });

  test.each([
    ["another amount", { 39: "00", 4: "000000000999" }],
    ["another currency", { 39: "00", 49: "840" }],
    ["a part without its amount", { 39: "10" }],
    ["a part that is the whole", { 39: "10", 4: "000000001000" }],
    ["a part that is nothing", { 39: "10", 4: "000000000000" }],
    ["a part in another currency", { 39: "10", 4: "000000000400", 49: "840" }],
    ["no response code", { 38: "A1B2C3" }],
    ["a time-out behind a switch", { 39: "68" }],
  ])("one with %s is as good as none", (_, fields) => {
    expect(decisionOf(request, answered(fields))).toEqual({ outcome: "mismatched" });
  });

  test("action codes of 1993 mean the same", () => {
    const outcomes = ["000", "002", "116", "907", "911", "199"].map((code) =>
      decisionOf(request, answered({ 39: code, 4: code === "002" ? "000000000400" : "000000001000" }, "1210")),
    );
    expect(outcomes).toEqual([
      { outcome: "approved", responseCode: "00" },
      { outcome: "partly-approved", responseCode: "10", minor: 400n },
      { outcome: "declined", responseCode: "51" },
      { outcome: "unable", responseCode: "91" },
      { outcome: "mismatched" },
      { outcome: "declined", responseCode: "05" },
    ]);
  });

  test("what is for the card is handed on, also with a decline", () => {
    const objects = decodeTlv(fromHex("910a0102030405060708303072049f1801018a023035"));
    expect(decisionOf(request, answered({ 39: "05", 55: objects }))).toEqual({
      outcome: "declined",
      responseCode: "05",
      issuerAuthenticationData: "01020304050607083030",
      issuerScripts: ["72049f180101"],
    });
  });
});

describe("an issuer's answer to an advice", () => {
  const advice: Iso8583Message = { mti: "0220", fields: {} };
  const reversal: Iso8583Message = { mti: "0421", fields: {} };

  test.each(["00", "94"])("%s: he has it", (code) => {
    expect(acknowledgementOf(advice, answered({ 39: code }, "0230"))).toEqual({ what: "taken" });
  });

  test.each(["91", "96", "68"])("%s: it is to be told again", (code) => {
    expect(acknowledgementOf(advice, answered({ 39: code }, "0230"))).toEqual({ what: "again", responseCode: code });
  });

  test("no code: it is to be told again", () => {
    expect(acknowledgementOf(advice, answered({}, "0230"))).toEqual({ what: "again" });
  });

  test.each(["14", "30", "21"])("%s: he refused it", (code) => {
    expect(acknowledgementOf(advice, answered({ 39: code }, "0230"))).toEqual({ what: "refused", responseCode: code });
  });

  test("RM1 the reversal of what he never had changes nothing in his books; such an advice is refused", () => {
    const notFound = answered({ 39: "25" }, "0430");
    expect(acknowledgementOf(reversal, notFound)).toEqual({ what: "nothing-to-reverse" });
    expect(acknowledgementOf(advice, notFound)).toEqual({ what: "refused", responseCode: "25" });
  });

  test("900 of 1993: he has it", () => {
    expect(acknowledgementOf(advice, answered({ 39: "900" }, "1230"))).toEqual({ what: "taken" });
  });
});
