/** Issuer Application Data, tag 9F10, with the card verification results: in VIS's form, and in common core's (Book 3, C7). */
import { concat } from "../../base/bytes.ts";
import type { CryptogramType } from "../../protocols/emv/commands.ts";
import type { CardMemory } from "./card-memory.ts";

export interface CardResults {
  readonly version: 10 | 18 | "common-core";
  readonly first: CryptogramType;
  /** Undefined before the second GENERATE AC. */
  readonly second: CryptogramType | undefined;
  readonly issuerAuthentication: "passed" | "failed" | "absent";
  readonly issuer: "answered" | "out-of-reach" | "not-asked";
  readonly ownVelocity: "within" | "above-lower" | "above-upper";
  readonly signed: "dda" | "cda" | "nothing";
  readonly lastOnline: CardMemory["lastOnline"];
  /** The issuer was never reached. */
  readonly isNew: boolean;
}

const TYPE_BITS = { AAC: 0b00, TC: 0b01, ARQC: 0b10 } as const;
const NOT_REQUESTED = 0b10;
const KEY_INDEX = 0x01;
const SCRIPTS_MAX = 15;

export function issuerApplicationData(results: CardResults): Uint8Array {
  if (results.version === "common-core") return commonCore(results);
  return Uint8Array.of(0x06, KEY_INDEX, results.version, ...visResults(results));
}

const cryptogramBits = ({ first, second }: CardResults): number =>
  ((second === undefined ? NOT_REQUESTED : TYPE_BITS[second]) << 6) | (TYPE_BITS[first] << 4);

const scriptBits = ({ lastOnline }: CardResults): number =>
  (Math.min(lastOnline.scripts, SCRIPTS_MAX) << 4) | when(lastOnline.scriptFailed, 0x08);

const when = (condition: boolean, bits: number): number => (condition ? bits : 0);

/** VIS 1.5, appendix: length, then three bytes. */
function visResults(results: CardResults): readonly number[] {
  const { issuerAuthentication, issuer, ownVelocity, lastOnline, isNew } = results;
  return [
    0x03,
    cryptogramBits(results) | when(issuerAuthentication === "failed", 0x08) | when(issuer === "out-of-reach", 0x01),
    when(ownVelocity !== "within", 0x20) |
      when(isNew, 0x10) |
      when(lastOnline.issuerAuthenticationFailed, 0x08) |
      when(issuer === "answered" && issuerAuthentication === "absent", 0x04),
    scriptBits(results),
  ];
}

/** Format code A and version 5, results of five bytes, no counters shown (Book 3, C7.1 to C7.3). */
function commonCore(results: CardResults): Uint8Array {
  const { issuerAuthentication, issuer, ownVelocity, signed } = results;
  return concat(
    Uint8Array.of(0x0f, 0xa5, KEY_INDEX),
    Uint8Array.of(
      cryptogramBits(results) |
        when(signed === "cda", 0x08) |
        when(signed === "dda", 0x04) |
        when(issuerAuthentication === "absent", 0x02) |
        when(issuerAuthentication === "failed", 0x01),
      0x30,
      when(ownVelocity !== "within", 0x80) | when(ownVelocity === "above-upper", 0x40),
      scriptBits(results) | when(issuer === "out-of-reach", 0x01),
      0x00,
    ),
    new Uint8Array(8),
    Uint8Array.of(0x0f),
    new Uint8Array(15),
  );
}
