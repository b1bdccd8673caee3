import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex } from "../../base/bytes.ts";
import { arbitraryMessage } from "../../test/rules/iso8583-messages.ts";
import { createIso8583Codec } from "./codec.ts";
import { messageFromJson, messageToJson } from "./json.ts";
import { bytesOf, DE, type Iso8583Message, subFieldsOf, tlvOf } from "./message.ts";
import { SPEC_1987_BINARY, SPEC_1987_NESTED, SPECS, withFields } from "./specs.ts";
import { describeMessage, diffMessages, maskMessage } from "./visible.ts";

const PAN = "4761739001010119";
const MASKED = "476173******0119";

const sale: Iso8583Message = {
  mti: "0200",
  fields: {
    [DE.pan]: PAN,
    [DE.processingCode]: "003000",
    [DE.amountTransaction]: "000000005000",
    [DE.posEntryMode]: "051",
    [DE.track2]: `${PAN}=2212201175892888`,
    [DE.privateData]: "CVV2 123",
    [DE.currencyTransaction]: "978",
    [DE.pinData]: fromHex("7434F67813BAE545"),
    [DE.iccData]: [
      { tag: 0x5a, value: fromHex(PAN) },
      { tag: 0x9c, value: fromHex("00") },
      { tag: 0x9f20, value: fromHex("1234567890") },
      { tag: 0x9f10, value: fromHex(`06${PAN}`) },
    ],
    102: PAN,
    104: `paid with ${PAN}`,
  },
};

test("every field has a line with its number, its name and what it means, and secrets are masked", () => {
  expect(describeMessage(sale, SPEC_1987_BINARY)).toEqual([
    "MTI 0200 financial request, acquirer (1987)",
    `2 Pan: ${MASKED} (masked)`,
    "3 ProcessingCode: 003000",
    "  goods and services, from credit to default account",
    "4 AmountTransaction: 000000005000",
    "  50.00 EUR",
    "22 PosEntryMode: 051",
    "  chip, PIN can be entered",
    `35 Track2: ${MASKED}***************** (masked)`,
    "48 AdditionalDataPrivate: ******** (masked)",
    "49 CurrencyTransaction: 978",
    "  EUR",
    "52 PinData: **************** (masked)",
    "55 IccData",
    `  55.5A Application Primary Account Number (PAN): ${MASKED} (masked)`,
    "  55.9C Transaction Type: 00",
    "    goods and services",
    "  55.9F20 Track 2 Discretionary Data: ********** (masked)",
    "  55.9F10 Issuer Application Data: ****************** (masked)",
    `102 Account1: ${MASKED} (masked)`,
    `104 TransactionDescription: paid with ${MASKED} (masked)`,
  ]);
});

test("what is asked for in clear is shown in clear", () => {
  expect(describeMessage(sale, SPEC_1987_BINARY, "shown")).toContain("52 PinData: 7434F67813BAE545");
});

test("sub-fields are named, and those of a hidden field are hidden", () => {
  const message = { mti: "0100", fields: { 48: { "07": "abc", "92": "123" }, 127: { 2: "key", 10: "999" } } };
  expect(describeMessage(message, SPEC_1987_NESTED).slice(1)).toEqual([
    "48 AdditionalDataPrivate",
    "  48.07 PrivateSubField: *** (masked)",
    "  48.92 CardVerificationCode2: *** (masked)",
    "127 PrivateSubFields",
    "  127.2 SwitchKey: key",
    "  127.10 CardVerificationValue2: *** (masked)",
  ]);
  expect(maskMessage(message, SPEC_1987_NESTED).fields["127"]).toEqual({ 2: "key", 10: "***" });
  const field = SPEC_1987_NESTED.fields[127];
  if (!field) throw new Error("the table has no DE 127");
  const changes = { name: "x", description: "x", fields: { 127: { ...field, sensitive: "hidden" as const } } };
  expect(describeMessage(message, withFields(SPEC_1987_NESTED, changes))).toContain("  127.2 SwitchKey: *** (masked)");
});

test("characters that would steer a terminal are written as what they are", () => {
  const message = { mti: "0100", fields: { 43: "a\u001b[31mb" } };
  expect(describeMessage(message, SPEC_1987_BINARY)[1]).toBe("43 MerchantNameLocation: a\\x1b[31mb");
});

const secretNames =
  /^(?:Pan|PanExtended|Account[12]|Track[123]|PinData|Reserved.*|AdditionalData.*|CardVerification.*)$/;

