import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { lockFile, openSqlite, type Sqlite, transaction } from "../../base/sqlite.ts";
import { simulatedDisk } from "../../test/simulation/simulated-disk.ts";
import { DISK_FAULT_NAMES, type Volume } from "./disk.ts";

const disk = simulatedDisk();
const MIGRATIONS = [{ id: "first", sql: "CREATE TABLE sale (id INTEGER PRIMARY KEY, part TEXT, note TEXT) STRICT" }];
const SALES = 40;
const NOTE = "n".repeat(300);

const open = (volume: Volume, name = "sales.db"): Sqlite =>
  openSqlite(join(volume.folder, name), { migrations: MIGRATIONS });

/** One commit holds both parts of a sale. */
const sell = (database: Sqlite, sale: number): void =>
  transaction(database, () => {
    const insert = database.prepare("INSERT INTO sale VALUES (?, ?, ?)");
    insert.run(sale * 2, "intent", NOTE);
    insert.run(sale * 2 + 1, "outcome", NOTE);
  });

/** Sells until it ends or the disk does; how many sales were acknowledged. */
function sellAll(volume: Volume, prepare: (database: Sqlite) => void = () => undefined): number {
  let acknowledged = 0;
  let database: Sqlite | undefined;
  try {
    database = open(volume);
    // Small, so that the log is folded into the file many times.
    database.pragma("wal_autocheckpoint = 8");
    prepare(database);
    for (let sale = 0; sale < SALES; sale += 1) {
      sell(database, sale);
      acknowledged += 1;
    }
  } catch (error) {
    expect(String(error)).toMatch(/disk|database/);
  }
  // What a dead machine had open stays open until it is forgotten: closing must not change the disk.
  database?.close();
  return acknowledged;
}

/** The sales that are wholly there; a half one fails the test. */
function salesOn(volume: Volume): number {
  const database = open(volume);
  try {
    expect(database.pragma("integrity_check", { simple: true })).toBe("ok");
    const rows = database.prepare("SELECT id FROM sale ORDER BY id").pluck().all();
    expect(rows).toEqual(rows.map((_, index) => index));
    expect(rows.length % 2).toBe(0);
    return rows.length / 2;
  } finally {
    database.close();
  }
}

function powerCycle(volume: Volume, seed: number): void {
  volume.crash({ seed });
  volume.powerOn();
}

