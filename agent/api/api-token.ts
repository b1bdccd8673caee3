/** The local API's token: made at the first start, readable by the agent's user alone. */
import { timingSafeEqual } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { toHex } from "../../base/bytes.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import type { RandomBytes } from "../../base/ids.ts";

const TOKEN_BYTES = 32;
const TOKEN_SHAPE = /^[A-Za-z0-9._~+/=-]{16,256}$/;

/** The token in the file; a missing file is made. Throws Fault `config.invalid`. */
export function ensureApiToken(path: string, random: RandomBytes): string {
  try {
    writeFileSync(path, `${toHex(random(TOKEN_BYTES))}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) {
      throw new Fault(
        "config.invalid",
        `${path}: the API token cannot be stored: ${reasonOf(error)}; see api.tokenFile`,
      );
    }
  }
  return readApiToken(path);
}

export function readApiToken(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
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
