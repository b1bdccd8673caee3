/** What a copied phone can do, and no more (RM11): the bound measured through the real hub, and the phone named. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { isFault } from "../../base/fault.ts";
import type { NoteWallet } from "../../sim/phone/notes.ts";
import { ALLOWANCE, NOTE_POLICY, type NoteTill, NoteWorld } from "./note-fixture.ts";

const TTL_MS = NOTE_POLICY.ttlSec * 1_000;
const GRACE_MS = NOTE_POLICY.graceSec * 1_000;
const MERCHANT = "merchant:shop:EUR";

interface Setting {
  readonly tills: number;
  readonly leaseSumMinor?: bigint;
}

async function setting({ tills: count, leaseSumMinor = 20_000n }: Setting) {
  const world = await NoteWorld.open({ leaseSumMinor });
  const phone = await world.phone();
  const tills: NoteTill[] = [];
  for (let number = 1; number <= count; number += 1) tills.push(await world.till(`till-${number}`));
  const answer = await phone.load();
  if (answer.type !== "allowance") throw new Error(JSON.stringify(answer));
  return { world, phone, tills, staged: `staged:${answer.body.allowanceId}` };
}

/** Nothing when the phone has not that much. */
function trySell(till: NoteTill, wallet: NoteWallet, minor: bigint): bigint {
  try {
    return till.sell(wallet, minor).ok ? minor : 0n;
  } catch (error) {
    if (isFault(error, "message.invalid")) return 0n;
    throw error;
  }
}

test("RM11 two conflicting notes are both honoured, the phone is named and blocked, and the ledger shows who bears it", async () => {
  const { world, phone, tills, staged } = await setting({ tills: 2 });
  const [first, second] = tills;
  if (!first || !second) throw new Error("two tills");
  const clone = phone.wallet.clone();
  expect(first.sell(phone.wallet, 4_000n).ok).toBe(true);
  expect(second.sell(clone, 3_000n).ok).toBe(true);
  const [original] = first.queue;
  const [copied] = second.queue;
  expect(await first.sync()).toMatchObject([{ status: "processed" }]);
  expect(await world.conflicts()).toEqual([]);
  expect(await second.sync()).toMatchObject([
    { status: "processed", detail: "2000 minor units are exposure of operator" },
  ]);
  expect(await world.conflicts()).toMatchObject([
    {
      kind: "same-counter",
      deviceId: phone.deviceId,
      userId: "anna",
      payment: { terminalId: "till-2", paymentId: copied?.paymentId, minor: "3000" },
      other: { terminalId: "till-1", paymentId: original?.paymentId },
      exposure: { minor: "2000", party: "operator" },
    },
  ]);
  expect([await world.balance(MERCHANT), await world.balance(staged), await world.exposure()]).toEqual([
    7_000n,
    0n,
    2_000n,
  ]);
  expect(await world.sum()).toBe(0n);
  expect(await world.statusOf(phone.deviceId)).toBe("blocked");
  await expect(phone.load()).rejects.toMatchObject({ code: "identity.invalid" });
});

test("RM11 a blocked phone is refused at a till that has heard of it", async () => {
  const { world, phone, tills } = await setting({ tills: 3 });
  const [first, second, third] = tills;
  if (!first || !second || !third) throw new Error("three tills");
  const clone = phone.wallet.clone();
  first.sell(phone.wallet, 1_000n);
  second.sell(clone, 1_000n);
  await first.sync();
  await second.sync();
  expect(await world.conflicts()).toHaveLength(1);
  await third.online();
  expect(third.sell(phone.wallet, 100n)).toMatchObject({ ok: false, error: { reason: "E_DENIED" } });
});

test("RM8 a phone that the operator blocks is refused at tills with no hub in reach, until the block is lifted", async () => {
  const { world, phone, tills } = await setting({ tills: 1 });
  const [till] = tills;
  if (!till) throw new Error("one till");
  expect(await world.setStatus("0".repeat(16), "blocked")).toBe(false);
  expect(await world.setStatus(phone.deviceId, "blocked")).toBe(true);
  await till.online();
  expect(till.sell(phone.wallet.clone(), 100n)).toMatchObject({ ok: false, error: { reason: "E_DENIED" } });
  expect(await world.setStatus(phone.deviceId, "active")).toBe(true);
  await till.online();
  expect(till.sell(phone.wallet, 100n)).toMatchObject({ ok: true });
  expect(await world.denied()).toEqual([]);
});

