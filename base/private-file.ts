/** Files that hold keys belong to their owner alone. */
import { statSync } from "node:fs";
import { Fault } from "./fault.ts";

const OTHERS_MASK = 0o077;

/** Throws Fault `identity.invalid` for a file that others can read or change. */
export function requirePrivate(path: string, holds: string): void {
  const mode = statSync(path).mode & 0o777;
  if ((mode & OTHERS_MASK) === 0) return;
  const why = `${path} has mode ${mode.toString(8)}, so that others may read ${holds}; run: chmod 600 ${path}`;
  throw new Fault("identity.invalid", why);
}
