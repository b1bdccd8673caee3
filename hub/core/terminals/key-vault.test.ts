import { expect, test } from "vitest";
import { systemRandom, type TerminalId } from "../../../base/ids.ts";
import { openSqlite } from "../../../base/sqlite.ts";
import { sqliteStore } from "../../store/sqlite-store.ts";
import { terminalMigrations } from "./index.ts";
import { createKeyVault } from "./key-vault.ts";
import { terminalStore } from "./store.ts";

const T1 = "T1" as TerminalId;
const T2 = "T2" as TerminalId;
const CARD_TOKEN_KEY = new Uint8Array(32).fill(0x5a);

function world() {
  const database = openSqlite(":memory:", { migrations: terminalMigrations });
  const store = sqliteStore(database);
  const tokenKey = systemRandom(32);
  const enrolled = { signingKey: "k", bearerHash: new Uint8Array(32), enrolledAt: 0, enrolledKeyId: "s" };
  const enrol = (id: TerminalId, cardTokenKey: Uint8Array) =>
    store.transaction((within) => terminalStore.enrol(within, { ...enrolled, id, cardTokenKey }));
  const vault = createKeyVault({ random: systemRandom, tokenKey });
  /** As at each start of the hub. */
  const sealBare = () => store.transaction((within) => vault.sealBare(within));
  const row = async (id: TerminalId) => {
    const found = await store.read((reading) => terminalStore.get(reading, id));
    if (!found) throw new Error(`${id} is enrolled`);
    return found;
  };
  return { database, enrol, vault, sealBare, row };
}

test("RM5 the key of a terminal's card tokens lies sealed in the database, and opens for that terminal alone", async () => {
  const { database, enrol, vault, row } = world();
  await enrol(T1, vault.seal(T1, CARD_TOKEN_KEY));
  const stored = await row(T1);
  expect(vault.open(stored)).toEqual(CARD_TOKEN_KEY);
  expect(vault.open({ ...stored, id: T2 })).toBeUndefined();
  expect(database.serialize().includes(Buffer.from(CARD_TOKEN_KEY))).toBe(false);
});

test("RM5 a key that an earlier version left bare is sealed when the database is opened, and stays what it was", async () => {
  const { enrol, vault, sealBare, row } = world();
  await enrol(T1, CARD_TOKEN_KEY);
  await sealBare();
  const sealed = await row(T1);
  expect(Buffer.from(sealed.cardTokenKey).includes(Buffer.from(CARD_TOKEN_KEY))).toBe(false);
  expect(vault.open(sealed)).toEqual(CARD_TOKEN_KEY);
  await sealBare();
  expect(vault.open(await row(T1))).toEqual(CARD_TOKEN_KEY);
});

test("with another token key of the hub it does not open", async () => {
  const { enrol, vault, row } = world();
  await enrol(T1, vault.seal(T1, CARD_TOKEN_KEY));
  const stored = await row(T1);
  const other = createKeyVault({ random: systemRandom, tokenKey: systemRandom(32) });
  expect(other.open(stored)).toBeUndefined();
});