test("RM11 a conflict is found in whichever order the notes come", async () => {
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const { world, phone, tills } = await setting({ tills: 2 });
    const clone = phone.wallet.clone();
    for (const minor of [300n, 200n, 100n]) tills[0]?.sell(phone.wallet, minor);
    tills[1]?.sell(clone, 1_000n);
    for (const index of order) await tills[index]?.sync();
    const conflicts = await world.conflicts();
    expect(conflicts.map(({ kind, deviceId }) => [kind, deviceId])).toEqual([
      [order[0] === 0 ? "same-counter" : expect.stringMatching(/same-counter|broken-chain/), phone.deviceId],
      ...(order[0] === 0 ? [] : conflicts.slice(1).map(() => [expect.any(String), phone.deviceId])),
    ]);
    expect([await world.exposure(), await world.balance(MERCHANT), await world.sum()]).toEqual([0n, 1_600n, 0n]);
  }
});

test("RM11 a note that does not follow its neighbour is a conflict although its counter is free", async () => {
  const { world, phone, tills } = await setting({ tills: 2 });
  const clone = phone.wallet.clone();
  tills[0]?.sell(phone.wallet, 300n);
  tills[1]?.sell(clone, 700n);
  tills[1]?.sell(clone, 50n);
  await tills[0]?.sync();
  const second = tills[1];
  if (!second) throw new Error("two tills");
  second.queue = second.queue.slice(1);
  await second.sync();
  expect(await world.conflicts()).toMatchObject([
    { kind: "broken-chain", payment: { minor: "50" }, other: { terminalId: "till-1" } },
  ]);
});

test("RM11 a phone that said it had not spent what it spent is named, and its account pays", async () => {
  const { world, phone, tills, staged } = await setting({ tills: 1 });
  const statement = phone.wallet.clone().statement();
  tills[0]?.sell(phone.wallet, 4_500n);
  expect(await phone.giveBack(statement)).toMatchObject({ body: { returnedMinor: "5000" } });
  expect(await world.balances(world.customer, staged)).toEqual([10_000n, 0n]);
  await tills[0]?.sync();
  expect(await world.conflicts()).toMatchObject([
    { kind: "after-return", deviceId: phone.deviceId, exposure: { minor: "0" } },
  ]);
  expect([await world.balance(world.customer), await world.exposure(), await world.balance(MERCHANT)]).toEqual([
    5_500n,
    0n,
    4_500n,
  ]);
});

test("RM11 a false statement earns no second allowance while the first can be spent", async () => {
  const { world, phone, tills } = await setting({ tills: 1 });
  await phone.giveBack(phone.wallet.clone().statement());
  tills[0]?.sell(phone.wallet, 4_500n);
  expect(await phone.load()).toMatchObject({ type: "refused", body: { reason: "E_STATE" } });
  expect(await world.sum()).toBe(0n);
});

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("absent");
  return value;
}

test("RM11 an honest phone's notes make no conflict, in whatever order its tills come back", async () => {
  const steps = fc.array(fc.record({ till: fc.nat(2), minor: fc.bigInt({ min: 1n, max: 900n }) }), { maxLength: 8 });
  const order = fc.shuffledSubarray([0, 1, 2], { minLength: 3 });
  await fc.assert(
    fc.asyncProperty(steps, order, async (sales, syncs) => {
      const { world, phone, tills, staged } = await setting({ tills: 3 });
      let sold = 0n;
      for (const { till, minor } of sales) sold += trySell(present(tills[till]), phone.wallet, minor);
      for (const index of syncs) await tills[index]?.sync();
      expect(await world.conflicts()).toEqual([]);
      expect([await world.balance(MERCHANT), await world.balance(staged), await world.exposure()]).toEqual([
        sold,
        ALLOWANCE - sold,
        0n,
      ]);
      await world.advance(TTL_MS + GRACE_MS + 1);
      await world.hub.expireHolds();
      expect(await world.balances(world.customer, staged)).toEqual([10_000n - sold, 0n]);
    }),
    { numRuns: 25 },
  );
});

