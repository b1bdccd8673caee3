/**
 * A terminal's disk is copied with its lease, and both copies sell with no hub in reach. When they are back the hub names the
 * clone; every sale of either is posted once or set aside with its reason; the loss stays within the lease, once for each copy.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Counter } from "../../scripts/lib/counter.ts";
import { until } from "../../scripts/lib/processes.ts";

const LEASE = {
  perSaleMinor: 5_000,
  sumMinor: 10_000,
  countMax: 50,
  perPayer: { countMax: 50, sumMinor: 100_000 },
} as const;
const COPIES = 2;
/** Leaves the customer with 50.00. */
const FIRST_SALE = 95_000;
const BALANCE = 5_000;
const SALE = 4_000;

const root = mkdtempSync(join(tmpdir(), "clone-"));
const original = new Counter({ folder: join(root, "a"), lease: LEASE });
const clone = new Counter({ folder: join(root, "b"), joins: original, copyOf: original });
const both = [
  [original, "A"],
  [clone, "B"],
] as const;
const accepted: string[] = [];
const refused: string[] = [];

beforeAll(async () => {
  await original.start();
  expect((await original.sale("A-0", FIRST_SALE))?.body).toMatchObject({ status: "approved", mode: "online" });
  await original.drained();
  await original.program("agent").stop();
  await clone.prepare();
  await original.program("hub").stop("SIGKILL");
  for (const [counter] of both) {
    await counter.startAgent();
  }
}, 180_000);
afterAll(async () => {
  await clone[Symbol.asyncDispose]();
  await original[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
}, 60_000);

test("RM11 each copy sells within the lease that it holds, and no further", async () => {
  for (const [counter, name] of both) {
    for (const number of [1, 2, 3]) {
      const id = `${name}-${number}`;
      const sold = (await counter.sale(id, SALE))?.body;
      if (number < 3) expect(sold).toMatchObject({ status: "approved", mode: "offline" });
      else expect(sold).toMatchObject({ status: "declined", reason: "E_LIMIT" });
      (sold?.status === "approved" ? accepted : refused).push(id);
    }
  }
  expect(accepted).toHaveLength(4);
});

test("RM11 the hub names the clone; each sale of either is posted once, or set aside with its reason", async () => {
  await original.startHub();
  for (const [counter] of both)
    await until("the queue to be settled", async () => ((await open(counter)) === 0 ? true : undefined), 90_000);

  await until("the clone to be named", async () => {
    const { findings } = await original.hubGet<{ findings: readonly Finding[] }>("/v1/findings?limit=50");
    return findings.some(({ kind }) => kind === "clone") ? true : undefined;
  });
  expect(await original.hubTool("findings", "list", "--open")).toContain(
    `two disks with the journal of terminal ${original.terminal} are in use at once`,
  );
  const aside = await setAside();
  const posted = await postings();
  for (const id of accepted) {
    const asides = aside.filter(({ text }) => text.includes(`"paymentId":"${id}"`));
    const inLedger = posted.filter(({ paymentId, postedMinor }) => paymentId === id && postedMinor === String(SALE));
    expect({ id, times: asides.length + inLedger.length }).toEqual({ id, times: 1 });
    for (const one of asides) expect(one).toMatchObject({ reason: "E_CONFLICT", detail: expect.stringMatching(/./) });
  }
  expect(aside.length).toBeGreaterThan(0);
  for (const id of refused) expect(posted.find(({ paymentId }) => paymentId === id)).toBeUndefined();
});

test("RM11 when a person has accepted what was set aside, all is posted once, and the loss is within the lease for each copy", async () => {
  const decision = { by: "lina", why: "both boxes were found, their tickets compared" };
  for (const { number } of await setAside()) {
    expect(await original.hubPost(`/v1/quarantine/${number}/accept`, decision)).toMatchObject({
      closed: { by: "lina", status: "processed" },
    });
    expect(await original.hubPost(`/v1/quarantine/${number}/accept`, decision)).toMatchObject({ code: "E_STATE" });
  }
  const posted = (await postings()).filter(({ paymentId }) => accepted.includes(paymentId));
  expect(posted.map(({ paymentId }) => paymentId).sort()).toEqual([...accepted].sort());
  for (const { postedMinor } of posted) expect(postedMinor).toBe(String(SALE));
  const lost = posted.reduce((sum, { exposure }) => sum + Number(exposure?.minor ?? 0), 0);
  expect(lost).toBe(accepted.length * SALE - BALANCE);
  expect(lost).toBeLessThanOrEqual(LEASE.sumMinor * COPIES);
});

interface Finding {
  readonly kind: string;
}
interface Aside {
  readonly number: number;
  readonly reason: string;
  readonly detail: string;
  readonly text: string;
}

async function open(counter: Counter): Promise<number> {
  const { body } = await counter.call<{ entries: readonly { state: string }[] }>("GET", "/v1/queue");
  return body.entries.filter(({ state }) => state === "eligible" || state === "forwarding").length;
}

interface Posted {
  readonly paymentId: string;
  readonly postedMinor: string;
  readonly exposure?: { readonly minor: string };
}
async function postings(): Promise<readonly Posted[]> {
  const path = "/v1/transactions?limit=100&cursor=0";
  return (await original.hubGet<{ transactions: readonly Posted[] }>(path)).transactions;
}

async function setAside(): Promise<readonly Aside[]> {
  const { entries } = await original.hubGet<{ entries: readonly Aside[] }>("/v1/quarantine?limit=100");
  return await Promise.all(entries.map(({ number }) => original.hubGet<Aside>(`/v1/quarantine/${number}`)));
}
