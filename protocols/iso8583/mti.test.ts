import { expect, test } from "vitest";
import { describeMti, isAnswer, isRepeat, mtiOf, repeatMtiOf, responseMtiOf } from "./mti.ts";

test.each([
  ["0100", "0110"],
  ["0200", "0210"],
  ["0120", "0130"],
  ["0220", "0230"],
  ["0221", "0230"],
  ["0420", "0430"],
  ["0421", "0430"],
  ["0423", "0432"],
  ["0520", "0530"],
  ["0800", "0810"],
  ["1804", "1814"],
])("the answer to %s is %s", (request, response) => {
  expect(responseMtiOf(request)).toBe(response);
  expect(isAnswer(response)).toBe(true);
  expect(isAnswer(request)).toBe(false);
});

test("an answer has no answer, and what is no MTI is refused", () => {
  expect(() => responseMtiOf("0110")).toThrow("is an answer");
  expect(() => mtiOf("011")).toThrow("four digits");
  expect(() => mtiOf("01A0")).toThrow(expect.objectContaining({ code: "codec.invalid", details: { path: "mti" } }));
});

test("a repeat is known by its last digit, and repeating it again changes nothing", () => {
  expect(["0420", "0421", "0401", "0402", "0403"].map(isRepeat)).toEqual([false, true, true, false, true]);
  expect(["0420", "0421", "0402"].map(repeatMtiOf)).toEqual(["0421", "0421", "0403"]);
});

test("an MTI is told in words, reserved digits too", () => {
  expect(describeMti("0421")).toBe("reversal advice, acquirer repeat (1987)");
  expect(describeMti("1814")).toBe("network management response, other (1993)");
  expect(describeMti("9999")).toBe("reserved class reserved function, reserved origin (reserved version)");
});
