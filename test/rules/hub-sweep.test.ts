/** What the hub does once a minute by itself. */
import { expect, onTestFinished, test, vi } from "vitest";
import { Fault } from "../../base/fault.ts";
import { type Fields, silentLog } from "../../base/log.ts";
import { offlineNotes } from "../../hub/features/offline-notes/index.ts";
import { hubFixture } from "./hub-fixture.ts";

/** A hub with a hold that is over, and a feature whose share of the sweep fails. */
async function overdueHub(failure: Error) {
  const { define } = offlineNotes;
  vi.spyOn(offlineNotes, "define").mockImplementation((core) => ({
    ...define(core),
    sweep: () => Promise.reject(failure),
  }));
  onTestFinished(() => void vi.restoreAllMocks());
  const lines: Fields[] = [];
  const log = { ...silentLog, error: (_message: string, fields: Fields = {}) => void lines.push(fields) };
  const { hub, clock, terminal, customer } = await hubFixture({ log });
  await terminal.ask(terminal.request("sale-1"));
  await clock.advance(24 * 3_600_000);
  const held = async () => (await hub.store.read((reading) => hub.ledger.account(reading, customer)))?.debitsPending;
  return { hub, held, lines };
}

test("a part of the sweep that fails is named, and undoes no other: a hold that is over is returned all the same", async () => {
  const { hub, held, lines } = await overdueHub(new Error("a bug"));
  expect(await hub.expireHolds()).toBe(1);
  expect(await held()).toBe(0n);
  expect(lines).toEqual([{ part: "offline-notes", reason: "a bug" }]);
});

test("a sweep whose database fails is undone as a whole", async () => {
  const { hub, held, lines } = await overdueHub(new Fault("store.failed", "the database is away"));
  await expect(hub.expireHolds()).rejects.toMatchObject({ code: "store.failed" });
  expect(await held()).toBe(1_000n);
  expect(lines).toEqual([]);
});
