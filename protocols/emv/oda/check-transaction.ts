/** Offline data authentication of a finished transaction, step by step, for people who look for the step that fails. */
import { concat, toHex } from "../../../base/bytes.ts";
import type { Result } from "../../../base/result.ts";
import type { WholeTlv } from "../ber-tlv.ts";
import type { OdaFailure, OdaInput } from "./authentication.ts";
import type { CaPublicKey, Day, RevokedCertificate, RsaPublicKey } from "./keys.ts";
import { failure } from "./rsa.ts";
import type { CryptogramAnswer, FinishedTransaction } from "./transaction-file.ts";
import { recoverIccKey, recoverIssuerKey, verifyCombined, verifyDynamicData, verifyStaticData } from "./verify.ts";

export interface CheckStep {
  readonly step: string;
  readonly holds: boolean;
  /** Of a failure: its kind as `OdaFailure` has it. */
  readonly why?: OdaFailure["why"];
  readonly detail: string;
}

export interface CheckReport {
  readonly method: "sda" | "dda" | "cda" | "none";
  readonly holds: boolean;
  readonly steps: readonly CheckStep[];
}

export interface CheckSettings {
  readonly caKeys: readonly CaPublicKey[];
  readonly revoked: readonly RevokedCertificate[];
  readonly today: Day;
}

const RID_BYTES = 5;
const STANDARD_SFI_MAX = 10;

/** The strongest method that the objects can show: a signed cryptogram, a signed dynamic answer, signed static data. */
export function checkTransaction(transaction: FinishedTransaction, settings: CheckSettings): CheckReport {
  const steps: CheckStep[] = [];
  const { cryptogram, internalAuthenticate, values } = transaction;
  const method = cryptogram ? "cda" : internalAuthenticate ? "dda" : values.has(0x93) ? "sda" : "none";
  const run = <T>(step: string, result: Result<T, OdaFailure>, detail: (value: T) => string): T | undefined => {
    if (result.ok) steps.push({ step, holds: true, detail: detail(result.value) });
    else steps.push({ step, holds: false, ...result.error });
    return result.ok ? result.value : undefined;
  };
  const done = (): CheckReport => ({ method, holds: method !== "none" && steps.every(({ holds }) => holds), steps });

  const input = run("static data", inputOf(transaction, settings), ({ staticData }) => `${staticData.length} bytes`);
  if (!input) return done();
  const issuer = run("issuer key", recoverIssuerKey(input), describeIssuer);
  if (!issuer) return done();
  if (method === "sda") {
    run(
      "SDA",
      verifyStaticData(input, issuer),
      (value) => `data authentication code ${hex(value.dataAuthenticationCode)}`,
    );
    return done();
  }
  if (method === "none") {
    const none = failure("missing", "neither 93 nor 9F4B is there: nothing that SDA, DDA or CDA could be checked by");
    run("signature", none, String);
    return done();
  }
  const icc = run("ICC key", recoverIccKey(input, issuer), describeKey);
  if (!icc) return done();
  if (cryptogram) run("CDA", combined(icc, cryptogram, transaction), describeCombined);
  else run("DDA", dynamic(icc, transaction), (value) => `ICC dynamic number ${hex(value.iccDynamicNumber)}`);
  return done();
}

const hex = (bytes: Uint8Array): string => toHex(bytes).toUpperCase();
const describeKey = (key: RsaPublicKey): string => `${key.modulus.length * 8} bits, exponent ${hex(key.exponent)}`;
const describeIssuer = (key: RsaPublicKey & { readonly serialNumber: Uint8Array }): string =>
  `${describeKey(key)}, certificate ${hex(key.serialNumber)}`;
const describeCombined = (value: { readonly iccDynamicNumber: Uint8Array; readonly cryptogram: Uint8Array }): string =>
  `cryptogram ${hex(value.cryptogram)}, ICC dynamic number ${hex(value.iccDynamicNumber)}`;

/** The records that the AFL names, which must be as many as there are (Book 3, 10.3). */
function inputOf(
  { values, records, afl, aip }: FinishedTransaction,
  settings: CheckSettings,
): Result<OdaInput, OdaFailure> {
  const aid = values.get(0x84) ?? values.get(0x4f) ?? values.get(0x9f06);
  if (!aid || aid.length < RID_BYTES)
    return failure("missing", "no AID (84, 4F or 9F06), whose first five bytes name the scheme");
  const places = afl.flatMap(({ sfi, firstRecord, lastRecord, authenticatedRecords }) =>
    Array.from({ length: lastRecord - firstRecord + 1 }, (_, index) => ({
      standard: sfi <= STANDARD_SFI_MAX,
      signed: index < authenticatedRecords,
    })),
  );
  if (places.length !== records.length) {
    return failure("missing", `the AFL names ${places.length} records (template 70), and ${records.length} are there`);
  }
  const signed = records.map((record, index) => signedPart(record, places[index]));
  const withAip = (values.get(0x9f4a) ?? new Uint8Array(0)).length > 0;
  return {
    ok: true,
    value: {
      ...settings,
      values,
      staticData: concat(...signed, withAip ? aip : new Uint8Array(0)),
      rid: aid.subarray(0, RID_BYTES),
    },
  };
}

/** Records of files above 10 are signed with their template's tag and length. */
function signedPart(
  { value, whole }: WholeTlv,
  place: { readonly standard: boolean; readonly signed: boolean } | undefined,
): Uint8Array {
  if (!place?.signed) return new Uint8Array(0);
  return place.standard ? value : whole;
}

function dynamic(icc: RsaPublicKey, { internalAuthenticate }: FinishedTransaction) {
  if (!internalAuthenticate) return failure("missing", "no answer to INTERNAL AUTHENTICATE");
  const { signed, terminalData, withNumber } = internalAuthenticate;
  if (!withNumber) {
    return failure(
      "missing",
      "the Unpredictable Number (9F37) is not in the DDOL, or does not stand before the answer",
    );
  }
  return verifyDynamicData(icc, { signed, terminalData });
}

function combined(icc: RsaPublicKey, answer: CryptogramAnswer, { absent }: FinishedTransaction) {
  const { signed, unpredictableNumber, transactionData } = answer;
  const [cid, ...more] = answer.cid;
  if (cid === undefined || more.length > 0)
    return failure("format", "Cryptogram Information Data (9F27): not one byte");
  if (!unpredictableNumber) return failure("missing", "the Unpredictable Number (9F37) must stand before the answer");
  const verified = verifyCombined(icc, { signed, cid, unpredictableNumber, transactionData });
  if (verified.ok || verified.error.why !== "hash" || absent.length === 0) return verified;
  return failure("hash", `${verified.error.detail}; zeros were taken for what the file lacks: ${absent.join(", ")}`);
}
