/**
 * By what right the command line speaks to a hub: a token from a file, the session of who has logged in, or, for the hub's
 * own user on its machine, the token in its data folder.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { Fault, reasonOf } from "../base/fault.ts";
import { requirePrivate } from "../base/private-file.ts";
import type { OperatorAccess } from "./operator-client.ts";

export type Access = Required<Pick<OperatorAccess, "url" | "bearer" | "ca">>;
/** Where a hub is, before anybody has logged in. */
export type HubDoor = Pick<Access, "url" | "ca">;

const SavedSchema = z.strictObject({
  name: z.string(),
  url: z.string(),
  ca: z.string(),
  bearer: z.string(),
});
export type SavedSession = z.infer<typeof SavedSchema>;

/** By the configuration that they were made with: each stands for one hub. */
const FileSchema = z.strictObject({ sessions: z.record(z.string(), SavedSchema) });
type SessionFile = z.infer<typeof FileSchema>;

/** Hubs that one person is logged in to; the one first logged in to is forgotten. */
const SESSIONS_MAX = 32;

/** Throws Fault `identity.invalid` for a file that others can read, or that is none of these. */
export function savedSession(path: string, config: string): SavedSession | undefined {
  return readSessions(path).sessions[resolve(config)];
}

/** Undefined forgets it. */
export function saveSession(path: string, config: string, session: SavedSession | undefined): void {
  const { [resolve(config)]: _, ...others } = readSessions(path).sessions;
  const kept = Object.entries(others).slice(1 - SESSIONS_MAX);
  const sessions = { ...Object.fromEntries(kept), ...(session === undefined ? {} : { [resolve(config)]: session }) };
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, `${JSON.stringify({ sessions }, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function readSessions(path: string): SessionFile {
  if (!existsSync(path)) return { sessions: {} };
  requirePrivate(path, "your session");
  try {
    return FileSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    throw new Fault("identity.invalid", `${path}: this is no file of sessions; remove it and log in again`);
  }
}

/** What a file holds, without what surrounds it. */
export function readToken(path: string): string {
  try {
    requirePrivate(path, "the token");
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw new Fault("config.invalid", `${path}: ${reasonOf(error)}`);
  }
}
