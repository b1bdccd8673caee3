/**
 * What of a recorded dialogue people may see (RM6). Nothing is shown but what a list of tags allows, so that an object that
 * nobody thought of stays hidden. Lengths and, where it is known, structure are kept.
 *
 * Hidden beside card number, tracks, name and every record: the ICC certificate (9F46), which gives the card number to whoever
 * has the public keys; the issuer's certificate and remainders (90, 92, 9F48), which lead there; and 93, 9F4B and 98, whose
 * hashes cover the card number, so that its few unknown digits could be tried until the hash fits.
 */
import { ByteReader, toHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import { decodeCommand } from "./apdu.ts";
import { isConstructed, readLength, readTag, type Tag, TLV_DEPTH_MAX } from "./ber-tlv.ts";
import { INS } from "./commands.ts";
import { decodeDol, dolDataLength } from "./dol.ts";
import { EMV_TAGS } from "./tags.ts";

export const MASKED_BYTE = "**";

/** Objects without a word about the cardholder's account, outside records. */
const SHOWN: ReadonlySet<Tag> = new Set([
  0x4f, 0x50, 0x5f2a, 0x5f2d, 0x5f36, 0x81, 0x82, 0x84, 0x87, 0x88, 0x8a, 0x8f, 0x91, 0x94, 0x95, 0x9a, 0x9b, 0x9c,
  0x9d, 0x9f01, 0x9f02, 0x9f03, 0x9f04, 0x9f06, 0x9f08, 0x9f09, 0x9f10, 0x9f11, 0x9f12, 0x9f13, 0x9f14, 0x9f15, 0x9f16,
  0x9f17, 0x9f1a, 0x9f1b, 0x9f1c, 0x9f1d, 0x9f1e, 0x9f21, 0x9f22, 0x9f23, 0x9f26, 0x9f27, 0x9f2a, 0x9f33, 0x9f34,
  0x9f35, 0x9f36, 0x9f37, 0x9f38, 0x9f39, 0x9f3a, 0x9f3c, 0x9f3d, 0x9f40, 0x9f41, 0x9f45, 0x9f4c, 0x9f4d, 0x9f4e,
  0x9f5b, 0x9f66,
]);
/** Templates whose own tag and length are shown. */
const TEMPLATES: ReadonlySet<Tag> = new Set([0x61, 0x6f, 0x70, 0x77, 0xa5, 0xbf0c]);
/** Their bytes are sought in everything that is shown. */
const SECRET: ReadonlySet<Tag> = new Set([
  0x56, 0x57, 0x5a, 0x5f20, 0x5f53, 0x90, 0x92, 0x93, 0x98, 0x9f0b, 0x9f1f, 0x9f20, 0x9f24, 0x9f46, 0x9f48, 0x9f4b,
  0x9f6b,
]);

export const isShown = (tag: Tag): boolean => SHOWN.has(tag);

interface Exchange {
  readonly command: Uint8Array;
  readonly answer?: Uint8Array;
}

export interface MaskedExchange {
  readonly command: string;
  readonly answer?: string;
}

/** Hex with `**` for what is hidden, byte by byte. */
export function maskExchanges(exchanges: readonly Exchange[]): readonly MaskedExchange[] {
  const masker = new Masker(secretsOf(exchanges));
  return exchanges.map((exchange) => masker.mask(exchange));
}

/** Issuer scripts may carry anything for the card's files: only how long they are is shown. */
export const hideScript = (hex: string): string => MASKED_BYTE.repeat(hex.length / 2);

/** A byte of a value that is hidden. */
type Hidden = boolean[];
const all = (bytes: number): Hidden => Array.from({ length: bytes }, () => true);
const none = (bytes: number): Hidden => Array.from({ length: bytes }, () => false);

const STATUS_BYTES = 2;
/** No card has as many; each is looked for in every line, so that of one that has nothing at all is shown. */
const SECRETS_MAX = 1_000;
const SENT_IN_CLEAR: ReadonlySet<number> = new Set([INS.select, INS.externalAuthenticate]);
const DATA_OFFSET = 5;
const WRONG_LE = 0x6c;

class Masker {
  readonly #secrets: readonly string[];
  /** The card's lists that say what the terminal sends. */
  readonly #lists = new Map<Tag, Uint8Array>();
  #instruction = 0;
  #cryptograms = 0;

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets;
  }

  mask({ command, answer }: Exchange): MaskedExchange {
    const { ins, data } = decodeCommand(command);
    // What GET RESPONSE fetches belongs to the command before it.
    if (ins !== INS.getResponse) this.#instruction = ins;
    if (ins === INS.select) this.#lists.clear();
    if (ins === INS.select || ins === INS.getProcessingOptions) this.#cryptograms = 0;
    const sent = data ? this.#hideSent(data) : [];
    const before = none(data ? DATA_OFFSET : command.length);
    const shownCommand = this.#render(command, [
      ...before,
      ...sent,
      ...none(command.length - before.length - sent.length),
    ]);
    if (!answer) return { command: shownCommand };
    // Nothing was done, and the same command follows with another Le (Book 1, 9.3.1.1).
    if (ins === INS.generateAc && answer.at(-STATUS_BYTES) === WRONG_LE) this.#cryptograms -= 1;
    const content = answer.subarray(0, -STATUS_BYTES);
    const hidden = [...this.#hideReceived(content), ...none(STATUS_BYTES)];
    for (const { tag, value } of objectsOf(content) ?? []) if (LISTS.has(tag)) this.#lists.set(tag, value);
    return { command: shownCommand, answer: this.#render(answer, hidden) };
  }

  #hideSent(data: Uint8Array): Hidden {
    switch (this.#instruction) {
      case INS.getProcessingOptions:
        return this.#hideOptions(data);
      case INS.generateAc:
        this.#cryptograms += 1;
        return this.#hideListed(data, this.#cryptograms === 1 ? 0x8c : 0x8d);
      case INS.internalAuthenticate:
        return this.#hideListed(data, 0x9f49);
      default:
        // Whatever else is sent may be a PIN or a script for the card's files.
        return SENT_IN_CLEAR.has(this.#instruction) ? none(data.length) : all(data.length);
    }
  }

  /** The template 83 around the values of the PDOL. */
  #hideOptions(data: Uint8Array): Hidden {
    const [template] = spansOf(data) ?? [];
    if (template?.tag !== 0x83 || template.end !== data.length) return all(data.length);
    return [...none(template.start), ...this.#hideListed(data.subarray(template.start), 0x9f38)];
  }

  /** Values in the order of a list of the card's; all of them are hidden when that does not fit. */
  #hideListed(data: Uint8Array, list: Tag): Hidden {
    const entries = reading(() => decodeDol(this.#lists.get(list) ?? new Uint8Array(0))) ?? [];
    if (dolDataLength(entries) !== data.length) return all(data.length);
    return entries.flatMap(({ tag, length }) => (isShown(tag) ? none(length) : all(length)));
  }

  #hideReceived(content: Uint8Array): Hidden {
    const spans = spansOf(content);
    if (!spans) return all(content.length);
    const isRecord = this.#instruction === INS.readRecord;
    if (isRecord && (spans.length !== 1 || spans[0]?.tag !== 0x70)) return all(content.length);
    const hidden = none(content.length);
    const hide = ({ from, end }: { from: number; end: number }): void => void hidden.fill(true, from, end);
    const visit = (span: Span): void => {
      if (span.children) {
        if (TEMPLATES.has(span.tag)) span.children.forEach(visit);
        else hide({ from: span.tagAt, end: span.end });
      } else if (!isKnown(span.tag)) hide({ from: span.tagAt, end: span.end });
      else if (isRecord || !this.#isAnswerShown(span.tag)) hide({ from: span.start, end: span.end });
    };
    spans.forEach(visit);
    return hidden;
  }

  /** Format 1 has no tags: only where its content is known is it shown. */
  #isAnswerShown(tag: Tag): boolean {
    if (tag !== 0x80) return isShown(tag);
    return this.#instruction === INS.getProcessingOptions || this.#instruction === INS.generateAc;
  }

  /** After everything else, known secrets are looked for at every half byte: a card may repeat them anywhere. */
  #render(bytes: Uint8Array, hidden: Hidden): string {
    const text = toHex(bytes);
    if (this.#secrets.length > SECRETS_MAX) hidden.fill(true);
    else
      for (const secret of this.#secrets) {
        for (let at = text.indexOf(secret); at >= 0; at = text.indexOf(secret, at + 1)) {
          hidden.fill(true, at >> 1, (at + secret.length + 1) >> 1);
        }
      }
    return hidden
      .map((hide, index) => (hide ? MASKED_BYTE : text.slice(index * 2, index * 2 + 2).toUpperCase()))
      .join("");
  }
}

