/**
 * Telling the hub again what it lost (RM18), slice by slice: how far that came is kept with each slice's commit, so that a
 * restart in the middle goes on and none is left out.
 */
import { z } from "zod";
import { parseJson } from "../../wire/signing.ts";
import type { QueueStore } from "./queue-store.ts";

const ResendSchema = z.strictObject({
  /** `forward` numbers up to this one are dealt with. */
  after: z.int().min(0),
  /** The newest that there was when the loss was heard of: what came later the hub is told anyway. */
  upTo: z.int().min(0),
});
export type Resend = z.infer<typeof ResendSchema>;

/** None is under way. */
const OVER = "";

/** Throws for a text that this program did not write. */
export const readResend = (text: string | undefined): Resend | undefined =>
  text === undefined || text === OVER ? undefined : ResendSchema.parse(parseJson(text));

/** One slice after `forward`; `next` is the fact to keep in the same commit. */
export function nextResend(
  queue: Pick<QueueStore, "resend">,
  { under, forward, head }: { readonly under: Resend | undefined; readonly forward: number; readonly head: number },
): { readonly next: string; readonly moved: number } {
  // Heard of a second loss in the middle of the first, it begins anew from the lower number; whoever still speaks of the
  // higher one skips nothing.
  const after = Math.min(forward, under?.after ?? forward);
  const upTo = under !== undefined && under.after === after ? under.upTo : head;
  const slice = queue.resend(after);
  const goesOn = slice.more && slice.upTo < upTo;
  const next: Resend = { after: slice.upTo, upTo };
  return { next: goesOn ? JSON.stringify(next) : OVER, moved: slice.moved };
}
