/** Compiles the simulated disk's SQLite extension, once for each state of its sources, and says where it lies. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Fault, reasonOf } from "../../base/fault.ts";

/** The checkout: two folders up from this source, one from the bundle. */
const ROOT = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "../.." : "..", import.meta.url));
const SOURCES = join(ROOT, "sim", "world", "vfs");
/** SQLite's headers come with better-sqlite3, so that they are those of the SQLite that loads the extension. */
const HEADERS = join(ROOT, "node_modules", "better-sqlite3", "deps", "sqlite3");
const FLAGS = ["-shared", "-fPIC", "-O2", "-Wl,-Bsymbolic", "-Wall", "-Wextra", "-Werror"];
const COMPILER = "gcc";
const COMPILE_LIMIT_MS = 120_000;

/** The path of the compiled extension. Throws Fault `package.missing` when it cannot be compiled. */
export function buildVfs(): string {
  const names = readdirSync(SOURCES).sort();
  const hash = createHash("sha256").update(FLAGS.join(" "));
  for (const name of names) hash.update(`\0${name}\0`).update(readFileSync(join(SOURCES, name)));
  hash.update(readFileSync(join(HEADERS, "sqlite3ext.h"))).update(readFileSync(join(HEADERS, "sqlite3.h")));
  const folder = join(ROOT, ".cache", "vfs");
  const path = join(folder, `${hash.digest("hex").slice(0, 32)}.so`);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  // Others may compile the same at the same time: each under a name of its own, and the last one to end stays.
  const unfinished = `${path}.${process.pid}`;
  const files = names.filter((name) => name.endsWith(".c")).map((name) => join(SOURCES, name));
  const options = { timeout: COMPILE_LIMIT_MS, encoding: "utf8", stdio: "pipe" } as const;
  try {
    execFileSync(COMPILER, [...FLAGS, "-I", HEADERS, ...files, "-o", unfinished], options);
  } catch (error) {
    const why = `the simulated disk cannot be compiled: ${reasonOf(error)}; scripts/setup installs the compiler`;
    throw new Fault("package.missing", why, { cause: error });
  }
  renameSync(unfinished, path);
  return path;
}
