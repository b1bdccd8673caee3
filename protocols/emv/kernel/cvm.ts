/**
 * Cardholder verification by the card's list (Book 3, 10.5; results as Book 4, 6.3.4.5). A PIN is never taken here: a host's
 * keyboard is no PIN pad, so every PIN method counts as one that this terminal does not support, whatever its capabilities say.
 */
import { sameBytes } from "../../../base/bytes.ts";
import { AIP, hasBit, setBit, TERMINAL_CAPABILITIES, TSI, TVR } from "../bits.ts";
import { CVM_CONDITION, CVM_METHOD, CVM_RESULT, type CvmList, type CvmRule, decodeCvmList } from "../cvm-list.ts";
import type { CvmOutcome, Transaction } from "./kernel.ts";
import { hasCashback, isAttended, TRANSACTION_TYPE } from "./terminal-type.ts";

/** A list that cannot be read is the Fault of `decodeCvmList`: the session ends as with any malformed data (Book 3, 7.5). */
export function verifyCardholder(transaction: Transaction): void {
  const { terminal, aip, tvr, tsi, values } = transaction;
  if (terminal.entry === "contactless" && hasBit(aip, ON_DEVICE_VERIFICATION)) {
    setBit(tsi, TSI.cardholderVerificationPerformed);
    conclude(transaction, { cvm: "consumer-device", results: CONSUMER_DEVICE_RESULTS });
    return;
  }
  if (!hasBit(aip, AIP.cardholderVerification)) {
    conclude(transaction, { cvm: "not-performed", results: NOT_PERFORMED });
    return;
  }
  const bytes = values.get(0x8e);
  const list = bytes && decodeCvmList(bytes);
  // A list without rules is the same as none (10.5, note).
  if (!list || list.rules.length === 0) {
    setBit(tvr, TVR.iccDataMissing);
    conclude(transaction, { cvm: "not-performed", results: NOT_PERFORMED });
    return;
  }
  setBit(tsi, TSI.cardholderVerificationPerformed);
  conclude(transaction, walk(transaction, list));
}

/** AIP byte 1 bit 2, which Book 3 leaves to the contactless books (Book C-2, A.1.16): the phone or watch verifies its holder. */
const ON_DEVICE_VERIFICATION = { byte: 1, bit: 2, name: "On device cardholder verification is supported" } as const;
/** Book C-2 reports it as a PIN that the card has verified: code 01, condition always, successful. */
const CONSUMER_DEVICE_RESULTS = [CVM_METHOD.plaintextPin, CVM_CONDITION.always, CVM_RESULT.successful] as const;
const NOT_PERFORMED = [CVM_METHOD.notPerformed, 0x00, 0x00] as const;

interface Conclusion {
  readonly cvm: CvmOutcome;
  /** Tag 9F34: method, condition, result. */
  readonly results: readonly [number, number, number];
}

function conclude(transaction: Transaction, { cvm, results }: Conclusion): void {
  transaction.cvm = cvm;
  transaction.values.set(0x9f34, Uint8Array.from(results));
  if (cvm === "failed") setBit(transaction.tvr, TVR.cvmFailed);
}

/** Rules in order: one whose condition does not hold is passed over, an unsuccessful one says itself whether the next may help. */
function walk(transaction: Transaction, list: CvmList): Conclusion {
  for (const rule of list.rules) {
    if (!conditionHolds(rule, transaction, list)) continue;
    const done = perform(rule, transaction);
    if (done) return done;
    if (rule.failIfUnsuccessful) break;
  }
  // None of the methods was ever begun, so that none is named here (Book 4, table 2).
  return { cvm: "failed", results: [CVM_METHOD.notPerformed, 0x00, CVM_RESULT.failed] };
}

const APPLY_NEXT = 0x40;
const codeOf = ({ method, failIfUnsuccessful }: CvmRule): number => (failIfUnsuccessful ? method : method | APPLY_NEXT);

/** Undefined when the method was not performed; the TVR then says why. */
function perform(rule: CvmRule, { terminal, tvr }: Transaction): Conclusion | undefined {
  const { method, condition } = rule;
  // It ends the walk whatever it says of a next rule (10.5, step 1).
  if (method === CVM_METHOD.fail) return { cvm: "failed", results: [codeOf(rule), condition, CVM_RESULT.failed] };
  if (isPin(method)) setBit(tvr, TVR.pinPadAbsent);
  else if (isBiometric(method)) setBit(tvr, TVR.biometricTypeNotSupported);
  else if (!isRecognised(method)) setBit(tvr, TVR.unrecognisedCvm);
  if (!isSupported(method, terminal.capabilities)) return undefined;
  return method === CVM_METHOD.signature
    ? { cvm: "signature", results: [codeOf(rule), condition, CVM_RESULT.unknown] }
    : { cvm: "none-required", results: [codeOf(rule), condition, CVM_RESULT.successful] };
}

const PIN_METHODS: ReadonlySet<number> = new Set([
  CVM_METHOD.plaintextPin,
  CVM_METHOD.onlinePin,
  CVM_METHOD.plaintextPinAndSignature,
  CVM_METHOD.encipheredPin,
  CVM_METHOD.encipheredPinAndSignature,
]);
const isPin = (method: number): boolean => PIN_METHODS.has(method);
/** Codes 06 to 0F: known to this terminal, and not supported. */
const isBiometric = (method: number): boolean => method >= CVM_METHOD.facialOffline && method <= CVM_METHOD.voiceOnline;
const isRecognised = (method: number): boolean => method === CVM_METHOD.signature || method === CVM_METHOD.noCvm;

/** "Fail CVM processing" always is (Book 4, 6.3.4). */
function isSupported(method: number, capabilities: Uint8Array): boolean {
  switch (method) {
    case CVM_METHOD.signature:
      return hasBit(capabilities, TERMINAL_CAPABILITIES.signature);
    case CVM_METHOD.noCvm:
      return hasBit(capabilities, TERMINAL_CAPABILITIES.noCvm);
    case CVM_METHOD.fail:
      return true;
    default:
      return false;
  }
}

/** Annex C3, table 44. A condition that is not understood, or whose data are missing, does not hold (10.5). */
function conditionHolds({ method, condition }: CvmRule, transaction: Transaction, list: CvmList): boolean {
  const { settings, terminal } = transaction;
  const cash = settings.type === TRANSACTION_TYPE.cash;
  const amount = settings.amountMinor;
  switch (condition) {
    case CVM_CONDITION.always:
      return true;
    case CVM_CONDITION.unattendedCash:
      return cash && !isAttended(terminal.type);
    case CVM_CONDITION.notCash:
      return !cash && !hasCashback(settings);
    case CVM_CONDITION.supported:
      return isSupported(method, terminal.capabilities);
    case CVM_CONDITION.manualCash:
      return cash && isAttended(terminal.type);
    case CVM_CONDITION.cashback:
      return hasCashback(settings);
    case CVM_CONDITION.underX:
      return inApplicationCurrency(transaction) && amount < list.amountX;
    case CVM_CONDITION.overX:
      return inApplicationCurrency(transaction) && amount > list.amountX;
    case CVM_CONDITION.underY:
      return inApplicationCurrency(transaction) && amount < list.amountY;
    case CVM_CONDITION.overY:
      return inApplicationCurrency(transaction) && amount > list.amountY;
    default:
      return false;
  }
}

function inApplicationCurrency({ values, settings }: Transaction): boolean {
  const currency = values.get(0x9f42);
  return currency !== undefined && sameBytes(currency, settings.currencyCode);
}
