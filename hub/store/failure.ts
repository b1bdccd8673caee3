/** Tells a failing store from a failing work: a full disk is no property of the message that met it. */

/** SQLite's own errors, except broken constraints, which belong to the statement's author. */
export function isStoreFailure(error: unknown): boolean {
  if (!(error instanceof Error) || error.name !== "SqliteError") return false;
  return !("code" in error && String(error.code).startsWith("SQLITE_CONSTRAINT"));
}