const LISTS: ReadonlySet<Tag> = new Set([0x8c, 0x8d, 0x9f38, 0x9f49]);

const isKnown = (tag: Tag): boolean => EMV_TAGS.has(tag) || SHOWN.has(tag) || SECRET.has(tag);

/** One object and where it lies: its tag, its value and its end. */
interface Span {
  readonly tag: Tag;
  readonly tagAt: number;
  readonly start: number;
  readonly end: number;
  /** Of a constructed object. */
  readonly children?: readonly Span[];
}

/** Undefined when the bytes are no sequence of objects. */
const spansOf = (bytes: Uint8Array): readonly Span[] | undefined => reading(() => spansWithin(bytes, 0, 1));

function spansWithin(bytes: Uint8Array, offset: number, depth: number): readonly Span[] {
  const reader = new ByteReader(bytes);
  const spans: Span[] = [];
  while (reader.remaining > 0) {
    const tagAt = offset + reader.position;
    if (bytes[reader.position] === 0x00) {
      reader.u8();
      continue;
    }
    const tag = readTag(reader);
    const length = readLength(reader);
    const start = offset + reader.position;
    const value = reader.take(length);
    const nested = isConstructed(tag) && depth < TLV_DEPTH_MAX;
    const place = { tag, tagAt, start, end: start + length };
    spans.push(nested ? { ...place, children: spansWithin(value, start, depth + 1) } : place);
  }
  return spans;
}

