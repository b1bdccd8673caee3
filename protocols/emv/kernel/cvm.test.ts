/** Cardholder verification, row by row: the clause, the rules after the amounts X 1.00 and Y 0.50, and what comes of them. */
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../../base/bytes.ts";
import { AIP, type Bit, hasBit, TSI, TVR } from "../bits.ts";
import { verifyCardholder } from "./cvm.ts";
import { type Given, namesOf, transactionOf, tvrNames } from "./transaction-fixture.ts";

const LIST = "0000006400000032";
const cvm = (rules: string, more: Given = {}): Given => ({
  ...more,
  aip: [AIP.cardholderVerification],
  card: { "8E": LIST + rules, "9F42": "0978", ...more.card },
});
const NO_SIGNATURE = { terminal: { capabilities: fromHex("E008C8") } };
const CASH = { settings: { type: 0x01 } };

type CvmRow = readonly [clause: string, what: string, given: Given, cvm: string, results: string, bits: readonly Bit[]];
const CVM: readonly CvmRow[] = [
  ["B4 6.3.4.5", "the card asks for none", { card: { "8E": `${LIST}1F00` } }, "not-performed", "3f0000", []],
  ["10.5, 7.5", "no rules is no list", cvm(""), "not-performed", "3f0000", [TVR.iccDataMissing]],
  [
    "7.5",
    "the card says there is a list, and there is none",
    { aip: [AIP.cardholderVerification] },
    "not-performed",
    "3f0000",
    [TVR.iccDataMissing],
  ],
  ["10.5", "no CVM required", cvm("1F00"), "none-required", "1f0002", []],
  ["10.5", "signature, result unknown", cvm("5E03"), "signature", "5e0300", []],
  ["10.5", "the first that can be done ends the walk", cvm("1E001F00"), "signature", "1e0000", []],
  ["10.5.2", "online PIN, then signature", cvm("42001E03"), "signature", "1e0300", [TVR.pinPadAbsent]],
  [
    "10.5.1",
    "offline PIN and no further rule allowed",
    cvm("04001F00"),
    "failed",
    "3f0001",
    [TVR.cvmFailed, TVR.pinPadAbsent],
  ],
  [
    "10.5.1",
    "a PIN is never taken, though the capabilities claim it",
    cvm("41031F03", { terminal: { capabilities: fromHex("E0F8C8") } }),
    "none-required",
    "1f0302",
    [],
  ],
  [
    "10.5.3",
    "PIN and signature fail with the PIN",
    cvm("4300", {}),
    "failed",
    "3f0001",
    [TVR.cvmFailed, TVR.pinPadAbsent],
  ],
  [
    "C3",
    "PIN if the terminal supports it: passed over without a trace",
    cvm("41031F00"),
    "none-required",
    "1f0002",
    [],
  ],
  ["B4 table 2", "no condition holds", cvm("1E041F01"), "failed", "3f0001", [TVR.cvmFailed]],
  ["10.5", "signature not supported, next allowed", cvm("5E001F00", NO_SIGNATURE), "none-required", "1f0002", []],
  [
    "10.5",
    "signature not supported, next not allowed",
    cvm("1E001F00", NO_SIGNATURE),
    "failed",
    "3f0001",
    [TVR.cvmFailed],
  ],
  ["10.5", "an unknown method, then none", cvm("50001F00"), "none-required", "1f0002", [TVR.unrecognisedCvm]],
  ["10.5", "an unknown method ends it", cvm("20001F00"), "failed", "3f0001", [TVR.cvmFailed, TVR.unrecognisedCvm]],
  [
    "10.5",
    "biometrics are recognised and not supported",
    cvm("46001F00"),
    "none-required",
    "1f0002",
    [TVR.biometricTypeNotSupported],
  ],
  ["10.5", "the last biometric code", cvm("0F00"), "failed", "3f0001", [TVR.cvmFailed, TVR.biometricTypeNotSupported]],
  [
    "10.5",
    "a reserved code after it is unknown",
    cvm("1000"),
    "failed",
    "3f0001",
    [TVR.cvmFailed, TVR.unrecognisedCvm],
  ],
  ["10.5", "fail ends the walk though it names a next rule", cvm("40001F00"), "failed", "400001", [TVR.cvmFailed]],
  ["10.5", "fail if the terminal supports it fails", cvm("00031F00"), "failed", "000301", [TVR.cvmFailed]],
  ["B4 table 2", "fail CVM processing", cvm("00001F00"), "failed", "000001", [TVR.cvmFailed]],
  ["B4 table 2", "fail, and nothing after it", cvm("4000"), "failed", "400001", [TVR.cvmFailed]],
  ["C3", "a reserved condition is passed over", cvm("1E0A1E801F00"), "none-required", "1f0002", []],
  ["C3", "unattended cash", cvm("1F01", { ...CASH, terminal: { type: 0x25 } }), "none-required", "1f0102", []],
  ["C3", "unattended cash, attended", cvm("1F01", CASH), "failed", "3f0001", [TVR.cvmFailed]],
  ["C3", "manual cash", cvm("1F04", CASH), "none-required", "1f0402", []],
  [
    "C3",
    "manual cash, unattended",
    cvm("1F04", { ...CASH, terminal: { type: 0x25 } }),
    "failed",
    "3f0001",
    [TVR.cvmFailed],
  ],
  ["C3", "not cash", cvm("1F02"), "none-required", "1f0202", []],
  ["C3", "not cash, cash", cvm("1F02", CASH), "failed", "3f0001", [TVR.cvmFailed]],
  ["C3", "not cash, cashback", cvm("1F02", { settings: { otherMinor: 1n } }), "failed", "3f0001", [TVR.cvmFailed]],
  ["C3", "cashback", cvm("1F05", { settings: { type: 0x09 } }), "none-required", "1f0502", []],
  ["C3", "cashback, none", cvm("1F05"), "failed", "3f0001", [TVR.cvmFailed]],
  ["C3", "under X", cvm("1F06", { settings: { amountMinor: 99n } }), "none-required", "1f0602", []],
  ["C3", "under X, at X", cvm("1F061E07", { settings: { amountMinor: 100n } }), "failed", "3f0001", [TVR.cvmFailed]],
  ["C3", "over X", cvm("1F061E07", { settings: { amountMinor: 101n } }), "signature", "1e0700", []],
  ["C3", "under Y", cvm("1F08", { settings: { amountMinor: 49n } }), "none-required", "1f0802", []],
  ["C3", "over Y", cvm("1F081E09", { settings: { amountMinor: 51n } }), "signature", "1e0900", []],
  ["C3", "over X of another currency", cvm("1E07", { card: { "9F42": "0840" } }), "failed", "3f0001", [TVR.cvmFailed]],
];

