/**
 * The lease as it lies in the journal: its deny list, which is most of it and rarely changes, is kept apart, so that a renewal
 * every minute does not write hundreds of kilobytes. Put together again it is the text that the hub signed, or no lease.
 */
import { z } from "zod";
import type { Lease } from "../../wire/lease.ts";
import { parseJson, type Signed, SignedSchema } from "../../wire/signing.ts";
import type { Journal } from "../journal/journal.ts";

/** A shorter list stays in its lease. */
const APART_MIN = 50;

const KeptLeaseSchema = z.strictObject({
  lease: SignedSchema,
  /** Where in the text the list belongs that was taken out of it. */
  listAt: z.int().min(0).optional(),
  withdrawn: z.literal(true).optional(),
});

export interface KeptLease {
  readonly signed: Signed;
  readonly withdrawn: boolean;
}

interface Kept extends KeptLease {
  readonly lease: Pick<Lease, "denyList">;
}

/** Both parts in one commit; the list only where it is another than the last. */
export async function keepLease(
  journal: Pick<Journal, "recall" | "keep">,
  { signed, lease, withdrawn }: Kept,
): Promise<void> {
  const { tokens } = lease.denyList;
  const list = JSON.stringify(tokens);
  const listAt = tokens.length < APART_MIN ? -1 : signed.text.indexOf(list);
  const mark = withdrawn ? { withdrawn } : {};
  if (listAt < 0) return journal.keep("lease", JSON.stringify({ lease: signed, ...mark }));
  const text = signed.text.slice(0, listAt) + signed.text.slice(listAt + list.length);
  const parts = [journal.keep("lease", JSON.stringify({ lease: { ...signed, text }, listAt, ...mark }))];
  if (journal.recall("deny-list") !== list) parts.push(journal.keep("deny-list", list));
  await Promise.all(parts);
}

/** A damaged note counts as none. */
export function recallLease(journal: Pick<Journal, "recall">): KeptLease | undefined {
  const note = journal.recall("lease");
  if (note === undefined) return undefined;
  try {
    const kept = KeptLeaseSchema.safeParse(parseJson(note)).data;
    if (kept === undefined) return undefined;
    const { lease, listAt, withdrawn = false } = kept;
    const list = listAt === undefined ? "" : (journal.recall("deny-list") ?? "");
    const text = lease.text.slice(0, listAt) + list + (listAt === undefined ? "" : lease.text.slice(listAt));
    return { signed: { ...lease, text }, withdrawn };
  } catch {
    return undefined;
  }
}
