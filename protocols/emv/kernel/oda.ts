/**
 * Offline data authentication: which method both sides have, and what TVR and TSI say of it afterwards (Book 3, 10.3; Book 2, 5
 * and 6). For CDA only the keys are recovered here; the card's signature comes with its cryptogram. XDA is not supported.
 */
import { concat } from "../../../base/bytes.ts";
import { ok, type Result } from "../../../base/result.ts";
import { STATUS } from "../apdu.ts";
import type { Tag } from "../ber-tlv.ts";
import { AIP, type Bit, hasBit, setBit, TERMINAL_CAPABILITIES, TSI, TVR } from "../bits.ts";
import { decodeInternalAuthenticate, internalAuthenticateCommand } from "../commands.ts";
import { buildDol, decodeDol } from "../dol.ts";
import type { IssuerPublicKey, OdaFailure, OdaInput } from "../oda/authentication.ts";
import type { RsaPublicKey } from "../oda/keys.ts";
import { recoverIccKey, recoverIssuerKey, verifyDynamicData, verifyStaticData } from "../oda/verify.ts";
import { type Part, readable, reading, refused, report, send } from "./dialogue.ts";
import type { OdaMethod, Transaction } from "./kernel.ts";
import type { ApplicationData } from "./read-data.ts";

const RID_BYTES = 5;

export interface OdaContext {
  readonly data: ApplicationData;
  readonly pdolValues: Uint8Array;
}

/** A failure is no end: it is a bit of the TVR, and the action codes decide. */
export function* authenticateCard(transaction: Transaction, { data, pdolValues }: OdaContext): Part<undefined> {
  const method = methodOf(transaction);
  transaction.oda = method;
  const done = yield* authenticate(transaction, { data, pdolValues });
  if (done.ok) report(transaction, "oda", outcomeOf(transaction));
  return done;
}

/** 10.3: the strongest that card and terminal have in common. */
function methodOf({ aip, terminal }: Transaction): OdaMethod {
  const both = (card: Bit, own: Bit): boolean => hasBit(aip, card) && hasBit(terminal.capabilities, own);
  if (both(AIP.cda, TERMINAL_CAPABILITIES.cda)) return "cda";
  if (both(AIP.dda, TERMINAL_CAPABILITIES.dda)) return "dda";
  return both(AIP.sda, TERMINAL_CAPABILITIES.sda) ? "sda" : "none";
}

function outcomeOf({ oda, odaFailure }: Transaction): string {
  if (oda === "none") return "not performed: card and terminal have no method in common";
  if (odaFailure !== undefined) return `${oda.toUpperCase()} failed: ${odaFailure}`;
  return oda === "cda"
    ? "CDA: keys recovered, the signature comes with the cryptogram"
    : `${oda.toUpperCase()} succeeded`;
}

const FAILED = { sda: TVR.sdaFailed, dda: TVR.ddaFailed, cda: TVR.cdaFailed } as const;

/** Sets what a failed method leaves behind. A failure of CDA ends its request for good. */
export function failAuthentication(transaction: Transaction, failure: Pick<OdaFailure, "why" | "detail">): void {
  const { oda, tvr, tsi } = transaction;
  if (oda === "none") return;
  setBit(tvr, FAILED[oda]);
  // A remainder that the key wants, of which only the certificate tells.
  if (failure.why === "missing") setBit(tvr, TVR.iccDataMissing);
  setBit(tsi, TSI.odaPerformed);
  transaction.odaFailure = failure.detail;
  transaction.cdaPending = false;
}

/** Book 3, table 35: missing data are told of even when the authentication fails before it comes to them. */
const NEEDED: Readonly<Record<Exclude<OdaMethod, "none">, readonly Tag[]>> = {
  sda: [0x8f, 0x90, 0x9f32, 0x93],
  dda: [0x8f, 0x90, 0x9f32, 0x9f46, 0x9f47],
  cda: [0x8f, 0x90, 0x9f32, 0x9f46, 0x9f47],
};

