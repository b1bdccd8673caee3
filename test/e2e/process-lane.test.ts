/** A sample of the lane of real processes; `scripts/soak-processes` runs all of it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { diskErrorsAt } from "../../scripts/processes/disk-errors.ts";
import { killsAt } from "../../scripts/processes/kills.ts";
import type { LaneResult } from "../../scripts/processes/lane.ts";
import { raceAt } from "../../scripts/processes/race.ts";
import { closed, Shop } from "../../scripts/processes/shop.ts";
import { whyNoStrace } from "../../scripts/processes/strace.ts";

const SEED = process.env["TILLWAY_SEED"] ?? String(Date.now() % 1_000_000_000);
const TILLS = 2;
const MAIN = new URL("../../scripts/processes/main.ts", import.meta.url).pathname;

const quiet = (): void => undefined;
const sound = (passed: number) => ({ passed, failures: [], notRun: [] });

describe(`real processes at one hub (seed ${SEED})`, () => {
  const folder = mkdtempSync(join(tmpdir(), "tw-"));
  const options = { folder, seed: SEED, onProgress: quiet };
  let shop: Shop;
  let last: LaneResult = { passed: 0, failures: [], notRun: [], counts: {} };

  beforeAll(async () => {
    shop = await Shop.start({ folder, tills: TILLS, onStep: quiet });
  }, 60_000);
  afterAll(async () => {
    await shop[Symbol.asyncDispose]();
    // What failed is looked at in its files.
    if (last.failures.length === 0 && last.passed > 0) rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  test("RM1 a new sale that starts while the queue drains is charged once, and so is all that drains", async () => {
    last = await raceAt(shop, { ...options, runs: TILLS });
    expect(last).toMatchObject(sound(TILLS));
  });

  test("RM1 RM3 SIGKILL at random instants, agent and hub in turn, loses and doubles nothing", async () => {
    last = await killsAt(shop, { ...options, kills: 4 });
    expect(last).toMatchObject(sound(4));
    expect(last.counts).toMatchObject({ "agent-killed": 2, "hub-killed": 2 });
  });

  test("RM1 an fsync that fails under the journal, or under the ledger, loses and doubles nothing", async ({
    skip,
  }) => {
    const missing = whyNoStrace();
    skip(missing !== undefined, `not run: ${missing}`);
    last = await diskErrorsAt(shop, { ...options, cases: 2 });
    expect(last).toMatchObject(sound(2));
  });

  test("RM1 at the end the ledger, the customers' balances, the days and the chains all agree", async () => {
    last = await closed(shop, last);
    expect(last.failures).toEqual([]);
    expect(last.counts["charges"]).toBeGreaterThanOrEqual(10 * TILLS);
  });
});

/** A lane in namespaces of its own: the words that it ends with. */
async function laneOf(...args: readonly string[]): Promise<{ code: number; text: string }> {
  const child = spawn(process.execPath, [MAIN, ...args, "--seed", SEED], { stdio: ["ignore", "pipe", "ignore"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (piece: string) => {
    text += piece;
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code: code ?? -1, text };
}

test.concurrent.for([
  ["a disk that fills up stops offline sales loudly before money is at risk", ["disk-full", "--cases", "2"]],
  ["a cable that is cut between two namespaces loses and doubles nothing", ["partition", "--cases", "1"]],
] as const)("RM1 RM8 %s", async ([, args], { skip }) => {
  const { code, text } = await laneOf(...args);
  skip(/^0 passed, 0 failed, 1 skipped$/m.test(text), text);
  expect(text).toMatch(/^[1-9]\d* passed, 0 failed, \d+ skipped$/m);
  expect(code).toBe(0);
});
