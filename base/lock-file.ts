/** One process per data folder: a lock of the operating system, which ends with its holder however that ends. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Fault, reasonOf } from "./fault.ts";
import { giveToOwnerOfFolder } from "./private-file.ts";
import { lockFile } from "./sqlite.ts";

export interface LockOptions {
  /** The data folder; made with mode 0700 where it is missing. */
  readonly folder: string;
  /** What runs, for the refusal: "agent", "hub". */
  readonly what: string;
}

const LOCK_NAME = "lock";
/** Lies beside the lock and only informs: reading the lock file itself would end the lock of a POSIX process. */
const PID_NAME = "pid";

/** Takes the lock or throws Fault `lock.held`, naming the holder; disposing gives it back. */
export function takeLock({ folder, what }: LockOptions): Disposable {
  makeFolder(folder);
  const path = join(folder, LOCK_NAME);
  const release = lockFile(path);
  if (release === undefined) {
    const pid = lockHolder(folder);
    const who = pid === undefined ? `another ${what}` : `another ${what} (pid ${pid})`;
    throw new Fault("lock.held", `${who} runs on ${folder}; stop it first`, { details: { pid, folder } });
  }
  const pidPath = join(folder, PID_NAME);
  try {
    giveToOwnerOfFolder(path);
    writeFileSync(pidPath, `${process.pid}\n`, { mode: 0o600 });
    giveToOwnerOfFolder(pidPath);
  } catch (error) {
    release();
    throw new Fault("store.failed", `${pidPath}: ${reasonOf(error)}; check the folder's owner and free space`);
  }
  return {
    [Symbol.dispose]() {
      rmSync(pidPath, { force: true });
      release();
    },
  };
}

/** Whether another holds it at this moment. Throws Fault `store.failed`. */
export function isLocked(folder: string): boolean {
  const path = join(folder, LOCK_NAME);
  if (!existsSync(path)) return false;
  const release = lockFile(path);
  release?.();
  return release === undefined;
}

/** The process id that the last holder left; it proves nothing by itself. */
function lockHolder(folder: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(join(folder, PID_NAME), "utf8"), 10);
    return Number.isSafeInteger(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}

function makeFolder(folder: string): void {
  try {
    makeWithParents(folder);
  } catch (error) {
    throw new Fault(
      "store.failed",
      `cannot make the data folder ${folder}: ${reasonOf(error)}; make it and give it to the user that runs this`,
    );
  }
}

/** Node's own recursive mkdir spins for ever where a file system answers ENOENT under an existing folder, as /proc does. */
function makeWithParents(folder: string): void {
  if (existsSync(folder)) return;
  makeWithParents(dirname(folder));
  mkdirSync(folder, { mode: 0o700 });
}
