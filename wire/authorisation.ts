/** Online requests and their answers. One request is one attempt of one payment (RM1, RM2). */
import { z } from "zod";
import { SealedCardDataSchema } from "./card-data.ts";
import {
  EntryModeSchema,
  HexSchema,
  MoneySchema,
  OperationSchema,
  PaymentIdSchema,
  ReasonCodeSchema,
  TimeSchema,
} from "./common.ts";
import { SignedSchema } from "./signing.ts";

export const AttemptSchema = z.int().min(1).max(99);

/** As a phone showed it. The hub keeps a hash of the code alone. */
export const PreAuthorisedCodeSchema = z.strictObject({
  userId: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/),
  /** 128 random bits in base32 (RFC 4648) without padding. */
  secureCode: z.string().regex(/^[A-Z2-7]{26}$/),
});
export type PreAuthorisedCode = z.infer<typeof PreAuthorisedCodeSchema>;

export const AuthorisationRequestSchema = z.strictObject({
  paymentId: PaymentIdSchema,
  attempt: AttemptSchema,
  /** A completion is never asked for: its amount was authorised. */
  kind: OperationSchema.exclude(["completion"]),
  amount: MoneySchema,
  /** The part of the amount that the customer gets in cash: of a purchase by card alone. */
  cashback: MoneySchema.optional(),
  /** In hub time; the hub checks it on receipt and again just before its commit. */
  answerBy: TimeSchema,
  /** Absent for refunds, which go back to the means of the original. */
  card: SealedCardDataSchema.optional(),
  entryMode: EntryModeSchema.optional(),
  /** A pre-authorised code in the place of a card: looked up by the pair, never by either alone. */
  code: PreAuthorisedCodeSchema.optional(),
  /** DE 55: BER-TLV of the tags that the issuer needs, in hex. */
  iccData: HexSchema.optional(),
  originalPaymentId: PaymentIdSchema.optional(),
});
export type AuthorisationRequest = z.infer<typeof AuthorisationRequestSchema>;

/** ISO 8583 DE 39 values that this hub gives. */
export const RESPONSE_CODES = {
  approved: "00",
  referToIssuer: "01",
  doNotHonour: "05",
  invalidAmount: "13",
  invalidCard: "14",
  originalNotFound: "25",
  formatError: "30",
  insufficientFunds: "51",
  expiredCard: "54",
  notPermittedToCard: "57",
  notPermittedToTerminal: "58",
  exceedsLimit: "61",
  exceedsCount: "65",
  issuerUnavailable: "91",
  duplicate: "94",
  systemMalfunction: "96",
} as const;

export const ISSUER_SCRIPTS_MAX = 4;

export const AuthorisationResponseSchema = z.strictObject({
  paymentId: PaymentIdSchema,
  attempt: AttemptSchema,
  /** `stale`: arrived after its `answerBy`; nothing was done; may be retried as a new attempt. */
  outcome: z.enum(["approved", "declined", "stale"]),
  responseCode: z.string().regex(/^[0-9A-Z]{2}$/),
  reason: ReasonCodeSchema.optional(),
  /** One sentence; for `E_CONFLICT` the field that differs. */
  detail: z.string().max(200).optional(),
  approvalCode: z
    .string()
    .regex(/^[0-9A-Z]{6}$/)
    .optional(),
  /** Of a pre-authorisation: in hub time, until when its amount is held. */
  heldUntil: TimeSchema.optional(),
  /** Of the account that a code stood for, as it may be printed. */
  maskedAccount: z.string().max(32).optional(),
  /** Tag 91, for the card: only of an issuer who found its ARQC right. */
  issuerAuthenticationData: HexSchema.optional(),
  /** Templates 71 and 72, each with its tag and length, in the order in which the card gets them. */
  issuerScripts: z.array(HexSchema).max(ISSUER_SCRIPTS_MAX).optional(),
  /** Signed hub time. */
  time: SignedSchema,
});
export type AuthorisationResponse = z.infer<typeof AuthorisationResponseSchema>;
