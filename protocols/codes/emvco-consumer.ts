/** Codes that a payer shows: EMV QRCPS Consumer-Presented Mode 1.1. Base64 of BER-TLV that begins with 85 05 "CPV01". */
import { fromBase64, toHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import { ok, type Result } from "../../base/result.ts";
import { decodeTlv, findValue, type Tlv } from "../emv/ber-tlv.ts";
import { type Refused, refuse } from "./refusal.ts";

/** Base64 of 85 05 "CPV" and the first bits of its version. */
export const CONSUMER_CODE_PREFIX = "hQVDUFYw";
/** The specification's limit (3.2): 512 bytes of data. */
export const CONSUMER_CODE_CHARACTERS_MAX = 684;

/** One way to pay that the code offers. */
export interface ConsumerApplication {
  /** Hex. */
  readonly aid: string;
  readonly label?: string;
  /** The last four digits of its account number: a code is scanned at counters, and no more of it may go on. */
  readonly accountEnds?: string;
}

export interface ConsumerCode {
  readonly applications: readonly ConsumerApplication[];
}

const TAG = {
  payloadFormat: 0x85,
  application: 0x61,
  common: 0x62,
  aid: 0x4f,
  label: 0x50,
  track2: 0x57,
  pan: 0x5a,
} as const;
const VERSION = "CPV01";

export function parseConsumerCode(text: string): Result<ConsumerCode, Refused> {
  if (text.length > CONSUMER_CODE_CHARACTERS_MAX) {
    return refuse("too-long", `it has ${text.length} characters, ${CONSUMER_CODE_CHARACTERS_MAX} at most`);
  }
  let bytes: Uint8Array;
  try {
    bytes = fromBase64(text);
  } catch {
    return refuse("wrong-characters", "it is not base64");
  }
  let objects: readonly Tlv[];
  try {
    objects = decodeTlv(bytes);
  } catch (error) {
    if (!isFault(error)) throw error;
    return refuse("wrong-length", `its data objects are broken: ${error.message}`);
  }
  const [first, ...others] = objects;
  if (first?.tag !== TAG.payloadFormat || textOf(findValue([first], TAG.payloadFormat)) !== VERSION) {
    return refuse("wrong-shape", `its format (tag 85) is not ${VERSION}`);
  }
  if (others.some(({ tag }) => tag === TAG.payloadFormat)) return refuse("repeated-field", "tag 85 is there twice");
  const templates = others.filter(({ tag }) => tag === TAG.application);
  if (templates.length === 0) return refuse("missing-field", "it names no application (tag 61)");
  const common = others.filter(({ tag }) => tag === TAG.common);
  const applications: ConsumerApplication[] = [];
  for (const template of templates) {
    const application = applicationOf(template, common);
    if (!application) return refuse("missing-field", "an application (tag 61) has no name (tag 4F)");
    applications.push(application);
  }
  return ok({ applications });
}

/** What an application does not say itself, the common template says for all (4.2). */
function applicationOf(template: Tlv, common: readonly Tlv[]): ConsumerApplication | undefined {
  const value = (tag: number): Uint8Array | undefined => findValue([template], tag) ?? findValue(common, tag);
  const aid = findValue([template], TAG.aid);
  if (!aid || aid.length === 0) return undefined;
  const label = textOf(value(TAG.label));
  const accountEnds = endOf(value(TAG.pan) ?? value(TAG.track2));
  return {
    aid: toHex(aid).toUpperCase(),
    ...(label !== undefined && { label }),
    ...(accountEnds !== undefined && { accountEnds }),
  };
}

const textOf = (value: Uint8Array | undefined): string | undefined =>
  value &&
  Buffer.from(value)
    .toString("latin1")
    .replace(/[^\x20-\x7e]/g, "?");

/** Of an account number padded with F, or of track 2 up to its separator D. */
function endOf(value: Uint8Array | undefined): string | undefined {
  const digits = value && /^[0-9]*/.exec(toHex(value))?.[0];
  return digits !== undefined && digits.length >= 8 ? digits.slice(-4) : undefined;
}
