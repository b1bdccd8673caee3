import { describe, expect, test } from "vitest";
import { systemRandom } from "../../../base/ids.ts";
import { createPasswords, passwordProblem } from "./passwords.ts";

const passwords = createPasswords(systemRandom);

test.each([
  ["elevenchars", "at least 12 characters"],
  ["😀".repeat(11), "at least 12 characters"],
  ["Anna-Maria-Lopez", "not the name"],
  ["x".repeat(257), "at most 256 characters"],
  ["twelve chars", undefined],
  ["aaaaaaaaaaaa", undefined],
])("of %j one is told: %s", (password, problem) => {
  expect(passwordProblem("anna-maria-lopez", password)).toBe(problem);
});

test("a password fits its own hash alone, two hashes of it differ, and it is one however it was typed", async () => {
  const [first, second] = await Promise.all([passwords.hash("crème brûlée!"), passwords.hash("crème brûlée!")]);
  expect(first).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  expect(first).not.toBe(second);
  expect(await passwords.fits("crème brûlée!".normalize("NFD"), first)).toBe(true);
  expect(await passwords.fits("creme brulee!", first)).toBe(false);
});

test("a hash of other parameters is tried with its own", async () => {
  // RFC 9106's function with less memory, as an earlier release might have kept it.
  const { argon2Sync } = await import("node:crypto");
  const salt = Buffer.alloc(16, 7);
  const options = {
    message: "an older password",
    nonce: salt,
    parallelism: 1,
    memory: 1_024,
    passes: 3,
    tagLength: 32,
  };
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64").replaceAll("=", "");
  const kept = `$argon2id$v=19$m=1024,t=3,p=1$${base64(salt)}$${base64(argon2Sync("argon2id", options))}`;
  expect(await passwords.fits("an older password", kept)).toBe(true);
  expect(await passwords.fits("another password", kept)).toBe(false);
});

describe("a name that nobody has", () => {
  test("costs as much work as one that is known, and nothing fits it", async () => {
    const kept = await passwords.hash("a known password");
    const cost = async (of: string | undefined): Promise<number> => {
      const begun = process.cpuUsage();
      for (let n = 0; n < 2; n += 1) expect(await passwords.fits("a wrong password", of)).toBe(false);
      const { user, system } = process.cpuUsage(begun);
      return user + system;
    };
    await cost(kept);
    const [known, unknown] = [await cost(kept), await cost(undefined)];
    expect(unknown).toBeGreaterThan(known / 3);
    expect(unknown).toBeLessThan(known * 3);
  });
});

test("log-ins beyond those that may wait are told to come again, and the others are served", async () => {
  const quick = createPasswords(systemRandom, { memory: 64, passes: 1, parallelism: 1 });
  const tries = Array.from({ length: 40 }, () => quick.fits("a wrong password", undefined));
  const settled = await Promise.allSettled(tries);
  const refused = settled.flatMap((one) => (one.status === "rejected" ? [one.reason.code] : []));
  expect(refused.length).toBe(6);
  expect(new Set(refused)).toEqual(new Set(["queue.full"]));
});
