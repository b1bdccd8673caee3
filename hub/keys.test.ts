import { generateKeyPairSync } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemRandom } from "../base/ids.ts";
import { loadHubKeys, loadOperatorToken, readSealingKeys } from "./keys.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tillway-keys-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const load = () => loadHubKeys(folder, systemRandom);

test("keys and token are made once, for their owner alone, and kept over restarts", () => {
  const first = load();
  const token = loadOperatorToken(join(folder, "operator-token"), systemRandom);
  expect(load().tokenKey).toEqual(first.tokenKey);
  expect(load().sealing.keyId).toBe(first.sealing.keyId);
  expect(loadOperatorToken(join(folder, "operator-token"), systemRandom)).toBe(token);
  const files = readdirSync(folder);
  expect(files.sort()).toEqual(["operator-token", "sealing.key", "signing.key", "token.key"]);
  for (const file of files) expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
});

test.each(["signing.key", "sealing.key", "token.key"])("an emptied %s is refused by its name", (name) => {
  load();
  writeFileSync(join(folder, name), "");
  expect(load).toThrow(expect.objectContaining({ code: "identity.invalid", message: expect.stringContaining(name) }));
});

test.each(["signing.key", "sealing.key", "token.key"])("a %s that others can read is refused with its mend", (name) => {
  load();
  chmodSync(join(folder, name), 0o644);
  const mend = `run: chmod 600 ${join(folder, name)}`;
  expect(load).toThrow(expect.objectContaining({ code: "identity.invalid", message: expect.stringContaining(mend) }));
});

test("a key of another kind is refused", () => {
  load();
  writeFileSync(join(folder, "signing.key"), "bm90IGEga2V5");
  expect(load).toThrow(expect.objectContaining({ code: "identity.invalid" }));
});

test("an emptied operator's token is refused instead of locking everybody out", () => {
  const path = join(folder, "operator-token");
  writeFileSync(path, "\n", { mode: 0o600 });
  expect(() => loadOperatorToken(path, systemRandom)).toThrow(expect.objectContaining({ code: "identity.invalid" }));
});

test("who reads the sealing key beside the hub gets the hub's, and makes none where there is none", () => {
  const elsewhere = join(folder, "elsewhere");
  expect(() => readSealingKeys(elsewhere)).toThrow(/sealing\.key: there is no such key; name the running hub's/);
  expect(existsSync(elsewhere)).toBe(false);
  const { sealing } = load();
  expect(readSealingKeys(folder).keyId).toBe(sealing.keyId);
});

test("a new sealing key is the present one from then on, over restarts, and the older stays until it is removed", () => {
  const { sealing } = load();
  const first = sealing.keyId;
  const second = sealing.rotate(Date.UTC(2026, 0, 5)).keyId;
  expect(second).not.toBe(first);
  expect(sealing.keyId).toBe(second);
  const again = load().sealing;
  expect(again.all.map(({ keyId, generation }) => [keyId, generation])).toEqual([
    [first, 1],
    [second, 2],
  ]);
  expect(again.keyId).toBe(second);
  expect(again.find(first)?.privateKey.export({ type: "pkcs8", format: "der" })).toEqual(
    sealing.find(first)?.privateKey.export({ type: "pkcs8", format: "der" }),
  );
  for (const file of readdirSync(folder)) expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
  expect(again.remove(first)).toBe(true);
  expect(again.remove(first)).toBe(false);
  expect(again.remove(second)).toBe(false);
  expect(load().sealing.all.map(({ keyId }) => keyId)).toEqual([second]);
  expect(existsSync(join(folder, "sealing.key"))).toBe(false);
  expect(load().sealing.rotate(0).generation).toBe(3);
});

test("a key that another replica made in the same folder is found when the first entry names it, and is present then", () => {
  const here = load().sealing;
  const there = load().sealing;
  const made = there.rotate(0);
  expect(here.find(made.keyId)?.privateKey.equals(made.privateKey)).toBe(true);
  expect(here.keyId).toBe(made.keyId);
  expect(here.find("no such key")).toBeUndefined();
});

test("a key file that came into the folder half is no key yet, and is not written over", () => {
  const { sealing } = load();
  const first = sealing.keyId;
  const path = join(folder, "sealing-2.key");
  writeFileSync(path, "MC4C", { mode: 0o600 });
  expect(sealing.find("no such key")).toBeUndefined();
  expect(sealing.keyId).toBe(first);
  expect(() => sealing.rotate(0)).toThrow(expect.objectContaining({ code: "identity.invalid" }));
  expect(readFileSync(path, "utf8")).toBe("MC4C");
});

test("a key that was made by hand, as the manual says, is a sealing key", () => {
  const { sealing } = load();
  const der = generateKeyPairSync("x25519").privateKey.export({ type: "pkcs8", format: "der" });
  writeFileSync(join(folder, "sealing-2.key"), der.toString("base64"), { mode: 0o600 });
  expect(load().sealing.all.map(({ generation }) => generation)).toEqual([1, 2]);
  expect(sealing.rotate(0).generation).toBe(3);
});
