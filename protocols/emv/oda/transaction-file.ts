/**
 * The data objects of one finished transaction as text, for checking a card's authentication without the card: hex TLV in the
 * order in which they were used, white space and line ends anywhere, `#` to the end of the line for people.
 */
import { concat, fromHex } from "../../../base/bytes.ts";
import { Fault, reasonOf } from "../../../base/fault.ts";
import { type AflEntry, decodeAfl } from "../afl.ts";
import { decodeTlv, flattenTlv, type Tag, tagName, type WholeTlv, wholeObjects } from "../ber-tlv.ts";
import { buildDol, decodeDol } from "../dol.ts";

export const TRANSACTION_FILE_BYTES_MAX = 262_144;

/** The card's answer to GENERATE AC, with what its signature also covers. */
export interface CryptogramAnswer {
  readonly signed: Uint8Array;
  readonly cid: Uint8Array;
  readonly unpredictableNumber: Uint8Array | undefined;
  /** PDOL and CDOL values, then the answer's objects without 9F4B (Book 2, 6.6.2). */
  readonly transactionData: Uint8Array;
}

/** The card's answer to INTERNAL AUTHENTICATE, with what its signature also covers. */
export interface DynamicAnswer {
  readonly signed: Uint8Array;
  /** The DDOL's values; a card without a DDOL is asked by one that names the Unpredictable Number alone. */
  readonly terminalData: Uint8Array;
  /** The Unpredictable Number is among them (Book 2, 6.5.1). */
  readonly withNumber: boolean;
}

export interface FinishedTransaction {
  readonly values: ReadonlyMap<Tag, Uint8Array>;
  readonly records: readonly WholeTlv[];
  readonly aip: Uint8Array;
  readonly afl: readonly AflEntry[];
  readonly internalAuthenticate: DynamicAnswer | undefined;
  readonly cryptogram: CryptogramAnswer | undefined;
  /** Objects that a DOL asks for and the file lacks, by name of the DOL; zeros stand for them, as a terminal sends them. */
  readonly absent: readonly string[];
}

/** Throws Fault "codec.…" with the line or the byte. */
export function parseTransactionFile(text: string): FinishedTransaction {
  const reading = new Reading();
  for (const object of wholeObjects(bytesOf(text))) reading.take(object);
  return reading.finish();
}

function bytesOf(text: string): Uint8Array {
  const lines = text.split("\n").map((line, index) => {
    try {
      const digits = line.replace(/#.*$/, "").replace(/\s+/g, "");
      return fromHex(digits);
    } catch (error) {
      throw new Fault("codec.invalid", `line ${index + 1}: ${reasonOf(error)}`, { cause: error });
    }
  });
  const bytes = concat(...lines);
  if (bytes.length === 0) throw new Fault("codec.invalid", "there are no data objects; --help tells the form");
  return bytes;
}

const AIP_BYTES = 2;
const DEFAULT_DDOL = fromHex("9F3704");
/** CID, ATC, cryptogram and at most 32 bytes of the issuer's; what is longer is a signature (Book 3, 6.5.5.4 and 6.5.9.4). */
const CRYPTOGRAM_ANSWER_BYTES_MAX = 43;

/** Goes through the objects in their order; a terminal's object counts for the answers that come after it. */
class Reading {
  readonly #values = new Map<Tag, Uint8Array>();
  readonly #records: WholeTlv[] = [];
  readonly #absent = new Set<string>();
  #options: { readonly aip: Uint8Array; readonly afl: Uint8Array } | undefined;
  /** PDOL and CDOL values as they were sent. */
  #sent: Uint8Array[] = [];
  #cryptograms = 0;
  #internalAuthenticate: DynamicAnswer | undefined;
  #cryptogram: CryptogramAnswer | undefined;

  take(object: WholeTlv): void {
    const { tag, value } = object;
    if (tag === 0x70) {
      this.#records.push(object);
      this.#keep(value);
    } else if (tag === 0x77) {
      this.#formatTwo(value);
    } else if (tag === 0x80) {
      this.#formatOne(value);
    } else if (tag === 0x6f) {
      this.#keep(value);
    } else if (tag === 0x9f4b) {
      this.#dynamic(value);
    } else {
      this.#values.set(tag, value);
    }
  }

  finish(): FinishedTransaction {
    const aip = this.#options?.aip ?? this.#values.get(0x82);
    const afl = this.#options?.afl ?? this.#values.get(0x94);
    if (!aip || aip.length !== AIP_BYTES || !afl) {
      throw new Fault("codec.invalid", "the answer to GET PROCESSING OPTIONS (77 or 80) is missing: AIP and AFL");
    }
    return {
      values: this.#values,
      records: this.#records,
      aip,
      afl: decodeAfl(afl),
      internalAuthenticate: this.#internalAuthenticate,
      cryptogram: this.#cryptogram,
      absent: [...this.#absent],
    };
  }

  #keep(content: Uint8Array): void {
    for (const { tag, value } of flattenTlv(decodeTlv(content))) this.#values.set(tag, value);
  }

  #formatTwo(content: Uint8Array): void {
    const inside = new Map(wholeObjects(content).map(({ tag, value }) => [tag, value] as const));
    const cid = inside.get(0x9f27);
    const signed = inside.get(0x9f4b);
    const aip = inside.get(0x82);
    if (cid) this.#answered(content, { cid, signed });
    else if (signed) this.#dynamic(signed);
    else if (aip) this.#processing(aip, inside.get(0x94) ?? new Uint8Array(0));
    this.#keep(content);
  }

  #formatOne(value: Uint8Array): void {
    if (!this.#options) this.#processing(value.subarray(0, AIP_BYTES), value.subarray(AIP_BYTES));
    else if (value.length > CRYPTOGRAM_ANSWER_BYTES_MAX) this.#dynamic(value);
    else this.#answered(new Uint8Array(0), { cid: value.subarray(0, 1), signed: undefined });
  }

  #processing(aip: Uint8Array, afl: Uint8Array): void {
    this.#options = { aip, afl };
    this.#values.set(0x82, aip);
    this.#sent = [this.#filled(0x9f38, "PDOL")];
  }

  #dynamic(signed: Uint8Array): void {
    const list = decodeDol(this.#values.get(0x9f49) ?? DEFAULT_DDOL);
    const withNumber = list.some(({ tag }) => tag === 0x9f37) && this.#values.has(0x9f37);
    this.#internalAuthenticate = { signed, terminalData: buildDol(list, this.#values), withNumber };
  }

  /** CDOL1 values go with the first GENERATE AC, and CDOL2 values behind them with the second. */
  #answered(
    content: Uint8Array,
    { cid, signed }: { readonly cid: Uint8Array; readonly signed: Uint8Array | undefined },
  ) {
    this.#cryptograms += 1;
    this.#sent.push(this.#cryptograms === 1 ? this.#filled(0x8c, "CDOL1") : this.#filled(0x8d, "CDOL2"));
    const unsigned = wholeObjects(content).filter(({ tag }) => tag !== 0x9f4b);
    this.#cryptogram = signed && {
      signed,
      cid,
      unpredictableNumber: this.#values.get(0x9f37),
      transactionData: concat(...this.#sent, ...unsigned.map(({ whole }) => whole)),
    };
  }

  #filled(list: Tag, name: string): Uint8Array {
    const entries = decodeDol(this.#values.get(list) ?? new Uint8Array(0));
    for (const { tag } of entries) if (!this.#values.has(tag)) this.#absent.add(`${name} asks for ${tagName(tag)}`);
    return buildDol(entries, this.#values);
  }
}
