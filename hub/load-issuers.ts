/** Reads the institutions that the configuration names, with the keys that it names by file. */
import { createSecretKey, type KeyObject } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { fromHex } from "../base/bytes.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import { requirePrivate } from "../base/private-file.ts";
import { withPaymentReference } from "../protocols/iso8583/payment-reference.ts";
import { specNamed } from "../protocols/iso8583/specs.ts";
import { readPublicKey } from "../wire/signing.ts";
import type { HubConfig } from "./config.ts";
import { AVAILABILITY_DEFAULTS } from "./core/standin/availability.ts";
import { RECOVERY_DEFAULTS } from "./core/standin/recovery.ts";
import type { Institution } from "./core/switch/index.ts";
import type { HubCoreOptions } from "./hub-core.ts";

type Issuers = NonNullable<HubCoreOptions["issuers"]>;

const MERCHANT_CHARACTERS = 15;

/** Undefined where there are none. Throws Fault `config.invalid` that names the file and the mend, never what is in it. */
export function loadIssuers(config: HubConfig): Issuers | undefined {
  if (config.issuers.length === 0) return undefined;
  const { failThreshold, hostTimeoutMs, upProbes, probeEveryMs, refusalsMax } = config.switch;
  const { id, category, merchant = config.merchant.id } = config.acquirer;
  return {
    institutions: config.issuers.map((issuer) => institutionOf(issuer, config.dataDir)),
    acquirer: { id, category, merchant: merchant.slice(0, MERCHANT_CHARACTERS) },
    policy: {
      availability: { ...AVAILABILITY_DEFAULTS, failThreshold, hostTimeoutMs, upProbes },
      recovery: { ...RECOVERY_DEFAULTS, refusalsMax },
      probeEveryMs,
    },
  };
}

function institutionOf(
  { id, ranges, host, port, spec, cutover, timeZone, standIn }: HubConfig["issuers"][number],
  dataDir: string,
): Institution {
  const about = { id, ranges, address: { host, port }, day: { cutover, timeZone } };
  const institution = { ...about, spec: withPaymentReference(specNamed(spec)) };
  if (!standIn) return institution;
  const keys = Object.entries(standIn.stopListKeys).map(
    ([name, path]) => [name, readStopListKey(resolve(dataDir, path))] as const,
  );
  const key = readInstitutionKey(resolve(dataDir, standIn.publicKeyFile));
  return { ...institution, standIn: { key, stopListKeys: new Map(keys) } };
}

const FILE_BYTES_MAX = 4_096;
const HEX_KEY = /^\s*(?:[0-9a-fA-F]{2}){32}\s*$/;

function readInstitutionKey(path: string): KeyObject {
  const text = readSmall(path, "an institution's public key", "issuers.standIn.publicKeyFile");
  try {
    return readPublicKey(text.trim());
  } catch (error) {
    throw new Fault("config.invalid", `${path}: not an Ed25519 public key in base64: ${reasonOf(error)}`);
  }
}

function readStopListKey(path: string): KeyObject {
  const text = readSmall(path, "a stop list's key", "issuers.standIn.stopListKeys");
  requirePrivate(path, "the key of an institution's stop list");
  if (!HEX_KEY.test(text)) throw new Fault("config.invalid", `${path}: not 64 hex digits, a key of 32 bytes`);
  return createSecretKey(fromHex(text.trim()));
}

function readSmall(path: string, what: string, namedBy: string): string {
  try {
    if (statSync(path).size <= FILE_BYTES_MAX) return readFileSync(path, "utf8");
  } catch (error) {
    throw new Fault("config.invalid", `${path}: ${what} cannot be read: ${reasonOf(error)}; ${namedBy} names it`);
  }
  throw new Fault("config.invalid", `${path}: too large for ${what}; ${namedBy} names it`);
}
