import { describe, expect, test } from "vitest";
import { networkFields, networkRequestOf, responseCodeOf, writtenCode } from "./editions.ts";
import { answerTo, isResponse, transmissionDateTime, wantsAnswer } from "./exchange.ts";

const coded = (code: string) => ({ mti: "0210", fields: { 39: code } });

describe("1987 and 1993", () => {
  test.each([
    ["00", "000"],
    ["10", "002"],
    ["05", "100"],
    ["54", "101"],
    ["51", "116"],
    ["14", "111"],
    ["91", "907"],
    ["94", "913"],
    ["96", "909"],
    ["95", "501"],
  ])("response code %s is action code %s, there and back", (response, action) => {
    expect(writtenCode("1", response)).toBe(action);
    expect(responseCodeOf(coded(action))).toBe(response);
    expect(writtenCode("0", response)).toBe(response);
    expect(responseCodeOf(coded(response))).toBe(response);
  });

  test.each(["400", "500", "800", "900"])("action code %s is an approval of its own kind", (action) => {
    expect(responseCodeOf(coded(action))).toBe("00");
  });

  test("what is not known is a refusal in both directions", () => {
    expect(responseCodeOf(coded("777"))).toBe("05");
    expect(writtenCode("1", "Q9")).toBe("100");
    expect(responseCodeOf({ mti: "0210", fields: {} })).toBeUndefined();
  });

  test.each([
    ["sign-on", { 70: "001" }, { 24: "801" }],
    ["sign-off", { 70: "002" }, { 24: "802" }],
    ["echo", { 70: "301" }, { 24: "831" }],
  ] as const)("%s has its code in each", (what, of1987, of1993) => {
    expect(networkFields("0", what)).toEqual(of1987);
    expect(networkFields("1", what)).toEqual(of1993);
    expect(networkRequestOf("0", { mti: "0800", fields: of1987 })).toBe(what);
    expect(networkRequestOf("1", { mti: "1804", fields: of1993 })).toBe(what);
  });
});

describe("an answer", () => {
  test.each([
    ["0200", "0210"],
    ["0100", "0110"],
    ["0220", "0230"],
    ["0221", "0230"],
    ["0420", "0430"],
    ["0421", "0430"],
    ["0800", "0810"],
    ["1804", "1814"],
  ])("to %s is %s", (mti, answer) => {
    expect(answerTo({ mti, fields: {} }, "0", "00").mti).toBe(answer);
    expect(isResponse({ mti, fields: {} })).toBe(false);
    expect(isResponse({ mti: answer, fields: {} })).toBe(true);
    expect(wantsAnswer({ mti, fields: {} })).toBe(true);
  });

  test("gives back what it is matched by, and nothing of the card", () => {
    const fields = { 2: "4761739001010119", 7: "0105090000", 11: "000001", 32: "123", 35: "1=2", 41: "T" };
    expect(answerTo({ mti: "1200", fields }, "1", "51").fields).toEqual({
      7: "0105090000",
      11: "000001",
      32: "123",
      39: "116",
      41: "T",
    });
  });

  test("a notification wants none", () => {
    expect(wantsAnswer({ mti: "0240", fields: {} })).toBe(false);
  });

  test("DE 7 is month, day and time in UTC", () => {
    expect(transmissionDateTime(Date.UTC(2026, 11, 31, 23, 4, 5, 999))).toBe("1231230405");
  });
});
