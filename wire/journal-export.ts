/**
 * A part of a terminal's journal as a file that proves itself: JSON lines, first a header, then entries as they were
 * stored (never their sealed card data, RM5), last an Ed25519 signature over a digest of every byte before it.
 * Archives, exports for a dispute and what a hub imports from a revoked terminal (RM18) are all of this form.
 */
import { createHash, type Hash, hash } from "node:crypto";
import { z } from "zod";
import { Fault, isFault } from "../base/fault.ts";
import type { Epoch, PaymentId, TerminalId } from "../base/ids.ts";
import { Base64Schema, DigestSchema, EpochSchema, PaymentIdSchema, TerminalIdSchema, TimeSchema } from "./common.ts";
import { hashEntry, type StoredEntry, StoredEntrySchema } from "./journal-entry.ts";
import { firstIssue, parseJson, readPublicKey, signatureFits } from "./signing.ts";

/** The longest line, in characters: an entry's longest text with every character escaped. */
export const EXPORT_LINE_MAX = 131_072;
/** The most entries that one file holds. */
export const EXPORT_ENTRIES_MAX = 10_000_000;

export const ExportHeaderSchema = z.strictObject({
  format: z.literal("tillway-journal"),
  v: z.literal(1),
  terminalId: TerminalIdSchema,
  epoch: EpochSchema,
  /** SPKI in base64. It says which key signed, not that the key is the terminal's: the reader compares it with what it knows. */
  publicKey: Base64Schema,
  /** Every entry from `first` to `last` is there, unless `payment` or `day` says which of them were taken. */
  first: z.int().min(1),
  last: z.int().min(0),
  payment: PaymentIdSchema.optional(),
  /** A business day: all entries of the payments that were decided on it. */
  day: z.iso.date().optional(),
  madeAt: TimeSchema,
});
export type ExportHeader = z.infer<typeof ExportHeaderSchema>;

export const ExportEndSchema = z.strictObject({
  entries: z.int().min(0).max(EXPORT_ENTRIES_MAX),
  /** SHA-256 over all lines before this one, each with its line feed. */
  digest: DigestSchema,
  signature: Base64Schema,
});

export interface ExportOptions {
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
  /** `publicKeyText` of the key that `sign` uses. */
  readonly publicKey: string;
  readonly range: { readonly first: number; readonly last: number };
  readonly payment?: PaymentId;
  readonly day?: string;
  /** ISO time. */
  readonly madeAt: string;
  /** The signature in base64, such as `signText("journal-export", text, key).signature`. */
  sign(text: string): string;
}

/** The lines of the file, without their line feeds; entries are taken as they come, in rising order. */
export function* writeExport(entries: Iterable<StoredEntry>, options: ExportOptions): Generator<string, void> {
  const writer = new ExportWriter(options);
  yield writer.header;
  for (const entry of entries) yield writer.line(entry);
  yield writer.end();
}

/** Makes a file line by line, where its entries have to be waited for. */
export class ExportWriter {
  readonly header: string;
  readonly #digest: Hash = createHash("sha256");
  readonly #sign: ExportOptions["sign"];
  #count = 0;

  constructor({ terminalId, epoch, publicKey, range, payment, day, madeAt, sign }: ExportOptions) {
    const header: ExportHeader = {
      format: "tillway-journal",
      v: 1,
      terminalId,
      epoch,
      publicKey,
      ...range,
      ...(payment === undefined ? {} : { payment }),
      ...(day === undefined ? {} : { day }),
      madeAt,
    };
    this.header = this.#hashed(JSON.stringify(header));
    this.#sign = sign;
  }

  /** Entries so far. */
  get count(): number {
    return this.#count;
  }

  /** Of the next entry, in rising order. */
  line(entry: StoredEntry): string {
    this.#count += 1;
    return this.#hashed(JSON.stringify(storedOf(entry)));
  }

  /** The last line, after which there is none. */
  end(): string {
    const digest = this.#digest.digest("hex");
    return JSON.stringify({ entries: this.#count, digest, signature: this.#sign(signedText(this.#count, digest)) });
  }

  #hashed(line: string): string {
    this.#digest.update(`${line}\n`);
    return line;
  }
}

const signedText = (entries: number, digest: string): string => `${entries}\n${digest}`;

/** Only what an entry is: a caller's object may carry more beside it, such as sealed card data. */
const storedOf = ({ sequence, forward, previousHash, hash: own, sealedDigest, text }: StoredEntry): StoredEntry => ({
  sequence,
  ...(forward === undefined ? {} : { forward }),
  previousHash,
  hash: own,
  ...(sealedDigest === undefined ? {} : { sealedDigest }),
  text,
});

export interface ExportError {
  readonly sequence: number;
  readonly why: string;
}

export interface ExportSummary {
  readonly header: ExportHeader;
  readonly count: number;
  /** The header's key signed exactly these lines. */
  readonly signatureHolds: boolean;
  /** The first entry whose hash does not cover it, or that does not follow from the one before, or that is missing. */
  readonly firstBad?: ExportError;
}

/** Takes a file line by line, for those that are larger than memory. Throws Fault `message.invalid`, naming the line. */
export class ExportReader {
  readonly #digest: Hash = createHash("sha256");
  #header: ExportHeader | undefined;
  #end: z.infer<typeof ExportEndSchema> | undefined;
  #lines = 0;
  #count = 0;
  #before: StoredEntry | undefined;
  #firstBad: ExportError | undefined;

