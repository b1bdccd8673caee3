import { expect, test } from "vitest";
import { systemRandom, type TerminalId } from "../../../base/ids.ts";
import { openSqlite } from "../../../base/sqlite.ts";
import { terminalMigrations } from "./index.ts";
import { createKeyVault } from "./key-vault.ts";
import { createTerminalStore } from "./store.ts";

const T1 = "T1" as TerminalId;
const T2 = "T2" as TerminalId;
const CARD_TOKEN_KEY = new Uint8Array(32).fill(0x5a);

function world() {
  const database = openSqlite(":memory:", { migrations: terminalMigrations });
  const store = createTerminalStore(database);
  const tokenKey = systemRandom(32);
  const enrolled = { signingKey: "k", bearerHash: new Uint8Array(32), enrolledAt: 0, enrolledKeyId: "s" };
  const enrol = (id: TerminalId, cardTokenKey: Uint8Array) => store.enrol({ ...enrolled, id, cardTokenKey });
  const vault = () => createKeyVault({ database, random: systemRandom, tokenKey }, store);
  const row = (id: TerminalId) => {
    const found = store.get(id);
    if (!found) throw new Error(`${id} is enrolled`);
    return found;
  };
  return { database, store, enrol, vault, row };
}

test("RM5 the key of a terminal's card tokens lies sealed in the database, and opens for that terminal alone", () => {
  const { database, enrol, vault, row } = world();
  enrol(T1, vault().seal(T1, CARD_TOKEN_KEY));
  expect(vault().open(row(T1))).toEqual(CARD_TOKEN_KEY);
  expect(() => vault().open({ ...row(T1), id: T2 })).toThrow("restore its keys");
  expect(database.serialize().includes(Buffer.from(CARD_TOKEN_KEY))).toBe(false);
});

test("RM5 a key that an earlier version left bare is sealed when the database is opened, and stays what it was", () => {
  const { enrol, vault, row } = world();
  enrol(T1, CARD_TOKEN_KEY);
  const opened = vault();
  expect(Buffer.from(row(T1).cardTokenKey).includes(Buffer.from(CARD_TOKEN_KEY))).toBe(false);
  expect(opened.open(row(T1))).toEqual(CARD_TOKEN_KEY);
  expect(vault().open(row(T1))).toEqual(CARD_TOKEN_KEY);
});

test("with another token key of the hub it is refused, and what to do is said", () => {
  const { database, store, enrol, vault, row } = world();
  enrol(T1, vault().seal(T1, CARD_TOKEN_KEY));
  const other = createKeyVault({ database, random: systemRandom, tokenKey: systemRandom(32) }, store);
  expect(() => other.open(row(T1))).toThrow("restore its keys");
});