test.each(SPECS)("RM6 no word of $name that people see has a card number, a track or a PIN block", (spec) => {
  const withPan = arbitraryMessage(spec).map(({ mti, fields }) => ({
    mti,
    fields: {
      ...fields,
      2: PAN,
      35: `${PAN}=22122011758928889`,
      52: fromHex("7434F67813BAE545"),
      55: [
        { tag: 0x57, value: fromHex(`${PAN}D22122011758928889`) },
        { tag: 0x5f20, value: Buffer.from("CARDHOLDER/TEST") },
      ],
    },
  }));
  fc.assert(
    fc.property(withPan, (message) => {
      const words = [
        ...describeMessage(message, spec),
        JSON.stringify(maskMessage(message, spec)),
        JSON.stringify(diffMessages(message, { mti: message.mti, fields: {} }, { spec })),
      ].join("\n");
      for (const secret of [PAN, "22122011758928889", "7434F67813BAE545", "434152"])
        expect(words).not.toContain(secret);
      for (const [de, value] of Object.entries(message.fields)) {
        const isSecret = secretNames.test(spec.fields[Number(de)]?.name ?? "");
        if (isSecret && typeof value === "string" && value.length > 12)
          expect(words).not.toContain(JSON.stringify(value).slice(1, -1));
      }
    }),
    { numRuns: 40, endOnFailure: true },
  );
});

test("two messages are compared field by field, down to data objects", () => {
  const other: Iso8583Message = {
    mti: "0210",
    fields: {
      ...sale.fields,
      [DE.pan]: "4761730000000119",
      [DE.responseCode]: "00",
      [DE.iccData]: [
        { tag: 0x5a, value: fromHex(PAN) },
        { tag: 0x9c, value: fromHex("20") },
      ],
    },
  };
  const spec = SPEC_1987_BINARY;
  expect(diffMessages(sale, sale, { spec })).toEqual([]);
  expect(diffMessages(sale, other, { spec })).toEqual([
    { path: "mti", name: "MTI", left: "0200", right: "0210" },
    { path: "2", name: "Pan", left: MASKED, right: MASKED },
    { path: "39", name: "ResponseCode", right: "00" },
    { path: "55.9C", name: "Transaction Type", left: "00", right: "20" },
    { path: "55.9F10", name: "Issuer Application Data", left: "*".repeat(18) },
    { path: "55.9F20", name: "Track 2 Discretionary Data", left: "*".repeat(10) },
  ]);
});

test.each(SPECS)("JSON of $name is read as the message it was", (spec) => {
  fc.assert(
    fc.property(arbitraryMessage(spec), (message) => {
      const json: unknown = JSON.parse(JSON.stringify(messageToJson(message)));
      expect(messageFromJson(json, spec)).toEqual(message);
    }),
    { numRuns: 20, endOnFailure: true },
  );
});

test("data objects are read from hex as well", () => {
  const message = messageFromJson({ mti: "0100", fields: { 55: "9C0100" } }, SPEC_1987_BINARY);
  expect(tlvOf(message, 55)).toEqual([{ tag: 0x9c, value: fromHex("00") }]);
  expect(bytesOf(message, 52)).toBeUndefined();
  expect(subFieldsOf(message, 48)).toBeUndefined();
  expect(() => subFieldsOf(message, 55)).toThrow("DE 55 is not sub-fields");
});

test.each([
  ["no object", [], ""],
  ["something beside mti and fields", { mti: "0100", fields: {}, more: 1 }, "more"],
  ["no MTI", { fields: {} }, "mti"],
  ["no fields", { mti: "0100" }, "fields"],
  ["a field that the table has not", { mti: "0100", fields: { 65: "x" } }, "65"],
  ["a number where a text belongs", { mti: "0100", fields: { 4: 5000 } }, "4"],
  ["bytes that are not hex", { mti: "0100", fields: { 52: "xy" } }, "52"],
  ["a data object without a tag", { mti: "0100", fields: { 55: [{ value: "00" }] } }, "55"],
  ["a data object without a value", { mti: "0100", fields: { 55: [{ tag: "9C" }] } }, "55.9C"],
  ["a name of every object", { mti: "0100", fields: JSON.parse('{"__proto__": "x"}') as unknown }, "__proto__"],
])("JSON is refused, with the path: %s", (_, json, path) => {
  expect(() => messageFromJson(json, SPEC_1987_BINARY)).toThrow(expect.objectContaining({ name: "Fault" }));
  expect(() => messageFromJson(json, SPEC_1987_BINARY)).toThrow(
    expect.objectContaining({ details: expect.objectContaining({ path }) }),
  );
});

test("a message that was masked cannot be packed by mistake", () => {
  const masked = maskMessage({ mti: "0100", fields: { 2: PAN } }, SPEC_1987_BINARY);
  const message = messageFromJson(masked, SPEC_1987_BINARY);
  expect(() => createIso8583Codec(SPEC_1987_BINARY).pack(message)).toThrow("DE 2 Pan");
});
