import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isFault } from "../base/fault.ts";
import { choiceOption, integerOption, parseDeviceUri, refuseUnknownOptions } from "./device-uri.ts";

describe("device URIs", () => {
  test("give scheme, target and options", () => {
    expect(parseDeviceUri("serial:/dev/ttyUSB0?baud=115200&columns=42")).toEqual({
      text: "serial:/dev/ttyUSB0?baud=115200&columns=42",
      scheme: "serial",
      target: "/dev/ttyUSB0",
      options: { baud: "115200", columns: "42" },
    });
  });

  test("keep colons and stars of the target, and decode percent signs", () => {
    expect(parseDeviceUri("pcsc:*").target).toBe("*");
    expect(parseDeviceUri("hci:uart:/dev/ttyS1").target).toBe("uart:/dev/ttyS1");
    expect(parseDeviceUri("pcsc:ACS%20ACR122U%3F").target).toBe("ACS ACR122U?");
    expect(parseDeviceUri("pcsc:ACS ACR122U 00 00").target).toBe("ACS ACR122U 00 00");
  });

  test.each([
    ["", "is not of the form"],
    ["/dev/ttyUSB0", "is not of the form"],
    ["serial:", "is not of the form"],
    ["Serial:/dev/x", "is not of the form"],
    ["serial:/dev/x?baud", 'has "baud" where key=value is expected'],
    ["serial:/dev/x?", 'has "" where key=value is expected'],
    ["serial:/dev/x?baud=1&baud=2", 'names "baud" twice'],
    ["serial:/dev/%zz", "broken percent sign"],
    ["serial:/dev/x%00", "control character"],
    [`serial:${"x".repeat(2_000)}`, "longer than"],
  ])("refuse %j and say why", (text, why) => {
    expect(() => parseDeviceUri(text)).toThrow(expect.objectContaining({ code: "config.invalid" }));
    expect(() => parseDeviceUri(text)).toThrow(why);
  });

  test("refuse an option that the scheme does not have, naming those it has", () => {
    const uri = parseDeviceUri("serial:/dev/x?bud=9600");
    expect(() => refuseUnknownOptions(uri, ["baud", "columns"])).toThrow('"bud"; known are baud, columns');
    expect(() => refuseUnknownOptions(parseDeviceUri("pcsc:*"), [])).not.toThrow();
  });

  test("read whole numbers within their range and choices from their list", () => {
    const baud = { key: "baud", min: 1_200, max: 921_600, fallback: 9_600 };
    expect(integerOption(parseDeviceUri("serial:x"), baud)).toBe(9_600);
    expect(integerOption(parseDeviceUri("serial:x?baud=115200"), baud)).toBe(115_200);
    for (const wrong of ["0", "-1", "1e9", "fast", "1000000", ""]) {
      expect(() => integerOption(parseDeviceUri(`serial:x?baud=${wrong}`), baud)).toThrow("from 1200 to 921600");
    }
    const cut = { key: "cut", choices: ["partial", "none"], fallback: "partial" } as const;
    expect(choiceOption(parseDeviceUri("serial:x?cut=none"), cut)).toBe("none");
    expect(() => choiceOption(parseDeviceUri("serial:x?cut=whole"), cut)).toThrow("one of partial, none");
  });

  test("never throw anything but a Fault", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((rest) => `serial:${rest}`),
        ),
        (text) => {
          try {
            const uri = parseDeviceUri(text);
            return uri.target.length > 0;
          } catch (error) {
            return isFault(error, "config.invalid");
          }
        },
      ),
    );
  });
});
