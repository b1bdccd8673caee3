/** Test vectors of offline data authentication in the form that the code under test takes. */
import { readFileSync } from "node:fs";
import { fromHex } from "../../../base/bytes.ts";
import type { OdaInput } from "./authentication.ts";
import { parseCaKeys } from "./capk.ts";
import type { Day } from "./keys.ts";

export interface MadeSet {
  readonly name: string;
  readonly caKey: Readonly<Record<string, string>>;
  readonly issuerKey: { readonly modulus: string; readonly exponent: string; readonly serialNumber: string };
  readonly iccKey: { readonly modulus: string; readonly exponent: string };
  readonly staticData: string;
  readonly values: Readonly<Record<string, string>>;
  readonly dataAuthenticationCode: string;
  readonly iccDynamicNumber: string;
  readonly dda: { readonly signed: string; readonly terminalData: string };
  readonly cda: {
    readonly signed: string;
    readonly cid: number;
    readonly unpredictableNumber: string;
    readonly transactionData: string;
    readonly cryptogram: string;
  };
  /** Of a second GENERATE AC: CDOL2 values, the unpredictable number alone, are signed too. */
  readonly secondSigned: string;
  /** Static data of a record in a file above 10, with the template's tag and length. */
  readonly highFileSigned: string;
}

type Stage = "issuer" | "icc" | "sda" | "dda" | "cda";

export interface Variant {
  readonly what: string;
  readonly why?: string;
  readonly at: Stage;
  /** Default the first. */
  readonly set?: string;
  /** Put over the set's values. */
  readonly values?: Readonly<Record<string, string>>;
  /** The signed dynamic data. */
  readonly signed?: string;
}

export interface Made {
  readonly today: string;
  readonly sets: readonly MadeSet[];
  readonly faults: readonly Variant[];
  readonly sound: readonly Variant[];
  readonly raw: readonly Readonly<Record<"modulus" | "exponent" | "signed" | "recovered" | "signedTwo", string>>[];
}

interface PublishedCard {
  readonly today: string;
  readonly caKey: Readonly<Record<string, string>>;
  readonly values: Readonly<Record<string, string>>;
}

export interface Published {
  readonly sda: PublishedCard & {
    readonly staticData: string;
    readonly serialNumber: string;
    readonly dataAuthenticationCode: string;
  };
  readonly dda: PublishedCard & {
    readonly staticData: string;
    readonly signed: string;
    readonly terminalData: string;
    readonly iccDynamicNumber: string;
  };
  readonly cda: PublishedCard & {
    readonly iccModulus: string;
    readonly signed: string;
    readonly cid: number;
    readonly unpredictableNumber: string;
    readonly transactionData: string;
    readonly iccDynamicNumber: string;
    readonly cryptogram: string;
  };
}

const vectors = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../test/vectors/emv/${name}`, import.meta.url), "utf8"));

export const made = vectors("oda-made.json") as Made;
export const published = vectors("oda-published.json") as Published;

export function firstSet(): MadeSet {
  const [first] = made.sets;
  if (!first) throw new Error("oda-made.json has no set");
  return first;
}

export function dayOf(text: string): Day {
  const [year = 0, month = 0, day = 0] = text.split("-").map(Number);
  return { year, month, day };
}

export const bytesOf = (values: Readonly<Record<string, string>>): Map<number, Uint8Array> =>
  new Map(Object.entries(values).map(([tag, value]) => [Number.parseInt(tag, 16), fromHex(value)]));

export interface CardVector {
  readonly caKey: Readonly<Record<string, string>>;
  readonly values: Readonly<Record<string, string>>;
  readonly staticData?: string;
}

/** `values` are put over the card's. */
export function inputOf(card: CardVector, today: string, values: Readonly<Record<string, string>> = {}): OdaInput {
  const merged = Object.fromEntries(Object.entries({ ...card.values, ...values }).filter(([, value]) => value !== ""));
  return {
    values: bytesOf(merged),
    staticData: fromHex(card.staticData ?? ""),
    rid: fromHex(card.caKey["rid"] ?? ""),
    caKeys: parseCaKeys([card.caKey]),
    revoked: [],
    today: dayOf(today),
  };
}
