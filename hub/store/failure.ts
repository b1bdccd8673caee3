/** Tells a failing store from a failing work: a full disk is no property of the message that met it. */
import { isFault } from "../../base/fault.ts";

/** Either database's own errors, except those that belong to the statement's author, as broken constraints do. */
export function isStoreFailure(error: unknown): boolean {
  if (isFault(error, "store.failed")) return true;
  if (!(error instanceof Error) || error.name !== "SqliteError") return false;
  return !("code" in error && String(error.code).startsWith("SQLITE_CONSTRAINT"));
}
