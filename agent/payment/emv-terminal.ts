/** What this terminal tells cards about itself, and by which rules it takes them: the configuration in the kernel's terms. */
import { readFileSync } from "node:fs";
import { fromHex } from "../../base/bytes.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import type { Tag } from "../../protocols/emv/ber-tlv.ts";
import type { SupportedApplication, TerminalSettings } from "../../protocols/emv/kernel/kernel.ts";
import { encodeNumeric } from "../../protocols/emv/numeric.ts";
import { caKeyHashHolds, parseCaKeys, parseRevoked } from "../../protocols/emv/oda/capk.ts";
import type { CaPublicKey, RevokedCertificate } from "../../protocols/emv/oda/keys.ts";
import { parseJson } from "../../wire/signing.ts";
import type { AgentConfig } from "../config.ts";

/** Merchant-attended, offline with online capability (Book 4, A1). */
const TERMINAL_TYPE = 0x22;
/** Chip only; no CVM required; SDA, DDA and CDA. A PIN is never taken by software on a host, and signature only where asked for. */
const CAPABILITIES = fromHex("20 08 C8");
const SIGNATURE = 0x20;
/** Goods and services, no keys, printing for attendant and cardholder, code table 1. */
const ADDITIONAL_CAPABILITIES = fromHex("60 00 00 C0 01");
/** Application version number where no scheme says another (tag 9F09). */
const VERSION = fromHex("00 01");
/** The unpredictable number, for cards that bring no DDOL (Book 2, 6.5.1). */
const DEFAULT_DDOL = fromHex("9F37 04");
/** Amount, currency, date, type, TVR and country, for cards that want a TC hash and name no TDOL. */
const DEFAULT_TDOL = fromHex("9F02 06 5F2A 02 9A 03 9C 01 95 05 9F1A 02");
const TERMINAL_ID_BYTES = 8;
const MERCHANT_NAME_BYTES = 40;

export interface TerminalInput {
  readonly emv: AgentConfig["emv"];
  readonly site: Pick<AgentConfig["site"], "merchantName" | "countryCode">;
  readonly terminalId: string;
}

/** What no card and no sale changes. */
export type FixedSettings = Omit<TerminalSettings, "entry" | "onExceptionFile" | "spentBefore">;

/** Throws Fault `config.invalid` that names the file and what is wrong with it. */
export function terminalSettings(input: TerminalInput): FixedSettings {
  const { emv, site, terminalId } = input;
  const capabilities = Uint8Array.from(CAPABILITIES);
  if (emv.signature) capabilities[1] = (capabilities[1] ?? 0) | SIGNATURE;
  return {
    applications: emv.applications.map((aid) => applicationOf(aid, emv)),
    countryCode: encodeNumeric(BigInt(site.countryCode), 2),
    type: TERMINAL_TYPE,
    capabilities,
    additionalCapabilities: ADDITIONAL_CAPABILITIES,
    data: new Map<Tag, Uint8Array>([
      [0x9f1c, Buffer.from(terminalId.slice(0, TERMINAL_ID_BYTES).padEnd(TERMINAL_ID_BYTES), "latin1")],
      [0x9f4e, Buffer.from(site.merchantName.slice(0, MERCHANT_NAME_BYTES), "latin1")],
    ]),
    ...readKeyFiles(emv),
  };
}

function applicationOf(aid: string, emv: AgentConfig["emv"]): SupportedApplication {
  const { denial, online, default: fallback } = emv.actionCodes;
  return {
    aid: fromHex(aid),
    partial: true,
    version: VERSION,
    actionCodes: { denial: fromHex(denial), online: fromHex(online), default: fromHex(fallback) },
    floorLimitMinor: emv.floorLimitMinor,
    random: emv.random,
    defaultDdol: DEFAULT_DDOL,
    defaultTdol: DEFAULT_TDOL,
  };
}

/** What cards are checked against offline. Throws Fault `config.invalid` that names the file and what is wrong with it. */
export function readKeyFiles({
  caKeysFile,
  revokedFile,
}: Pick<AgentConfig["emv"], "caKeysFile" | "revokedFile">): Pick<TerminalSettings, "caKeys" | "revoked"> {
  return {
    caKeys: caKeysFile === undefined ? [] : readCaKeys(caKeysFile),
    revoked: revokedFile === undefined ? [] : readRevoked(revokedFile),
  };
}

function readCaKeys(path: string): readonly CaPublicKey[] {
  const keys = read(path, "emv.caKeysFile", parseCaKeys);
  const wrong = keys.find((key) => !caKeyHashHolds(key));
  if (!wrong) return keys;
  const name = `the key ${Buffer.from(wrong.rid).toString("hex")} ${wrong.index}`;
  throw new Fault("config.invalid", `emv.caKeysFile: ${path}: the hash of ${name} does not hold; get the file again`);
}

const readRevoked = (path: string): readonly RevokedCertificate[] => read(path, "emv.revokedFile", parseRevoked);

function read<T>(path: string, key: string, parse: (json: unknown) => T): T {
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    throw new Fault("config.invalid", `${key}: cannot read ${path}: ${reasonOf(error)}`);
  }
  try {
    return parse(parseJson(content));
  } catch (error) {
    throw new Fault("config.invalid", `${key}: ${path}: ${reasonOf(error)}`);
  }
}
