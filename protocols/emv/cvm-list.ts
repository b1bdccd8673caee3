/** The card's list of cardholder verification methods, tag 8E (Book 3, 10.5 and Annex C3), and what came of it, tag 9F34 (Book 4, A4). */
import { ByteReader, concat } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";

export interface CvmRule {
  /** The six lower bits of the CVM code; names in `CVM_METHOD_NAMES`. */
  readonly method: number;
  /** Bit 7 of the CVM code is 0: cardholder verification has failed when this method has. */
  readonly failIfUnsuccessful: boolean;
  /** CVM condition code; names in `CVM_CONDITION_NAMES`. */
  readonly condition: number;
}

export interface CvmList {
  /** Minor units of the application currency; conditions 06 and 07 compare with it. */
  readonly amountX: bigint;
  /** Minor units of the application currency; conditions 08 and 09 compare with it. */
  readonly amountY: bigint;
  /** In the order in which they apply. None is the same as a card without a list (10.5). */
  readonly rules: readonly CvmRule[];
}

/** CVM codes without their two upper bits (Book 3, table 43). */
export const CVM_METHOD = {
  fail: 0x00,
  plaintextPin: 0x01,
  onlinePin: 0x02,
  plaintextPinAndSignature: 0x03,
  encipheredPin: 0x04,
  encipheredPinAndSignature: 0x05,
  facialOffline: 0x06,
  facialOnline: 0x07,
  fingerOffline: 0x08,
  fingerOnline: 0x09,
  palmOffline: 0x0a,
  palmOnline: 0x0b,
  irisOffline: 0x0c,
  irisOnline: 0x0d,
  voiceOffline: 0x0e,
  voiceOnline: 0x0f,
  signature: 0x1e,
  noCvm: 0x1f,
  /** In CVM Results only: no CVM was performed (Book 4, A4). */
  notPerformed: 0x3f,
} as const;

export const CVM_METHOD_NAMES: ReadonlyMap<number, string> = new Map([
  [CVM_METHOD.fail, "Fail CVM processing"],
  [CVM_METHOD.plaintextPin, "Plaintext PIN verification performed by ICC"],
  [CVM_METHOD.onlinePin, "Enciphered PIN verified online"],
  [CVM_METHOD.plaintextPinAndSignature, "Plaintext PIN verification performed by ICC and signature"],
  [CVM_METHOD.encipheredPin, "Enciphered PIN verification performed by ICC"],
  [CVM_METHOD.encipheredPinAndSignature, "Enciphered PIN verification performed by ICC and signature"],
  [CVM_METHOD.facialOffline, "Facial biometric verified offline (by ICC)"],
  [CVM_METHOD.facialOnline, "Facial biometric verified online"],
  [CVM_METHOD.fingerOffline, "Finger biometric verified offline (by ICC)"],
  [CVM_METHOD.fingerOnline, "Finger biometric verified online"],
  [CVM_METHOD.palmOffline, "Palm biometric verified offline (by ICC)"],
  [CVM_METHOD.palmOnline, "Palm biometric verified online"],
  [CVM_METHOD.irisOffline, "Iris biometric verified offline (by ICC)"],
  [CVM_METHOD.irisOnline, "Iris biometric verified online"],
  [CVM_METHOD.voiceOffline, "Voice biometric verified offline (by ICC)"],
  [CVM_METHOD.voiceOnline, "Voice biometric verified online"],
  [CVM_METHOD.signature, "Signature"],
  [CVM_METHOD.noCvm, "No CVM required"],
  [CVM_METHOD.notPerformed, "No CVM performed"],
]);

/** CVM condition codes (Book 3, table 44). */
export const CVM_CONDITION = {
  always: 0x00,
  unattendedCash: 0x01,
  notCash: 0x02,
  supported: 0x03,
  manualCash: 0x04,
  cashback: 0x05,
  underX: 0x06,
  overX: 0x07,
  underY: 0x08,
  overY: 0x09,
} as const;

export const CVM_CONDITION_NAMES: ReadonlyMap<number, string> = new Map([
  [CVM_CONDITION.always, "always"],
  [CVM_CONDITION.unattendedCash, "if unattended cash"],
  [CVM_CONDITION.notCash, "if not unattended cash and not manual cash and not purchase with cashback"],
  [CVM_CONDITION.supported, "if terminal supports the CVM"],
  [CVM_CONDITION.manualCash, "if manual cash"],
  [CVM_CONDITION.cashback, "if purchase with cashback"],
  [CVM_CONDITION.underX, "if transaction is in the application currency and is under X value"],
  [CVM_CONDITION.overX, "if transaction is in the application currency and is over X value"],
  [CVM_CONDITION.underY, "if transaction is in the application currency and is under Y value"],
  [CVM_CONDITION.overY, "if transaction is in the application currency and is over Y value"],
]);

const PAYMENT_SYSTEM_METHODS = 0x20;
const ISSUER_METHODS = 0x30;
const PAYMENT_SYSTEM_CONDITIONS = 0x80;

