/** The simulated cards by name: data of test cards, how each decides and what is wrong with it, with a sentence for people. */
import { fromHex } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";
import { INS } from "../../protocols/emv/commands.ts";
import type { DolEntry } from "../../protocols/emv/dol.ts";
import {
  type ActionCodes,
  type ApplicationProfile,
  type CardProfile,
  TEST_AID,
  TEST_ISSUER_MASTER_KEY,
  TEST_SCRIPT_MASTER_KEY,
} from "./profile.ts";

export type { CardProfile } from "./profile.ts";
export { TEST_AID, TEST_ISSUER_MASTER_KEY } from "./profile.ts";

/**
 * Refused where the service is not allowed. To the issuer: whatever authentication, dates, cardholder verification or risk
 * management found. Declined without the issuer: the same, but an amount above the floor limit and chance are left to the card.
 */
const ACTION_CODES: ActionCodes = {
  denial: fromHex("0010000000"),
  online: fromHex("FC6080F800"),
  default: fromHex("FC60802000"),
};

/** To the issuer above the floor limit, by chance or when forced; without him all is left to the card. */
const LENIENT: ActionCodes = { ...ACTION_CODES, online: fromHex("0000009800"), default: fromHex("0000000000") };

/** A card number of the test range with its check digit. */
function testPan(number: number): string {
  const stem = `4761739001010${number.toString().padStart(2, "0")}`;
  const sum = [...stem].reverse().reduce((total, digit, index) => {
    const doubled = Number(digit) * (index % 2 === 0 ? 2 : 1);
    return total + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return `${stem}${(10 - (sum % 10)) % 10}`;
}

const COMMON = {
  offlineLimitMinor: 10_000n,
  answers: "data",
  format: 2,
  expiry: "3112",
  sequenceNumber: "01",
  cardholder: "TEST/CARD",
  aid: TEST_AID,
  label: "TILLWAY TEST",
  priority: 1,
  temper: "standard",
  issuerMasterKey: TEST_ISSUER_MASTER_KEY,
  scriptMasterKey: TEST_SCRIPT_MASTER_KEY,
} as const;

/** What every card with certificates has beside them. */
const CERTIFIED = {
  ...COMMON,
  actionCodes: ACTION_CODES,
  issuerAuthentication: { by: "external", method: 1 },
} as const;
const SDA = { ...CERTIFIED, oda: "sda" } as const;
const DDA = { ...CERTIFIED, oda: "dda" } as const;
const CDA = { ...CERTIFIED, oda: "cda" } as const;

/** Amount, currency, country and an unpredictable number: as cards that decide before GENERATE AC ask. */
const FULL_PDOL: readonly DolEntry[] = [
  { tag: 0x9f37, length: 4 },
  { tag: 0x9f02, length: 6 },
  { tag: 0x5f2a, length: 2 },
  { tag: 0x9f1a, length: 2 },
];

/** Always no CVM, after a signature where the terminal takes one (Book 3, C3: 1E is the last word, 5E lets the next be tried). */
const SIGNATURE_FIRST = fromHex("00000000 00000000 5E03 1F00");
/** A PIN where the terminal takes one, else a signature. */
const PIN_OR_SIGNATURE = fromHex("00000000 00000000 4103 1E03");
/** A PIN or nothing. */
const PIN_ONLY = fromHex("00000000 00000000 0100");

const EVERYDAY: readonly CardProfile[] = [
  {
    ...CDA,
    name: "standard",
    sentence: "Signs with CDA, approves offline up to 100.00 and asks the issuer above it.",
    pan: testPan(1),
    actionCodes: LENIENT,
  },
  {
    ...COMMON,
    name: "second",
    sentence: "Differs from the standard card as far as the books allow: no certificates, format 1, two-step answers.",
    pan: "5413330089020011",
    format: 1,
    answers: "get-response",
  },
  {
    ...COMMON,
    name: "online-only",
    sentence: "Never approves by itself, and declines when the issuer is out of reach.",
    temper: "online-only",
    pan: testPan(2),
  },
  { ...COMMON, name: "declining", sentence: "Declines everything.", temper: "declining", pan: testPan(3) },
  {
    ...CDA,
    name: "offline-only",
    sentence: "Never asks the issuer: approves up to 100.00 and declines the rest.",
    temper: "offline-only",
    pan: testPan(4),
  },
];

const AUTHENTICATED: readonly CardProfile[] = [
  { ...SDA, name: "sda", sentence: "Static data authentication; format 1 answers.", pan: testPan(5), format: 1 },
  {
    ...DDA,
    name: "dda",
    sentence: "Dynamic data authentication with its own DDOL; the PDOL asks for the amount; cryptogram version 10.",
    pan: testPan(6),
    pdol: FULL_PDOL,
    cryptogramVersion: 10,
  },
  {
    ...DDA,
    name: "dda-default-ddol",
    sentence: "Dynamic data authentication without a DDOL, short keys, format 1 answers.",
    pan: testPan(7),
    ddol: "none",
    chain: "short",
    format: 1,
  },
  {
    ...CDA,
    name: "cda",
    sentence: "Combined authentication; the PDOL asks for the amount; the issuer answers in CDOL2, by method 2.",
    pan: testPan(8),
    pdol: FULL_PDOL,
    issuerAuthentication: { by: "cdol2", method: 2, mandatory: true },
  },
  {
    ...CDA,
    name: "common-core",
    sentence: "Combined authentication with the longest keys, and the common-core cryptogram and answer.",
    pan: testPan(9),
    chain: "longest-cda",
    cryptogramVersion: "common-core",
    issuerAuthentication: { by: "external", method: 2 },
  },
];

const UNUSABLE: readonly CardProfile[] = [
  { ...CDA, name: "expired", sentence: "Has been out of date since 2024.", pan: testPan(10), expiry: "2412" },
  {
    ...CDA,
    name: "not-yet-effective",
    sentence: "Becomes valid in 2049.",
    pan: testPan(11),
    effective: "490101",
    expiry: "4912",
  },
  { ...CDA, name: "blocked", sentence: "Its application is blocked.", pan: testPan(12), blocked: true },
  { ...CDA, name: "card-blocked", sentence: "The whole card is blocked.", pan: testPan(13), cardBlocked: true },
  {
    ...CDA,
    name: "revoked-issuer",
    sentence: "The issuer's certificate is on the revocation list.",
    pan: testPan(14),
    mintFault: "revoked-issuer",
  },
  {
    ...CDA,
    name: "wrong-ca",
    sentence: "The issuer's certificate is by another authority than it says.",
    pan: testPan(15),
    mintFault: "wrong-ca",
  },
];

const SECOND_APPLICATION: ApplicationProfile = {
  ...CDA,
  aid: fromHex("F0 54 49 4C 4C 57 41 59 02"),
  label: "TILLWAY CREDIT",
  priority: 1,
  confirm: true,
  pan: testPan(17),
};

const PECULIAR: readonly CardProfile[] = [
  {
    ...CDA,
    name: "two-applications",
    sentence: "Two applications; the preferred one wants the cardholder's confirmation.",
    priority: 2,
    label: "TILLWAY DEBIT",
    pan: testPan(16),
    further: [SECOND_APPLICATION],
  },
  {
    ...CDA,
    name: "cashback",
    sentence: "As the standard card, and in its own country it gives cash on top of a purchase.",
    pan: testPan(39),
    usage: fromHex("FF80"),
    actionCodes: LENIENT,
  },
  {
    ...CDA,
    name: "scripts",
    sentence: "Obeys issuer scripts whose MAC holds, and counts them.",
    pan: testPan(18),
    scripts: "accepted",
    velocity: { lower: 3, upper: 5 },
    ownVelocity: { lower: 3, upper: 5 },
  },
  {
    ...CDA,
    name: "velocity",
    sentence: "After two offline sales in a row it wants the issuer, after three it must have it.",
    pan: testPan(19),
    velocity: { lower: 2, upper: 3 },
  },
  {
    ...CDA,
    name: "silent-counters",
    sentence: "Has limits for offline sales in a row but tells no counter.",
    pan: testPan(20),
    velocity: { lower: 2, upper: 3 },
    counters: "kept-back",
  },
  { ...CDA, name: "tc-hash", sentence: "Wants the TC hash over its own list.", pan: testPan(21), tcHash: "own-list" },
  {
    ...CDA,
    name: "default-tdol",
    sentence: "Wants the TC hash over the terminal's default list.",
    pan: testPan(22),
    tcHash: "default-list",
  },
  {
    ...CDA,
    name: "signature",
    sentence: "Wants a signature where one can be taken.",
    pan: testPan(23),
    cvmList: SIGNATURE_FIRST,
  },
  {
    ...CDA,
    name: "pin-or-signature",
    sentence: "Wants a PIN where one can be taken, else a signature.",
    pan: testPan(24),
    cvmList: PIN_OR_SIGNATURE,
  },
  { ...CDA, name: "pin-only", sentence: "Wants a PIN and nothing else.", pan: testPan(25), cvmList: PIN_ONLY },
  {
    ...CDA,
    name: "mute",
    sentence: "Falls silent when asked for its cryptogram.",
    pan: testPan(26),
    muteFrom: INS.generateAc,
  },
  { ...CDA, name: "slow", sentence: "Takes 400 ms for each answer.", pan: testPan(27), slowMs: 400 },
];

const lying = (options: Required<Pick<CardProfile, "name" | "sentence" | "pan" | "lie">>): CardProfile => ({
  ...CDA,
  ...options,
});

const LYING: readonly CardProfile[] = [
  lying({
    name: "cloned",
    sentence: "Every certificate is copied from a real card; the card's key could not be.",
    pan: testPan(28),
    lie: "cloned",
  }),
  {
    ...SDA,
    name: "cloned-static",
    sentence: "A copy of an SDA card: passes offline, but does not know the key of the cryptograms.",
    pan: testPan(5),
    format: 1,
    issuerMasterKey: fromHex("00112233445566778899AABBCCDDEEFF"),
  },
  {
    ...SDA,
    name: "altered",
    sentence: "SDA; a record was changed after the issuer had signed it.",
    pan: testPan(29),
    lie: "altered-record",
  },
  lying({ name: "duplicate-object", sentence: "Has its number twice.", pan: testPan(30), lie: "duplicate-object" }),
  lying({ name: "no-expiry", sentence: "Lacks the expiration date.", pan: testPan(31), lie: "no-expiry" }),
  lying({
    name: "certificate-format",
    sentence: "In place of its key's certificate stands another signed thing.",
    pan: testPan(32),
    lie: "certificate-format",
  }),
  lying({
    name: "certificate-length",
    sentence: "The issuer's certificate is a byte short.",
    pan: testPan(33),
    lie: "certificate-length",
  }),
  lying({
    name: "wrong-length",
    sentence: "An object in a record claims more bytes than there are.",
    pan: testPan(34),
    lie: "record-length",
  }),
  lying({ name: "afl-length", sentence: "Its file locator is a byte short.", pan: testPan(35), lie: "afl-length" }),
  lying({
    name: "cryptogram-length",
    sentence: "Its cryptogram is a byte short.",
    pan: testPan(36),
    lie: "cryptogram-length",
  }),
  lying({
    name: "out-of-turn",
    sentence: "Answers the reading of records with a cryptogram.",
    pan: testPan(37),
    lie: "out-of-turn",
  }),
  lying({
    name: "more-than-asked",
    sentence: "Approves when asked for a request to the issuer.",
    pan: testPan(38),
    lie: "more-than-asked",
  }),
];

export const CARD_PROFILES: readonly CardProfile[] = [
  ...EVERYDAY,
  ...AUTHENTICATED,
  ...UNUSABLE,
  ...PECULIAR,
  ...LYING,
];

export function cardProfile(name: string): CardProfile {
  const profile = CARD_PROFILES.find((known) => known.name === name);
  if (profile) return profile;
  const names = CARD_PROFILES.map((known) => known.name).join(", ");
  throw new Fault("config.invalid", `no card profile "${name}"; one of ${names}`);
}
