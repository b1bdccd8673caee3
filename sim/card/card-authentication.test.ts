/** What the cards' certificates and signatures are worth to a terminal that checks them, and the data they cover. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../base/bytes.ts";
import { flattenTlv, type Tag } from "../../protocols/emv/ber-tlv.ts";
import {
  decodeCryptogram,
  decodeInternalAuthenticate,
  decodeProcessingOptions,
  decodeRecord,
  getProcessingOptionsCommand,
  internalAuthenticateCommand,
  readRecordCommand,
  selectCommand,
} from "../../protocols/emv/commands.ts";
import type { OdaInput } from "../../protocols/emv/oda/authentication.ts";
import {
  recoverIccKey,
  recoverIssuerKey,
  verifyCombined,
  verifyDynamicData,
  verifyStaticData,
} from "../../protocols/emv/oda/verify.ts";
import { type CardOnTable, cardOnTable, emptyPdol, UNPREDICTABLE_NUMBER } from "./card-fixture.ts";
import { TEST_RID, testCaKeys, testRevoked } from "./mint/test-keys.ts";
import { TEST_AID } from "./profiles.ts";

const made = JSON.parse(
  readFileSync(new URL("../../test/vectors/emv/card-made.json", import.meta.url), "utf8"),
) as Readonly<Record<"standard" | "dda" | "commonCore", Readonly<Record<string, string>>>>;

/** Reads the card as a terminal does, up to the records. */
async function read(table: CardOnTable): Promise<OdaInput> {
  await table.send(selectCommand(TEST_AID));
  const { aip, afl } = decodeProcessingOptions((await table.send(getProcessingOptionsCommand(emptyPdol(table)))).data);
  const values = new Map<Tag, Uint8Array>([[0x82, aip]]);
  const signed: Uint8Array[] = [];
  for (const { sfi, firstRecord, lastRecord, authenticatedRecords } of afl) {
    for (let record = firstRecord; record <= lastRecord; record += 1) {
      const { data } = await table.send(readRecordCommand({ sfi, record }));
      for (const { tag, value } of flattenTlv(decodeRecord(data))) values.set(tag, value);
      if (record - firstRecord < authenticatedRecords) signed.push(data.subarray(data[1] === 0x81 ? 3 : 2));
    }
  }
  const today = { year: 2026, month: 1, day: 15 };
  const staticData = concat(...signed, aip);
  return { values, staticData, rid: TEST_RID, caKeys: testCaKeys(), revoked: testRevoked(), today };
}

async function iccKeyOf(table: CardOnTable) {
  const input = await read(table);
  const issuer = recoverIssuerKey(input);
  if (!issuer.ok) return issuer;
  return recoverIccKey(input, issuer.value);
}

describe("static data", () => {
  test.each(["sda", "cloned-static"])("of %s hold, as a copy cannot be told from the card", async (name) => {
    const input = await read(cardOnTable(name));
    const issuer = recoverIssuerKey(input);
    expect(issuer.ok && verifyStaticData(input, issuer.value).ok).toBe(true);
  });

  test("that were changed after signing do not", async () => {
    const input = await read(cardOnTable("altered"));
    const issuer = recoverIssuerKey(input);
    expect(issuer.ok && verifyStaticData(input, issuer.value)).toMatchObject({ ok: false, error: { why: "hash" } });
  });
});

describe("the chain of certificates", () => {
  test.each([
    ["standard", undefined],
    ["dda", undefined],
    ["dda-default-ddol", undefined],
    ["cda", undefined],
    ["common-core", undefined],
    ["expired", undefined],
    ["not-yet-effective", undefined],
    ["cloned", undefined],
    ["revoked-issuer", "revoked"],
    ["wrong-ca", "format"],
    ["certificate-format", "format"],
    ["certificate-length", "format"],
  ])("of %s ends with %s", async (name, why) => {
    const key = await iccKeyOf(cardOnTable(name));
    expect(key.ok ? undefined : key.error.why).toBe(why);
  });
});