const codeOf = (work: () => unknown): unknown => {
  try {
    work();
    return "no error";
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
};

describe("a crash", () => {
  test("at every I/O call of a day loses no acknowledged sale and shows no half one", () => {
    using whole = disk.volume("whole");
    expect(sellAll(whole)).toBe(SALES);
    const { calls } = whole.stats();
    expect(calls).toBeGreaterThan(200);
    const fates = { kept: 0, lost: 0, torn: 0 };
    for (let call = 1; call <= calls; call += 1) {
      using volume = disk.volume("terminal-1");
      volume.setFaults({ crashAtCall: call });
      const acknowledged = sellAll(volume);
      expect(volume.stats()).toMatchObject({ powered: 0, fired: 1, firedCrashes: 1 });
      powerCycle(volume, call);
      const { keptChanges, droppedChanges, tornChanges } = volume.stats();
      fates.kept += keptChanges;
      fates.lost += droppedChanges;
      fates.torn += tornChanges;
      const there = salesOn(volume);
      expect(there - acknowledged, `crash at call ${call}`).toBeGreaterThanOrEqual(0);
      expect(there - acknowledged, `crash at call ${call}`).toBeLessThanOrEqual(1);
    }
    for (const count of Object.values(fates)) expect(count).toBeGreaterThan(50);
  });

  test.each([
    { synchronous: "FULL", loses: false },
    { synchronous: "NORMAL", loses: true },
  ])("with synchronous = $synchronous loses acknowledged sales: $loses", ({ synchronous, loses }) => {
    let lost = 0;
    for (let seed = 1; seed <= 30; seed += 1) {
      using volume = disk.volume("terminal-1");
      volume.setFaults({ crashAtChange: 100 + seed });
      const acknowledged = sellAll(volume, (database) => database.pragma(`synchronous = ${synchronous}`));
      powerCycle(volume, seed);
      lost += Math.max(acknowledged - salesOn(volume), 0);
    }
    expect(lost > 0).toBe(loses);
  });

  test("of the process alone loses nothing, synced or not", () => {
    using volume = disk.volume("terminal-1");
    const acknowledged = sellAll(volume, (database) => database.pragma("synchronous = OFF"));
    volume.crash({ seed: 1, kind: "process" });
    volume.powerOn();
    expect(acknowledged).toBe(SALES);
    expect(salesOn(volume)).toBe(SALES);
  });

  test("takes away the name of a file that was never synced, with some seeds", () => {
    const fates = new Set<boolean>();
    for (let seed = 1; seed <= 20; seed += 1) {
      using volume = disk.volume("terminal-1");
      const path = join(volume.folder, "sales.db");
      const database = openSqlite(path, { migrations: [] });
      database.close();
      volume.wipe();
      const unsynced = openSqlite(":memory:", { migrations: [] });
      unsynced.exec(`ATTACH '${path}' AS file; PRAGMA file.synchronous = OFF; CREATE TABLE file.t (id)`);
      unsynced.close();
      expect(volume.files()).toMatchObject([{ name: "sales.db", durableBytes: undefined }]);
      powerCycle(volume, seed);
      fates.add(volume.files().length > 0);
    }
    expect(fates).toEqual(new Set([true, false]));
  });

  test("makes open connections fail for good and frees their locks", () => {
    using volume = disk.volume("terminal-1");
    const database = open(volume);
    database.pragma("locking_mode = EXCLUSIVE");
    sell(database, 0);
    expect(codeOf(() => open(volume))).toBe("journal.busy");
    volume.crash({ seed: 1 });
    expect(codeOf(() => sell(database, 1))).toMatch(/^SQLITE_IOERR/);
    expect(codeOf(() => open(volume))).toBe("store.failed");
    volume.powerOn();
    expect(codeOf(() => sell(database, 1))).toMatch(/^SQLITE_IOERR/);
    expect(salesOn(volume)).toBe(1);
    database.close();
    expect(salesOn(volume)).toBe(1);
  });

  test("tells the world in the midst of the call that dies", () => {
    using volume = disk.volume("terminal-1");
    const database = open(volume);
    const told: string[] = [];
    volume.onFired(() => told.push("fired"));
    volume.setFaults({ crashAtChange: 3 });
    expect(codeOf(() => sell(database, 0))).toMatch(/^SQLITE_IOERR/);
    expect(told).toEqual(["fired"]);
    expect(volume.powered).toBe(false);
    database.close();
  });
});

test("the same seed gives the same bytes, another seed others", () => {
  const run = (seed: number) => {
    using volume = disk.volume("terminal-1");
    disk.seed(seed);
    volume.setFaults({ crashAtChange: 150, rates: { short: 0.01 } }, seed);
    sellAll(volume, (database) => database.pragma("synchronous = NORMAL"));
    powerCycle(volume, seed);
    return volume.files().map(({ name }) => [name, Buffer.from(volume.bytes(name)).toString("base64")]);
  };
  expect(run(7)).toEqual(run(7));
  expect(run(7)).not.toEqual(run(8));
});

describe("an error", () => {
  test.each([
    { error: "read", code: "SQLITE_IOERR_READ", counted: "readErrors" },
    { error: "write", code: "SQLITE_IOERR_WRITE", counted: "writeErrors" },
    { error: "sync", code: "SQLITE_IOERR_FSYNC", counted: "syncErrors" },
    { error: "short", code: "SQLITE_FULL", counted: "shortWrites" },
  ] as const)("of the next $error is $code, once", ({ error, code, counted }) => {
    using volume = disk.volume("terminal-1");
    open(volume).close();
    const database = open(volume);
    volume.setFaults({ next: { [error]: 1 } }, 3);
    expect(codeOf(() => sell(database, 0))).toBe(code);
    expect(codeOf(() => sell(database, 0))).toBe("no error");
    const stats = Object.entries(volume.stats()).filter(([name]) => name.startsWith(counted));
    expect(stats.reduce((sum, [, count]) => sum + count, 0)).toBe(1);
    database.close();
    expect(salesOn(volume)).toBe(1);
  });

  test("of a sync leaves the sale there, or not, or there until the power goes", () => {
    const fates = new Set<string>();
    for (let seed = 1; seed <= 60; seed += 1) {
      using volume = disk.volume("terminal-1");
      const database = open(volume);
      database.pragma("wal_checkpoint(TRUNCATE)");
      // The first sync is that of the emptied log's header.
      volume.setFaults({ next: { sync: 2 } }, seed);
      expect(codeOf(() => sell(database, 0))).toBe("SQLITE_IOERR_FSYNC");
      volume.crash({ seed, kind: "process" });
      volume.powerOn();
      const reader = openSqlite(join(volume.folder, "sales.db"), { migrations: [], readonly: true });
      const seen = Number(reader.prepare("SELECT count(*) FROM sale").pluck().get());
      volume.crash({ seed });
      volume.powerOn();
      reader.close();
      database.close();
      fates.add(`${seen}, then ${salesOn(volume) * 2}`);
    }
    expect([...fates].sort()).toEqual(["2, then 0", "2, then 2"]);
  });

  test("by chance comes as often as told", () => {
    using volume = disk.volume("terminal-1");
    const database = open(volume);
    volume.setFaults({ rates: { sync: 0.25 } }, 5);
    let failed = 0;
    for (let sale = 0; sale < 400; sale += 1) {
      if (codeOf(() => sell(database, sale)) !== "no error") failed += 1;
    }
    expect(failed).toBeGreaterThan(60);
    expect(failed).toBeLessThan(160);
    database.close();
  });
});

test("a full disk takes nothing more, loses nothing and takes again once there is room", () => {
  using volume = disk.volume("terminal-1");
  const database = open(volume);
  volume.setFaults({ bytesMax: volume.stats().usedBytes + 60_000 });
  let sale = 0;
  while (codeOf(() => sell(database, sale)) === "no error") sale += 1;
  expect(sale).toBeGreaterThan(3);
  expect(codeOf(() => sell(database, sale))).toBe("SQLITE_FULL");
  expect(volume.stats().full).toBeGreaterThan(0);
  volume.setFaults({});
  sell(database, sale);
  database.close();
  powerCycle(volume, 1);
  expect(salesOn(volume)).toBe(sale + 1);
});

describe("a volume", () => {
  test("holds the bytes in memory, for a sweep to read: the real file stays empty", () => {
    using volume = disk.volume("terminal-1");
    const database = open(volume);
    sell(database, 0);
    expect(volume.files().map(({ name }) => name)).toEqual(["sales.db", "sales.db-wal"]);
    expect(Buffer.from(volume.bytes("sales.db-wal")).includes(NOTE)).toBe(true);
    expect(Buffer.from(volume.bytes("sales.db-wal", "durable")).includes(NOTE)).toBe(true);
    expect(readFileSync(join(volume.folder, "sales.db"))).toHaveLength(0);
    database.close();
  });

  test("is put back to an old copy, and copied to another terminal", () => {
    using volume = disk.volume("terminal-1");
    using clone = disk.volume("terminal-2");
    const database = open(volume);
    sell(database, 0);
    volume.snapshot("monday");
    sell(database, 1);
    clone.restore("monday", volume);
    expect(salesOn(clone)).toBe(1);
    volume.restore("monday");
    expect(codeOf(() => sell(database, 2))).toMatch(/^SQLITE_IOERR/);
    database.close();
    expect(salesOn(volume)).toBe(1);
    expect(volume.stats().restores).toBe(1);
    volume.forget("monday");
    expect(() => volume.restore("monday")).toThrow("no such snapshot");
  });

  test("is wiped", () => {
    using volume = disk.volume("terminal-1");
    sellAll(volume);
    volume.wipe();
    expect(volume.files()).toEqual([]);
    expect(salesOn(volume)).toBe(0);
  });

  test("rots by a byte, which SQLite or a check finds", () => {
    using volume = disk.volume("terminal-1");
    sellAll(volume);
    const { length } = volume.bytes("sales.db");
    volume.corrupt("sales.db", { offset: 0, xor: 1 });
    expect(codeOf(() => open(volume))).toBe("journal.corrupt");
    expect(() => volume.corrupt("sales.db", { offset: length, xor: 1 })).toThrow("beyond the end");
  });

  test("counts what SQLite does and names its faults", () => {
    using volume = disk.volume("terminal-1");
    sellAll(volume);
    const { writes, syncs, bytesWritten, usedBytes } = volume.stats();
    expect(syncs).toBeGreaterThan(SALES);
    expect(writes).toBeGreaterThan(SALES * 2);
    expect(bytesWritten).toBeGreaterThan(usedBytes);
    expect(usedBytes).toBe(volume.files().reduce((sum, { bytes }) => sum + bytes, 0));
    expect(Object.keys(volume.faultCounts())).toEqual(DISK_FAULT_NAMES);
  });

  test("knows the lock of a file between connections of one process", () => {
    using volume = disk.volume("terminal-1");
    const path = join(volume.folder, "agent.lock");
    const release = lockFile(path);
    expect(lockFile(path)).toBeUndefined();
    release?.();
    const again = lockFile(path);
    expect(again).toBeDefined();
    again?.();
  });

  test("gives its memory back", () => {
    const held = disk.memory().bytes;
    for (let turn = 0; turn < 5; turn += 1) {
      using volume = disk.volume("terminal-1");
      sellAll(volume);
      volume.snapshot("copy");
      powerCycle(volume, turn);
      expect(disk.memory().bytes).toBeGreaterThan(held);
      // Left open, as by a program that was dropped.
      open(volume);
    }
    expect(disk.memory().bytes).toBe(held);
  });
});

test("the folders of a killed process are taken away by the next one", () => {
  const script = `
    import { simulatedDisk } from ${JSON.stringify(join(import.meta.dirname, "../../test/simulation/simulated-disk.ts"))};
    process.stdout.write(simulatedDisk().root);
    if (process.argv[2] === "killed") process.kill(process.pid, "SIGKILL");
  `;
  const folder = mkdtempSync(join(tmpdir(), "script-"));
  try {
    writeFileSync(join(folder, "open.ts"), script);
    const rootOf = (...more: readonly string[]) =>
      spawnSync(process.execPath, [join(folder, "open.ts"), ...more], { encoding: "utf8" }).stdout;
    const killed = rootOf("killed");
    expect(existsSync(killed)).toBe(true);
    const ended = rootOf();
    expect([existsSync(killed), existsSync(ended), existsSync(disk.root)]).toEqual([false, false, true]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("files that are on no volume go to the real disk, and all do when the simulation is off", () => {
  const folder = mkdtempSync(join(tmpdir(), "real-"));
  try {
    openSqlite(join(folder, "real.db"), { migrations: MIGRATIONS }).close();
    expect(readFileSync(join(folder, "real.db")).length).toBeGreaterThan(4_000);
    using volume = disk.volume("terminal-1");
    disk.setDefault("system");
    open(volume, "switched.db").close();
    disk.setDefault("simulated");
    expect(volume.files()).toEqual([]);
    expect(readFileSync(join(volume.folder, "switched.db")).length).toBeGreaterThan(4_000);
    expect(existsSync(join(folder, "real.db-wal"))).toBe(false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