  /** The entry of this line; undefined for header and end. */
  take(line: string): StoredEntry | undefined {
    this.#lines += 1;
    if (line.length > EXPORT_LINE_MAX) throw this.#wrong(`longer than ${EXPORT_LINE_MAX} characters`);
    if (this.#end) throw this.#wrong("something follows the signature");
    if (!this.#header) {
      this.#header = this.#parse(line, ExportHeaderSchema);
      this.#hash(line);
      return undefined;
    }
    if (line.startsWith('{"entries":')) {
      this.#end = this.#parse(line, ExportEndSchema);
      return undefined;
    }
    if (this.#count === EXPORT_ENTRIES_MAX) throw this.#wrong(`more than ${EXPORT_ENTRIES_MAX} entries`);
    const entry = this.#parse(line, StoredEntrySchema);
    this.#hash(line);
    this.#count += 1;
    this.#firstBad ??= misfit(entry, this.#before, this.#header);
    this.#before = entry;
    return entry;
  }

  /** The whole; throws Fault `message.invalid` for a file that was cut off. */
  finish(): ExportSummary {
    const [header, end] = [this.#header, this.#end];
    if (!header) throw new Fault("message.invalid", "no export of a journal: there is nothing in it");
    if (!end) throw new Fault("message.invalid", `the export ends after line ${this.#lines} without its signature`);
    const digest = this.#digest.digest("hex");
    const firstBad = this.#firstBad ?? missingAtEnd(header, this.#count);
    return {
      header,
      count: this.#count,
      signatureHolds: end.entries === this.#count && end.digest === digest && signatureHolds(header, end),
      ...(firstBad === undefined ? {} : { firstBad }),
    };
  }

  #hash(line: string): void {
    this.#digest.update(`${line}\n`);
  }

  #parse<T>(line: string, schema: z.ZodType<T>): T {
    let json: unknown;
    try {
      json = parseJson(line);
    } catch (error) {
      throw isFault(error) ? this.#wrong(error.message) : error;
    }
    const parsed = schema.safeParse(json);
    if (!parsed.success) throw this.#wrong(firstIssue(parsed.error));
    return parsed.data;
  }

  #wrong(why: string): Fault {
    return new Fault("message.invalid", `no export of a journal: line ${this.#lines}: ${why}`);
  }
}

/**
 * The lines of a file, whose text may hold every other character that some readers take for a line's end (U+2028 is one).
 * Throws Fault `message.invalid` for a line beyond the limit.
 */
export async function* exportLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
    if (rest.length > EXPORT_LINE_MAX) {
      throw new Fault("message.invalid", `no export of a journal: a line is longer than ${EXPORT_LINE_MAX} characters`);
    }
  }
  rest += decoder.decode();
  if (rest !== "") yield rest;
}

/** What people compare keys by: the first 32 hex digits of the SHA-256 of the key's text. */
export const keyFingerprint = (publicKey: string): string => hash("sha256", publicKey, "hex").slice(0, 32);

const isWhole = (header: ExportHeader): boolean => header.payment === undefined && header.day === undefined;

function misfit(entry: StoredEntry, before: StoredEntry | undefined, header: ExportHeader): ExportError | undefined {
  const { sequence } = entry;
  const wrong = (why: string): ExportError => ({ sequence, why });
  if (sequence < header.first || sequence > header.last) return wrong("lies outside the file's range");
  if (before ? sequence <= before.sequence : isWhole(header) && sequence !== header.first)
    return wrong("is out of order");
  if (before && isWhole(header) && sequence !== before.sequence + 1) {
    return wrong(`follows entry ${before.sequence}: some are missing`);
  }
  if (before?.sequence === sequence - 1 && entry.previousHash !== before.hash) {
    return wrong("does not follow from the entry before it");
  }
  const own = hashEntry({ terminalId: header.terminalId, epoch: header.epoch, ...entry });
  return own === entry.hash ? undefined : wrong("was changed after it was written");
}

function missingAtEnd(header: ExportHeader, count: number): ExportError | undefined {
  if (!isWhole(header) || count >= header.last - header.first + 1) return undefined;
  return { sequence: header.first + count, why: `is missing, the file speaks of entries up to ${header.last}` };
}

function signatureHolds(header: ExportHeader, end: z.infer<typeof ExportEndSchema>): boolean {
  const signed = { text: signedText(end.entries, end.digest), signature: end.signature };
  try {
    const key = readPublicKey(header.publicKey);
    return key.asymmetricKeyType === "ed25519" && signatureFits("journal-export", signed, key);
  } catch {
    // A key that is none signed nothing.
    return false;
  }
}
