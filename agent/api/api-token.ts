/** The local API's token: made at the first start, readable by the agent's user alone. */
import { timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { toHex } from "../../base/bytes.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import type { RandomBytes } from "../../base/ids.ts";
import { writePrivateFile } from "../../base/private-file.ts";

const TOKEN_BYTES = 32;
const TOKEN_SHAPE = /^[A-Za-z0-9._~+/=-]{16,256}$/;

/** Of a place that can hold no file, as against a disk that is full or fails and may take it at the next start. */
const NO_PLACE: readonly unknown[] = ["ENOENT", "ENOTDIR", "EACCES", "EPERM"];

/** The token in the file; a missing or empty file is made. Throws Fault `config.invalid`, `config.missing`, `store.failed`. */
export function ensureApiToken(path: string, random: RandomBytes): string {
  if (isBlank(path)) {
    try {
      writePrivateFile(path, `${toHex(random(TOKEN_BYTES))}\n`);
    } catch (error) {
      const why = `the API token: ${reasonOf(error)}; see api.tokenFile`;
      const noPlace = error instanceof Fault && NO_PLACE.includes(codeOf(error.cause));
      throw new Fault(noPlace ? "config.invalid" : "store.failed", why, { cause: error });
    }
  }
  return readApiToken(path);
}

/** What else is wrong with it is said by whoever reads it. */
function isBlank(path: string): boolean {
  try {
    return readFileSync(path, "utf8").trim() === "";
  } catch (error) {
    return codeOf(error) === "ENOENT";
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && "code" in error ? error.code : undefined);

export function readApiToken(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    const code = codeOf(error);
    const why = code === "ENOENT" ? "no agent has run here yet" : reasonOf(error);
    const mend =
      code === "EACCES" ? "run this as the agent's user" : "start the agent, or name it with --config or --token";
    throw new Fault("config.missing", `${path}: the API token cannot be read: ${why}; ${mend}`);
  }
  if (!TOKEN_SHAPE.test(text)) {
    throw new Fault("config.invalid", `${path}: is not an API token; delete it and start the agent again`);
  }
  return text;
}

/** Compares in the same time whatever differs, but for the length, which is no secret. */
export function bearerCheck(token: string): (header: string | undefined) => boolean {
  const expected = Buffer.from(`Bearer ${token}`);
  return (header = "") => {
    const given = Buffer.from(header);
    return given.length === expected.length && timingSafeEqual(given, expected);
  };
}
