import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import { systemRandom } from "../../base/ids.ts";
import { encodeCommand } from "../emv/apdu.ts";
import { decodeVerifyChallenge, type ShownTransaction, verifyChallengeCommand } from "./commands.ts";
import { answerOf, openCardData, openChallenge, sealCardData, sealChallenge } from "./cryptography.ts";

const vector = JSON.parse(
  readFileSync(new URL("../../test/vectors/card-verification/challenge.json", import.meta.url), "utf8"),
) as Readonly<Record<string, string>> & { readonly shown: Readonly<Record<string, string>> };
const bytes = (name: string): Uint8Array => fromHex(vector[name] ?? "");
const SHOWN: ShownTransaction = {
  txnId: "CP-1",
  amountMinor: 1250n,
  currency: "EUR",
  payeeAccount: "merchant:shop:EUR",
  terminalId: "till-1",
};
const CARD = { cardId: bytes("cardId"), dataKey: bytes("dataKey") };

describe("against an independent implementation", () => {
  test("a challenge is sealed as it is there, and opened", () => {
    const challenge = { secret: bytes("secret"), txnId: "CP-1", amountMinor: 1250n };
    const sealed = sealChallenge(CARD, challenge, () => bytes("nonce"));
    expect(toHex(sealed)).toBe(vector["cipherChallenge"]);
    expect(openChallenge(CARD, bytes("cipherChallenge"))).toEqual(challenge);
  });

  test("card data are sealed as they are there with a key of 16 bytes, and opened", () => {
    const card = { ...CARD, dataKey: bytes("dataKey128") };
    expect(toHex(sealCardData(card, bytes("cardData"), () => bytes("nonce")))).toBe(vector["encryptedCardData128"]);
    expect(openCardData(card, bytes("encryptedCardData128"))).toEqual(bytes("cardData"));
  });

  test("RM7 the card's answer is the MAC over the secret and what was shown", () => {
    expect(vector.shown).toEqual({ ...SHOWN, amountMinor: "1250" });
    expect(toHex(answerOf(bytes("macKey"), bytes("secret"), SHOWN))).toBe(vector["answer"]);
  });
});

test("RM7 every field that was shown changes the answer, and none runs into the next", () => {
  const secret = bytes("secret");
  const answers = [
    SHOWN,
    { ...SHOWN, txnId: "CP-2" },
    { ...SHOWN, amountMinor: 1251n },
    { ...SHOWN, currency: "SEK" },
    { ...SHOWN, payeeAccount: "merchant:shop:EU", terminalId: "Rtill-1" },
    { ...SHOWN, terminalId: "till-2" },
  ].map((shown) => toHex(answerOf(bytes("macKey"), secret, shown)));
  expect(new Set(answers).size).toBe(answers.length);
});

test("one flipped bit anywhere in a cipher challenge, another card or another purpose: not opened", () => {
  const sealed = bytes("cipherChallenge");
  for (let bit = 0; bit < sealed.length * 8; bit += 1) {
    const flipped = Uint8Array.from(sealed);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(openChallenge(CARD, flipped), `bit ${bit}`).toBeUndefined();
  }
  expect(openChallenge({ ...CARD, cardId: fromHex("c0ffee0011223345") }, sealed)).toBeUndefined();
  expect(openCardData(CARD, sealed)).toBeUndefined();
  expect(openChallenge(CARD, sealed.subarray(0, 20))).toBeUndefined();
});

test("the longest transaction fits one short command and comes back whole", () => {
  const shown: ShownTransaction = {
    txnId: "t".repeat(32),
    amountMinor: 999_999_999_999n,
    currency: "EUR",
    payeeAccount: "p".repeat(48),
    terminalId: "x".repeat(64),
  };
  const challenge = { secret: systemRandom(16), txnId: shown.txnId, amountMinor: shown.amountMinor };
  const cipherChallenge = sealChallenge(CARD, challenge, systemRandom);
  const command = verifyChallengeCommand({ cipherChallenge, shown });
  expect(encodeCommand(command).length).toBeLessThanOrEqual(261);
  expect(decodeVerifyChallenge(command.data ?? new Uint8Array(0))).toEqual({ cipherChallenge, shown });
});

test("what does not fit the command is refused before it reaches a card", () => {
  const cipherChallenge = new Uint8Array(29);
  expect(() => verifyChallengeCommand({ cipherChallenge, shown: { ...SHOWN, txnId: "t".repeat(33) } })).toThrow(
    /txnId must be at most 32/,
  );
  expect(() => verifyChallengeCommand({ cipherChallenge, shown: { ...SHOWN, payeeAccount: "a b" } })).toThrow(
    /payeeAccount/,
  );
  expect(() => verifyChallengeCommand({ cipherChallenge: new Uint8Array(86), shown: SHOWN })).toThrow(/86 bytes/);
});

test("any bytes at all are a command or a Fault", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
      try {
        decodeVerifyChallenge(data);
      } catch (error) {
        expect(isFault(error)).toBe(true);
      }
    }),
  );
});
