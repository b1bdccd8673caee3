/**
 * The three QR families of our own, kept apart by their prefixes: `OF1:` a pre-authorised code of a payer (system 1),
 * `OC1:` the challenge a terminal shows, `OA1:` the note that answers it (RM11).
 */
import { Fault } from "../../base/fault.ts";
import { ok, type Result } from "../../base/result.ts";
import { crc16Of } from "./crc.ts";
import { type CodeRefusal, type Refused, refuse } from "./refusal.ts";

export const PRE_AUTHORISED_PREFIX = "OF1:";
export const OFFLINE_NOTE_PREFIX = "OA1:";
export const PAYEE_CHALLENGE_PREFIX = "OC1:";

/** A code that a payer's device made and the hub registered; it stands for no money without the hub (RM10). */
export interface PreAuthorisedCode {
  readonly userId: string;
  /** 128 random bits in base32 (RFC 4648) without padding. */
  readonly secureCode: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

const USER_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;
export const SECURE_CODE_CHARACTERS = 26;
/** 26 characters hold 130 bits, so the last one ends in two bits of zero: another last character is another's invention. */
const SECURE_CODE = /^[A-Z2-7]{25}[AEIMQUY4]$/;
const BASE32 = /^[A-Z2-7]+$/;
/** Up to the year 2286; no leading zero, so that a code has one form only. */
const EXPIRES_AT = /^[1-9][0-9]{12}$/;
const CRC = /^[0-9A-F]{4}$/;
const PARTS = 5;

/** `OF1:<userId>:<secureCode>:<expiresAt>:<crc>`. Throws Fault `codec.invalid` for fields that no such code can carry. */
export function preAuthorisedCodeText({ userId, secureCode, expiresAt }: PreAuthorisedCode): string {
  const wrong = wrongField({ userId, secureCode, expiresAt: String(expiresAt) });
  if (wrong) throw new Fault("codec.invalid", `a pre-authorised code: ${wrong.detail}`);
  const body = `${PRE_AUTHORISED_PREFIX}${userId}:${secureCode}:${expiresAt}`;
  return `${body}:${crc16Of(body)}`;
}

export function parsePreAuthorisedCode(text: string): Result<PreAuthorisedCode, Refused> {
  const parts = text.split(":");
  const [, userId = "", secureCode = "", expiresAt = "", crc = ""] = parts;
  if (parts.length !== PARTS) return refuse("wrong-shape", `it has ${parts.length} parts between colons, not ${PARTS}`);
  if (!CRC.test(crc)) return refuse("wrong-checksum", "its checksum is not four hex digits in upper case");
  if (crc16Of(text.slice(0, text.lastIndexOf(":"))) !== crc) {
    return refuse("wrong-checksum", "its checksum is not that of the text before it");
  }
  const wrong = wrongField({ userId, secureCode, expiresAt });
  if (wrong) return refuse(wrong.why, wrong.detail);
  return ok({ userId, secureCode, expiresAt: Number(expiresAt) });
}

function wrongField(fields: {
  readonly userId: string;
  readonly secureCode: string;
  readonly expiresAt: string;
}): Refused | undefined {
  const wrong = (why: CodeRefusal, detail: string): Refused => ({ why, detail });
  const { userId, secureCode, expiresAt } = fields;
  if (!USER_ID.test(userId)) {
    return wrong("wrong-characters", "its user id is not 1 to 32 letters, digits, dots, dashes or underscores");
  }
  if (secureCode.length !== SECURE_CODE_CHARACTERS) {
    return wrong("wrong-length", `its secure code has ${secureCode.length} characters, not ${SECURE_CODE_CHARACTERS}`);
  }
  if (!BASE32.test(secureCode)) return wrong("wrong-characters", "its secure code is not base32");
  if (!SECURE_CODE.test(secureCode)) return wrong("wrong-characters", "its secure code is of more than 128 bits");
  if (!EXPIRES_AT.test(expiresAt)) {
    return wrong("wrong-characters", "its expiry is not 13 digits of milliseconds since 1970");
  }
  return undefined;
}

/** What a version 40 QR code of medium error correction holds. */
export const OWN_CODE_CHARACTERS_MAX = 2_331;
/** Base64url, and what separates parts. */
const BODY = /^[A-Za-z0-9._~:/+=$-]+$/;

/** The text behind the prefix; what it means is for the part of the agent that knows notes. */
export function parsePrefixed(text: string, prefix: string): Result<string, Refused> {
  const body = text.slice(prefix.length);
  if (text.length > OWN_CODE_CHARACTERS_MAX) {
    return refuse("too-long", `it has ${text.length} characters, ${OWN_CODE_CHARACTERS_MAX} at most`);
  }
  if (body === "") return refuse("wrong-length", "nothing follows its prefix");
  if (!BODY.test(body)) return refuse("wrong-characters", "it has characters that no such code has");
  return ok(body);
}
