/**
 * Restrictions, risk and action analysis, row by row. Rows marked [U] are those of openemv/emv-utils (LGPL-2.1), tests
 * emv_processing_restrictions_test.c at 124e0de and emv_terminal_risk_management_test.c at 0c94724; the others are the books' own rules.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../../base/bytes.ts";
import { AIP, type Bit, hasBit, TVR } from "../bits.ts";
import { decideFirst, decideUnable } from "./action.ts";
import { applyRestrictions } from "./restrictions.ts";
import { type AtcRegisters, manageRisk, wantsAtcRegisters } from "./risk.ts";
import { type Given, namesOf, transactionOf, tvrNames, ZERO_CODES } from "./transaction-fixture.ts";

type Row = readonly [clause: string, what: string, given: Given, bits: readonly Bit[]];

const VALID = { "5F24": "250511" };
const auc = (usage: string, country = "0528") => ({ ...VALID, "9F07": usage, "5F28": country });

const RESTRICTIONS: readonly Row[] = [
  ["10.4 [U]", "no restrictions", { card: { ...auc("FFC0"), "9F08": "1313", "5F25": "250511" } }, []],
  ["10.4.1 [U]", "another version", { card: { ...VALID, "9F08": "1310" } }, [TVR.versionsDiffer]],
  ["10.4.1", "a card without a version is taken as fitting", { card: VALID }, []],
  ["10.4.2 [U]", "ATM not allowed", { card: auc("FDC0"), terminal: { type: 0x15 } }, [TVR.serviceNotAllowed]],
  [
    "10.4.2 [U]",
    "elsewhere than at an ATM not allowed, and a till without cash is no ATM",
    { card: auc("FEC0"), terminal: { additionalCapabilities: fromHex("7000000000") } },
    [TVR.serviceNotAllowed],
  ],
  [
    "Book 4, A1",
    "a bank's unattended terminal that pays no cash is no ATM",
    { card: auc("FDC0"), terminal: { type: 0x15, additionalCapabilities: fromHex("7000000000") } },
    [],
  ],
  ["10.4.2 [U]", "domestic goods and services not allowed", { card: auc("D7C0") }, [TVR.serviceNotAllowed]],
  [
    "10.4.2 [U]",
    "international cashback not allowed",
    { card: auc("FF80", "0840"), settings: { type: 0x09 } },
    [TVR.serviceNotAllowed],
  ],
  [
    "10.4.2",
    "cash on top of a purchase is cashback whatever the type says",
    { card: auc("FF40"), settings: { otherMinor: 100n } },
    [TVR.serviceNotAllowed],
  ],
  ["10.4.2", "domestic cashback allowed", { card: auc("FF80"), settings: { type: 0x09, otherMinor: 100n } }, []],
  ["10.4.2", "domestic cash not allowed", { card: auc("7FC0"), settings: { type: 0x01 } }, [TVR.serviceNotAllowed]],
  ["10.4.2", "international cash allowed", { card: auc("7FC0", "0840"), settings: { type: 0x01 } }, []],
  ["10.4.2", "one of goods and services is enough where both are sold", { card: auc("25C0") }, []],
  [
    "10.4.2",
    "a terminal of goods only needs goods",
    { card: auc("0BC0"), terminal: { additionalCapabilities: fromHex("4000000000") } },
    [TVR.serviceNotAllowed],
  ],
  ["10.4.2", "without the issuer's country nothing is restricted by it", { card: { ...VALID, "9F07": "0100" } }, []],
  ["10.4.2", "a refund is no service that the card restricts", { card: auc("0100"), settings: { type: 0x20 } }, []],
  ["10.4.3 [U]", "effective tomorrow", { card: { ...VALID, "5F25": "250512" } }, [TVR.notYetEffective]],
  ["10.4.4 [U]", "expired yesterday", { card: { "5F24": "250510" } }, [TVR.expired]],
  ["Book 4, 6.7.3", "49 is 2049", { card: { "5F24": "491231" } }, []],
  ["Book 4, 6.7.3", "50 is 1950", { card: { "5F24": "501231" } }, [TVR.expired]],
  ["Book 4, 6.7.3", "effective in 99 is 1999", { card: { ...VALID, "5F25": "990101" } }, []],
  ["10.4.4", "no date proves nothing", { card: { "5F24": "251301" } }, [TVR.expired]],
  ["10.4.3", "no date proves nothing", { card: { ...VALID, "5F25": "25AA01" } }, [TVR.notYetEffective]],
];

test.each(RESTRICTIONS)("restrictions, %s: %s", (_clause, _what, given, bits) => {
  const transaction = transactionOf(given);
  applyRestrictions(transaction);
  expect(tvrNames(transaction)).toEqual(namesOf(bits));
});

const LIMITS = { "9F14": "12", "9F23": "34" };
const INVERTED = { "9F14": "12", "9F23": "01" };
const BOTH = [TVR.lowerConsecutiveExceeded, TVR.upperConsecutiveExceeded];
type RiskRow = readonly [clause: string, what: string, given: Given, bits: readonly Bit[], registers?: AtcRegisters];
const atc = (lastOnlineAtc: number, now = 1234): AtcRegisters => ({ atc: now, lastOnlineAtc });
const RISK: readonly RiskRow[] = [
  ["10.6 [U]", "no risk found", { card: LIMITS }, [], atc(1233)],
  ["10.6.1 [U]", "over the floor limit", { settings: { amountMinor: 15_000n } }, [TVR.floorLimitExceeded]],
  ["10.6.1", "at the floor limit", { settings: { amountMinor: 10_000n } }, [TVR.floorLimitExceeded]],
  ["10.6.1", "under the floor limit", { settings: { amountMinor: 9_999n } }, []],
  ["10.6.1", "split sales add up", { settings: { alreadySpentMinor: 5_000n } }, [TVR.floorLimitExceeded]],
  [
    "10.6.1",
    "what this very card owes adds up",
    {
      card: { "5A": "5413330000000014" },
      terminal: { spentBefore: (pan) => (pan === "5413330000000014" ? 5_000n : 0n) },
    },
    [TVR.floorLimitExceeded],
  ],
  [
    "10.6.1",
    "what another card owes does not",
    { card: { "5A": "5413330000000014" }, terminal: { spentBefore: (pan) => (pan === "1" ? 5_000n : 0n) } },
    [],
  ],
  ["10.6.3 [U], 7.5", "no registers", { card: LIMITS }, [TVR.iccDataMissing, ...BOTH], {}],
  ["10.6.3, 7.5", "no last online register", { card: LIMITS }, [TVR.iccDataMissing, ...BOTH], { atc: 5 }],
  ["10.6.3", "an upper limit below the lower one is not looked at before it", { card: INVERTED }, [], atc(1216)],
  ["10.6.3 [U]", "lower limit matched", { card: LIMITS }, [], atc(1216)],
  ["10.6.3 [U]", "lower limit exceeded", { card: LIMITS }, [TVR.lowerConsecutiveExceeded], atc(1215)],
  ["10.6.3 [U]", "upper limit matched", { card: LIMITS }, [TVR.lowerConsecutiveExceeded], atc(1182)],
  ["10.6.3 [U]", "upper limit exceeded", { card: LIMITS }, BOTH, atc(1181)],
  ["10.6.3", "a counter that stands still", { card: LIMITS }, BOTH, atc(1234)],
  ["10.6.3", "a counter that ran back", { card: LIMITS }, BOTH, atc(1235)],
  ["10.6.3 [U]", "new card", { card: LIMITS }, [TVR.newCard], atc(0, 5)],
  [
    "10.6.3 [U], 7.5",
    "new card with no ATC",
    { card: LIMITS },
    [TVR.iccDataMissing, TVR.newCard, ...BOTH],
    { lastOnlineAtc: 0 },
  ],
  ["10.6.3", "one limit alone is none", { card: { "9F14": "00" } }, [], atc(0)],
  ["B4 6.3.5", "forced online", { settings: { forceOnline: true } }, [TVR.merchantForcedOnline]],
  [
    "B4 6.3.5",
    "on the exception file",
    {
      card: { "5A": "5413330000000014", "5F34": "07" },
      terminal: { onExceptionFile: (pan, sequence) => pan === "5413330000000014" && sequence === "07" },
    },
    [TVR.onExceptionFile],
  ],
];

for (const [clause, what, given, bits, registers = {}] of RISK) {
  test(`risk, ${clause}: ${what}`, () => {
    for (const aip of [[], [AIP.terminalRiskManagement]]) {
      const transaction = transactionOf({ ...given, aip });
      manageRisk(transaction, registers);
      expect(tvrNames(transaction)).toEqual(namesOf(bits));
      expect(toHex(transaction.tsi)).toBe("0800");
    }
  });
}

// 10.6, conditions of execution.
test("a card whose profile asks for no risk management gets all of it", () => {
  const transaction = transactionOf({
    card: { ...LIMITS, "5A": "541333000000001F" },
    settings: { amountMinor: 9_999n, alreadySpentMinor: 1n, forceOnline: true, randomPercent: 1 },
    application: { random: { targetPercent: 99, maxTargetPercent: 99, thresholdMinor: 0 } },
    terminal: { onExceptionFile: (pan) => pan === "541333000000001" },
  });
  expect(wantsAtcRegisters(transaction)).toBe(true);
  manageRisk(transaction, atc(1215));
  expect(tvrNames(transaction)).toEqual(
    namesOf([
      TVR.onExceptionFile,
      TVR.floorLimitExceeded,
      TVR.lowerConsecutiveExceeded,
      TVR.randomlySelected,
      TVR.merchantForcedOnline,
    ]),
  );
});

/** Threshold 20.00, floor limit 100.00, target 20 %, at most 60 %: at 60.00 the share is halfway, 40 % (10.6.2). */
const RANDOM = { random: { targetPercent: 20, maxTargetPercent: 60, thresholdMinor: 2_000 } };
test.each([
  { amountMinor: 1_999n, randomPercent: 20, type: 0x22, selected: true },
  { amountMinor: 1_999n, randomPercent: 21, type: 0x22, selected: false },
  { amountMinor: 2_000n, randomPercent: 20, type: 0x22, selected: true },
  { amountMinor: 2_000n, randomPercent: 21, type: 0x22, selected: false },
  { amountMinor: 6_000n, randomPercent: 40, type: 0x22, selected: true },
  { amountMinor: 6_000n, randomPercent: 41, type: 0x22, selected: false },
  { amountMinor: 9_999n, randomPercent: 59, type: 0x25, selected: true },
  { amountMinor: 9_999n, randomPercent: 60, type: 0x25, selected: false },
  { amountMinor: 10_000n, randomPercent: 1, type: 0x22, selected: false },
  { amountMinor: 1_999n, randomPercent: 1, type: 0x23, selected: false },
  { amountMinor: 1_999n, randomPercent: 1, type: 0x21, selected: false },
])(
  "random selection, 10.6.2: $amountMinor at $randomPercent on type $type: $selected",
  ({ type, selected, ...settings }) => {
    const transaction = transactionOf({ application: RANDOM, terminal: { type }, settings });
    manageRisk(transaction, {});
    expect(hasBit(transaction.tvr, TVR.randomlySelected)).toBe(selected);
  },
);

