/** The one envelope of every message between agent and hub, over MQTT and HTTPS alike. */
import { z } from "zod";
import { Fault } from "../base/fault.ts";
import { AdviceBatchSchema, ReceiptSchema } from "./advice.ts";
import { AuthorisationRequestSchema, AuthorisationResponseSchema } from "./authorisation.ts";
import {
  CardChallengeSchema,
  CardLookupSchema,
  CardResponseSchema,
  CardResultSchema,
  CardTransactionSchema,
} from "./card-verification.ts";
import { EpochSchema, SequenceSchema, TerminalIdSchema, TimeSchema } from "./common.ts";
import { LeaseMessageSchema } from "./lease.ts";
import { DayReportSchema, DaySummarySchema } from "./reconciliation.ts";
import { firstIssue, parseJson } from "./signing.ts";
import { HealthSchema, PresenceSchema } from "./terminal.ts";

/** The largest message either end takes, in bytes. */
export const MESSAGE_BYTES_MAX = 1_048_576;

const head = {
  v: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{24}$/),
  terminalId: TerminalIdSchema,
  epoch: EpochSchema,
  /** The journal sequence that the message speaks for; 0 where there is none. Never order by a clock. */
  sequence: SequenceSchema,
  sentAt: TimeSchema,
};

export const UpEnvelopeSchema = z.discriminatedUnion("type", [
  z.strictObject({ ...head, type: z.literal("authorisation.request"), body: AuthorisationRequestSchema }),
  z.strictObject({ ...head, type: z.literal("advice.batch"), body: AdviceBatchSchema }),
  z.strictObject({ ...head, type: z.literal("presence"), body: PresenceSchema }),
  z.strictObject({ ...head, type: z.literal("health"), body: HealthSchema }),
  z.strictObject({ ...head, type: z.literal("day.summary"), body: DaySummarySchema }),
  z.strictObject({ ...head, type: z.literal("card.lookup"), body: CardLookupSchema }),
  z.strictObject({ ...head, type: z.literal("card.transaction"), body: CardTransactionSchema }),
  z.strictObject({ ...head, type: z.literal("card.response"), body: CardResponseSchema }),
]);
export type UpEnvelope = z.infer<typeof UpEnvelopeSchema>;

export const DownEnvelopeSchema = z.discriminatedUnion("type", [
  z.strictObject({ ...head, type: z.literal("authorisation.response"), body: AuthorisationResponseSchema }),
  z.strictObject({ ...head, type: z.literal("receipt"), body: ReceiptSchema }),
  z.strictObject({ ...head, type: z.literal("lease"), body: LeaseMessageSchema }),
  z.strictObject({ ...head, type: z.literal("day.report"), body: DayReportSchema }),
  z.strictObject({ ...head, type: z.literal("card.challenge"), body: CardChallengeSchema }),
  z.strictObject({ ...head, type: z.literal("card.result"), body: CardResultSchema }),
]);
export type DownEnvelope = z.infer<typeof DownEnvelopeSchema>;

export type UpOf<T extends UpEnvelope["type"]> = Extract<UpEnvelope, { type: T }>;
export type DownOf<T extends DownEnvelope["type"]> = Extract<DownEnvelope, { type: T }>;

function decode<T>(schema: z.ZodType<T>, bytes: Uint8Array | string): T {
  const size = typeof bytes === "string" ? Buffer.byteLength(bytes) : bytes.length;
  if (size > MESSAGE_BYTES_MAX)
    throw new Fault("codec.too-long", `a message of ${size} bytes, the limit is ${MESSAGE_BYTES_MAX}`);
  const text =
    typeof bytes === "string" ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  const parsed = schema.safeParse(parseJson(text));
  if (!parsed.success)
    throw new Fault("message.invalid", `not an envelope of this version: ${firstIssue(parsed.error)}`);
  return parsed.data;
}

/** Bytes from a terminal. Throws Fault `message.invalid` or `codec.too-long`. */
export const decodeUp = (bytes: Uint8Array | string): UpEnvelope => decode(UpEnvelopeSchema, bytes);
/** Bytes from the hub. Throws as `decodeUp`. */
export const decodeDown = (bytes: Uint8Array | string): DownEnvelope => decode(DownEnvelopeSchema, bytes);
export const encodeEnvelope = (envelope: UpEnvelope | DownEnvelope): string => JSON.stringify(envelope);