test.each(CVM)("cardholder verification, %s: %s", (_clause, _what, given, outcome, results, bits) => {
  const transaction = transactionOf(given);
  verifyCardholder(transaction);
  expect([transaction.cvm, toHex(transaction.values.get(0x9f34) ?? new Uint8Array())]).toEqual([outcome, results]);
  expect(tvrNames(transaction)).toEqual(namesOf(bits));
  expect(hasBit(transaction.tsi, TSI.cardholderVerificationPerformed)).toBe(outcome !== "not-performed");
});

test("a condition on the amount does not hold for a card without a currency (10.5)", () => {
  const transaction = transactionOf({ aip: [AIP.cardholderVerification], card: { "8E": `${LIST}1E071F00` } });
  verifyCardholder(transaction);
  expect(transaction.cvm).toBe("none-required");
});

test("RM13 a consumer's device verifies its holder over the air, and never in the slot", () => {
  const onDevice = { byte: 1, bit: 2, name: "on device" };
  const given = { aip: [onDevice, AIP.cardholderVerification], card: { "8E": `${LIST}1E00` } };
  const outcomes = (["contactless", "contact"] as const).map((entry) => {
    const transaction = transactionOf({ ...given, terminal: { entry } });
    verifyCardholder(transaction);
    return [transaction.cvm, toHex(transaction.values.get(0x9f34) ?? new Uint8Array())];
  });
  expect(outcomes).toEqual([
    ["consumer-device", "010002"],
    ["signature", "1e0000"],
  ]);
});