const IAC = { denial: "9F0E", online: "9F0F", default: "9F0D" } as const;
const NONE = { [IAC.denial]: "0000000000", [IAC.online]: "0000000000", [IAC.default]: "0000000000" };
const at = (code: string) => ({ ...NONE, [code]: "0000800000" });
const tac = (code: keyof typeof IAC) => ({
  application: { actionCodes: { ...ZERO_CODES, [code]: fromHex("0000800000") } },
});
const FAILED_CVM = "0000800000";
type ActionRow = readonly [what: string, given: Given, type: number, first: string, unable: string];
const ACTION: readonly ActionRow[] = [
  ["nothing is wrong", { card: NONE, tvr: "0000000000" }, 0x22, "TC", "TC"],
  ["nothing asks about it", { card: NONE, tvr: FAILED_CVM }, 0x22, "TC", "TC"],
  ["IAC-Denial", { card: at(IAC.denial), tvr: FAILED_CVM }, 0x22, "AAC", "TC"],
  ["TAC-Denial", { card: NONE, tvr: FAILED_CVM, ...tac("denial") }, 0x22, "AAC", "TC"],
  ["IAC-Online", { card: at(IAC.online), tvr: FAILED_CVM }, 0x22, "ARQC", "TC"],
  ["TAC-Online", { card: NONE, tvr: FAILED_CVM, ...tac("online") }, 0x22, "ARQC", "TC"],
  ["IAC-Default counts after the try only", { card: at(IAC.default), tvr: FAILED_CVM }, 0x22, "TC", "AAC"],
  ["TAC-Default counts after the try only", { card: NONE, tvr: FAILED_CVM, ...tac("default") }, 0x22, "TC", "AAC"],
  ["RM13 absent IACs: no denial, online, and no default", { tvr: "8000000000" }, 0x22, "ARQC", "AAC"],
  ["RM13 absent IACs and a clean TVR", {}, 0x22, "TC", "TC"],
  ["an online-only terminal asks online when nothing is wrong", { card: NONE }, 0x21, "ARQC", "AAC"],
  ["an online-only terminal denies first", { card: at(IAC.denial), tvr: FAILED_CVM }, 0x24, "AAC", "AAC"],
  [
    "an offline-only terminal takes the default codes at once",
    { card: at(IAC.default), tvr: FAILED_CVM },
    0x23,
    "AAC",
    "AAC",
  ],
  [
    "an offline-only terminal has no use for the online codes",
    { card: at(IAC.online), tvr: FAILED_CVM },
    0x26,
    "TC",
    "TC",
  ],
];

