/**
 * Disks under the real SQLite: every database below a volume's folder lives in memory, and what was not synced is lost,
 * kept or torn when the machine goes. Beneath it is the extension of `vfs/`. Files that are not SQLite's own (keys,
 * spools) are real ones in the volume's folder, and no fault touches them.
 *
 * Names have a durability of their own: a new file's name is safe with the first sync of that file, all names with the
 * first sync of a new journal or log (SQLite syncs the folder with it) or with `syncFolder`. The fsync of the folder that
 * `openSqlite` asks of Node is not seen: it comes after the file's own sync, so that it would change nothing.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert } from "../../base/assert.ts";
import { loadSqliteExtension, type Sqlite } from "../../base/sqlite.ts";
import type { CountsTable } from "./counts.ts";

/** Rates are in [0, 1] for each call; what is absent does not happen. */
export interface DiskFaults {
  /** The machine dies in this I/O call, counted from now: 1 is the next. Reads count. */
  readonly crashAtCall?: number;
  /** As `crashAtCall`, but reads do not count. */
  readonly crashAtChange?: number;
  /** All files together; a write that grows them beyond gets "disk full". */
  readonly bytesMax?: number;
  readonly rates?: Partial<Readonly<Record<DiskError, number>>>;
  /** The nth such call from now fails, once: 1 is the next. */
  readonly next?: Partial<Readonly<Record<DiskError, number>>>;
}

/**
 * `read` and `write` are I/O errors; part of a failed write may be there. A failed `sync` may have persisted, or not yet,
 * or its pages are called clean and lost at the next power cut. A `short` write is cut off and reported as a full disk.
 */
export const DISK_ERRORS = ["read", "write", "sync", "short"] as const;
export type DiskError = (typeof DISK_ERRORS)[number];

export interface DiskFile {
  readonly name: string;
  readonly bytes: number;
  /** Undefined while a power cut would take the file's name away. */
  readonly durableBytes: number | undefined;
  readonly unsyncedChanges: number;
}

export type DiskStats = Readonly<Record<DiskStat, number>>;
export type DiskStat = (typeof DISK_STATS)[number];
const DISK_STATS = [
  "powered",
  "fired",
  "usedBytes",
  "calls",
  "changes",
  "reads",
  "writes",
  "syncs",
  "cuts",
  "deletions",
  "creations",
  "bytesWritten",
  "crashes",
  "firedCrashes",
  "processKills",
  "restores",
  "keptChanges",
  "droppedChanges",
  "tornChanges",
  "keptNames",
  "droppedNames",
  "readErrors",
  "writeErrors",
  "shortWrites",
  "full",
  "syncErrorsPersisted",
  "syncErrorsPending",
  "syncErrorsForgotten",
] as const;

/** Which statistics are faults, and under which name they are counted. */
const FAULT_COUNTS = {
  crashes: "disk.power-cut",
  firedCrashes: "disk.crash-in-call",
  restores: "disk.restored-from-old-copy",
  keptChanges: "disk.unsynced-kept",
  droppedChanges: "disk.unsynced-lost",
  tornChanges: "disk.unsynced-torn",
  keptNames: "disk.name-kept",
  droppedNames: "disk.name-lost",
  readErrors: "disk.read-error",
  writeErrors: "disk.write-error",
  shortWrites: "disk.short-write",
  full: "disk.full",
  syncErrorsPersisted: "disk.failed-sync-persisted",
  syncErrorsPending: "disk.failed-sync-pending",
  syncErrorsForgotten: "disk.failed-sync-forgotten",
} as const satisfies Partial<Record<DiskStat, string>>;

/** What is lost when a machine's disk stops: unsynced bytes with its power, nothing with one process. */
export type CrashKind = "power" | "process";

