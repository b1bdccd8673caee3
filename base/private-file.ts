/** Files that hold keys belong to their owner alone, and are written whole or not at all. */
import { closeSync, fsyncSync, lchownSync, openSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Fault, reasonOf } from "./fault.ts";
import { syncFolder } from "./sqlite.ts";

const OTHERS_MASK = 0o077;

/** Throws Fault `identity.invalid` for a file that others can read or change. */
export function requirePrivate(path: string, holds: string): void {
  const mode = statSync(path).mode & 0o777;
  if ((mode & OTHERS_MASK) === 0) return;
  const why = `${path} has mode ${mode.toString(8)}, so that others may read ${holds}; run: chmod 600 ${path}`;
  throw new Fault("identity.invalid", why);
}

/**
 * Gives what root has made to whom its folder belongs, who could not read it otherwise: people run commands as root beside a
 * service that has a user of its own.
 */
export function giveToOwnerOfFolder(path: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(dirname(path));
  lchownSync(path, uid, gid);
}

/** Durable when it returns, and its folder's owner's. Throws Fault `store.failed`, whose cause is what the file system said. */
export function writePrivateFile(path: string, text: string): void {
  const fresh = `${path}.new`;
  try {
    writeAside(fresh, text);
    renameSync(fresh, path);
    syncFolder(dirname(path));
  } catch (error) {
    const why = `cannot write ${path}: ${reasonOf(error)}; check the folder's owner and free space`;
    throw new Fault("store.failed", why, { cause: error });
  }
}

function writeAside(fresh: string, text: string): void {
  rmSync(fresh, { force: true });
  const descriptor = openSync(fresh, "wx", 0o600);
  try {
    // Unlike `writeSync`, which may write less than it was given.
    writeFileSync(descriptor, text);
    giveToOwnerOfFolder(fresh);
    fsyncSync(descriptor);
  } catch (error) {
    // It may hold keys, and takes room on a disk that is full.
    rmSync(fresh, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
}
