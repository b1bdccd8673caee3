import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { toHex } from "../base/bytes.ts";
import type { Epoch, PaymentId, TerminalId } from "../base/ids.ts";
import { currencyOf, money } from "../base/money.ts";
import {
  type Allowance,
  type Challenge,
  checkNote,
  countersign,
  countersignatureFits,
  decodeChallenge,
  encodeChallenge,
  NOTE_TEXT_MAX,
  openAllowance,
  openNote,
  type Spending,
  signAllowance,
  signNote,
} from "./offline-note.ts";
import { newSigningKeys, readPrivateKey, readPublicKey } from "./signing.ts";

const NoteVector = z.object({
  challenge: z.string(),
  paymentId: z.string(),
  nonce: z.string(),
  minor: z.int(),
  counter: z.int(),
  spentAfter: z.int(),
  previousHash: z.string(),
  hash: z.string(),
  note: z.string(),
  countersignature: z.string(),
});
const Vectors = z.object({
  cases: z.array(
    z.object({
      name: z.string(),
      allowanceId: z.string(),
      deviceId: z.string(),
      allowanceMinor: z.int(),
      currency: z.string(),
      counterStart: z.int(),
      issuedAt: z.int(),
      expiresAt: z.int(),
      hubEpoch: z.string(),
      terminalId: z.string(),
      epoch: z.string(),
      payee: z.string(),
      keys: z.record(z.string(), z.string()),
      allowance: z.string(),
      notes: z.array(NoteVector),
    }),
  ),
});
type Vector = z.infer<typeof Vectors>["cases"][number];
const { cases } = Vectors.parse(
  JSON.parse(readFileSync(new URL("../test/vectors/offline-note/note-made.json", import.meta.url), "utf8")),
);
const privateKey = (vector: Vector, name: string) => readPrivateKey(vector.keys[name] ?? "");
const publicKey = (vector: Vector, name: string) => readPublicKey(vector.keys[name] ?? "");
const nobodyDenied = () => false;

test.each(cases)("RM11 what an independent implementation made is what we make, and is taken: $name", (vector) => {
  const hubSigningKey = publicKey(vector, "hubPublic");
  const { allowance } = openAllowance(vector.allowance, hubSigningKey);
  expect(signAllowance(allowance, privateKey(vector, "hubPrivate"))).toBe(vector.allowance);
  expect(allowance).toMatchObject({
    allowanceId: vector.allowanceId,
    deviceId: vector.deviceId,
    amount: money(BigInt(vector.allowanceMinor), vector.currency),
    counterStart: vector.counterStart,
    issuedAt: vector.issuedAt,
    expiresAt: vector.expiresAt,
    hubEpoch: vector.hubEpoch,
  });
  for (const made of vector.notes) {
    const challenge = decodeChallenge(made.challenge);
    expect(encodeChallenge(challenge)).toBe(made.challenge);
    expect({ ...challenge, nonce: toHex(challenge.nonce) }).toEqual({
      terminalId: vector.terminalId,
      epoch: vector.epoch,
      paymentId: made.paymentId,
      nonce: made.nonce,
      amount: money(BigInt(made.minor), vector.currency),
      payee: vector.payee,
    });
    const { payee: _, ...asked } = challenge;
    const spending: Spending = {
      ...asked,
      counter: made.counter,
      spentAfter: BigInt(made.spentAfter),
      previousHash: made.previousHash,
    };
    const payerKey = privateKey(vector, "phonePrivate");
    expect(signNote(vector.allowance, allowance, { spending, payerKey })).toEqual({ text: made.note, hash: made.hash });
    const taken = checkNote({
      text: made.note,
      challenge,
      hubSigningKey,
      now: vector.expiresAt,
      deniedDevice: nobodyDenied,
    });
    expect(taken).toMatchObject({ ok: true, value: { hash: made.hash, counter: made.counter } });
    expect(countersign(made.note, privateKey(vector, "terminalPrivate"))).toBe(made.countersignature);
    expect(countersignatureFits(made, publicKey(vector, "terminalPublic"))).toBe(true);
    expect(countersignatureFits({ ...made, note: `${made.note}A` }, publicKey(vector, "terminalPublic"))).toBe(false);
  }
});

/** QR code, byte mode, error correction M: characters of versions 16 and 20 (ISO/IEC 18004, table 7). */
const QR_16_M = 450;
const QR_20_M = 666;

test("RM11 a note fits a QR code of version 16, and one with the longest fields version 20", () => {
  const [ordinary, longest] = cases;
  expect(ordinary?.notes[0]?.note.length).toBeLessThanOrEqual(QR_16_M);
  expect(longest?.notes[0]?.note.length).toBeLessThanOrEqual(NOTE_TEXT_MAX);
  expect(NOTE_TEXT_MAX).toBeLessThanOrEqual(QR_20_M);
});