test("RM11 N copies at M tills that are offline lose at most the allowance times the tills, within their leases; no note is lost or doubled", async () => {
  const plan = fc.record({
    clones: fc.integer({ min: 1, max: 4 }),
    tills: fc.integer({ min: 1, max: 3 }),
    lease: fc.constantFrom(3_000n, 6_000n, 20_000n),
    sales: fc.array(fc.record({ clone: fc.nat(3), till: fc.nat(2), minor: fc.bigInt({ min: 1n, max: ALLOWANCE }) }), {
      minLength: 1,
      maxLength: 16,
    }),
  });
  await fc.assert(
    fc.asyncProperty(plan, async ({ clones, tills: count, lease, sales }) => {
      const { world, phone, tills, staged } = await setting({ tills: count, leaseSumMinor: lease });
      const wallets = Array.from({ length: clones }, () => phone.wallet.clone());
      const taken = tills.map(() => 0n);
      for (const { clone, till, minor } of sales) {
        const at = till % count;
        taken[at] = (taken[at] ?? 0n) + trySell(present(tills[at]), present(wallets[clone % clones]), minor);
      }
      const accepted = taken.reduce((sum, minor) => sum + minor, 0n);
      const reached = BigInt(taken.filter((minor) => minor > 0n).length);
      for (const minor of taken) expect(minor <= ALLOWANCE && minor <= lease).toBe(true);
      for (const till of tills) for (const { status } of await till.sync()) expect(status).toBe("processed");

      const lost = await world.exposure();
      expect(await world.balance(MERCHANT)).toBe(accepted);
      expect(lost).toBe(accepted > ALLOWANCE ? accepted - ALLOWANCE : 0n);
      expect(lost <= ALLOWANCE * reached).toBe(true);
      expect(await world.balance(staged)).toBe(ALLOWANCE - (accepted - lost));
      expect(await world.sum()).toBe(0n);
      if (lost > 0n) expect((await world.conflicts()).map(({ deviceId }) => deviceId)).toContain(phone.deviceId);
      expect(await world.statusOf(phone.deviceId)).toBe((await world.conflicts()).length > 0 ? "blocked" : "active");
    }),
    { numRuns: 40 },
  );
});

test("RM11 the bound is reached: each till that is offline can be made to take the whole allowance, and the last copies lose it", async () => {
  const { world, phone, tills, staged } = await setting({ tills: 4 });
  for (const till of tills) expect(till.sell(phone.wallet.clone(), ALLOWANCE).ok).toBe(true);
  for (const till of tills) expect(till.sell(phone.wallet.clone(), 1n)).toMatchObject({ error: { reason: "E_USED" } });
  for (const till of tills) await till.sync();
  expect([await world.exposure(), await world.balance(staged), await world.balance(MERCHANT)]).toEqual([
    3n * ALLOWANCE,
    0n,
    4n * ALLOWANCE,
  ]);
  expect(await world.conflicts()).toHaveLength(3);
});

test("RM11 copies that come after the value went back cost its owner that value, and no more", async () => {
  const { world, phone, tills, staged } = await setting({ tills: 3 });
  for (const till of tills) expect(till.sell(phone.wallet.clone(), 3_000n).ok).toBe(true);
  await world.advance(TTL_MS + GRACE_MS + 1);
  await world.hub.expireHolds();
  expect(await world.balance(world.customer)).toBe(10_000n);
  for (const till of tills) expect(await till.sync()).toMatchObject([{ status: "processed" }]);
  expect([await world.balance(world.customer), await world.balance(staged), await world.exposure()]).toEqual([
    5_000n,
    0n,
    4_000n,
  ]);
  expect((await world.conflicts()).map(({ exposure }) => exposure.minor)).toEqual(["1000", "3000"]);
  expect([await world.balance(MERCHANT), await world.sum()]).toEqual([9_000n, 0n]);
});

test("RM11 with a false statement beside it, each till's whole allowance is lost, and not more", async () => {
  const { world, phone, tills } = await setting({ tills: 3 });
  await phone.giveBack(phone.wallet.clone().statement());
  for (const till of tills) expect(till.sell(phone.wallet.clone(), ALLOWANCE).ok).toBe(true);
  for (const till of tills) await till.sync();
  expect((await world.exposure()) <= 3n * ALLOWANCE).toBe(true);
  expect(await world.balance(MERCHANT)).toBe(3n * ALLOWANCE);
  expect((await world.conflicts()).every(({ deviceId }) => deviceId === phone.deviceId)).toBe(true);
});
