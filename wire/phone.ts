/**
 * Between a customer's phone and the hub. What a phone says is one signed text (domain `phone`), so that a byte altered on its
 * way leaves nothing at the hub. A feature adds its own messages to the two unions; a repeat of any message must get its
 * first answer, as a phone that heard nothing says it again.
 */
import { z } from "zod";
import { PreAuthorisedCodeSchema } from "./authorisation.ts";
import { Base64Schema, CurrencySchema, DigestSchema, MoneySchema, ReasonCodeSchema, TimeSchema } from "./common.ts";

/** The longest body that a phone may send, in bytes. */
export const PHONE_BYTES_MAX = 32_768;

export const UserIdSchema = PreAuthorisedCodeSchema.shape.userId;
export const DeviceIdSchema = z.string().regex(/^[0-9a-f]{16}$/);
/** The phone's name for an account of its user. */
export const AccountRefSchema = z.string().min(1).max(64);
export const MinorSchema = MoneySchema.shape.minor;

/** What the operator hands to a customer: where the hub is, for whom, and which CA to trust (SHA-256 of its DER). */
export const PhoneClaimSchema = z.strictObject({
  hub: z.url(),
  userId: UserIdSchema,
  claimId: z.string().regex(/^[0-9a-f]{16,64}$/),
  secret: z.string().min(32).max(128),
  caFingerprint: DigestSchema,
});
export type PhoneClaim = z.infer<typeof PhoneClaimSchema>;

const CLAIM_PREFIX = "tp1.";
export const phoneClaimText = (claim: PhoneClaim): string =>
  CLAIM_PREFIX + Buffer.from(JSON.stringify(claim)).toString("base64url");
/** The claim, or undefined when the text is not one. */
export function readPhoneClaim(text: string): PhoneClaim | undefined {
  if (!text.startsWith(CLAIM_PREFIX)) return undefined;
  try {
    const json: unknown = JSON.parse(Buffer.from(text.slice(CLAIM_PREFIX.length), "base64url").toString("utf8"));
    return PhoneClaimSchema.safeParse(json).data;
  } catch {
    return undefined;
  }
}

export const PhoneEnrolRequestSchema = z.strictObject({
  claimId: z.string().max(64),
  secret: z.string().max(128),
  /** Ed25519 SPKI: checks what the phone signs. */
  publicKey: Base64Schema,
});
export type PhoneEnrolRequest = z.infer<typeof PhoneEnrolRequestSchema>;

export const PhoneEnrolResponseSchema = z.strictObject({
  deviceId: DeviceIdSchema,
  userId: UserIdSchema,
  accountRef: AccountRefSchema,
  caCertificate: z.string().max(8_192),
  httpsUrl: z.url(),
  /** Ed25519 SPKI: checks what the hub signs for phones and terminals. */
  hubSigningKey: Base64Schema,
});
export type PhoneEnrolResponse = z.infer<typeof PhoneEnrolResponseSchema>;

const head = {
  v: z.literal(1),
  deviceId: DeviceIdSchema,
  id: z.string().regex(/^[0-9a-f]{24}$/),
  /** By the phone's own clock, to show how wrong it is. Never used to decide. */
  at: TimeSchema,
};

/** Message 1 of system 1: registers a code that the phone has made, while it still has a network. */
export const CodeRegistrationSchema = z.strictObject({
  ...PreAuthorisedCodeSchema.shape,
  accountRef: AccountRefSchema,
  /** The most that the code may pay; the hub's own limit when absent. */
  capMinor: MinorSchema.optional(),
  currency: CurrencySchema,
  /** The hub's own limit when absent. */
  validitySec: z.int().min(60).max(31_536_000).optional(),
  deviceId: DeviceIdSchema,
});
export type CodeRegistration = z.infer<typeof CodeRegistrationSchema>;

/** Asks for value to spend with no hub in reach (RM11): the hub sets it aside from the account at once. */
export const AllowanceRequestSchema = z.strictObject({
  /** The phone's own, kept until there is an answer: asked again under it, the hub gives the same allowance. */
  requestId: z.string().regex(/^[0-9a-f]{24}$/),
  amountMinor: MinorSchema,
  currency: CurrencySchema,
});
export type AllowanceRequest = z.infer<typeof AllowanceRequestSchema>;
/** 96 random bits in hex. */
export const AllowanceIdSchema = z.string().regex(/^[0-9a-f]{24}$/);
/** Gives back what is not spent. Under the phone's signature: a later note with a higher counter proves that it lied. */
export const AllowanceReturnSchema = z.strictObject({
  allowanceId: AllowanceIdSchema,
  /** How many notes the phone has made of this allowance. */
  notes: z.int().min(0),
  /** All that its notes spend, in minor units. */
  spentMinor: MinorSchema,
});
export type AllowanceReturn = z.infer<typeof AllowanceReturnSchema>;