/** The name of a method, or for whom its code is reserved. */
export function cvmMethodName(method: number): string {
  const name = CVM_METHOD_NAMES.get(method);
  if (name !== undefined) return name;
  if (method >= ISSUER_METHODS) return "Reserved for use by the issuer";
  return method >= PAYMENT_SYSTEM_METHODS ? "Reserved for use by the individual payment systems" : "Reserved by EMV";
}

/** The name of a condition, or for whom its code is reserved. */
export function cvmConditionName(condition: number): string {
  const name = CVM_CONDITION_NAMES.get(condition);
  if (name !== undefined) return name;
  return condition >= PAYMENT_SYSTEM_CONDITIONS
    ? "condition reserved for use by individual payment systems"
    : "condition reserved by EMV";
}

const AMOUNTS_BYTES = 8;
const RULE_BYTES = 2;
export const CVM_LIST_BYTES_MAX = 252;
const AMOUNT_MAX = 0xffff_ffffn;
const METHOD_BITS = 0x3f;
const APPLY_NEXT = 0x40;

export function decodeCvmList(bytes: Uint8Array): CvmList {
  const { length } = bytes;
  if (length > CVM_LIST_BYTES_MAX) {
    throw new Fault("codec.too-long", `a CVM list has at most ${CVM_LIST_BYTES_MAX} bytes, not ${length}`, {
      details: { offset: CVM_LIST_BYTES_MAX },
    });
  }
  if (length < AMOUNTS_BYTES || length % RULE_BYTES !== 0) {
    throw new Fault(
      "codec.truncated",
      `a CVM list is two amounts of 4 bytes and whole rules of 2, not ${length} bytes`,
      {
        details: { offset: length },
      },
    );
  }
  const reader = new ByteReader(bytes);
  const amountX = readAmount(reader);
  const amountY = readAmount(reader);
  const rules: CvmRule[] = [];
  while (reader.remaining > 0) {
    const code = reader.u8();
    rules.push({
      method: code & METHOD_BITS,
      failIfUnsuccessful: (code & APPLY_NEXT) === 0,
      condition: reader.u8(),
    });
  }
  return { amountX, amountY, rules };
}

const readAmount = (reader: ByteReader): bigint => BigInt(reader.u16()) * 0x1_0000n + BigInt(reader.u16());

export function encodeCvmList({ amountX, amountY, rules }: CvmList): Uint8Array<ArrayBuffer> {
  if (AMOUNTS_BYTES + rules.length * RULE_BYTES > CVM_LIST_BYTES_MAX) {
    throw new Fault("codec.too-long", `a CVM list of ${rules.length} rules is longer than ${CVM_LIST_BYTES_MAX} bytes`);
  }
  return concat(amountBytes(amountX), amountBytes(amountY), Uint8Array.from(rules.flatMap(ruleBytes)));
}

function amountBytes(amount: bigint): Uint8Array {
  if (amount < 0n || amount > AMOUNT_MAX)
    throw new Fault("codec.invalid", `${amount} does not fit an amount of 4 bytes`);
  const bytes = new Uint8Array(AMOUNTS_BYTES / 2);
  new DataView(bytes.buffer).setUint32(0, Number(amount));
  return bytes;
}

function ruleBytes({ method, failIfUnsuccessful, condition }: CvmRule): readonly number[] {
  const fits = Number.isInteger(method) && method >= 0 && method <= METHOD_BITS;
  if (!fits || !Number.isInteger(condition) || condition < 0 || condition > 0xff) {
    throw new Fault("codec.invalid", `a CVM rule of method ${method} under condition ${condition}`);
  }
  return [failIfUnsuccessful ? method : method | APPLY_NEXT, condition];
}

/** Byte 3 of CVM Results (Book 4, A4). */
export const CVM_RESULT = { unknown: 0x00, failed: 0x01, successful: 0x02 } as const;

export const CVM_RESULT_NAMES: ReadonlyMap<number, string> = new Map([
  [CVM_RESULT.unknown, "unknown (for example, for signature)"],
  [CVM_RESULT.failed, "failed (for example, for offline PIN)"],
  [CVM_RESULT.successful, "successful (for example, for offline PIN)"],
]);

export interface CvmResults extends CvmRule {
  /** One of `CVM_RESULT`, or a reserved value. */
  readonly result: number;
}

const CVM_RESULTS_BYTES = 3;

/** Tag 9F34. */
export function decodeCvmResults(bytes: Uint8Array): CvmResults {
  const [code, condition, result] = bytes;
  if (code === undefined || condition === undefined || result === undefined || bytes.length !== CVM_RESULTS_BYTES) {
    throw new Fault("codec.invalid", `CVM results are ${CVM_RESULTS_BYTES} bytes, not ${bytes.length}`, {
      details: { offset: Math.min(bytes.length, CVM_RESULTS_BYTES) },
    });
  }
  return { method: code & METHOD_BITS, failIfUnsuccessful: (code & APPLY_NEXT) === 0, condition, result };
}