/** The disk of one node. */
export interface Volume extends Disposable {
  /** Where its files are; a real folder, in which SQLite's files are empty. */
  readonly folder: string;
  /** Replaces all faults that were set. Errors are drawn from `seed`. */
  setFaults(faults: DiskFaults, seed?: number): void;
  /**
   * The machine or its process is gone: every open connection fails for good, and so does opening, until `powerOn`. After
   * a power cut each unsynced write was kept, lost or torn as drawn from `seed`.
   */
  crash(options: { readonly seed: number; readonly kind?: CrashKind }): void;
  /** Files can be opened again. */
  powerOn(): void;
  readonly powered: boolean;
  /** Called in the midst of the call that dies at a crash point: it must touch no disk and throw nothing. */
  onFired(listener: () => void): void;
  snapshot(name: string): void;
  /** The disk is as it was at that snapshot, of this volume or another; every open connection fails for good. */
  restore(name: string, source?: Volume): void;
  /** Frees a snapshot. */
  forget(name: string): void;
  /** A new, empty disk; every open connection fails for good. */
  wipe(): void;
  /** As after fsync of the folder: no new or deleted name is lost. */
  syncFolder(): void;
  stats(): DiskStats;
  /** What is a fault among the statistics, by its name. */
  faultCounts(): CountsTable;
  files(): readonly DiskFile[];
  /** A file's content as a reader sees it, or as it is on the platter. */
  bytes(name: string, layer?: "visible" | "durable"): Uint8Array;
  /** One byte rots. */
  corrupt(name: string, options: { readonly offset: number; readonly xor: number }): void;
}

/** The real files are empty, but each opening syncs their folder: in memory that costs nothing. */
const MEMORY_FOLDER = "/dev/shm";

/** Every volume's folder has a number before its name. */
const NUMBER_DIGITS = 8;

const ROOT_PREFIX = "tillway-disk-";