export const PhoneMessageSchema = z.discriminatedUnion("type", [
  z.strictObject({ ...head, type: z.literal("authorisation-request"), body: CodeRegistrationSchema }),
  /** Asks for notices with a number above `since`. */
  z.strictObject({ ...head, type: z.literal("notices"), body: z.strictObject({ since: z.int().min(0) }) }),
  z.strictObject({ ...head, type: z.literal("allowance-request"), body: AllowanceRequestSchema }),
  z.strictObject({ ...head, type: z.literal("allowance-return"), body: AllowanceReturnSchema }),
]);
export type PhoneMessage = z.infer<typeof PhoneMessageSchema>;
export type PhoneMessageOf<T extends PhoneMessage["type"]> = Extract<PhoneMessage, { type: T }>;

export const GrantStatusSchema = z.enum(["ISSUED", "RESERVED", "USED", "EXPIRED", "REVOKED"]);
export type GrantStatus = z.infer<typeof GrantStatusSchema>;

export const GrantIdSchema = z.string().regex(/^[0-9a-f]{24}$/);
/** Message 2: the code may pay until `expiresAt`, a whole second; once, and at most `capMinor`. */
export const FirstApprovalSchema = z.strictObject({
  grantId: GrantIdSchema,
  status: GrantStatusSchema,
  expiresAt: TimeSchema,
  capMinor: MinorSchema,
});
export type FirstApproval = z.infer<typeof FirstApprovalSchema>;

/** Message 6: what a phone hears of a payment that it could not watch. */
export const PostedNoticeSchema = z.strictObject({
  /** Rises; the next poll names the highest that the phone has. */
  number: z.int().min(1),
  /** `released`: taken back after it was paid; the money is free again. */
  status: z.enum(["paid", "released"]),
  txnId: z.string().max(64),
  /** Of the code that paid; absent where none did. */
  grantId: GrantIdSchema.optional(),
  amountMinor: MinorSchema,
  currency: CurrencySchema,
  merchantName: z.string().max(64),
  at: TimeSchema,
});
export type PostedNotice = z.infer<typeof PostedNoticeSchema>;

export const NOTICES_MAX = 50;

export const AllowanceGrantSchema = z.strictObject({
  allowanceId: AllowanceIdSchema,
  /** Base64url: the allowance with the hub's signature, as every note of it carries it. */
  allowance: z.string().regex(/^[A-Za-z0-9_-]{1,400}$/),
  amountMinor: MinorSchema,
  currency: CurrencySchema,
  expiresAt: TimeSchema,
});

export const AllowanceReturnedSchema = z.strictObject({
  allowanceId: AllowanceIdSchema,
  /** Back in the account now; what no note claims by then comes back at `restAt`. */
  returnedMinor: MinorSchema,
  currency: CurrencySchema,
  restAt: TimeSchema,
});

const answerHead = {
  v: z.literal(1),
  /** The `id` of the message that it answers. */
  replyTo: z.string().regex(/^[0-9a-f]{24}$/),
};

export const PhoneAnswerSchema = z.discriminatedUnion("type", [
  z.strictObject({ ...answerHead, type: z.literal("first-approval"), body: FirstApprovalSchema }),
  z.strictObject({
    ...answerHead,
    type: z.literal("notices"),
    body: z.strictObject({
      notices: z.array(PostedNoticeSchema).max(NOTICES_MAX),
      /** There are more than these: ask again. */
      more: z.boolean(),
    }),
  }),
  z.strictObject({ ...answerHead, type: z.literal("allowance"), body: AllowanceGrantSchema }),
  z.strictObject({ ...answerHead, type: z.literal("allowance-returned"), body: AllowanceReturnedSchema }),
  /** Understood, and nothing was done. */
  z.strictObject({
    ...answerHead,
    type: z.literal("refused"),
    body: z.strictObject({ reason: ReasonCodeSchema, detail: z.string().max(200) }),
  }),
]);
export type PhoneAnswer = z.infer<typeof PhoneAnswerSchema>;

type ContentOf<A> = A extends { readonly type: infer T; readonly body: infer B }
  ? { readonly type: T; readonly body: B }
  : never;
/** An answer without its head: what a feature gives. */
export type PhoneReply = ContentOf<PhoneAnswer>;
