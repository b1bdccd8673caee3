/**
 * The entries of a terminal's journal, as stored and as forwarded. Hub and agent must agree on them to the byte:
 * the hub checks each entry's hash over the text it was sent.
 */
import { hash } from "node:crypto";
import { z } from "zod";
import { AttemptSchema } from "./authorisation.ts";
import {
  Base64Schema,
  DigestSchema,
  EntryModeSchema,
  HexSchema,
  MoneySchema,
  OperationSchema,
  PaymentIdSchema,
  ReasonCodeSchema,
  SequenceSchema,
  TimeSchema,
} from "./common.ts";

const base = { paymentId: PaymentIdSchema, at: TimeSchema };

/** Written and fsynced before the card is touched. */
const Intent = z.strictObject({
  ...base,
  kind: z.literal("intent"),
  operation: OperationSchema,
  amount: MoneySchema,
  /** The part of the amount that the customer gets in cash. */
  cashback: MoneySchema.optional(),
  reference: z.string().max(64).optional(),
  originalPaymentId: PaymentIdSchema.optional(),
});

/** Fsynced before an online request leaves: after a crash it tells that one may have. */
const OnlineRequested = z.strictObject({ ...base, kind: z.literal("online-requested"), attempt: AttemptSchema });

/** The answer did not come in time; what the hub did is not known (RM1). */
const OnlineUnknown = z.strictObject({ ...base, kind: z.literal("online-unknown"), attempt: AttemptSchema });

export const CardFactsSchema = z.strictObject({
  entryMode: EntryModeSchema,
  /** First six and last four digits at most. */
  maskedPan: z.string().regex(/^\d{0,6}\*+\d{4}$/),
  /** HMAC of the number under the terminal's key: tells cards apart, tells nothing else. */
  cardToken: DigestSchema,
  aid: HexSchema,
  label: z.string().max(16),
  cryptogramType: z.enum(["TC", "ARQC", "AAC"]),
  /** The customer signs; the shop keeps the paper (RM13). */
  signature: z.literal(true).optional(),
  /** DE 55 without 57, 5A, 5F20, 9F1F and 9F20 (RM5). */
  iccData: HexSchema,
});
export type CardFacts = z.infer<typeof CardFactsSchema>;

/** A sale paid with a pre-authorised code: nothing of the code itself. */
export const CodeFactsSchema = z.strictObject({ maskedAccount: z.string().max(32) });

/** A sale paid with both sides offline (RM11): the payer's note as it was read, and the terminal's signature under it. */
export const NoteFactsSchema = z.strictObject({
  allowanceId: z.string().min(1).max(64),
  deviceId: z.string().min(1).max(64),
  counter: z.int().min(1),
  note: z.string().max(4_096),
  countersignature: Base64Schema,
});
export type NoteFacts = z.infer<typeof NoteFactsSchema>;

/**
 * The one final outcome (RM1), fsynced before anyone is told. An approved purchase is itself the advice that the hub
 * receives; `attempts` names the online attempts that it supersedes.
 */
const Decision = z.strictObject({
  ...base,
  kind: z.literal("decision"),
  outcome: z.enum(["approved", "declined", "aborted"]),
  mode: z.enum(["online", "offline"]),
  /** The merchant took the goods' risk: `card` holds an ARQC, which the hub authorises or refuses on arrival (RM9). */
  deferred: z.literal(true).optional(),
  operation: OperationSchema,
  amount: MoneySchema,
  cashback: MoneySchema.optional(),
  reason: ReasonCodeSchema.optional(),
  detail: z.string().max(200).optional(),
  responseCode: z.string().max(2).optional(),
  approvalCode: z.string().max(6).optional(),
  attempts: z.array(AttemptSchema).max(99),
  leaseId: z.string().max(64).optional(),
  card: CardFactsSchema.optional(),
  code: CodeFactsSchema.optional(),
  note: NoteFactsSchema.optional(),
  /** Of a completion: its pre-authorisation, of the same terminal. */
  originalPaymentId: PaymentIdSchema.optional(),
  /** Of a pre-authorisation: in hub time, until when its amount is held. */
  heldUntil: TimeSchema.optional(),
  /** The day in the site's time zone, YYYY-MM-DD (RM17). */
  businessDate: z.iso.date(),
});

