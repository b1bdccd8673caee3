/** What the queue's routes take and give. */
import { z } from "zod";
import { toWireMoney } from "../../wire/common.ts";
import type { QueueDetail, QueueView } from "../saf/queue-actions.ts";
import { QueueEntrySchema } from "./api-schemas.ts";

const BY_CHARACTERS_MAX = 64;
const WHY_CHARACTERS_MAX = 200;
const NOT_PRINTABLE = /\p{Cc}/u;
const wordsOf = (max: number) =>
  z
    .string()
    .trim()
    .min(1, "must say something")
    .max(max)
    .refine((text) => !NOT_PRINTABLE.test(text), "must not contain control characters");

/** Who acts on an entry, and why. */
export const QueueActionBodySchema = z.strictObject({
  by: wordsOf(BY_CHARACTERS_MAX),
  why: wordsOf(WHY_CHARACTERS_MAX),
});
export const QueueParamsSchema = z.strictObject({ id: z.string().min(1).max(65) });

export const QueueViewSchema = QueueEntrySchema.extend({
  ageSec: z.int(),
  /** Of one that rests between two tries. */
  nextTryInSec: z.int().optional(),
  /** Why its last sending got no receipt, or what the hub had against it. */
  lastError: z.string().optional(),
});
export type QueueViewJson = z.infer<typeof QueueViewSchema>;

export const QueueDetailSchema = QueueViewSchema.extend({
  actions: z.array(
    z.strictObject({ action: z.enum(["force", "retry", "cancel"]), at: z.string(), by: z.string(), why: z.string() }),
  ),
  whatToDo: z.string(),
});
export type QueueDetailJson = z.infer<typeof QueueDetailSchema>;

export const queueViewJson = ({ amount, ...rest }: QueueView): QueueViewJson => ({
  ...rest,
  ...(amount && { amount: toWireMoney(amount) }),
});

export const queueDetailJson = ({ actions, whatToDo, ...view }: QueueDetail): QueueDetailJson => ({
  ...queueViewJson(view),
  actions: [...actions],
  whatToDo,
});
