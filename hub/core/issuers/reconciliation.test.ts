import { describe, expect, test } from "vitest";
import { currencyOf } from "../../../base/money.ts";
import { netMinor, reconciliationAnswer, reconciliationMessage, totalsOf } from "./reconciliation.ts";

const totals = {
  debits: { count: 12, minor: 120_050n },
  debitReversals: { count: 1, minor: 50n },
  credits: { count: 2, minor: 3_000n },
  creditReversals: { count: 0, minor: 0n },
};
const content = {
  version: "0",
  trace: { stan: "000009", transmittedAt: Date.UTC(2026, 0, 5, 23, 0, 0) },
  acquirerId: "12345678",
  settlementDate: "2026-01-05",
  currency: currencyOf("EUR"),
  totals,
  as: "request",
} as const;
const request = reconciliationMessage(content);
const answer = (fields: Record<number, string>) => ({
  mti: "0510",
  fields: { ...request.fields, 39: "00", ...fields },
});

describe("reconciliation with an issuer", () => {
  test("RM14 is asked with 0500 and told with 0520", () => {
    expect(request.mti).toBe("0500");
    expect(reconciliationMessage({ ...content, as: "advice" }).mti).toBe("0520");
    expect(reconciliationMessage({ ...content, as: "repeat" }).mti).toBe("0521");
    expect(reconciliationMessage({ ...content, version: "1" }).mti).toBe("1500");
  });

  test("RM14 names the day, the currency, the totals and what is owed", () => {
    expect(request.fields).toMatchObject({
      15: "0105",
      50: "978",
      74: "0000000002",
      75: "0000000000",
      76: "0000000012",
      77: "0000000001",
      86: "0000000000003000",
      88: "0000000000120050",
      89: "0000000000000050",
      97: "D0000000000117000",
    });
    expect(netMinor(totals)).toBe(117_000n);
    expect(totalsOf(request)).toEqual(totals);
  });

  test("what the acquirer owes is a credit", () => {
    const owed = { ...totals, debits: { count: 0, minor: 0n } };
    expect(reconciliationMessage({ ...content, totals: owed }).fields[97]).toBe("C0000000000003050");
  });

  test("the same totals are in balance, and so are none", () => {
    expect(reconciliationAnswer(request, answer({}))).toEqual({ what: "in-balance" });
    expect(reconciliationAnswer(request, { mti: "0510", fields: { 39: "00" } })).toEqual({ what: "in-balance" });
  });

  test("other totals are out of balance, whatever the code says", () => {
    const his = { ...totals, debits: { count: 11, minor: 120_050n } };
    expect(reconciliationAnswer(request, answer({ 76: "0000000011" }))).toEqual({
      what: "out-of-balance",
      totals: his,
    });
    expect(reconciliationAnswer(request, answer({ 39: "95", 76: "0000000011" }))).toMatchObject({
      what: "out-of-balance",
      totals: his,
    });
  });

  test("RM14 the settlement code of 1987 decides where the response code says nothing", () => {
    expect(reconciliationAnswer(request, answer({ 66: "1" }))).toEqual({ what: "in-balance" });
    expect(reconciliationAnswer(request, answer({ 66: "2" }))).toEqual({ what: "out-of-balance", totals });
    expect(reconciliationAnswer(request, { mti: "0510", fields: { 39: "00", 66: "2" } })).toEqual({
      what: "out-of-balance",
    });
    expect(reconciliationAnswer(request, answer({ 66: "3" }))).toEqual({ what: "refused", responseCode: "00" });
    const of1993 = { mti: "1510", fields: { 39: "500", 66: "2" } };
    expect(reconciliationAnswer({ ...request, mti: "1500" }, of1993)).toEqual({ what: "in-balance" });
  });

  test("an issuer who does not compare refuses", () => {
    expect(reconciliationAnswer(request, answer({ 39: "12" }))).toEqual({ what: "refused", responseCode: "12" });
  });
});
