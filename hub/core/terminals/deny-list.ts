/**
 * The deny list: cards, paying devices and accounts that are refused, here and at every terminal. Numbers lie sealed in the
 * database, as each terminal is told them as HMACs under a key of its own, which needs the number itself.
 */
import { createCipheriv, createDecipheriv, createHmac, hash } from "node:crypto";
import { assert } from "../../../base/assert.ts";
import type { Clock } from "../../../base/clock.ts";
import type { RandomBytes, TerminalId } from "../../../base/ids.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import { DENIED_MAX, denyListHash, type Lease } from "../../../wire/lease.ts";
import { type Reading, sql, type Within } from "../../store/store.ts";

export type DeniedKind = "card" | "device" | "account";

/** Whom an entry is about: a card by its number, a device or an account by its id. */
export interface DeniedSubject {
  readonly kind: DeniedKind;
  readonly id: string;
}

export interface DeniedEntry {
  readonly kind: DeniedKind;
  /** First six and last four digits of a card; else the id. */
  readonly shown: string;
  readonly why?: string;
  readonly at: number;
}

export type DenyRefusal = "full" | "known" | "unknown";

export interface DenyListOptions {
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** 32 bytes: keys the hub's card tokens; what seals the numbers here is derived from it. */
  readonly tokenKey: Uint8Array;
  /** The paying devices of an account. */
  devicesOf(reading: Reading, accountId: string): Promise<readonly string[]>;
}

export interface DenyList {
  version(reading: Reading): Promise<number>;
  add(within: Within, subject: DeniedSubject, why?: string): Promise<Result<DeniedEntry, DenyRefusal>>;
  remove(within: Within, subject: DeniedSubject): Promise<Result<DeniedEntry, DenyRefusal>>;
  /** Oldest first. */
  list(reading: Reading): Promise<readonly DeniedEntry[]>;
  /** Whether this hub refuses the card, by its token here, or an account. */
  denies(reading: Reading, kind: "card" | "device" | "account", name: string): Promise<boolean>;
  /** As the terminal with this card-token key is told it. */
  forTerminal(reading: Reading, terminalId: TerminalId, cardTokenKey: Uint8Array): Promise<Lease["denyList"]>;
}

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SHOWN_FIRST = 6;
const SHOWN_LAST = 4;
/** Terminals whose tokens are kept at hand; making them from a full list takes some 100 ms. */
const CACHE_MAX = 256;

interface DeniedRow {
  readonly kind: DeniedKind;
  readonly name: string;
  readonly shown: string;
  readonly sealed: Uint8Array | null;
  readonly why: string | null;
  readonly at: number;
}

interface Named {
  readonly accounts: readonly string[];
  readonly devices: readonly string[];
}
function namesOf(rows: readonly DeniedRow[]): Named {
  const of = (wanted: DeniedKind) => rows.filter(({ kind }) => kind === wanted).map(({ name }) => name);
  return { accounts: of("account"), devices: of("device") };
}

const hmac = (key: Uint8Array, text: string): string => createHmac("sha256", key).update(text).digest("hex");