function* authenticate(transaction: Transaction, { data, pdolValues }: OdaContext): Part<undefined> {
  const { oda, tvr, tsi, values } = transaction;
  if (oda === "none") {
    setBit(tvr, TVR.odaNotPerformed);
    return ok(undefined);
  }
  if (oda === "sda") setBit(tvr, TVR.sdaSelected);
  if (NEEDED[oda].some((tag) => !values.has(tag))) setBit(tvr, TVR.iccDataMissing);
  if (!data.recordsSound) {
    failAuthentication(transaction, {
      why: "format",
      detail: "a record that is to be authenticated is no template 70",
    });
    return ok(undefined);
  }
  const input = inputOf(transaction, data.signedRecords);
  const issuer = earlyKey(transaction) ?? recoverIssuerKey(input);
  if (!issuer.ok) return failed(transaction, issuer);
  values.set(0x9f22, values.get(0x8f) ?? NOTHING);
  if (oda === "sda") {
    const verified = verifyStaticData(input, issuer.value);
    if (!verified.ok) return failed(transaction, verified);
    values.set(0x9f45, verified.value.dataAuthenticationCode);
    setBit(tsi, TSI.odaPerformed);
    return ok(undefined);
  }
  const icc = recoverIccKey(input, issuer.value);
  if (!icc.ok) return failed(transaction, icc);
  if (oda === "dda") return yield* authenticateDynamically(transaction, icc.value);
  // Whether CDA was performed the card's answer to GENERATE AC shows; until then the TSI says nothing (10.3).
  transaction.cdaPending = true;
  transaction.combined = { icc: icc.value, sent: [pdolValues] };
  return ok(undefined);
}

/** All that the issuer's key depends on, beside what no record changes; the remainder may be absent (Book 2, 5.3). */
const ISSUER_KEY_FROM: readonly Tag[] = [0x8f, 0x90, 0x9f32, 0x5a, 0x92];
const REMAINDER = 0x92;

/** Once the records so far have brought what it takes: a certificate is opened for nothing where its remainder comes later. */
export function recoverIssuerKeyEarly(transaction: Transaction): void {
  const { values, issuerKey } = transaction;
  if (issuerKey || methodOf(transaction) === "none") return;
  if (ISSUER_KEY_FROM.some((tag) => tag !== REMAINDER && !values.has(tag))) return;
  const from = ISSUER_KEY_FROM.map((tag) => values.get(tag));
  transaction.issuerKey = { from, recovered: recoverIssuerKey(inputOf(transaction, NOTHING)) };
}

function earlyKey({ values, issuerKey }: Transaction): Result<IssuerPublicKey, OdaFailure> | undefined {
  const stands = issuerKey && ISSUER_KEY_FROM.every((tag, index) => values.get(tag) === issuerKey.from[index]);
  return stands ? issuerKey.recovered : undefined;
}

function failed(transaction: Transaction, { error }: { readonly error: OdaFailure }): Result<undefined, never> {
  failAuthentication(transaction, error);
  return ok(undefined);
}

/** What is signed of the records, and behind them the AIP when the tag list names it (10.3). */
function inputOf({ values, aid, aip, terminal, settings }: Transaction, signedRecords: Uint8Array): OdaInput {
  const withAip = (values.get(0x9f4a) ?? NOTHING).length > 0;
  return {
    values,
    staticData: withAip ? concat(signedRecords, aip) : signedRecords,
    rid: aid.subarray(0, RID_BYTES),
    caKeys: terminal.caKeys,
    revoked: terminal.revoked,
    today: settings.today,
  };
}

const NOTHING = new Uint8Array(0);
const DDOL_VALUES_MAX = 252;

/** DDA (Book 2, 6.5): the card's list, else the terminal's, which must ask for the unpredictable number. */
function* authenticateDynamically(transaction: Transaction, icc: RsaPublicKey): Part<undefined> {
  const { values, application, tsi } = transaction;
  const own = values.get(0x9f49) ?? application.defaultDdol;
  const ddol = own && readable(() => decodeDol(own));
  const terminalData = ddol?.some(({ tag }) => tag === 0x9f37) ? buildDol(ddol, values) : NOTHING;
  if (terminalData.length === 0 || terminalData.length > DDOL_VALUES_MAX) {
    failAuthentication(transaction, { why: "format", detail: "no usable DDOL that asks for the unpredictable number" });
    return ok(undefined);
  }
  const response = yield* send(internalAuthenticateCommand(terminalData));
  if (response.status !== STATUS.ok) return refused("INTERNAL AUTHENTICATE", response);
  const signed = reading("INTERNAL AUTHENTICATE", () => decodeInternalAuthenticate(response.data));
  if (!signed.ok) return signed;
  const verified = verifyDynamicData(icc, { signed: signed.value, terminalData });
  if (!verified.ok) return failed(transaction, verified);
  values.set(0x9f4b, signed.value);
  values.set(0x9f4c, verified.value.iccDynamicNumber);
  setBit(tsi, TSI.odaPerformed);
  return ok(undefined);
}
