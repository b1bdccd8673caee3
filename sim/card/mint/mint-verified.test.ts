import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { present } from "../../../base/assert.ts";
import { concat, fromHex } from "../../../base/bytes.ts";
import type { OdaInput } from "../../../protocols/emv/oda/authentication.ts";
import { caKeyHashHolds } from "../../../protocols/emv/oda/capk.ts";
import {
  recoverIccKey,
  recoverIssuerKey,
  verifyCombined,
  verifyDynamicData,
  verifyStaticData,
} from "../../../protocols/emv/oda/verify.ts";
import { mintCard, signDynamic } from "./mint.ts";
import { KEY_CHAINS, type MintedCard, type MintOptions } from "./minted.ts";
import { TEST_RID, testCaKeys, testRevoked } from "./test-keys.ts";

const PAN = "4761739001010010";
const OPTIONS: MintOptions = { pan: PAN, expiry: "3112", staticData: fromHex("5A0847617390010100107C00"), oda: "cda" };

function inputOf(card: MintedCard): OdaInput {
  const { icc } = card;
  const values = new Map<number, Uint8Array | undefined>([
    [0x5a, fromHex(PAN)],
    [0x8f, Uint8Array.of(card.caIndex)],
    [0x90, card.issuerCertificate],
    [0x92, card.issuerRemainder],
    [0x9f32, card.issuerExponent],
    [0x93, card.signedStaticData],
    [0x9f46, icc?.certificate],
    [0x9f47, icc?.exponent],
    [0x9f48, icc?.remainder],
  ]);
  return {
    values: new Map([...values].flatMap(([tag, value]) => (value ? [[tag, value] as const] : []))),
    staticData: OPTIONS.staticData,
    rid: TEST_RID,
    caKeys: testCaKeys(),
    revoked: testRevoked(),
    today: { year: 2026, month: 1, day: 5 },
  };
}

test("the published test keys are whole", () => {
  expect(testCaKeys().map(caKeyHashHolds)).toEqual([true, true, true, true]);
});

test.each(KEY_CHAINS)("the terminal accepts static, dynamic and combined data of a card with the keys %s", (chain) => {
  const sda = inputOf(mintCard({ ...OPTIONS, chain, oda: "sda" }));
  const sdaIssuer = recoverIssuerKey(sda);
  expect(sdaIssuer).toMatchObject({ ok: true });
  if (sdaIssuer.ok) {
    expect(verifyStaticData(sda, sdaIssuer.value)).toEqual({
      ok: true,
      value: { dataAuthenticationCode: fromHex("DAC1") },
    });
  }

  const card = mintCard({ ...OPTIONS, chain });
  const { key } = present(card.icc, "the card's key");
  const input = inputOf(card);
  const issuer = recoverIssuerKey(input);
  const icc = issuer.ok ? recoverIccKey(input, issuer.value) : issuer;
  expect(icc).toEqual({ ok: true, value: { modulus: key.modulus, exponent: key.exponent } });
  if (!icc.ok) return;

  const iccDynamicNumber = fromHex("0A0B0C0D0E0F1011");
  const number = concat(Uint8Array.of(iccDynamicNumber.length), iccDynamicNumber);
  const terminalData = fromHex("01020304");
  const signed = signDynamic(key, { iccDynamicData: number, terminalData });
  expect(verifyDynamicData(icc.value, { signed, terminalData })).toEqual({ ok: true, value: { iccDynamicNumber } });

  const transactionData = fromHex("000000001000 9F270140 9F36020001");
  const cryptogram = fromHex("1122334455667788");
  const hash = createHash("sha1").update(transactionData).digest();
  const iccDynamicData = concat(number, Uint8Array.of(0x40), cryptogram, hash);
  const combined = {
    signed: signDynamic(key, { iccDynamicData, terminalData }),
    cid: 0x40,
    unpredictableNumber: terminalData,
    transactionData,
  };
  expect(verifyCombined(icc.value, combined)).toEqual({ ok: true, value: { iccDynamicNumber, cryptogram } });
});

test.each(KEY_CHAINS)("the terminal refuses the planted faults of a card with the keys %s", (chain) => {
  const failed = (fault: "wrong-ca" | "revoked-issuer") =>
    recoverIssuerKey(inputOf(mintCard({ ...OPTIONS, chain, fault })));
  expect(failed("revoked-issuer")).toMatchObject({ ok: false, error: { why: "revoked" } });
  expect(failed("wrong-ca")).toMatchObject({ ok: false, error: { why: "format" } });
});

test("the terminal refuses a card whose static data are not those of its certificate", () => {
  const input = inputOf(mintCard({ ...OPTIONS, staticData: fromHex("00") }));
  const issuer = recoverIssuerKey(input);
  const icc = issuer.ok ? recoverIccKey(input, issuer.value) : issuer;
  expect(icc).toMatchObject({ ok: false, error: { why: "hash" } });
});