/** Takes away the folders of processes that were killed before they could do it themselves. */
function removeLeftovers(base: string): void {
  for (const name of readdirSync(base)) {
    const owner = new RegExp(`^${ROOT_PREFIX}(\\d+)-`).exec(name)?.[1];
    if (owner !== undefined && !isRunning(Number(owner))) rmSync(join(base, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // Another user's process may not be signalled, but it runs.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** All disks of this process. */
export class SimulatedDisk {
  static readonly #loaded = new Map<string, SimulatedDisk>();
  readonly #control: Control;
  readonly #listeners = new Map<number, () => void>();
  #volumes = 0;
  #root: string | undefined;

  private constructor(extensionPath: string) {
    const database = loadSqliteExtension(extensionPath);
    database.function("tillway_vfs_fired", (id) => {
      this.#listeners.get(Number(id))?.();
      return 1;
    });
    this.#control = new Control(database);
    this.#control.call("listen");
  }

  /** Loads the extension, once for each process; from then on it is SQLite's default way to files. */
  static load(extensionPath: string): SimulatedDisk {
    let disk = SimulatedDisk.#loaded.get(extensionPath);
    if (!disk) {
      disk = new SimulatedDisk(extensionPath);
      SimulatedDisk.#loaded.set(extensionPath, disk);
    }
    return disk;
  }

  /** The folder of all volumes: differs from process to process, always of the same length. */
  get root(): string {
    if (this.#root === undefined) {
      const base = existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir();
      removeLeftovers(base);
      const owner = String(process.pid).padStart(NUMBER_DIGITS, "0");
      const root = realpathSync(mkdtempSync(join(base, `${ROOT_PREFIX}${owner}-`)));
      process.once("exit", () => rmSync(root, { recursive: true, force: true }));
      this.#root = root;
    }
    return this.#root;
  }

  /** A new, empty volume; `name` is the end of its folder. */
  volume(name: string): Volume {
    this.#volumes += 1;
    const folder = join(this.root, String(this.#volumes).padStart(NUMBER_DIGITS, "0"), name);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return new SimulatedVolume({ control: this.#control, listeners: this.#listeners, folder });
  }

  /** The text with the folder of each volume called `<disk>`: that one differs from run to run. */
  withoutFolders(text: string): string {
    const [first = "", ...rest] = text.split(this.root);
    return first + rest.map((part) => `<disk>${part.slice(1 + NUMBER_DIGITS)}`).join("");
  }

  /** What SQLite itself draws from, such as the salts of its log: equal seeds give equal bytes. */
  seed(seed: number): void {
    this.#control.call("seed", seed);
  }

  /** Whether files opened from now on may be on a volume. */
  setDefault(state: "simulated" | "system"): void {
    this.#control.call("default", state === "simulated" ? 1 : 0);
  }

  /** Bytes that all volumes hold in memory, and connections that are not closed yet. */
  memory(): { readonly bytes: number; readonly openFiles: number } {
    const [bytes = 0, openFiles = 0] = String(this.#control.call("memory")).split(" ").map(Number);
    return { bytes, openFiles };
  }
}

type ControlValue = string | number;

/** The extension's functions, each prepared once. */
class Control {
  readonly #database: Sqlite;
  readonly #statements = new Map<string, { get(...values: readonly ControlValue[]): unknown }>();

  constructor(database: Sqlite) {
    this.#database = database;
  }

  call(name: string, ...values: readonly ControlValue[]): unknown {
    let statement = this.#statements.get(name);
    if (!statement) {
      const marks = values.map(() => "?").join(", ");
      statement = this.#database.prepare<ControlValue[], unknown>(`SELECT tillway_vfs_${name}(${marks})`).pluck();
      this.#statements.set(name, statement);
    }
    return statement.get(...values);
  }
}

interface VolumeParts {
  readonly control: Control;
  readonly listeners: Map<number, () => void>;
  readonly folder: string;
}

const PER_MILLION = 1_000_000;
const CRASH_KINDS = { power: 0, process: 1 } as const satisfies Record<CrashKind, number>;

class SimulatedVolume implements Volume {
  readonly folder: string;
  readonly #parts: VolumeParts;
  readonly #id: number;

  constructor(parts: VolumeParts) {
    this.#parts = parts;
    this.folder = parts.folder;
    this.#id = Number(parts.control.call("volume", parts.folder));
  }

  setFaults(faults: DiskFaults, seed = 0): void {
    const rates = DISK_ERRORS.map((error) => Math.round((faults.rates?.[error] ?? 0) * PER_MILLION));
    const next = DISK_ERRORS.map((error) => faults.next?.[error] ?? 0);
    const { crashAtCall = 0, crashAtChange = 0, bytesMax = 0 } = faults;
    this.#parts.control.call("faults", this.#id, seed, crashAtCall, crashAtChange, bytesMax, ...rates, ...next);
  }

  crash(options: { readonly seed: number; readonly kind?: CrashKind }): void {
    this.#parts.control.call("crash", this.#id, options.seed, CRASH_KINDS[options.kind ?? "power"]);
  }

  powerOn(): void {
    this.#parts.control.call("power", this.#id);
  }

  get powered(): boolean {
    return this.stats().powered === 1;
  }

  onFired(listener: () => void): void {
    this.#parts.listeners.set(this.#id, listener);
  }

  snapshot(name: string): void {
    this.#parts.control.call("snapshot", this.#id, name);
  }

  restore(name: string, source: Volume = this): void {
    assert(source instanceof SimulatedVolume, "a volume is restored from a volume");
    this.#parts.control.call("restore", this.#id, name, source.#id);
  }

  forget(name: string): void {
    this.#parts.control.call("forget", this.#id, name);
  }

  wipe(): void {
    this.#parts.control.call("wipe", this.#id);
    rmSync(this.folder, { recursive: true, force: true });
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
  }

  syncFolder(): void {
    this.#parts.control.call("sync_names", this.#id);
  }

  stats(): DiskStats {
    // The extension writes exactly the fields of DISK_STATS, all numbers.
    return JSON.parse(String(this.#parts.control.call("stats", this.#id))) as DiskStats;
  }

  faultCounts(): CountsTable {
    const stats = this.stats();
    return Object.fromEntries(
      DISK_STATS.flatMap((name) => (name in FAULT_COUNTS ? [[faultName(name), stats[name]] as const] : [])),
    );
  }

  files(): readonly DiskFile[] {
    const lines = String(this.#parts.control.call("files", this.#id)).split("\n").slice(0, -1);
    return lines.map((line) => {
      const [name = "", bytes, durable, changes] = line.split("\t");
      const durableBytes = Number(durable) < 0 ? undefined : Number(durable);
      return { name, bytes: Number(bytes), durableBytes, unsyncedChanges: Number(changes) };
    });
  }

  bytes(name: string, layer: "visible" | "durable" = "visible"): Uint8Array {
    const content = this.#parts.control.call("bytes", join(this.folder, name), layer === "durable" ? 1 : 0);
    assert(content instanceof Uint8Array, "the extension gives bytes");
    return content;
  }

  corrupt(name: string, options: { readonly offset: number; readonly xor: number }): void {
    this.#parts.control.call("corrupt", join(this.folder, name), options.offset, options.xor);
  }

  /** Frees all that it holds. */
  [Symbol.dispose](): void {
    this.#parts.listeners.delete(this.#id);
    this.#parts.control.call("drop", this.#id);
    rmSync(join(this.folder, ".."), { recursive: true, force: true });
  }
}

function faultName(stat: DiskStat): string {
  const names: Partial<Record<DiskStat, string>> = FAULT_COUNTS;
  return names[stat] ?? stat;
}

/** The names of all fault classes of a disk. */
export const DISK_FAULT_NAMES: readonly string[] = Object.values(FAULT_COUNTS);