const hub = newSigningKeys();
const phone = newSigningKeys();
const NOW = Date.UTC(2026, 0, 5, 9);
const allowance: Allowance = {
  allowanceId: "a1".repeat(12),
  deviceId: "d1".repeat(8),
  payerKey: phone.publicKey,
  amount: money(5_000n, "EUR"),
  counterStart: 3,
  issuedAt: NOW,
  expiresAt: NOW + 1_000,
  hubEpoch: "e1".repeat(8) as Epoch,
};
const allowanceText = signAllowance(allowance, hub.privateKey);
const { allowanceHash } = openAllowance(allowanceText, hub.publicKey);
const challenge: Challenge = {
  terminalId: "till-1" as TerminalId,
  epoch: "00112233aabbccdd" as Epoch,
  paymentId: "p-1" as PaymentId,
  nonce: new Uint8Array(16).fill(7),
  amount: money(1_000n, "EUR"),
  payee: "Shop",
};
const { payee: _payee, ...asked } = challenge;
const first: Spending = { ...asked, counter: 3, spentAfter: 1_000n, previousHash: allowanceHash };
const noteOf = (changes: Partial<Spending> = {}, keys = phone, from = allowanceText): string =>
  signNote(from, allowance, { spending: { ...first, ...changes }, payerKey: keys.privateKey }).text;
const check = (text: string, changes: Partial<Parameters<typeof checkNote>[0]> = {}) =>
  checkNote({ text, challenge, hubSigningKey: hub.publicKey, now: NOW, deniedDevice: nobodyDenied, ...changes });
const good = noteOf();
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text.slice(4), "base64url"));
const textOf = (bytes: Uint8Array) => `OA1:${Buffer.from(bytes).toString("base64url")}`;
const flipped = (bytes: Uint8Array, bit: number): Uint8Array =>
  bytes.map((byte, index) => (index === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));

const NOTE_VERSION_AT = 149;
const withByte = (at: number, value: number) =>
  textOf(bytesOf(good).map((byte, index) => (index === at ? value : byte)));
const other = newSigningKeys();

const WRONG: readonly (readonly [what: string, text: string, reason: string, detail: RegExp])[] = [
  ["an allowance of another hub", noteOf({}, phone, signAllowance(allowance, other.privateKey)), "E_SIG", /by the hub/],
  ["a note by another phone's key", noteOf({}, other), "E_SIG", /key that the allowance names/],
  ["another terminal's note", noteOf({ terminalId: "till-2" as TerminalId }), "E_REPLAY", /another terminal/],
  ["a note for another journal", noteOf({ epoch: "ff".repeat(8) as Epoch }), "E_REPLAY", /another journal/],
  ["another payment's note", noteOf({ paymentId: "p-2" as PaymentId }), "E_REPLAY", /another payment/],
  ["a note for another nonce", noteOf({ nonce: new Uint8Array(16) }), "E_REPLAY", /another challenge/],
  ["another currency", noteOf({ amount: money(1_000n, "USD") }), "E_CONFLICT", /in USD, not EUR/],
  ["another amount", noteOf({ amount: money(999n, "EUR"), spentAfter: 999n }), "E_CONFLICT", /what was asked for/],
  [
    "more than the allowance",
    noteOf({ counter: 9, spentAfter: 5_001n, previousHash: "00".repeat(32) }),
    "E_LIMIT",
    /more than/,
  ],
  ["a counter below the first", noteOf({ counter: 2 }), "E_STATE", /below the allowance's first/],
  ["a first note that says more is spent", noteOf({ spentAfter: 1_001n }), "E_STATE", /does not fit/],
  [
    "less spent than the amount",
    noteOf({ counter: 4, spentAfter: 999n, previousHash: "00".repeat(32) }),
    "E_STATE",
    /does not fit/,
  ],
  [
    "a later note that spends as if it were the first",
    noteOf({ counter: 4, previousHash: "00".repeat(32) }),
    "E_STATE",
    /does not fit/,
  ],
  ["a first note after a foreign one", noteOf({ previousHash: "00".repeat(32) }), "E_STATE", /first note follows/],
  [
    "a later note that follows the allowance",
    noteOf({ counter: 4, spentAfter: 2_000n }),
    "E_STATE",
    /first note follows/,
  ],
  ["an unknown version of the allowance", withByte(0, 2), "E_FORMAT", /version 2 of the allowance/],
  ["an unknown version of the note", withByte(NOTE_VERSION_AT, 2), "E_FORMAT", /version 2 of the note/],
  ["a truncated note", textOf(bytesOf(good).subarray(0, 200)), "E_FORMAT", /wants 64 bytes|ended at|wants/],
  ["a note with bytes too many", textOf(Uint8Array.of(...bytesOf(good), 0)), "E_FORMAT", /1 bytes too many/],
  ["an oversize note", `OA1:${"A".repeat(NOTE_TEXT_MAX)}`, "E_FORMAT", /at most/],
  ["another family's code", "OF1:abc", "E_FORMAT", /does not begin with OA1/],
  ["padding and foreign characters", `${good}=`, "E_FORMAT", /not base64url/],
];

test("RM11 the note that the others differ from is taken", () => {
  expect(check(good)).toMatchObject({
    ok: true,
    value: { counter: 3, spentAfter: 1_000n, payerKeyId: expect.any(String) },
  });
});

test.each(WRONG)("RM11 refused with its own reason: %s", (_what, text, reason, detail) => {
  expect(check(text)).toEqual({ ok: false, error: { reason, detail: expect.stringMatching(detail) } });
});

test("RM11 an allowance in another currency than its note is refused", () => {
  const inUsd = { ...allowance, amount: money(5_000n, "USD") };
  const text = signAllowance(inUsd, hub.privateKey);
  const note = signNote(text, inUsd, {
    spending: { ...first, previousHash: openAllowance(text, hub.publicKey).allowanceHash },
    payerKey: phone.privateKey,
  });
  expect(check(note.text)).toMatchObject({
    ok: false,
    error: { reason: "E_CONFLICT", detail: "the allowance is in USD" },
  });
});

test("RM11 an allowance is good to its last millisecond and not one longer", () => {
  expect(check(good, { now: allowance.expiresAt }).ok).toBe(true);
  expect(check(good, { now: allowance.expiresAt + 1 })).toMatchObject({ ok: false, error: { reason: "E_EXPIRED" } });
});

test("RM11 a phone on the deny list is refused", () => {
  const deniedDevice = (deviceId: string) => deviceId === allowance.deviceId;
  expect(check(good, { deniedDevice })).toMatchObject({ ok: false, error: { reason: "E_DENIED" } });
});

test("RM11 every note with a single bit flipped is refused", () => {
  const bytes = bytesOf(good);
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    if (check(textOf(flipped(bytes, bit))).ok) expect.fail(`bit ${bit} may be flipped`);
  }
});

