import { expect, test } from "vitest";
import { currencyOf } from "../../../base/money.ts";
import { openSqlite } from "../../../base/sqlite.ts";
import { sqliteStore } from "../../store/sqlite-store.ts";
import type { Within } from "../../store/store.ts";
import { payerMigrations } from "./schema.ts";
import { NOTICES_KEPT_MS, payerStore } from "./store.ts";

const NOON = Date.UTC(2026, 0, 5, 12);

interface Devices {
  note(deviceId: string, txnId: string, at: number): Promise<void>;
  heard(deviceId: string, since?: number): Promise<readonly (readonly [number, string])[]>;
}

/** In a database with the devices `a` and `b`. */
async function onDevices(work: (devices: Devices) => Promise<void>): Promise<void> {
  await using store = sqliteStore(openSqlite(":memory:", { migrations: payerMigrations }));
  await store.transaction(async (within) => {
    for (const id of ["a", "b"]) await putDevice(within, id);
    await work({
      note: (deviceId, txnId, at) =>
        payerStore.insertNotice(within, {
          deviceId,
          status: "paid",
          txnId,
          grantId: null,
          minor: 1,
          currency: currencyOf("EUR"),
          at,
        }),
      heard: async (deviceId, since = 0) =>
        (await payerStore.notices(within, deviceId, { since, limit: 99 })).map(({ number, txnId }) => [number, txnId]),
    });
  });
}

const putDevice = (within: Within, id: string) =>
  payerStore.insert(within, {
    id,
    userId: id,
    publicKey: "",
    accountId: "",
    name: null,
    status: "active",
    createdAt: NOON,
  });

test("a notice is forgotten after three months, with the next one of its device; others stay", () =>
  onDevices(async ({ note, heard }) => {
    await note("a", "old", NOON);
    await note("b", "others", NOON);
    await note("a", "young", NOON + NOTICES_KEPT_MS);
    expect(await heard("a")).toEqual([
      [1, "old"],
      [3, "young"],
    ]);
    await note("a", "new", NOON + NOTICES_KEPT_MS + 1);
    expect(await heard("a")).toEqual([
      [3, "young"],
      [4, "new"],
    ]);
    expect(await heard("b")).toEqual([[2, "others"]]);
  }));

test("a number that a phone has heard is never given again, even when all before was forgotten", () =>
  onDevices(async ({ note, heard }) => {
    await note("a", "old", NOON);
    await note("a", "new", NOON + 2 * NOTICES_KEPT_MS);
    await note("a", "newer", NOON + 4 * NOTICES_KEPT_MS);
    expect(await heard("a")).toEqual([[3, "newer"]]);
    expect(await heard("a", 2)).toEqual([[3, "newer"]]);
  }));

test("however much is old, a notice forgets little of it at a time", () =>
  onDevices(async ({ note, heard }) => {
    for (let sale = 0; sale < 25; sale += 1) await note("a", `old-${sale}`, NOON);
    const left: number[] = [];
    for (const number of [1, 2, 3]) {
      await note("a", `new-${number}`, NOON + 2 * NOTICES_KEPT_MS);
      left.push((await heard("a")).length);
    }
    expect(left).toEqual([16, 7, 3]);
  }));