/** Undoes one attempt whose outcome did not count; repeated until the hub's receipt (RM1). */
const Reversal = z.strictObject({
  ...base,
  kind: z.literal("reversal"),
  attempt: AttemptSchema,
  reason: z.string().max(64),
  /** Tag 9F5B, where the issuer had sent the card scripts (RM13). */
  scriptResults: HexSchema.optional(),
});

/**
 * Takes back an own approval that was never forwarded (RM12): the hub is told so that no number is missing. Or gives back what
 * a pre-authorisation holds, whatever became of its entry.
 */
const Void = z.strictObject({
  ...base,
  kind: z.literal("void"),
  voidedSequence: z.int().min(0),
  voidedForward: z.int().min(1),
  amount: MoneySchema,
  attempts: z.array(AttemptSchema).max(99),
  reason: z.string().max(200).optional(),
});

/** A pre-authorisation has its one completion, which is stored with this. */
const Completed = z.strictObject({ ...base, kind: z.literal("completed"), completionId: PaymentIdSchema });

/** Fsynced before the first byte of a ticket (RM3). */
const PrintIntent = z.strictObject({
  ...base,
  kind: z.literal("print-intent"),
  print: z.int().min(1),
  marking: z.enum(["original", "possible-copy", "copy"]),
});

const Printed = z.strictObject({
  ...base,
  kind: z.literal("printed"),
  print: z.int().min(1),
  /** `unproven`: some or all of it may be on paper. `nothing`: no byte left. */
  result: z.enum(["proven", "unproven", "nothing"]),
});

/** The cashier compared the customer's signature with the card's (RM13). */
const SignatureChecked = z.strictObject({ ...base, kind: z.literal("signature"), accepted: z.boolean() });

/** What a person did to an entry of the queue, and why. */
const QueueAction = z.strictObject({
  ...base,
  kind: z.literal("queue-action"),
  action: z.enum(["force", "retry", "cancel"]),
  targetSequence: SequenceSchema,
  by: z.string().min(1).max(64),
  why: z.string().min(1).max(200),
});

export const EntryBodySchema = z.discriminatedUnion("kind", [
  Intent,
  OnlineRequested,
  OnlineUnknown,
  Decision,
  Reversal,
  Void,
  Completed,
  PrintIntent,
  Printed,
  SignatureChecked,
  QueueAction,
]);
export type EntryBody = z.infer<typeof EntryBodySchema>;
export type EntryOf<K extends EntryBody["kind"]> = Extract<EntryBody, { kind: K }>;

/** An entry as it is stored: `text` is the exact JSON; `forward` numbers the entries that the hub must be told, with no gaps. */
export const StoredEntrySchema = z.strictObject({
  sequence: z.int().min(1),
  forward: z.int().min(1).optional(),
  previousHash: DigestSchema,
  hash: DigestSchema,
  /** SHA-256 of the sealed card data that lie beside the entry (RM5). */
  sealedDigest: DigestSchema.optional(),
  text: z.string().max(16_384),
});
export type StoredEntry = z.infer<typeof StoredEntrySchema>;

export const GENESIS_HASH = "0".repeat(64);

export interface HashInput {
  readonly terminalId: string;
  readonly epoch: string;
  readonly sequence: number;
  readonly forward?: number | undefined;
  readonly previousHash: string;
  readonly sealedDigest?: string | undefined;
  readonly text: string;
}

/** SHA-256 over one line per field and the stored text: the chain covers every byte that matters, and nothing twice. */
export function hashEntry(entry: HashInput): string {
  const head = `${entry.terminalId}\n${entry.epoch}\n${entry.sequence}\n${entry.forward ?? ""}\n${entry.previousHash}\n${entry.sealedDigest ?? ""}\n`;
  return hash("sha256", head + entry.text, "hex");
}
