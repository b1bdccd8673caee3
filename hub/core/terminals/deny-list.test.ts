import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { ManualClock } from "../../../base/clock.ts";
import { systemRandom, type TerminalId } from "../../../base/ids.ts";
import { openSqlite } from "../../../base/sqlite.ts";
import { DENIED_MAX, denyListHash } from "../../../wire/lease.ts";
import { sqliteStore } from "../../store/sqlite-store.ts";
import type { HubStore } from "../../store/store.ts";
import { createDenyList, type DeniedSubject, type DenyList, type DenyListOptions } from "./deny-list.ts";
import { terminalMigrations } from "./schema.ts";

const PAN = "9999990000000015";
const CARD: DeniedSubject = { kind: "card", id: PAN };
const T1 = "T1" as TerminalId;
const KEY = new Uint8Array(32).fill(7);
const under = (key: Uint8Array, name: string) => createHmac("sha256", key).update(name).digest("hex");

function world() {
  const database = openSqlite(":memory:", { migrations: terminalMigrations });
  const store = sqliteStore(database);
  const devices = new Map<string, string[]>();
  const options: DenyListOptions = {
    clock: new ManualClock(),
    random: systemRandom,
    tokenKey: systemRandom(32),
    devicesOf: (_reading, accountId) => Promise.resolve(devices.get(accountId) ?? []),
  };
  return { database, store, devices, options, list: inStore(store, createDenyList(options)) };
}

/** Each call in a transaction of its own. */
const inStore = (store: HubStore, list: DenyList) => ({
  add: (subject: DeniedSubject, why?: string) => store.transaction((within) => list.add(within, subject, why)),
  remove: (subject: DeniedSubject) => store.transaction((within) => list.remove(within, subject)),
  version: () => store.read((reading) => list.version(reading)),
  list: () => store.read((reading) => list.list(reading)),
  forTerminal: (id: TerminalId, key: Uint8Array) => store.read((reading) => list.forTerminal(reading, id, key)),
});

test("each terminal is told the denied card under its own key, as its cards' tokens are made there", async () => {
  const { list } = world();
  expect(await list.forTerminal(T1, KEY)).toEqual({ version: 0, hash: denyListHash([]), tokens: [] });
  expect(await list.add(CARD, "stolen")).toMatchObject({
    ok: true,
    value: { shown: "999999******0015", why: "stolen" },
  });
  const other = new Uint8Array(32).fill(8);
  expect(await list.forTerminal(T1, KEY)).toEqual({
    version: 1,
    hash: denyListHash([under(KEY, PAN)]),
    tokens: [under(KEY, PAN)],
  });
  expect((await list.forTerminal("T2" as TerminalId, other)).tokens).toEqual([under(other, PAN)]);
  // A terminal that enrolled anew with another key is not told the tokens of the old one.
  expect((await list.forTerminal(T1, other)).tokens).toEqual([under(other, PAN)]);
});

test("a device is told by its id, an account by its id and its devices, the later ones too", async () => {
  const { list, devices } = world();
  devices.set("customer:1", ["phone-2"]);
  await list.add({ kind: "device", id: "phone-1" });
  await list.add({ kind: "account", id: "customer:1" });
  const names = ["account:customer:1", "device:phone-1", "device:phone-2"];
  const told = await list.forTerminal(T1, KEY);
  expect(told.tokens).toEqual(names.map((name) => under(KEY, name)).sort());
  devices.set("customer:1", ["phone-2", "phone-3"]);
  expect((await list.forTerminal(T1, KEY)).tokens).toContain(under(KEY, "device:phone-3"));
});

test("the version rises with each change, and with nothing else", async () => {
  const { list } = world();
  await list.add(CARD);
  expect(await list.add(CARD)).toEqual({ ok: false, error: "known" });
  expect(await list.remove({ kind: "card", id: "9999990000000023" })).toEqual({ ok: false, error: "unknown" });
  expect(await list.version()).toBe(1);
  await list.remove(CARD);
  expect(await list.version()).toBe(2);
  expect(await list.forTerminal(T1, KEY)).toMatchObject({ version: 2, tokens: [] });
});

test("no number lies in the database in clear, and only the hub's own key opens it", async () => {
  const { database, store, list, options } = world();
  await list.add(CARD);
  const bytes = database.serialize();
  expect(bytes.includes(PAN)).toBe(false);
  expect(bytes.includes(PAN.slice(6))).toBe(false);
  expect(JSON.stringify(await list.list())).not.toContain(PAN);
  const stranger = inStore(store, createDenyList({ ...options, tokenKey: systemRandom(32) }));
  await expect(stranger.forTerminal(T1, KEY)).rejects.toThrow("authenticate");
});

test("a number moved to another row is not believed", async () => {
  const { database, list } = world();
  await list.add(CARD);
  await list.add({ kind: "card", id: "9999990000000023" });
  database.exec(
    "UPDATE terminals__denied SET sealed = (SELECT sealed FROM terminals__denied WHERE number = 1) WHERE number = 2",
  );
  await expect(list.forTerminal(T1, KEY)).rejects.toThrow("authenticate");
});

test("a list that a lease could not carry is refused, counting the devices of an account", async () => {
  const { list, devices } = world();
  devices.set(
    "customer:1",
    Array.from({ length: DENIED_MAX - 1 }, (_, number) => `phone-${number}`),
  );
  expect((await list.add({ kind: "account", id: "customer:1" })).ok).toBe(true);
  expect(await list.add({ kind: "device", id: "phone-1" })).toEqual({ ok: false, error: "full" });
  expect(await list.add(CARD)).toEqual({ ok: false, error: "full" });
  expect((await list.forTerminal(T1, KEY)).tokens).toHaveLength(DENIED_MAX);
});

test.each<[DeniedSubject, string]>([
  [CARD, PAN],
  [{ kind: "account", id: "customer:1" }, "account:customer:1"],
])(
  "what a terminal was to be told of a change that was undone is forgotten when %o gets the same version",
  async (subject, name) => {
    const { store, options, list } = world();
    const book = createDenyList(options);
    await list.add({ kind: "device", id: "phone-1" });
    const undone = store.transaction(async (within) => {
      await book.add(within, { kind: "account", id: "customer:2" });
      expect((await book.forTerminal(within, T1, KEY)).version).toBe(2);
      throw new Error("the disk is full");
    });
    await expect(undone).rejects.toThrow("the disk is full");
    await list.add(subject);
    const told = await inStore(store, book).forTerminal(T1, KEY);
    expect(told).toMatchObject({ version: 2, tokens: [name, "device:phone-1"].map((one) => under(KEY, one)).sort() });
  },
);

test("a device that a denied account got and lost again leaves nothing behind in what terminals are told", async () => {
  const { list, devices } = world();
  await list.add({ kind: "account", id: "customer:1" });
  devices.set("customer:1", ["phone-1"]);
  await list.forTerminal(T1, KEY);
  devices.set("customer:1", ["phone-2"]);
  expect((await list.forTerminal(T1, KEY)).tokens).toContain(under(KEY, "device:phone-2"));
});