/** Primitive objects of an answer, in order. */
function objectsOf(content: Uint8Array): readonly { readonly tag: Tag; readonly value: Uint8Array }[] | undefined {
  const flat = (span: Span): readonly Span[] => span.children?.flatMap(flat) ?? [span];
  return spansOf(content)
    ?.flatMap(flat)
    .map(({ tag, start, end }) => ({ tag, value: content.subarray(start, end) }));
}

function reading<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isFault(error)) return undefined;
    throw error;
  }
}

/** Shorter values, or such of one or two digits only, would hide amounts and counters that only look alike. */
const SECRET_DIGITS_MIN = 8;
const DISTINCT_DIGITS_MIN = 3;

const asText = (digits: string): string => digits.replace(/\d/g, "3$&");

/** What is looked for, in hex: secret objects, and each run of digits of a card number, packed and as text. */
function secretsOf(exchanges: readonly Exchange[]): readonly string[] {
  const secrets = new Set<string>();
  const add = (hex: string): void => {
    if (hex.length >= SECRET_DIGITS_MIN && new Set(hex).size >= DISTINCT_DIGITS_MIN) secrets.add(hex);
  };
  for (const { answer } of exchanges) {
    for (const { tag, value } of objectsOf(answer?.subarray(0, -STATUS_BYTES) ?? new Uint8Array(0)) ?? []) {
      if (!SECRET.has(tag)) continue;
      add(toHex(value).replace(/(?:20)+$/, ""));
      const digits = tag === 0x5a || tag === 0x57 ? (/^\d+/.exec(toHex(value))?.[0] ?? "") : "";
      for (const form of [digits, asText(digits)]) add(form);
      for (let at = 0; at + SECRET_DIGITS_MIN <= digits.length; at += 1) {
        const run = digits.slice(at, at + SECRET_DIGITS_MIN);
        if (new Set(run).size < DISTINCT_DIGITS_MIN) continue;
        for (const form of [run, asText(run)]) add(form);
      }
    }
  }
  return [...secrets];
}
