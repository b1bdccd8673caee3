/** Store-and-forward: batches of journal entries up, receipts per entry down. Only a receipt ends an entry's journey. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { SealedCardDataSchema } from "./card-data.ts";
import {
  Base64Schema,
  DigestSchema,
  EpochSchema,
  PaymentIdSchema,
  ReasonCodeSchema,
  SequenceSchema,
} from "./common.ts";
import { type StoredEntry, StoredEntrySchema } from "./journal-entry.ts";
import { SignedSchema } from "./signing.ts";

export const BATCH_ENTRIES_MAX = 50;

export const ForwardedEntrySchema = StoredEntrySchema.extend({ sealed: SealedCardDataSchema.optional() });
export type ForwardedEntry = z.infer<typeof ForwardedEntrySchema>;

export const AdviceBatchSchema = z.strictObject({
  /** The epoch that the entries were written in; older than the envelope's after a change of file. */
  epoch: EpochSchema,
  entries: z.array(ForwardedEntrySchema).min(1).max(BATCH_ENTRIES_MAX),
  /** The newest hash of the chain. */
  chainHead: DigestSchema,
  /** Rises with every opening of the journal: a batch of an earlier drainer, come late, is not taken. */
  fence: z.int().min(1).optional(),
  /** Ed25519 by the terminal over `batchText`. */
  signature: Base64Schema,
});
export type AdviceBatch = z.infer<typeof AdviceBatchSchema>;

/** What a batch's one signature covers: its terminal, epoch, head, and every entry's hash in order. */
export function batchText(
  terminalId: string,
  batch: { epoch: string; chainHead: string; fence?: number | undefined; entries: readonly StoredEntry[] },
): string {
  const digest = createHash("sha256");
  for (const entry of batch.entries) digest.update(entry.hash);
  const fence = batch.fence === undefined ? "" : `\n${batch.fence}`;
  return `${terminalId}\n${batch.epoch}\n${batch.chainHead}\n${batch.entries.length}\n${digest.digest("hex")}${fence}`;
}

export const EntryReceiptSchema = z.strictObject({
  sequence: SequenceSchema,
  hash: DigestSchema,
  paymentId: PaymentIdSchema.optional(),
  /** `expired`: a deferred authorisation that came too late to be asked. `quarantined`: set aside for a person; the rest moves on. */
  status: z.enum(["processed", "declined", "expired", "duplicate", "quarantined"]),
  reason: ReasonCodeSchema.optional(),
  detail: z.string().max(200).optional(),
});
export type EntryReceipt = z.infer<typeof EntryReceiptSchema>;

/** Sent after the hub's own commit, never before. */
export const ReceiptSchema = z.strictObject({
  epoch: EpochSchema,
  results: z.array(EntryReceiptSchema).min(1).max(BATCH_ENTRIES_MAX),
  /** New for every database of the hub; with `watermark` it shows a restore from backup (RM18). */
  hubEpoch: EpochSchema,
  /** The highest `forward` number below which the hub holds every entry of that epoch. */
  watermark: z.int().min(0),
  time: SignedSchema,
});
