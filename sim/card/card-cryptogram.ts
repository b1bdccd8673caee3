/** The answer to GENERATE AC: cryptogram, issuer application data and, with CDA, the signature over both (Book 2, 6.6 and 8.1). */
import { createHash } from "node:crypto";
import { assert } from "../../base/assert.ts";
import { concat } from "../../base/bytes.ts";
import { encodeTlv, type Tag } from "../../protocols/emv/ber-tlv.ts";
import { type CryptogramType, cryptogramBits, encodeFormatOne } from "../../protocols/emv/commands.ts";
import { applicationCryptogram } from "../../protocols/emv/cryptogram.ts";
import { cryptogramKey, makeCryptogram } from "../../protocols/emv/cryptogram-versions.ts";
import { type AnswerObject, template77, twoBytes } from "./card-answers.ts";
import { signDynamic } from "./mint/mint.ts";
import type { TestRsaKey } from "./mint/minted.ts";
import type { ApplicationProfile } from "./profile.ts";

export interface GenerateInput {
  readonly profile: ApplicationProfile;
  readonly masterKey: Uint8Array;
  readonly given: CryptogramType;
  readonly atc: number;
  readonly aip: Uint8Array;
  /** Tag 9F10. */
  readonly issuerData: Uint8Array;
  /** What the terminal sent in this transaction. */
  readonly values: ReadonlyMap<Tag, Uint8Array>;
  /** For CDA: `covered` is the data of PDOL, CDOL1 and, for the second, CDOL2. */
  readonly signing?: { readonly key: TestRsaKey; readonly covered: Uint8Array };
}

export interface Generated {
  readonly cryptogram: Uint8Array;
  /** Format 1 or 2. */
  readonly answer: Uint8Array;
}

export function generate(input: GenerateInput): Generated {
  const { profile, masterKey, given, aip, issuerData, signing } = input;
  const atc = twoBytes(input.atc);
  const values = new Map([
    ...input.values,
    [0x82, aip] as const,
    [0x9f36, atc] as const,
    [0x9f10, issuerData] as const,
  ]);
  const made = makeCryptogram(profile.cryptogramVersion ?? 18, masterKey, values);
  assert(made.ok, "the card's lists ask for all that its cryptogram covers");
  const cid = Uint8Array.of(cryptogramBits(given));
  const cryptogram = made.value;
  const shown = profile.lie === "cryptogram-length" ? cryptogram.subarray(1) : cryptogram;
  if (signing) {
    const objects: readonly AnswerObject[] = [
      [0x9f27, cid],
      [0x9f36, atc],
      [0x9f10, issuerData],
    ];
    const signature = sign({ ...input, signing }, { cid, cryptogram: shown, objects });
    return { cryptogram, answer: template77([...objects, [0x9f4b, signature]]) };
  }
  if (profile.format === 1) return { cryptogram, answer: encodeFormatOne(cid, atc, shown, issuerData) };
  const answer = template77([
    [0x9f27, cid],
    [0x9f36, atc],
    [0x9f26, shown],
    [0x9f10, issuerData],
  ]);
  return { cryptogram, answer };
}

interface Signable {
  readonly cid: Uint8Array;
  readonly cryptogram: Uint8Array;
  /** In the order of the answer, without the signature. */
  readonly objects: readonly AnswerObject[];
}

/** Signed Dynamic Application Data of Book 2, 6.6.1, tables 18 and 19. */
function sign(input: GenerateInput & Required<Pick<GenerateInput, "signing">>, signable: Signable): Uint8Array {
  const { cid, cryptogram, objects } = signable;
  const { key, covered } = input.signing;
  const answered = encodeTlv(objects.map(([tag, value]) => ({ tag, value })));
  const transactionHash = createHash("sha1").update(covered).update(answered).digest();
  const number = dynamicNumber(cryptogramKey(input.profile.cryptogramVersion ?? 18, input.masterKey, input.atc));
  return signDynamic(key, {
    iccDynamicData: concat(Uint8Array.of(number.length), number, cid, cryptogram, transactionHash),
    terminalData: input.values.get(0x9f37) ?? new Uint8Array(0),
  });
}

const DYNAMIC = new Uint8Array(Buffer.from("ICC dynamic number", "ascii"));

/** Tag 9F4C: another for each transaction, as the key is; unpredictable without it. */
export const dynamicNumber = (transactionKey: Uint8Array): Uint8Array => applicationCryptogram(transactionKey, DYNAMIC);
