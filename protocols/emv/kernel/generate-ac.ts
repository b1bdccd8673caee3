/**
 * GENERATE AC, first or second: its data, what the card may answer, and the card's signature over the answer (Book 3, 6.5.5 and
 * 9; Book 2, 6.6; Book 4, 6.3.2.1).
 */
import { createHash } from "node:crypto";
import { concat } from "../../../base/bytes.ts";
import { ok, type Result } from "../../../base/result.ts";
import { STATUS } from "../apdu.ts";
import { decodeTlv, type Tag, wholeObjects } from "../ber-tlv.ts";
import { setBit, TSI, TVR } from "../bits.ts";
import {
  type Cryptogram,
  type CryptogramType,
  cryptogramType,
  decodeCryptogram,
  generateAcCommand,
} from "../commands.ts";
import { buildDol, decodeDol } from "../dol.ts";
import { verifyCombined } from "../oda/verify.ts";
import { childValue, end, type Part, readable, reading, refused, send } from "./dialogue.ts";
import type { KernelEnd, Transaction } from "./kernel.ts";
import { failAuthentication } from "./oda.ts";

export interface GeneratedCryptogram {
  readonly type: CryptogramType;
  /** Undefined when no signature was asked for, or an AAC came, which carries none. */
  readonly cdaHeld: boolean | undefined;
}

interface Question {
  readonly ask: CryptogramType;
  /** CDOL1 of the first GENERATE AC, CDOL2 of the second. */
  readonly cdol: 0x8c | 0x8d;
}

/** The signature is asked for with a TC and an ARQC (RM13); an AAC has none (Book 2, 6.6.1). */
export function* generateCryptogram(transaction: Transaction, { ask, cdol: tag }: Question): Part<GeneratedCryptogram> {
  const { values } = transaction;
  const cdol = reading("Card Risk Management Data Object List", () => decodeDol(values.get(tag) ?? new Uint8Array(0)));
  if (!cdol.ok) return cdol;
  if (cdol.value.some((entry) => entry.tag === TC_HASH)) {
    const hashed = reading("Transaction Certificate Data Object List (97)", () => hashTransaction(transaction));
    if (!hashed.ok) return hashed;
  }
  const cdolValues = buildDol(cdol.value, values);
  const signature = transaction.cdaPending && ask !== "AAC" ? "cda" : "none";
  const response = yield* send(generateAcCommand(ask, cdolValues, signature));
  if (response.status !== STATUS.ok) return refused("GENERATE AC", response);
  if (transaction.combined) {
    transaction.combined = { ...transaction.combined, sent: [...transaction.combined.sent, cdolValues] };
  }
  const given = givenCid(response.data);
  if (given !== undefined && !mayAnswer({ ask, cdol: tag }, given)) {
    const name = cryptogramType(given) ?? "a reserved type";
    if (tag === 0x8c) return end("card-error", `the card answers ${name} where ${ask} was asked for`);
    // All that the card had to do is done: what it answers out of turn counts as a decline (Book 3, 9.3).
    values.set(0x9f27, Uint8Array.of(given));
    return ok({ type: "AAC", cdaHeld: undefined });
  }
  const decoded = reading("GENERATE AC", () => decodeCryptogram(response.data));
  if (!decoded.ok) return decoded;
  keep(values, decoded.value);
  const { type } = decoded.value;
  if (type === "AAC" || signature === "none") return unsigned(decoded.value);
  return ok({ type, cdaHeld: checkSignature(transaction, decoded.value, response.data) });
}

const RANK = { AAC: 0, ARQC: 1, TC: 2 } as const satisfies Record<CryptogramType, number>;

/** A card may go down from what it was asked for, never up; nothing asks the issuer a second time (Book 3, 9.3). */
function mayAnswer({ ask, cdol }: Question, cid: number): boolean {
  const given = cryptogramType(cid);
  return given !== undefined && RANK[given] <= RANK[ask] && (cdol === 0x8c || given !== "ARQC");
}

/** What the answer says it is, before all of it is read; undefined for one in neither format, which the codec refuses. */
function givenCid(data: Uint8Array): number | undefined {
  const [template] = readable(() => decodeTlv(data)) ?? [];
  if (!template) return undefined;
  return "children" in template ? childValue(template.children, 0x9f27)?.[0] : template.value[0];
}

/** Without a signature the cryptogram itself must be in clear (Book 3, 6.5.5.4). */
function unsigned({ type, cryptogram }: Cryptogram): Result<GeneratedCryptogram, KernelEnd> {
  if (!cryptogram) return end("data-missing", "GENERATE AC: the card gives no cryptogram in clear (9F26)");
  return ok({ type, cdaHeld: undefined });
}

/** What the issuer is told. An object of the cryptogram before, if any, does not outlive it. */
function keep(values: Map<Tag, Uint8Array>, answer: Cryptogram): void {
  values.set(0x9f27, Uint8Array.of(answer.cid));
  values.set(0x9f36, answer.atc);
  const optional: readonly (readonly [Tag, Uint8Array | undefined])[] = [
    [0x9f10, answer.issuerApplicationData.length > 0 ? answer.issuerApplicationData : undefined],
    [0x9f26, answer.cryptogram],
    [0x9f4b, answer.signedDynamicData],
  ];
  for (const [tag, value] of optional) {
    if (value) values.set(tag, value);
    else values.delete(tag);
  }
}

/** Book 2, 6.6.2. An ARQC or TC without the signature that was asked for has failed as much as one with a wrong one. */
function checkSignature(transaction: Transaction, answer: Cryptogram, data: Uint8Array): boolean {
  const { values, tsi, settings, combined } = transaction;
  const signed = answer.signedDynamicData;
  if (!signed || !combined) {
    failAuthentication(transaction, { why: "format", detail: "the card did not sign its cryptogram" });
    return false;
  }
  const verified = verifyCombined(combined.icc, {
    signed,
    cid: answer.cid,
    unpredictableNumber: settings.unpredictableNumber,
    transactionData: concat(...combined.sent, withoutSignature(data)),
  });
  if (!verified.ok) {
    failAuthentication(transaction, verified.error);
    return false;
  }
  values.set(0x9f26, verified.value.cryptogram);
  values.set(0x9f4c, verified.value.iccDynamicNumber);
  setBit(tsi, TSI.odaPerformed);
  return true;
}

const SIGNED_DYNAMIC_DATA = 0x9f4b;
/** The objects in template 77 as the card wrote them, tag, length and value, but for the signature itself (6.6.2, step 10). */
function withoutSignature(data: Uint8Array): Uint8Array {
  const objects = wholeObjects(data).flatMap((template) => wholeObjects(template.value));
  return concat(...objects.filter(({ tag }) => tag !== SIGNED_DYNAMIC_DATA).map(({ whole }) => whole));
}

const TC_HASH = 0x98;

/**
 * TC Hash Value for a CDOL that asks for it: by the card's TDOL, else the terminal's, else over nothing, which is no default that
 * was used (Book 3, 9.2.2). Throws the Fault of a malformed list.
 */
function hashTransaction({ values, application, tvr }: Transaction): void {
  const own = values.get(0x97);
  if (!own && application.defaultTdol) setBit(tvr, TVR.defaultTdolUsed);
  const tdol = decodeDol(own ?? application.defaultTdol ?? new Uint8Array(0));
  // The hash is not part of itself.
  values.delete(TC_HASH);
  values.set(TC_HASH, new Uint8Array(createHash("sha1").update(buildDol(tdol, values)).digest()));
}