test.each(ACTION)("action analysis, 10.7: %s", (_what, given, type, first, unable) => {
  const transaction = transactionOf({ ...given, terminal: { type } });
  expect([decideFirst(transaction), decideUnable(transaction)]).toEqual([first, unable]);
});

test("more bits in TVR or action codes never make a decision milder", () => {
  const severity = { TC: 0, ARQC: 1, AAC: 2 };
  const five = fc.uint8Array({ minLength: 5, maxLength: 5 });
  fc.assert(
    fc.property(five, five, five, fc.constantFrom(0x21, 0x22, 0x23, 0x24, 0x25, 0x26), (tvr, code, more, type) => {
      const decide = (bits: Uint8Array, denial: Uint8Array) =>
        severity[
          decideFirst(
            transactionOf({
              tvr: toHex(bits),
              terminal: { type },
              card: NONE,
              application: { actionCodes: { denial, online: code, default: code } },
            }),
          )
        ];
      const wider = tvr.map((byte, index) => byte | (more[index] ?? 0));
      expect(decide(wider, new Uint8Array(5))).toBeGreaterThanOrEqual(decide(tvr, new Uint8Array(5)));
      expect(decide(tvr, more)).toBeGreaterThanOrEqual(decide(tvr, new Uint8Array(5)));
    }),
  );
});
