/** What the local API takes and gives, as schemas: validation, types and the OpenAPI document come from here. */
import { z } from "zod";
import { AMOUNT_MINOR_MAX, type Money } from "../../base/money.ts";
import { CurrencySchema, OperationSchema, PaymentIdSchema, toWireMoney } from "../../wire/common.ts";
import type { QueueState } from "../journal/journal.ts";
import type { PaymentEvent, PaymentView } from "../payment/payments.ts";

const MinorSchema = z
  .union([z.int().min(1).max(Number(AMOUNT_MINOR_MAX)), z.string().regex(/^[1-9]\d{0,11}$/)], {
    error: "must be a whole number of minor units from 1 to 999999999999, as a number or as text",
  })
  .transform((minor) => BigInt(minor));

const AmountSchema = z
  .strictObject({ minor: MinorSchema, currency: CurrencySchema })
  .transform((amount): Money => amount);

const REFERENCE_CHARACTERS_MAX = 64;
const REASON_CHARACTERS_MAX = 100;
const NOT_PRINTABLE = /\p{Cc}/u;
const wordsOf = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine((text) => !NOT_PRINTABLE.test(text), "must not contain control characters");

export const PaymentBodySchema = z.strictObject({
  id: PaymentIdSchema,
  amount: AmountSchema,
  cashback: AmountSchema.optional().describe("the part of the amount that the customer gets in cash"),
  reference: wordsOf(REFERENCE_CHARACTERS_MAX).optional(),
});
export const RefundBodySchema = z.strictObject({
  id: PaymentIdSchema,
  originalId: PaymentIdSchema,
  amount: AmountSchema.optional(),
});
export const CompletionBodySchema = z.strictObject({
  id: PaymentIdSchema,
  originalId: PaymentIdSchema,
  amount: AmountSchema,
});
export const TipBodySchema = z.strictObject({ id: PaymentIdSchema, originalId: PaymentIdSchema, amount: AmountSchema });
export const VoidBodySchema = z.strictObject({ reason: wordsOf(REASON_CHARACTERS_MAX).optional() }).prefault({});
export const SignatureBodySchema = z.strictObject({ accepted: z.boolean() });
export const NoBodySchema = z.strictObject({}).prefault({});

export const WAIT_SEC_MAX = 120;
export const WaitQuerySchema = z.strictObject({
  /** Seconds to wait for the end; 0 answers at once. */
  wait: z.coerce.number().int().min(0).max(WAIT_SEC_MAX).default(WAIT_SEC_MAX),
});
const LIST_DEFAULT = 20;
const LIST_MAX = 200;
export const LimitQuerySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(LIST_MAX).default(LIST_DEFAULT),
});
const QUEUE_DEFAULT = 100;
const QUEUE_MAX = 1_000;
const QUEUE_STATES = [
  "eligible",
  "forwarding",
  "processed",
  "declined",
  "expired",
  "quarantined",
  "voided",
] as const satisfies readonly QueueState[];
export const QueueQuerySchema = z.strictObject({
  state: z.enum(QUEUE_STATES).optional(),
  paymentId: PaymentIdSchema.optional(),
  limit: z.coerce.number().int().min(1).max(QUEUE_MAX).default(QUEUE_DEFAULT),
});
export const PaymentParamsSchema = z.strictObject({ id: PaymentIdSchema });

const AmountViewSchema = z.strictObject({ minor: z.string(), currency: z.string() });
export const PaymentViewSchema = z.strictObject({
  id: z.string(),
  operation: OperationSchema,
  status: z.enum(["processing", "approved", "declined", "aborted", "voided"]),
  amount: AmountViewSchema,
  cashback: AmountViewSchema.optional(),
  reference: z.string().optional(),
  originalId: z.string().optional(),
  stage: z.string().optional(),
  mode: z.enum(["online", "offline"]).optional(),
  deferred: z.literal(true).optional(),
  reason: z.string().optional(),
  detail: z.string().optional(),
  responseCode: z.string().optional(),
  approvalCode: z.string().optional(),
  heldUntil: z.string().optional(),
  completedBy: z.string().optional(),
  card: z
    .strictObject({
      entryMode: z.string(),
      maskedPan: z.string(),
      label: z.string(),
      aid: z.string(),
      signature: z.literal(true).optional(),
    })
    .optional(),
  maskedAccount: z.string().optional(),
  payingDevice: z.string().optional(),
  challenge: z.string().optional(),
  ticket: z.enum(["none", "pending", "printed", "possibly-printed"]),
  queue: z.enum(QUEUE_STATES).optional(),
  startedAt: z.string(),
  decidedAt: z.string().optional(),
});
export type PaymentJson = z.infer<typeof PaymentViewSchema>;

/** Card tokens and cryptogram data are the hub's affair and stay out of the till. */
export function paymentJson(view: PaymentView): PaymentJson {
  const { amount, cashback, card, ...rest } = view;
  return {
    ...rest,
    amount: toWireMoney(amount),
    ...(cashback && { cashback: toWireMoney(cashback) }),
    ...(card && {
      card: {
        entryMode: card.entryMode,
        maskedPan: card.maskedPan,
        label: card.label,
        aid: card.aid,
        ...(card.signature && { signature: true }),
      },
    }),
  };
}

export const QueueEntrySchema = z.strictObject({
  sequence: z.int(),
  forward: z.int(),
  paymentId: z.string(),
  kind: z.string(),
  state: z.enum(QUEUE_STATES),
  attempts: z.int(),
  at: z.string(),
  amount: AmountViewSchema.optional(),
  reason: z.string().optional(),
  detail: z.string().optional(),
});
export function paymentEventJson(event: PaymentEvent): Record<string, unknown> {
  switch (event.type) {
    case "payment.stage":
      return { id: event.id, stage: event.stage };
    case "payment.hint":
      return { id: event.id, detail: event.detail };
    default:
      return { payment: paymentJson(event.payment) };
  }
}

export const ErrorSchema = z.strictObject({
  error: z.strictObject({
    code: z.string(),
    /** The field that is wrong or differs. */
    path: z.string().optional(),
    message: z.string(),
  }),
});
export type ErrorJson = z.infer<typeof ErrorSchema>;
