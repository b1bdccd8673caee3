/** What a scanned text is: its family by prefix and shape, its parts where the family has some, or why it is none. */
import type { Result } from "../../base/result.ts";
import { CONSUMER_CODE_PREFIX, type ConsumerCode, parseConsumerCode } from "./emvco-consumer.ts";
import { MERCHANT_CODE_PREFIX, type MerchantCode, parseMerchantCode } from "./emvco-merchant.ts";
import {
  OFFLINE_NOTE_PREFIX,
  PAYEE_CHALLENGE_PREFIX,
  PRE_AUTHORISED_PREFIX,
  type PreAuthorisedCode,
  parsePreAuthorisedCode,
  parsePrefixed,
} from "./own-codes.ts";
import { isGtin, isUpcE } from "./product-code.ts";
import type { Refused } from "./refusal.ts";

/** Families and their names for people. */
export const CODE_NAMES = {
  "pre-authorised": "pre-authorised code",
  "offline-note": "offline payment note",
  "payee-challenge": "payment challenge of a terminal",
  "emvco-merchant": "EMVCo merchant QR code",
  "emvco-consumer": "EMVCo consumer QR code",
  "alipay-plus": "Alipay+ payment code",
  "wechat-pay": "WeChat Pay payment code",
  product: "product code",
} as const;
export type CodeFamily = keyof typeof CODE_NAMES;

interface Named<Family extends CodeFamily> {
  readonly family: Family;
  /** For people. */
  readonly name: string;
}

export type RecognisedCode =
  | (Named<"pre-authorised"> & PreAuthorisedCode)
  /** `body`: the text behind the prefix. */
  | (Named<"offline-note" | "payee-challenge"> & { readonly body: string })
  | (Named<"emvco-merchant"> & MerchantCode)
  | (Named<"emvco-consumer"> & ConsumerCode)
  | (Named<"alipay-plus" | "wechat-pay"> & { readonly code: string })
  | (Named<"product"> & { readonly number: string })
  /** It begins like a code of that family and is none. */
  | ({ readonly family: "refused"; readonly name: string; readonly like: CodeFamily } & Refused)
  | { readonly family: "unknown"; readonly name: string };

/** The longest text of a code; whoever hands in more has not scanned it. */
export const TEXT_CHARACTERS_MAX = 7_089;

const UNKNOWN: RecognisedCode = { family: "unknown", name: "unknown code" };

/** `aim`: the AIM symbology identifier, where the scanner sent one. */
export function recogniseCode(text: string, aim?: string): RecognisedCode {
  if (text.length > TEXT_CHARACTERS_MAX) return UNKNOWN;
  return byPrefix(text) ?? byDigits(text, aim) ?? UNKNOWN;
}

function byPrefix(text: string): RecognisedCode | undefined {
  if (text.startsWith(PRE_AUTHORISED_PREFIX)) {
    return told("pre-authorised", parsePreAuthorisedCode(text), (code) => ({ ...named("pre-authorised"), ...code }));
  }
  if (text.startsWith(OFFLINE_NOTE_PREFIX)) return prefixed("offline-note", text, OFFLINE_NOTE_PREFIX);
  if (text.startsWith(PAYEE_CHALLENGE_PREFIX)) return prefixed("payee-challenge", text, PAYEE_CHALLENGE_PREFIX);
  // A long number may begin so too, but no wallet's number does.
  if (text.startsWith(MERCHANT_CODE_PREFIX) && !/^[0-9]{0,24}$/.test(text)) {
    return told("emvco-merchant", parseMerchantCode(text), (code) => ({ ...named("emvco-merchant"), ...code }));
  }
  if (text.startsWith(CONSUMER_CODE_PREFIX)) {
    return told("emvco-consumer", parseConsumerCode(text), (code) => ({ ...named("emvco-consumer"), ...code }));
  }
  return undefined;
}

function prefixed(family: "offline-note" | "payee-challenge", text: string, prefix: string): RecognisedCode {
  return told(family, parsePrefixed(text, prefix), (body) => ({ ...named(family), body }));
}

function told<T>(
  family: CodeFamily,
  parsed: Result<T, Refused>,
  recognised: (value: T) => RecognisedCode,
): RecognisedCode {
  return parsed.ok ? recognised(parsed.value) : refused(family, parsed.error);
}

const named = <Family extends CodeFamily>(family: Family): Named<Family> => ({ family, name: CODE_NAMES[family] });

const refused = (like: CodeFamily, { why, detail }: Refused): RecognisedCode => ({
  family: "refused",
  name: `broken ${CODE_NAMES[like]}`,
  like,
  why,
  detail,
});

/** 18 digits from 10 to 15 (WeChat Pay, "Quick Pay" rules of the payment code). */
const WECHAT_PAY = /^1[0-5][0-9]{16}$/;
/** 24 digits: issuer 6, business type 2, user 16; the older codes of 17 to 19 digits from 28 (Alipay+, Code Format Specification). */
const ALIPAY_PLUS = /^(?:(?:2[5-9]|30)[0-9]{22}|28[0-9]{15,17})$/;
/** Symbols of EAN and UPC without add-on (ISO/IEC 15424, code character E). */
const RETAIL_AIM = /^\]E[04]$/;

function byDigits(text: string, aim: string | undefined): RecognisedCode | undefined {
  if (aim !== undefined && RETAIL_AIM.test(aim)) {
    if (isGtin(text) || isUpcE(text)) return { ...named("product"), number: text };
    const why = /^[0-9]+$/.test(text) ? "wrong-checksum" : "wrong-characters";
    return refused("product", { why, detail: "its digits do not give its check digit" });
  }
  if (WECHAT_PAY.test(text)) return { ...named("wechat-pay"), code: text };
  if (ALIPAY_PLUS.test(text)) return { ...named("alipay-plus"), code: text };
  if (isGtin(text)) return { ...named("product"), number: text };
  return undefined;
}
