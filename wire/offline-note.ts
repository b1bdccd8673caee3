/**
 * Payment with both sides offline (RM11): the allowance that the hub signs for a phone, the challenge that a terminal shows
 * (`OC1:`), and the note that the phone answers with (`OA1:`). Bytes in base64url, small enough for a QR code. All of it is
 * checked without a network: the note up to the hub's key, every field of it against the challenge.
 */
import { createPublicKey, hash, type KeyObject } from "node:crypto";
import { ByteReader, concat, fromHex, sameBytes, toBase64, toHex } from "../base/bytes.ts";
import { Fault, isFault, reasonOf } from "../base/fault.ts";
import { type Epoch, ID_PATTERN, type PaymentId, type TerminalId } from "../base/ids.ts";
import { AMOUNT_MINOR_MAX, type Currency, currencyOfNumericCode, type Money, numericCodeOf } from "../base/money.ts";
import { fail, ok, type Result } from "../base/result.ts";
import type { ReasonCode } from "./common.ts";
import { bytesSignatureFits, signBytes } from "./signing.ts";

export const CHALLENGE_PREFIX = "OC1:";
export const NOTE_PREFIX = "OA1:";
/** Characters; the longest ids fit. A QR code of version 20 holds 666 at error correction M. */
export const NOTE_TEXT_MAX = 576;
export const CHALLENGE_TEXT_MAX = 320;
export const NONCE_BYTES = 16;
export const ALLOWANCE_ID_BYTES = 12;
/** UTF-8. */
export const PAYEE_BYTES_MAX = 64;

const VERSION = 1;
const DEVICE_ID_BYTES = 8;
const EPOCH_BYTES = 8;
const KEY_BYTES = 32;
const KEY_ID_BYTES = 8;
const SIGNATURE_BYTES = 64;
const DIGEST_BYTES = 32;
/** DER of a SubjectPublicKeyInfo for Ed25519 up to the key itself (RFC 8410, 4). */
const SPKI_HEAD = fromHex("302a300506032b6570032100");

