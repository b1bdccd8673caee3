/** What the simulated cards are: data of test cards, and how each decides. Numbers are test numbers, keys are test keys. */
import { fromHex } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";

/** What the card says to a terminal that asks for an approval. */
export type CardTemper =
  /** Approves offline up to `offlineLimitMinor`, sends the terminal online above it, follows the issuer afterwards. */
  | "standard"
  /** Never approves by itself; declines when the terminal cannot go online. */
  | "online-only"
  | "declining";

/** `data` answers at once; `get-response` as a T=0 card does, with 61xx and 6Cxx (Book 1, 9.3.1). */
export type AnswerStyle = "data" | "get-response";

export interface CardProfile {
  readonly name: string;
  readonly temper: CardTemper;
  readonly offlineLimitMinor: bigint;
  readonly answers: AnswerStyle;
  /** Answer to GPO and GENERATE AC: 1 is tag 80, 2 is tag 77 (Book 3, 6.5.5.4 and 6.5.8.4). */
  readonly format: 1 | 2;
  readonly pan: string;
  /** YYMM. */
  readonly expiry: string;
  /** Two digits. */
  readonly sequenceNumber: string;
  readonly cardholder: string;
  /** Proprietary, so that no kernel of a brand is claimed for it. */
  readonly aid: Uint8Array;
  readonly label: string;
  readonly issuerMasterKey: Uint8Array;
}

/** The registered category byte F0 and "TILLWAY". */
export const TEST_AID = fromHex("F0 54 49 4C 4C 57 41 59");
/** A test key, known to everybody. */
export const TEST_ISSUER_MASTER_KEY = fromHex("0123456789ABCDEFFEDCBA9876543210");

const COMMON = {
  offlineLimitMinor: 10_000n,
  answers: "data",
  format: 2,
  expiry: "3112",
  sequenceNumber: "01",
  cardholder: "TEST/CARD",
  aid: TEST_AID,
  label: "TILLWAY TEST",
  issuerMasterKey: TEST_ISSUER_MASTER_KEY,
} as const;

export const CARD_PROFILES: readonly CardProfile[] = [
  { ...COMMON, name: "standard", temper: "standard", pan: "4761739001010010" },
  // As different from the first as the standard allows, so that a terminal proves it reads both.
  { ...COMMON, name: "second", temper: "standard", pan: "5413330089020011", format: 1, answers: "get-response" },
  { ...COMMON, name: "online-only", temper: "online-only", pan: "4761739001010028" },
  { ...COMMON, name: "declining", temper: "declining", pan: "4761739001010036" },
];

export function cardProfile(name: string): CardProfile {
  const profile = CARD_PROFILES.find((known) => known.name === name);
  if (profile) return profile;
  const names = CARD_PROFILES.map((known) => known.name).join(", ");
  throw new Fault("config.invalid", `no card profile "${name}"; one of ${names}`);
}