test("RM11 every note with a single bit of its characters flipped is refused", () => {
  const characters = new Uint8Array(Buffer.from(good, "latin1"));
  for (let bit = 0; bit < characters.length * 8; bit += 1) {
    if (check(Buffer.from(flipped(characters, bit)).toString("latin1")).ok) expect.fail(`bit ${bit} may be flipped`);
  }
});

test("RM11 whatever bytes come, they are refused and nothing is thrown", () => {
  const notes = fc.oneof(
    fc.string(),
    fc.uint8Array({ maxLength: 500 }).map(textOf),
    fc
      .uint8Array({ maxLength: 300 })
      .map((tail) => textOf(Uint8Array.of(...bytesOf(good).subarray(0, NOTE_VERSION_AT), ...tail))),
    fc.nat(bytesOf(good).length - 1).map((length) => textOf(bytesOf(good).subarray(0, length))),
  );
  fc.assert(
    fc.property(notes, (text) => !check(text).ok && !openNote(text, hub.publicKey).ok),
    { numRuns: 500 },
  );
});

test("RM11 a challenge comes back as it was made, and whatever else comes is a Fault", () => {
  const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
  const made = fc.record({
    terminalId: id.map((text) => text as TerminalId),
    epoch: fc.stringMatching(/^[0-9a-f]{16}$/).map((text) => text as Epoch),
    paymentId: id.map((text) => text as PaymentId),
    nonce: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    amount: fc.bigInt({ min: 1n, max: 999_999_999_999n }).map((minor) => ({ minor, currency: currencyOf("EUR") })),
    payee: fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9 ]{0,60}[a-z])?$/),
  });
  fc.assert(
    fc.property(made, (value) => {
      expect(decodeChallenge(encodeChallenge(value))).toEqual(value);
    }),
  );
  const bytes = fc.uint8Array({ maxLength: 260 }).map((some) => `OC1:${Buffer.from(some).toString("base64url")}`);
  fc.assert(
    fc.property(fc.oneof(fc.string(), bytes), (text) => {
      expect(() => decodeChallenge(text)).toThrow(expect.objectContaining({ name: "Fault" }));
    }),
  );
});

test.each([["\u202Epohs"], [""], ["  "], ["Shop\nTotal 1.00"], ["Shop\uFFFD"]])(
  "a payee's name that could mislead is no challenge: %j",
  (payee) => {
    expect(() => decodeChallenge(encodeChallenge({ ...challenge, payee }))).toThrow(/plain text/);
  },
);
