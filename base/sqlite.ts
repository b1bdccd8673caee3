/** Opens SQLite files the one way that keeps money: WAL, synchronous=FULL, one writer, immediate transactions. */
import { chmodSync, closeSync, fsyncSync, openSync } from "node:fs";
import { dirname } from "node:path";
import Database from "better-sqlite3";
import { Fault, reasonOf } from "./fault.ts";

export type Sqlite = Database.Database;

/** A step of a schema; ids are applied once each, in the order given, and remembered in `base__migration`. */
export interface Migration {
  readonly id: string;
  readonly sql: string;
}

/** How long a second process's lock is waited for before the file counts as busy. */
const BUSY_TIMEOUT_MS = 1_000;

export interface OpenOptions {
  readonly migrations: readonly Migration[];
  readonly readonly?: boolean;
  /** How long another's lock is waited for, with the whole process standing still; default 1 s. */
  readonly busyTimeoutMs?: number;
}

export function openSqlite(path: string, options: OpenOptions): Sqlite {
  let database: Sqlite;
  try {
    // Before SQLite makes it by the umask: the files beside it, which hold the same data, take over its mode.
    if (!options.readonly && path !== ":memory:") closeSync(openSync(path, "a", 0o600));
    const timeout = options.busyTimeoutMs ?? BUSY_TIMEOUT_MS;
    database = new Database(path, { readonly: options.readonly ?? false, timeout });
  } catch (error) {
    throw new Fault(
      "store.failed",
      `cannot open ${path}: ${reasonOf(error)}; check the folder's owner and free space`,
      {
        cause: error,
      },
    );
  }
  try {
    if (!options.readonly) prepareForWriting(database, path, options.migrations);
    return database;
  } catch (error) {
    database.close();
    throw sqliteFault(error, path);
  }
}

function prepareForWriting(database: Sqlite, path: string, migrations: readonly Migration[]): void {
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  database.pragma("foreign_keys = ON");
  database.pragma("secure_delete = ON");
  // After a failed fsync the log may hold frames that the kernel has given up and shows all the same: nothing may be built
  // on them before the file itself holds what they say.
  database.pragma("wal_checkpoint(TRUNCATE)");
  migrate(database, migrations);
  if (path !== ":memory:") {
    chmodSync(path, 0o600);
    syncFolder(dirname(path));
  }
}

/** Runs `work` in BEGIN IMMEDIATE; a throw rolls back and is thrown on. */
export function transaction<T>(database: Sqlite, work: () => T): T {
  return database.transaction(work).immediate();
}

function migrate(database: Sqlite, migrations: readonly Migration[]): void {
  transaction(database, () => {
    database.exec("CREATE TABLE IF NOT EXISTS base__migration (id TEXT PRIMARY KEY) STRICT");
    const done = new Set(database.prepare("SELECT id FROM base__migration").pluck().all());
    const known = new Set(migrations.map((migration) => migration.id));
    const foreign = [...done].find((id) => !known.has(String(id)));
    if (foreign !== undefined) {
      throw new Fault("store.failed", `the file was written by a newer version (it has "${String(foreign)}"); upgrade`);
    }
    for (const { id, sql } of migrations) {
      if (done.has(id)) continue;
      database.exec(sql);
      database.prepare("INSERT INTO base__migration (id) VALUES (?)").run(id);
    }
  });
}

/** Makes a new file's name durable, which fsync of the file alone does not. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** SQLite's own word that an operation did not succeed, as against a mistake of ours. */
export const isSqliteError = (error: unknown): boolean => sqliteErrorCode(error) !== undefined;

/** Its name, such as `SQLITE_FULL`; undefined for an error that is not SQLite's. */
export const sqliteErrorCode = (error: unknown): string | undefined =>
  error instanceof Database.SqliteError ? error.code : undefined;

/** Names SQLite's error for people: busy, full, failed or corrupt, with the file and the mend. */
export function sqliteFault(error: unknown, path: string): Fault {
  if (error instanceof Fault) return error;
  const code = sqliteErrorCode(error) ?? "";
  const why = `${path}: ${reasonOf(error)}`;
  if (code.startsWith("SQLITE_BUSY")) {
    return new Fault("journal.busy", `${why}; another process has it open, stop that one first`, { cause: error });
  }
  if (code.startsWith("SQLITE_FULL")) {
    return new Fault("journal.full", `${why}; free space on its disk`, { cause: error });
  }
  if (code.startsWith("SQLITE_CORRUPT") || code.startsWith("SQLITE_NOTADB")) {
    return new Fault("journal.corrupt", `${why}; keep the file for recovery and restore it from a backup`, {
      cause: error,
    });
  }
  return new Fault("store.failed", why, { cause: error });
}

/**
 * Takes the operating system's lock on a file, which Node alone cannot: nothing is written, and the lock ends with the
 * process. Returns how to give it back, or undefined when another holds it. Throws Fault `store.failed`.
 */
export function lockFile(path: string): (() => void) | undefined {
  let database: Sqlite | undefined;
  try {
    database = new Database(path, { timeout: 0 });
    chmodSync(path, 0o600);
    database.exec("BEGIN EXCLUSIVE");
    const held = database;
    return () => held.close();
  } catch (error) {
    database?.close();
    if (error instanceof Database.SqliteError && error.code.startsWith("SQLITE_BUSY")) return undefined;
    throw new Fault("store.failed", `cannot lock ${path}: ${reasonOf(error)}; check the folder's owner and free space`);
  }
}

/** A connection to nothing, into which the extension at `path` is loaded for as long as the process lives. */
export function loadSqliteExtension(path: string): Sqlite {
  return new Database(":memory:").loadExtension(path);
}
