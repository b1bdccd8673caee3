import { afterEach, beforeEach, expect, test } from "vitest";
import { currencyOf } from "../../../base/money.ts";
import type { Sqlite } from "../../../base/sqlite.ts";
import { openHubDatabase } from "../../hub-core.ts";
import { createPayerStore, NOTICES_KEPT_MS } from "./store.ts";

const NOON = Date.UTC(2026, 0, 5, 12);

let database: Sqlite;
let store: ReturnType<typeof createPayerStore>;
beforeEach(() => {
  database = openHubDatabase(":memory:");
  store = createPayerStore(database);
  for (const id of ["a", "b"]) {
    const device = { id, userId: id, publicKey: "", accountId: "", name: null, status: "active" as const };
    store.insert({ ...device, createdAt: NOON });
  }
});
afterEach(() => database.close());

const note = (deviceId: string, txnId: string, at: number) =>
  store.insertNotice({ deviceId, status: "paid", txnId, grantId: null, minor: 1, currency: currencyOf("EUR"), at });
const heard = (deviceId: string, since = 0) =>
  store.notices(deviceId, since, 99).map(({ number, txnId }) => [number, txnId]);

test("a notice is forgotten after three months, with the next one of its device; others stay", () => {
  note("a", "old", NOON);
  note("b", "others", NOON);
  note("a", "young", NOON + NOTICES_KEPT_MS);
  expect(heard("a")).toEqual([
    [1, "old"],
    [3, "young"],
  ]);
  note("a", "new", NOON + NOTICES_KEPT_MS + 1);
  expect(heard("a")).toEqual([
    [3, "young"],
    [4, "new"],
  ]);
  expect(heard("b")).toEqual([[2, "others"]]);
});

test("a number that a phone has heard is never given again, even when all before was forgotten", () => {
  note("a", "old", NOON);
  note("a", "new", NOON + 2 * NOTICES_KEPT_MS);
  note("a", "newer", NOON + 4 * NOTICES_KEPT_MS);
  expect(heard("a")).toEqual([[3, "newer"]]);
  expect(heard("a", 2)).toEqual([[3, "newer"]]);
});

test("however much is old, a notice forgets little of it at a time", () => {
  for (let sale = 0; sale < 25; sale += 1) note("a", `old-${sale}`, NOON);
  const left = [1, 2, 3].map((number) => {
    note("a", `new-${number}`, NOON + 2 * NOTICES_KEPT_MS);
    return heard("a").length;
  });
  expect(left).toEqual([16, 7, 3]);
});
