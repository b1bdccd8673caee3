/** Reads the issuer master keys that the configuration names: one file each, for the hub's user alone. */
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { fromHex, sameBytes } from "../base/bytes.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import type { HubConfig } from "./config.ts";
import type { CardRange } from "./core/authorisation/index.ts";

const KEY_BYTES = 16;
const FILE_BYTES_MAX = 1_024;
const OTHERS_RIGHTS = 0o077;

/** Throws Fault `config.invalid` that names the file, what is wrong with it and the mend; never what is in it. */
export const loadCardRanges = ({ issuing, dataDir }: Pick<HubConfig, "issuing" | "dataDir">): readonly CardRange[] =>
  issuing.map(({ bin, masterKeyFile, derivation, cryptogramVersion, arpcMethod }) => ({
    bin,
    issuerMasterKey: readKey(resolve(dataDir, masterKeyFile)),
    derivation,
    cryptogramVersion,
    // The common core definitions have method 2 alone (Book 2, Part IV, 8.2).
    arpcMethod: arpcMethod ?? (cryptogramVersion === "common-core" ? 2 : 1),
  }));

function readKey(path: string): Uint8Array {
  const invalid = (reason: string): Fault => new Fault("config.invalid", `${path}: ${reason}`);
  let text: string;
  try {
    const { mode, size } = statSync(path);
    if ((mode & OTHERS_RIGHTS) !== 0) throw invalid(`others than its owner have rights on this key; chmod 600 ${path}`);
    if (size > FILE_BYTES_MAX) throw invalid("too large for a key");
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw invalid(`an issuer master key cannot be read: ${reasonOf(error)}; issuing.masterKeyFile names it`);
  }
  if (!/^\s*(?:[0-9a-fA-F]\s*){32}$/.test(text))
    throw invalid(`not ${KEY_BYTES * 2} hex digits, a key of double length`);
  const key = fromHex(text);
  const half = KEY_BYTES / 2;
  if (sameBytes(key.subarray(0, half), key.subarray(half)))
    throw invalid("both halves of the key are the same, which makes it single DES; use a key of double length");
  return key;
}
