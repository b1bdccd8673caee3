import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Counter } from "../../scripts/lib/counter.ts";

const folder = mkdtempSync(join(tmpdir(), "pcscd-"));
const counter = new Counter({ folder });

beforeAll(async () => await counter.start(), 120_000);
afterAll(async () => {
  await counter[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

/** The bound that the product promises, from the return of pcscd to the next card taken. */
const NEXT_CARD_WITHIN_MS = 10_000;

test("pcscd killed and started again in mid-service: the same agent takes the next card within ten seconds", async () => {
  expect((await counter.sale("S-1", 100))?.body.status).toBe("approved");
  const agent = counter.program("agent").pid;
  await counter.program("pcscd").stop("SIGKILL");
  await counter.startPcscd();
  const back = performance.now();
  expect((await counter.sale("S-2", 100))?.body.status).toBe("approved");
  expect(performance.now() - back).toBeLessThan(NEXT_CARD_WITHIN_MS);
  expect(counter.program("agent").pid).toBe(agent);
  expect(counter.program("agent").hasEnded).toBe(false);
});
