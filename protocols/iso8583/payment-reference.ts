/**
 * How a message names the payment that it is about, in DE 48: the terminal and its payment whole, as DE 41 and DE 37 are too
 * short for them. An issuer knows a duplicate by these, whatever its STAN (RM1).
 */
import { Fault } from "../../base/fault.ts";
import { DE, type Iso8583Message, type SubFields, subFieldsOf } from "./message.ts";
import type { FieldSpec, MessageSpec } from "./spec.ts";
import { withFields } from "./specs.ts";

export interface PaymentReference {
  readonly terminalId: string;
  /** Unlike any other of its terminal. */
  readonly paymentId: string;
  /** Of a request, and of the reversal that takes it back. An advice names the payment alone. */
  readonly attempt?: number;
  /** Why this message came, in a word or two, such as `stand-in-timeout`. */
  readonly reason?: string;
}

/** Tags of the sub-fields. */
const TAG = { terminalId: "01", paymentId: "02", attempt: "03", reason: "04" } as const;
const TAG_CHARACTERS = 2;
const LENGTH_DIGITS = 3;

const text = (name: string, max: number): FieldSpec => ({
  name,
  format: "ans",
  length: { max, digits: LENGTH_DIGITS, encoding: "ascii" },
  encoding: "ascii",
});

const PRIVATE_DATA: FieldSpec = {
  name: "PaymentReference",
  format: "ans",
  length: { max: 999, digits: 3, encoding: "ascii" },
  encoding: "ascii",
  content: {
    kind: "tagged",
    tagCharacters: TAG_CHARACTERS,
    lengthDigits: LENGTH_DIGITS,
    fields: {
      [TAG.terminalId]: text("TerminalId", 64),
      [TAG.paymentId]: text("PaymentId", 64),
      [TAG.attempt]: { ...text("Attempt", 2), format: "n" },
      [TAG.reason]: text("Reason", 32),
    },
    others: { ...text("Other", 255), sensitive: "hidden" },
  },
};

/** The same dialect with payment references in DE 48. */
export const withPaymentReference = (spec: MessageSpec): MessageSpec =>
  withFields(spec, {
    name: spec.name,
    description: `${spec.description}; DE 48 names the payment`,
    fields: { [DE.privateData]: prefixedAs(spec) },
  });

/** With the prefix that the dialect's other fields have. */
function prefixedAs({ fields }: MessageSpec): FieldSpec {
  const length = fields[DE.privateData]?.length;
  return typeof length === "object" ? { ...PRIVATE_DATA, length } : PRIVATE_DATA;
}

export const referenceFields = ({ terminalId, paymentId, attempt, reason }: PaymentReference): SubFields => ({
  [TAG.terminalId]: terminalId,
  [TAG.paymentId]: paymentId,
  ...(attempt !== undefined && { [TAG.attempt]: String(attempt) }),
  ...(reason !== undefined && { [TAG.reason]: reason }),
});

/** Undefined for a message that names no payment. Throws Fault `codec.invalid` when it names half of one. */
export function paymentReference(message: Iso8583Message): PaymentReference | undefined {
  const fields = subFieldsOf(message, DE.privateData);
  if (fields === undefined) return undefined;
  const [terminalId, paymentId, attempt, reason] = Object.values(TAG).map((tag) => textAt(fields, tag));
  if (terminalId === undefined || paymentId === undefined) {
    throw new Fault("codec.invalid", "DE 48 names no payment", { details: { path: String(DE.privateData) } });
  }
  return {
    terminalId,
    paymentId,
    ...(attempt !== undefined && { attempt: Number(attempt) }),
    ...(reason !== undefined && { reason }),
  };
}

function textAt(fields: SubFields, tag: string): string | undefined {
  const value = fields[tag];
  return typeof value === "string" ? value : undefined;
}
