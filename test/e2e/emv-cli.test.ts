/** `tillway emv decode` as an integrator calls it: what goes to which stream, and the exit code that says whose fault it was. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";

const PROGRAM = join(import.meta.dirname, "../../scripts/tillway.ts");

async function decode(args: readonly string[], input = "") {
  const child = spawn(process.execPath, [PROGRAM, "emv", "decode", ...args], { stdio: "pipe" });
  // A program that refuses its arguments does not read, and the pipe breaks.
  child.stdin.on("error", () => undefined).end(input);
  const ended = once(child, "close") as Promise<[number | null]>;
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, out, err };
}

const TVR_LINES = `95 Terminal Verification Results (5 bytes): 8000008040
  byte 1 bit 8: Offline data authentication was not performed
  byte 4 bit 8: Transaction exceeds floor limit
  byte 5 bit 7: Issuer authentication failed
`;

test("data are decoded from words, from standard input with white space, and as the value of one tag", async () => {
  const decoded = { code: 0, out: TVR_LINES, err: "" };
  expect(await decode(["9505", "80 00", "008040"])).toEqual(decoded);
  expect(await decode(["-"], "95 05\n 80000080 40\n")).toEqual(decoded);
  expect(await decode(["--tag", "95", "8000008040"])).toEqual(decoded);
});

test("RM6 a card number is masked unless it is asked for, in words and as JSON", async () => {
  const hex = "5A084761340000000050";
  expect((await decode([hex])).out).toBe(
    "5A Application Primary Account Number (PAN) (8 bytes): 476134******0050 (masked)\n",
  );
  expect(JSON.parse((await decode(["--json", hex])).out)).toMatchObject({
    objects: [{ tag: "5A", value: "476134******0050", masked: true }],
  });
  expect((await decode(["--show-secret", hex])).out).toContain("4761340000000050");
});

test("what cannot be decoded ends with 1, after what could be, and says where", async () => {
  expect(await decode(["9C0100 5A08 4761"])).toEqual({
    code: 1,
    out: "9C Transaction Type (1 byte): 00\n  goods and services\n",
    err: "tillway: undecodable: tag 5A wants 8 bytes, has 2, at byte 5\n",
  });
  const json = await decode(["--json", "9C0100 5A08 4761"]);
  expect(json).toMatchObject({ code: 1, err: "" });
  expect(JSON.parse(json.out)).toMatchObject({ objects: [{ tag: "9C" }], fault: { offset: 5 } });
});

test.each([
  ["no data", [], "", "missing required argument 'hex'"],
  ["what is not hex", ["9G"], "", 'the data are not hex: not a hex digit at 1: "G"'],
  ["half a byte", ["950"], "", "the data are not hex: an odd number of hex digits: 3"],
  ["empty standard input", ["-"], " \n", "there are no hex digits to decode"],
  ["too much standard input", ["-"], "00".repeat(200_000), "standard input has more than 262144 characters"],
  ["what is no tag", ["--tag", "9F", "00"], "", "give a tag in hex, such as 95 or 9F34"],
  ["a template for --tag", ["--tag", "70", "00"], "", "this is a template"],
] as const)("%s is a wrong call: 2, one line, no stack trace", async (_, args, input, reason) => {
  const { code, out, err } = await decode(args, input);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(err).toMatch(/^tillway: .*; see tillway emv --help\n$/);
  expect(err).toContain(reason);
});
