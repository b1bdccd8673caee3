/** `tillway iso8583` as an integrator calls it: what goes to which stream, and the exit code that says whose fault it was. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";

const PROGRAM = join(import.meta.dirname, "../../scripts/tillway.ts");

async function iso8583(args: readonly string[], input = "") {
  const child = spawn(process.execPath, [PROGRAM, "iso8583", ...args], { stdio: "pipe" });
  // A program that refuses its arguments does not read, and the pipe breaks.
  child.stdin.on("error", () => undefined).end(input);
  const ended = once(child, "close") as Promise<[number | null]>;
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, out, err };
}

const BCD = ["--spec", "1987-bcd"];
const SIGN_ON = "0800 2020000000800000 000000 000001 3239313130303031";
const SALE = "0200 5000000000000000 164761739001010119 000000005000";
const SIGN_ON_LINES = `MTI 0800 network management request, acquirer (1987)
3 ProcessingCode: 000000
  goods and services, from default to default account
11 Stan: 000001
41 Terminal: 29110001
`;

test("a message is decoded from words, standard input, base64, a frame and a file", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tillway-iso8583-"));
  const bytes = Buffer.from(SIGN_ON.replaceAll(" ", ""), "hex");
  writeFileSync(join(folder, "sign-on.bin"), bytes);
  const decoded = { code: 0, out: SIGN_ON_LINES, err: "" };
  expect(await iso8583(["decode", ...BCD, ...SIGN_ON.split(" ")])).toEqual(decoded);
  expect(await iso8583(["decode", ...BCD, "-"], `${SIGN_ON}\n`)).toEqual(decoded);
  expect(await iso8583(["decode", ...BCD, "--base64", bytes.toString("base64")])).toEqual(decoded);
  expect(await iso8583(["decode", ...BCD, "--framed", `0018 ${SIGN_ON}`])).toEqual(decoded);
  expect(await iso8583(["decode", ...BCD, `@${join(folder, "sign-on.bin")}`])).toEqual(decoded);
  rmSync(folder, { recursive: true });
});

test("RM6 a card number is masked unless it is asked for, and JSON of it can be encoded again", async () => {
  expect((await iso8583(["decode", ...BCD, SALE])).out).toContain("2 Pan: 476173******0119 (masked)");
  expect((await iso8583(["decode", ...BCD, "--json", SALE])).out).toContain('"2": "476173******0119"');
  const { out } = await iso8583(["decode", ...BCD, "--json", "--show-secret", SALE]);
  const hex = SALE.replaceAll(" ", "");
  expect(await iso8583(["encode", ...BCD, "-"], out)).toEqual({ code: 0, out: `${hex}\n`, err: "" });
  expect((await iso8583(["encode", ...BCD, "--framed", out])).out).toBe(`0019${hex}\n`);
});

test("a comparison ends with 1 when there are differences", async () => {
  const other = SALE.replace("000000005000", "000000005100");
  expect(await iso8583(["diff", ...BCD, SALE, SALE])).toEqual({ code: 0, out: "", err: "" });
  expect(await iso8583(["diff", ...BCD, SALE, other])).toEqual({
    code: 1,
    out: "4 AmountTransaction: 000000005000 -> 000000005100\n",
    err: "",
  });
});

test("what the table cannot read ends with 1, and says which field and where", async () => {
  expect(await iso8583(["decode", ...BCD, SALE.slice(0, -2)])).toEqual({
    code: 1,
    out: "",
    err: "tillway: undecodable by 1987-bcd: DE 4 AmountTransaction: wants 6 bytes, has 5, at byte 19\n",
  });
});

test.each([
  ["no table", ["decode", SIGN_ON], /--spec/],
  ["an unknown table", ["decode", "--spec", "1986", SIGN_ON], /there is no table "1986"; there are 1987-ascii/],
  ["no message", ["decode", ...BCD], /message/],
  ["a message that is not hex", ["decode", ...BCD, "08G0"], /not in hex/],
  ["a file that is not there", ["decode", ...BCD, "@/nowhere"], /\/nowhere cannot be read/],
  ["what is no JSON", ["encode", ...BCD, "{"], /not JSON/],
])("refused with 2: %s", async (_, args, reason) => {
  const { code, out, err } = await iso8583(args);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(err).toMatch(reason);
  expect(err.trim().split("\n")).toHaveLength(1);
});