describe("dynamic data", () => {
  test.each(["dda", "dda-default-ddol"])("of %s are signed over what the terminal sent", async (name) => {
    const table = cardOnTable(name);
    const icc = await iccKeyOf(table);
    const { data } = await table.send(internalAuthenticateCommand(UNPREDICTABLE_NUMBER));
    const signed = decodeInternalAuthenticate(data);
    if (!icc.ok) throw new Error(icc.error.detail);
    const verified = verifyDynamicData(icc.value, { signed, terminalData: UNPREDICTABLE_NUMBER });
    expect(verified).toMatchObject({ ok: true, value: { iccDynamicNumber: { length: 8 } } });
    expect(verifyDynamicData(icc.value, { signed, terminalData: fromHex("01020305") }).ok).toBe(false);
  });

  test("of the clone are signed by a key that is not the certificate's", async () => {
    const table = cardOnTable("cloned");
    const icc = await iccKeyOf(table);
    const { data } = await table.send(internalAuthenticateCommand(UNPREDICTABLE_NUMBER));
    const signed = decodeInternalAuthenticate(data);
    expect(icc.ok && verifyDynamicData(icc.value, { signed, terminalData: UNPREDICTABLE_NUMBER })).toMatchObject({
      ok: false,
      error: { why: "format" },
    });
  });

  test("are not to be had from a card without a key", async () => {
    const table = cardOnTable("sda");
    await table.initiate();
    expect(await table.status(internalAuthenticateCommand(UNPREDICTABLE_NUMBER))).toBe(0x6d00);
  });
});

describe("a cryptogram", () => {
  test.each([
    ["standard", "TC", made.standard["tc"], made.standard["tcIssuerData"], 1],
    ["standard", "ARQC", made.standard["arqc"], made.standard["arqcIssuerData"], 1],
    ["dda", "TC", made.dda["tc"], made.dda["issuerData"], 0],
    ["common-core", "ARQC", made.commonCore["arqc"], made.commonCore["issuerData"], 0],
  ] as const)("of %s for %s is the one that an independent implementation makes", async (name, asked, ac, iad, atc) => {
    const table = cardOnTable(name, { atc });
    await table.initiate();
    const answer = decodeCryptogram((await table.first(asked)).data);
    expect([answer.cryptogram, answer.issuerApplicationData].map((each) => each && toHex(each).toUpperCase())).toEqual([
      ac,
      iad,
    ]);
  });

  test("with CDA is signed together with all that both sides sent", async () => {
    const table = cardOnTable("standard", { atc: 1 });
    const icc = await iccKeyOf(table);
    if (!icc.ok) throw new Error(icc.error.detail);
    table.card.reset();
    const again = cardOnTable("standard", { atc: 1 });
    await again.initiate();
    const { data } = await again.first("TC", { signature: "cda" });
    const answer = decodeCryptogram(data);
    expect(answer.cryptogram).toBeUndefined();
    const objects = fromHex(`9F270140 9F36020002 9F1007${made.standard["tcIssuerData"]}`);
    const transactionData = concat(fromHex("02760978"), fromHex(vectors.cdol1), objects);
    expect(createHash("sha1").update(transactionData).digest("hex").toUpperCase()).toBe(
      made.standard["transactionHash"],
    );
    const signed = answer.signedDynamicData ?? new Uint8Array();
    const checked = { signed, cid: 0x40, unpredictableNumber: UNPREDICTABLE_NUMBER, transactionData };
    const verified = verifyCombined(icc.value, checked);
    expect(verified.ok && toHex(verified.value.cryptogram).toUpperCase()).toBe(made.standard["tc"]);
    expect(verifyCombined(icc.value, { ...checked, cid: 0x80 }).ok).toBe(false);
  });

  test("that declines is never signed", async () => {
    const table = cardOnTable("standard");
    await table.initiate();
    const answer = decodeCryptogram((await table.first("AAC", { signature: "cda" })).data);
    expect(answer).toMatchObject({ type: "AAC", cryptogram: { length: 8 } });
    expect(answer.signedDynamicData).toBeUndefined();
  });

  test("of the longest keys still fits one answer", async () => {
    const table = cardOnTable("common-core");
    await table.initiate();
    const { status, data } = await table.first("ARQC", { signature: "cda" });
    expect([status, data.length]).toEqual([0x9000, 256]);
  });
});

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/emv/card-made.json", import.meta.url), "utf8")) as {
  cdol1: string;
};