export function createDenyList(options: DenyListOptions): DenyList {
  const { clock, random, tokenKey } = options;
  const sealingKey = createHmac("sha256", tokenKey).update("tillway/v1/deny-list").digest();
  const cache = new Map<TerminalId, { readonly stamp: string; readonly list: Lease["denyList"] }>();
  const nameOf = ({ kind, id }: DeniedSubject): string => (kind === "card" ? hmac(tokenKey, id) : id);

  /** Accounts and devices by name, read once for each version: every renewal of every lease asks for them. */
  let named: (Named & { readonly version: number }) | undefined;
  /** Nothing that was read after a change within its own transaction is kept: undone, its version is another change's. */
  const changed = new WeakSet<Reading>();
  async function raise(within: Within): Promise<void> {
    changed.add(within);
    await denySql.raise(within);
  }
  async function namedAt(reading: Reading, version: number): Promise<Named> {
    if (named?.version === version) return named;
    const read = { version, ...namesOf(await denySql.all(reading)) };
    if (!changed.has(reading)) named = read;
    return read;
  }
  async function devicesOfAll(reading: Reading, { accounts, devices }: Named): Promise<readonly string[]> {
    const all = new Set(devices);
    for (const account of accounts) for (const device of await options.devicesOf(reading, account)) all.add(device);
    return [...all];
  }
  /** How many a lease would have to name with this one more. */
  async function countWith(reading: Reading, subject: DeniedSubject): Promise<number> {
    const rows = await denySql.all(reading);
    const others = rows.filter(({ kind }) => kind !== "device").length;
    const more = subject.kind === "account" ? (await options.devicesOf(reading, subject.id)).length : 0;
    return others + (await devicesOfAll(reading, namesOf(rows))).length + 1 + more;
  }

  return {
    version: denySql.version,
    async add(within, subject, why) {
      const name = nameOf(subject);
      if (await denySql.one(within, subject.kind, name)) return fail("known");
      if ((await countWith(within, subject)) > DENIED_MAX) return fail("full");
      const sealed = subject.kind === "card" ? seal(sealingKey, { name, pan: subject.id }, random) : null;
      const row = { ...subject, name, shown: shownOf(subject), sealed, why: why ?? null, at: clock.now() };
      await denySql.insert(within, row);
      await raise(within);
      return ok(toEntry(row));
    },
    async remove(within, subject) {
      const row = await denySql.one(within, subject.kind, nameOf(subject));
      if (!row) return fail("unknown");
      await denySql.remove(within, row.kind, row.name);
      await raise(within);
      return ok(toEntry(row));
    },
    list: async (reading) => (await denySql.all(reading)).map(toEntry),
    denies: async (reading, kind, name) => (await denySql.one(reading, kind, name)) !== undefined,

    async forTerminal(reading, terminalId, cardTokenKey) {
      const version = await denySql.version(reading);
      const names = await namedAt(reading, version);
      const devices = await devicesOfAll(reading, names);
      const stamp = `${version}/${hash("sha256", devices.join("\n"), "hex")}/${Buffer.from(cardTokenKey).toString("hex")}`;
      const known = cache.get(terminalId);
      if (known?.stamp === stamp) return known.list;
      const cards = (await denySql.all(reading)).filter(({ kind }) => kind === "card");
      const told = cards.map((row) => unseal(sealingKey, row));
      for (const account of names.accounts) told.push(`account:${account}`);
      for (const device of devices) told.push(`device:${device}`);
      // A denied account may have got more devices since; what was denied by name comes first.
      const tokens = told.slice(0, DENIED_MAX).map((name) => hmac(cardTokenKey, name));
      tokens.sort();
      const list = { version, hash: denyListHash(tokens), tokens };
      if (changed.has(reading)) return list;
      if (cache.size >= CACHE_MAX) cache.clear();
      cache.set(terminalId, { stamp, list });
      return list;
    },
  };
}

function shownOf({ kind, id }: DeniedSubject): string {
  if (kind !== "card") return id;
  return id.slice(0, SHOWN_FIRST) + "*".repeat(id.length - SHOWN_FIRST - SHOWN_LAST) + id.slice(-SHOWN_LAST);
}

const toEntry = ({ kind, shown, why, at }: DeniedRow): DeniedEntry => ({
  kind,
  shown,
  ...(why === null ? {} : { why }),
  at,
});

/** Nonce, tag and the sealed number; bound to the entry's name, so that no row's number can be moved to another. */
function seal(key: Uint8Array, { name, pan }: { name: string; pan: string }, random: RandomBytes): Uint8Array {
  const nonce = random(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(name, "utf8"));
  const sealed = Buffer.concat([cipher.update(pan, "utf8"), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
}

function unseal(key: Uint8Array, { name, sealed }: DeniedRow): string {
  assert(sealed !== null, "a denied card has its number sealed beside it");
  const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES))
    .setAAD(Buffer.from(name, "utf8"))
    .setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
  return decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
}

const COLUMNS = "kind, name, shown, sealed, why, at";
const ALL = sql<[], DeniedRow>(`SELECT ${COLUMNS} FROM terminals__denied ORDER BY number`);
const ONE = sql<[string, string], DeniedRow>(`SELECT ${COLUMNS} FROM terminals__denied WHERE kind = ? AND name = ?`);
const INSERT = sql<[string, string, string, Uint8Array | null, string | null, number]>(
  `INSERT INTO terminals__denied (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)`,
);
const REMOVE = sql<[string, string]>("DELETE FROM terminals__denied WHERE kind = ? AND name = ?");
const VERSION = sql<[], { version: number }>("SELECT version FROM terminals__deny_version");
const RAISE = sql<[]>("UPDATE terminals__deny_version SET version = version + 1");

const denySql = {
  all: (reading: Reading) => reading.all(ALL, []),
  one: (reading: Reading, kind: DeniedKind, name: string) => reading.get(ONE, [kind, name]),
  async insert(within: Within, { kind, name, shown, sealed, why, at }: DeniedRow): Promise<void> {
    await within.run(INSERT, [kind, name, shown, sealed, why, at]);
  },
  async remove(within: Within, kind: DeniedKind, name: string): Promise<void> {
    await within.run(REMOVE, [kind, name]);
  },
  version: async (reading: Reading): Promise<number> => (await reading.get(VERSION, []))?.version ?? 0,
  async raise(within: Within): Promise<void> {
    await within.run(RAISE, []);
  },
};