/** What a phone may spend with no hub in reach. The hub has set the money aside already. */
export interface Allowance {
  /** 24 hex digits. */
  readonly allowanceId: string;
  /** 16 hex digits. Whose phone it is, the hub alone knows. */
  readonly deviceId: string;
  /** Ed25519: checks the phone's notes. */
  readonly payerKey: KeyObject;
  readonly amount: Money;
  /** The counter of the first note. */
  readonly counterStart: number;
  /** Milliseconds since 1970, hub time. The last millisecond still counts. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly hubEpoch: Epoch;
}

/** What a terminal asks for. Not signed: nobody offline could tell its key from another's. */
export interface Challenge {
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
  readonly paymentId: PaymentId;
  readonly nonce: Uint8Array;
  readonly amount: Money;
  /** Who is paid, for the payer to read. */
  readonly payee: string;
}

/** What the payer signs besides the allowance that it comes out of. */
export interface Spending extends Omit<Challenge, "payee"> {
  readonly counter: number;
  /** Of the allowance, in minor units, this note included. */
  readonly spentAfter: bigint;
  /** Of the note before; of the allowance for the first one. 64 hex digits. */
  readonly previousHash: string;
}

export interface NoteContent extends Spending {
  readonly allowance: Allowance;
  /** Where the chain of the allowance begins: what the first note's `previousHash` must be. */
  readonly allowanceHash: string;
  readonly payerKeyId: string;
  /** Over what was signed: two notes with one counter and two hashes are a double spend. */
  readonly hash: string;
}

export interface NoteRefusal {
  readonly reason: ReasonCode;
  readonly detail: string;
}

const refuse = (reason: ReasonCode, detail: string) => fail<NoteRefusal>({ reason, detail });
const sha256 = (bytes: Uint8Array): string => hash("sha256", bytes, "hex");

function unsigned(value: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let rest = value;
  for (let at = length - 1; at >= 0; at -= 1) {
    bytes[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  if (rest !== 0n || value < 0n) throw new Fault("codec.invalid", `${value} does not fit ${length} bytes`);
  return bytes;
}
const u16 = (value: number) => unsigned(BigInt(value), 2);
const u32 = (value: number) => unsigned(BigInt(value), 4);
const u48 = (value: bigint) => unsigned(value, 6);
const text = (value: string) => {
  const bytes = Buffer.from(value, "utf8");
  return concat(unsigned(BigInt(bytes.length), 1), bytes);
};
const fixedHex = (value: string, length: number): Uint8Array => {
  const bytes = fromHex(value);
  if (bytes.length !== length) throw new Fault("codec.invalid", `${value} is not ${length} bytes`);
  return bytes;
};
const amountBytes = ({ minor, currency }: Money) => concat(u48(minor), u16(numericCodeOf(currency)));

/** The 32 bytes of an Ed25519 public key. */
export const rawKey = (key: KeyObject): Uint8Array =>
  new Uint8Array(key.export({ type: "spki", format: "der" }).subarray(SPKI_HEAD.length));
const keyOfRaw = (raw: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.from(concat(SPKI_HEAD, raw)), type: "spki", format: "der" });
const keyIdOf = (raw: Uint8Array): Uint8Array => fromHex(sha256(raw)).subarray(0, KEY_ID_BYTES);

const allowanceBytes = (allowance: Allowance): Uint8Array =>
  concat(
    Uint8Array.of(VERSION),
    fixedHex(allowance.allowanceId, ALLOWANCE_ID_BYTES),
    fixedHex(allowance.deviceId, DEVICE_ID_BYTES),
    rawKey(allowance.payerKey),
    amountBytes(allowance.amount),
    u32(allowance.counterStart),
    u48(BigInt(allowance.issuedAt)),
    u48(BigInt(allowance.expiresAt)),
    fixedHex(allowance.hubEpoch, EPOCH_BYTES),
  );
const ALLOWANCE_BYTES = 1 + ALLOWANCE_ID_BYTES + DEVICE_ID_BYTES + KEY_BYTES + 8 + 4 + 6 + 6 + EPOCH_BYTES;

/** The hub's word: base64url of the allowance and the signature over it. */
export function signAllowance(allowance: Allowance, hubKey: KeyObject): string {
  const bytes = allowanceBytes(allowance);
  return toText(concat(bytes, signBytes("allowance", bytes, hubKey)));
}

/** Throws Fault `signature.invalid` when the hub did not sign it, `codec.*` when it is no allowance. */
export function openAllowance(allowanceText: string, hubSigningKey: KeyObject) {
  const reader = new ByteReader(fromText(allowanceText));
  const opened = readAllowance(reader, hubSigningKey);
  noMore(reader);
  return opened;
}

function readAllowance(reader: ByteReader, hubSigningKey: KeyObject) {
  const bytes = reader.take(ALLOWANCE_BYTES);
  const signature = reader.take(SIGNATURE_BYTES);
  const fields = new ByteReader(bytes);
  version(fields, "allowance");
  if (!bytesSignatureFits("allowance", { bytes, signature }, hubSigningKey))
    throw new Fault("signature.invalid", "the allowance is not signed by the hub");
  const allowance: Allowance = {
    allowanceId: toHex(fields.take(ALLOWANCE_ID_BYTES)),
    deviceId: toHex(fields.take(DEVICE_ID_BYTES)),
    payerKey: keyOfRaw(fields.take(KEY_BYTES)),
    amount: readAmount(fields),
    counterStart: Number(readUnsigned(fields, 4)),
    issuedAt: Number(readUnsigned(fields, 6)),
    expiresAt: Number(readUnsigned(fields, 6)),
    hubEpoch: toHex(fields.take(EPOCH_BYTES)) as Epoch,
  };
  return { allowance, allowanceHash: sha256(bytes) };
}

export function encodeChallenge(challenge: Challenge): string {
  const { terminalId, epoch, paymentId, nonce, amount, payee } = challenge;
  const parts = [
    text(terminalId),
    fixedHex(epoch, EPOCH_BYTES),
    text(paymentId),
    nonce,
    amountBytes(amount),
    text(payee),
  ];
  return CHALLENGE_PREFIX + toText(concat(Uint8Array.of(VERSION), ...parts));
}

/** Throws Fault `codec.*` for anything else. */
export function decodeChallenge(challengeText: string): Challenge {
  if (!challengeText.startsWith(CHALLENGE_PREFIX) || challengeText.length > CHALLENGE_TEXT_MAX)
    throw new Fault(
      "codec.invalid",
      `not a challenge: ${CHALLENGE_PREFIX} and at most ${CHALLENGE_TEXT_MAX} characters`,
    );
  const reader = new ByteReader(fromText(challengeText.slice(CHALLENGE_PREFIX.length)));
  version(reader, "challenge");
  const challenge: Challenge = {
    terminalId: readId(reader) as TerminalId,
    epoch: toHex(reader.take(EPOCH_BYTES)) as Epoch,
    paymentId: readId(reader) as PaymentId,
    nonce: new Uint8Array(reader.take(NONCE_BYTES)),
    amount: readAmount(reader),
    payee: readPayee(reader),
  };
  noMore(reader);
  return challenge;
}

/** What the payer signs, in the order of RM11; `signBytes` puts the domain tag before it. */
function signedBytes(allowance: Allowance, spending: Spending): Uint8Array {
  return concat(
    Uint8Array.of(VERSION),
    fixedHex(allowance.allowanceId, ALLOWANCE_ID_BYTES),
    keyIdOf(rawKey(allowance.payerKey)),
    text(spending.terminalId),
    fixedHex(spending.epoch, EPOCH_BYTES),
    text(spending.paymentId),
    spending.nonce,
    amountBytes(spending.amount),
    u32(spending.counter),
    u48(spending.spentAfter),
    fixedHex(spending.previousHash, DIGEST_BYTES),
  );
}

/** The allowance with the hub's signature, then the spending with the payer's. Gives also the hash that the next note names. */
export function signNote(
  allowanceText: string,
  allowance: Allowance,
  { spending, payerKey }: { readonly spending: Spending; readonly payerKey: KeyObject },
): { readonly text: string; readonly hash: string } {
  const signed = signedBytes(allowance, spending);
  // The allowance already says its id and its key, so they are signed and not sent twice.
  const sent = concat(signed.subarray(0, 1), signed.subarray(1 + ALLOWANCE_ID_BYTES + KEY_ID_BYTES));
  const bytes = concat(fromText(allowanceText), sent, signBytes("note", signed, payerKey));
  return { text: NOTE_PREFIX + toText(bytes), hash: sha256(signed) };
}

/** Checks the form and both signatures, and nothing of where and when it is used. Never throws for what came from outside. */
export function openNote(noteText: string, hubSigningKey: KeyObject): Result<NoteContent, NoteRefusal> {
  if (noteText.length > NOTE_TEXT_MAX)
    return refuse("E_FORMAT", `a note has at most ${NOTE_TEXT_MAX} characters, this has ${noteText.length}`);
  if (!noteText.startsWith(NOTE_PREFIX)) return refuse("E_FORMAT", `not a note: it does not begin with ${NOTE_PREFIX}`);
  try {
    return readNote(new ByteReader(fromText(noteText.slice(NOTE_PREFIX.length))), hubSigningKey);
  } catch (error) {
    if (!isFault(error)) throw error;
    return refuse(error.code === "signature.invalid" ? "E_SIG" : "E_FORMAT", reasonOf(error));
  }
}

function readNote(reader: ByteReader, hubSigningKey: KeyObject): Result<NoteContent, NoteRefusal> {
  const { allowance, allowanceHash } = readAllowance(reader, hubSigningKey);
  version(reader, "note");
  const spending: Spending = {
    terminalId: readId(reader) as TerminalId,
    epoch: toHex(reader.take(EPOCH_BYTES)) as Epoch,
    paymentId: readId(reader) as PaymentId,
    nonce: new Uint8Array(reader.take(NONCE_BYTES)),
    amount: readAmount(reader),
    counter: Number(readUnsigned(reader, 4)),
    spentAfter: readUnsigned(reader, 6),
    previousHash: toHex(reader.take(DIGEST_BYTES)),
  };
  const signature = reader.take(SIGNATURE_BYTES);
  noMore(reader);
  const bytes = signedBytes(allowance, spending);
  if (!bytesSignatureFits("note", { bytes, signature }, allowance.payerKey))
    return refuse("E_SIG", "the note is not signed by the key that the allowance names");
  const payerKeyId = toHex(keyIdOf(rawKey(allowance.payerKey)));
  return ok({ ...spending, allowance, allowanceHash, payerKeyId, hash: sha256(bytes) });
}

export interface NoteToCheck {
  readonly text: string;
  /** What this terminal asked for, and remembers. */
  readonly challenge: Challenge;
  readonly hubSigningKey: KeyObject;
  /** Hub time in milliseconds since 1970. */
  readonly now: number;
  /** Whether the deny list names this phone. */
  deniedDevice(deviceId: string): boolean;
}

/** Everything that a terminal can know of a note with no network (RM11). Each way to be wrong has its own reason. */
export function checkNote(input: NoteToCheck): Result<NoteContent, NoteRefusal> {
  const opened = openNote(input.text, input.hubSigningKey);
  if (!opened.ok) return opened;
  const note = opened.value;
  const refusal = refusalForChallenge(note, input.challenge) ?? refusalOfSpending(note);
  if (refusal) return fail(refusal);
  if (input.deniedDevice(note.allowance.deviceId)) return refuse("E_DENIED", "this phone is on the deny list");
  return input.now > note.allowance.expiresAt ? refuse("E_EXPIRED", "the phone's allowance has expired") : opened;
}

function refusalForChallenge(note: NoteContent, challenge: Challenge): NoteRefusal | undefined {
  const replay = (what: string): NoteRefusal => ({
    reason: "E_REPLAY",
    detail: `this note was made for another ${what}`,
  });
  if (note.terminalId !== challenge.terminalId) return replay("terminal");
  if (note.epoch !== challenge.epoch) return replay("journal of this terminal");
  if (note.paymentId !== challenge.paymentId) return replay("payment");
  if (!sameBytes(note.nonce, challenge.nonce)) return replay("challenge of this payment");
  if (note.amount.currency !== challenge.amount.currency)
    return { reason: "E_CONFLICT", detail: `the note is in ${note.amount.currency}, not ${challenge.amount.currency}` };
  if (note.amount.minor !== challenge.amount.minor)
    return { reason: "E_CONFLICT", detail: "the note's amount is not what was asked for" };
  return undefined;
}

/** Whether the note can be one of the chain that the allowance permits; the notes between are not needed for it. */
export function refusalOfSpending(note: NoteContent): NoteRefusal | undefined {
  const { allowance, amount, counter, spentAfter } = note;
  if (amount.currency !== allowance.amount.currency)
    return { reason: "E_CONFLICT", detail: `the allowance is in ${allowance.amount.currency}` };
  if (spentAfter > allowance.amount.minor)
    return { reason: "E_LIMIT", detail: "the note spends more than the allowance has left" };
  if (counter < allowance.counterStart)
    return {
      reason: "E_STATE",
      detail: `counter ${counter} is below the allowance's first, ${allowance.counterStart}`,
    };
  const earlier = BigInt(counter - allowance.counterStart);
  // Each note spends at least one minor unit, and the first one spends nothing but itself.
  if (spentAfter - amount.minor < earlier || (earlier === 0n && spentAfter !== amount.minor))
    return { reason: "E_STATE", detail: "what is spent does not fit the note's amount and counter" };
  if ((earlier === 0n) !== (note.previousHash === note.allowanceHash))
    return { reason: "E_STATE", detail: "the first note follows the allowance, and no other does" };
  return undefined;
}

/** The terminal's word that it took the note for goods: base64. */
export const countersign = (noteText: string, terminalKey: KeyObject): string =>
  toBase64(signBytes("note-taken", Buffer.from(noteText, "utf8"), terminalKey));
export const countersignatureFits = (
  taken: { readonly note: string; readonly countersignature: string },
  terminalSigningKey: KeyObject,
): boolean =>
  bytesSignatureFits(
    "note-taken",
    { bytes: Buffer.from(taken.note, "utf8"), signature: Buffer.from(taken.countersignature, "base64") },
    terminalSigningKey,
  );

const toText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");

/** Strict: one text for one message, so that a changed character never goes unseen. */
function fromText(encoded: string): Uint8Array {
  const bytes = Buffer.from(encoded, "base64url");
  if (bytes.toString("base64url") !== encoded) throw new Fault("codec.invalid", "not base64url without padding");
  return new Uint8Array(bytes);
}

function version(reader: ByteReader, what: string): void {
  const found = reader.u8();
  if (found !== VERSION) throw new Fault("codec.invalid", `version ${found} of the ${what} is not known here`);
}

function readUnsigned(reader: ByteReader, length: number): bigint {
  return reader.take(length).reduce((value, byte) => value * 256n + BigInt(byte), 0n);
}

function readAmount(reader: ByteReader): Money {
  const minor = readUnsigned(reader, 6);
  const numeric = reader.u16();
  const currency: Currency | undefined = currencyOfNumericCode(numeric);
  if (currency === undefined) throw new Fault("codec.invalid", `currency ${numeric} is not known here`);
  if (minor === 0n || minor > AMOUNT_MINOR_MAX) throw new Fault("codec.invalid", "the amount is nothing, or too large");
  return { minor, currency };
}

function readId(reader: ByteReader): string {
  const id = Buffer.from(reader.take(reader.u8())).toString("latin1");
  if (!ID_PATTERN.test(id)) throw new Fault("codec.invalid", "not an identifier");
  return id;
}

function readPayee(reader: ByteReader): string {
  const bytes = reader.take(reader.u8());
  const payee = Buffer.from(bytes).toString("utf8");
  // Control and format characters could show the payer something else than what is meant.
  if (bytes.length > PAYEE_BYTES_MAX || payee.trim() === "" || /\p{C}|\uFFFD/u.test(payee))
    throw new Fault("codec.invalid", `the payee's name is 1 to ${PAYEE_BYTES_MAX} bytes of plain text`);
  return payee;
}

function noMore(reader: ByteReader): void {
  if (reader.remaining > 0) throw new Fault("codec.invalid", `${reader.remaining} bytes too many`);
}
