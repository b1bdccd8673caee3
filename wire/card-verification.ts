/**
 * Smart-card verification by challenge: a terminal takes a card's number and encrypted data off it, the hub asks the card
 * to prove itself, and answers how it went. Each message down names the message up that it answers, so that a late one is
 * never taken for another.
 */
import { z } from "zod";
import { ID_PATTERN } from "../base/ids.ts";
import { MoneySchema, ReasonCodeSchema, TerminalIdSchema, TimeSchema } from "./common.ts";

function hex(bytesMin: number, bytesMax: number) {
  const length = bytesMin === bytesMax ? `${bytesMin}` : `${bytesMin} to ${bytesMax}`;
  return z.string().regex(new RegExp(`^(?:[0-9a-f]{2}){${bytesMin},${bytesMax}}$`), `${length} bytes in hex`);
}
const MessageIdSchema = z.string().regex(/^[0-9a-f]{24}$/);

/** Owned by the caller, as a payment's id is; shorter, because it passes through one card command. */
export const CardTxnIdSchema = z.string().max(32, "at most 32 characters").regex(ID_PATTERN);
export const PayeeAccountSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9:._-]{0,47}$/, "an account's id: letters, digits, : . _ - and at most 48");
export const CardIdSchema = hex(8, 8);

export const CardTransactionInfoSchema = z.strictObject({
  txnId: CardTxnIdSchema,
  amount: MoneySchema,
  payeeAccount: PayeeAccountSchema,
  terminalId: TerminalIdSchema,
  /** Business time; never compared. */
  at: TimeSchema,
});
export type CardTransactionInfo = z.infer<typeof CardTransactionInfoSchema>;

/** Asks what became of a transaction. The hub withdraws its open challenge, so that `open` means that nothing can move. */
export const CardLookupSchema = z.strictObject({
  txnId: CardTxnIdSchema,
  /** Where given, other content is a conflict. */
  amount: MoneySchema.optional(),
  payeeAccount: PayeeAccountSchema.optional(),
});
export type CardLookup = z.infer<typeof CardLookupSchema>;

/** Message 1: identification, encrypted data, transaction information. */
export const CardTransactionSchema = z.strictObject({
  cardId: CardIdSchema,
  encryptedCardData: hex(1, 200),
  transaction: CardTransactionInfoSchema,
});
export type CardTransaction = z.infer<typeof CardTransactionSchema>;

/** Message 2. */
export const CardChallengeSchema = z.strictObject({
  replyTo: MessageIdSchema,
  txnId: CardTxnIdSchema,
  challengeId: MessageIdSchema,
  cipherChallenge: hex(29, 128),
  expiresAt: TimeSchema,
});
export type CardChallenge = z.infer<typeof CardChallengeSchema>;

/** Message 4: the card's answer, or the status word with which it refused. */
export const CardResponseSchema = z.strictObject({
  txnId: CardTxnIdSchema,
  challengeId: MessageIdSchema,
  answer: hex(1, 64).optional(),
  refused: hex(2, 2).optional(),
});
export type CardResponse = z.infer<typeof CardResponseSchema>;

/** Message 5. `open`: not decided, nothing moved, and no challenge is out. */
export const CardResultSchema = z.strictObject({
  replyTo: MessageIdSchema,
  txnId: CardTxnIdSchema,
  status: z.enum(["approved", "declined", "open"]),
  /** 1: the card did not prove that it holds its key. 2: its data are not the ones it was given. */
  failedProcess: z.union([z.literal(1), z.literal(2)]).optional(),
  reason: ReasonCodeSchema.optional(),
  /** One sentence. */
  detail: z.string().max(200).optional(),
  /** With `E_CONFLICT`, what differs from the first time. */
  field: z.string().max(32).optional(),
  authCode: z
    .string()
    .regex(/^[0-9A-Z]{6}$/)
    .optional(),
  /** Of a transaction that the hub knows. */
  amount: MoneySchema.optional(),
  payeeAccount: PayeeAccountSchema.optional(),
});
export type CardResult = z.infer<typeof CardResultSchema>;

/** What personalisation writes onto a card: the file that a simulated card is made from. Test keys only. */
export const PersonalisedCardSchema = z.strictObject({
  cardId: CardIdSchema,
  encryptedCardData: hex(1, 200),
  dataKey: z.union([hex(16, 16), hex(32, 32)]),
  macKey: z.union([hex(16, 16), hex(32, 32)]),
});
export type PersonalisedCard = z.infer<typeof PersonalisedCardSchema>;
