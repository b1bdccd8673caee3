/**
 * The deny list: cards, paying devices and accounts that are refused, here and at every terminal. Numbers lie sealed in the
 * database, as each terminal is told them as HMACs under a key of its own, which needs the number itself.
 */
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { assert } from "../../../base/assert.ts";
import type { Clock } from "../../../base/clock.ts";
import type { RandomBytes, TerminalId } from "../../../base/ids.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import { type Sqlite, transaction } from "../../../base/sqlite.ts";
import { DENIED_MAX, denyListHash, type Lease } from "../../../wire/lease.ts";

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
  readonly database: Sqlite;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** 32 bytes: keys the hub's card tokens; what seals the numbers here is derived from it. */
  readonly tokenKey: Uint8Array;
  /** The paying devices of an account. */
  devicesOf(accountId: string): readonly string[];
}

export interface DenyList {
  readonly version: number;
  add(subject: DeniedSubject, why?: string): Result<DeniedEntry, DenyRefusal>;
  remove(subject: DeniedSubject): Result<DeniedEntry, DenyRefusal>;
  /** Oldest first. */
  list(): readonly DeniedEntry[];
  /** Whether this hub refuses the card, by its token here, or an account. */
  denies(kind: "card" | "device" | "account", name: string): boolean;
  /** As the terminal with this card-token key is told it. */
  forTerminal(terminalId: TerminalId, cardTokenKey: Uint8Array): Lease["denyList"];
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
  const { database, clock, random, tokenKey } = options;
  const sql = denySql(database);
  const sealingKey = createHmac("sha256", tokenKey).update("tillway/v1/deny-list").digest();
  const cache = new Map<TerminalId, { readonly stamp: string; readonly list: Lease["denyList"] }>();
  const nameOf = ({ kind, id }: DeniedSubject): string => (kind === "card" ? hmac(tokenKey, id) : id);

  /** Accounts and devices by name, read once for each version: every renewal of every lease asks for them. */
  let named: (Named & { readonly version: number }) | undefined;
  const devicesOfAll = ({ accounts, devices }: Named): readonly string[] =>
    accounts.length === 0
      ? devices
      : [...new Set([...devices, ...accounts.flatMap((account) => options.devicesOf(account))])];

  return {
    get version() {
      return sql.version();
    },
    add: (subject, why) =>
      transaction(database, () => {
        const name = nameOf(subject);
        if (sql.one(subject.kind, name)) return fail("known");
        const rows = sql.all();
        const others = rows.filter(({ kind }) => kind !== "device").length;
        const more = subject.kind === "account" ? options.devicesOf(subject.id).length : 0;
        if (others + devicesOfAll(namesOf(rows)).length + 1 + more > DENIED_MAX) return fail("full");
        const sealed = subject.kind === "card" ? seal(sealingKey, { name, pan: subject.id }, random) : null;
        const row = { ...subject, name, shown: shownOf(subject), sealed, why: why ?? null, at: clock.now() };
        sql.insert(row);
        sql.raise();
        return ok(toEntry(row));
      }),
    remove: (subject) =>
      transaction(database, () => {
        const row = sql.one(subject.kind, nameOf(subject));
        if (!row) return fail("unknown");
        sql.remove(row.kind, row.name);
        sql.raise();
        return ok(toEntry(row));
      }),
    list: () => sql.all().map(toEntry),
    denies: (kind, name) => sql.one(kind, name) !== undefined,

    forTerminal(terminalId, cardTokenKey) {
      const version = sql.version();
      if (named?.version !== version) named = { version, ...namesOf(sql.all()) };
      const devices = devicesOfAll(named);
      const stamp = `${version}/${devices.length}/${Buffer.from(cardTokenKey).toString("hex")}`;
      const known = cache.get(terminalId);
      if (known?.stamp === stamp) return known.list;
      const cards = sql.all().filter(({ kind }) => kind === "card");
      const names = cards.map((row) => unseal(sealingKey, row));
      for (const account of named.accounts) names.push(`account:${account}`);
      for (const device of devices) names.push(`device:${device}`);
      // A denied account may have got more devices since; what was denied by name comes first.
      const tokens = names.slice(0, DENIED_MAX).map((name) => hmac(cardTokenKey, name));
      tokens.sort();
      const list = { version, hash: denyListHash(tokens), tokens };
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

function denySql(database: Sqlite) {
  const COLUMNS = "kind, name, shown, sealed, why, at";
  const all = database.prepare<[], DeniedRow>(`SELECT ${COLUMNS} FROM terminals__denied ORDER BY number`);
  const one = database.prepare<[string, string], DeniedRow>(
    `SELECT ${COLUMNS} FROM terminals__denied WHERE kind = ? AND name = ?`,
  );
  const insert = database.prepare(`INSERT INTO terminals__denied (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)`);
  const remove = database.prepare("DELETE FROM terminals__denied WHERE kind = ? AND name = ?");
  const version = database.prepare<[], number>("SELECT version FROM terminals__deny_version").pluck();
  const raise = database.prepare("UPDATE terminals__deny_version SET version = version + 1");
  return {
    all: () => all.all(),
    one: (kind: DeniedKind, name: string) => one.get(kind, name),
    insert: (row: DeniedRow) => void insert.run(row.kind, row.name, row.shown, row.sealed, row.why, row.at),
    remove: (kind: DeniedKind, name: string) => void remove.run(kind, name),
    version: () => version.get() ?? 0,
    raise: () => void raise.run(),
  };
}
