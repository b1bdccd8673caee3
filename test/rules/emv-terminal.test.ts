/** The configuration in the kernel's terms, and what is said of key files that cannot be used. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { EmvSchema } from "../../agent/config.ts";
import { terminalSettings } from "../../agent/payment/emv-terminal.ts";
import { toHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import { testCaKeyList, testRevokedList } from "../../sim/card/mint/test-keys.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "emv-terminal-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const settings = (emv: unknown, terminalId = "till-1") =>
  terminalSettings({
    emv: EmvSchema.parse(emv),
    site: { merchantName: "Corner Shop", countryCode: 276 },
    terminalId,
  });
const hex = (bytes: Uint8Array | undefined): string => toHex(bytes ?? new Uint8Array(0));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test("keys and revocations come from the named files", () => {
  const caKeysFile = file("capk.json", JSON.stringify(testCaKeyList()));
  const revokedFile = file("revoked.json", JSON.stringify(testRevokedList()));
  const { caKeys, revoked } = settings({ caKeysFile, revokedFile });
  expect(caKeys.map(({ index }) => index)).toEqual(testCaKeyList().map(({ index }) => index));
  expect(revoked).toHaveLength(testRevokedList().length);
});

test.each([
  ["is absent", undefined, /^emv\.caKeysFile: cannot read .*capk\.json: ENOENT/],
  ["is not JSON", "{", /^emv\.caKeysFile: .*capk\.json: not JSON/],
  ["is no list of keys", "[{}]", /^emv\.caKeysFile: .*capk\.json: list of CA keys: entry 1, rid/],
  [
    "has a key whose hash does not hold",
    JSON.stringify(testCaKeyList().map((key) => ({ ...key, sha1: "00".repeat(20) }))),
    /capk\.json: the hash of the key f054494c4c 1 does not hold; get the file again$/,
  ],
])("a key file that %s is named, with the reason", (_what, content, words) => {
  const caKeysFile = content === undefined ? join(folder, "capk.json") : file("capk.json", content);
  try {
    settings({ caKeysFile });
    expect.unreachable("the file was taken");
  } catch (error) {
    if (!isFault(error, "config.invalid")) throw error;
    expect(error.message).toMatch(words);
  }
});

test("the terminal offers signature only where the shop wants it, and never a PIN", () => {
  expect(hex(settings({}).capabilities)).toBe("2008c8");
  expect(hex(settings({ signature: true }).capabilities)).toBe("2028c8");
});

test("names of any length fill the terminal's identification of eight characters", () => {
  const identification = (id: string) => Buffer.from(settings({}, id).data.get(0x9f1c) ?? []).toString("latin1");
  expect(identification("t1")).toBe("t1      ");
  expect(identification("terminal-of-the-second-till")).toBe("terminal");
});

test("action codes and floor limit reach every application", () => {
  const { applications } = settings({
    applications: ["F054494C4C57", "A000000003"],
    floorLimitMinor: 2_500,
    actionCodes: { denial: "0010000000" },
  });
  expect(applications.map(({ aid, floorLimitMinor }) => [hex(aid), floorLimitMinor])).toEqual([
    ["f054494c4c57", 2_500],
    ["a000000003", 2_500],
  ]);
  const codes = applications[1]?.actionCodes;
  expect([codes?.denial, codes?.online, codes?.default].map(hex)).toEqual(["0010000000", "fc78bcf800", "fc70800000"]);
});
