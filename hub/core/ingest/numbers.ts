/** Raises the watermark of one epoch over the numbers of a batch: read once, written once. */
import type { Within } from "../../store/store.ts";
import { ingestStore, type Source } from "./store.ts";

export interface NumbersInput {
  readonly source: Source;
  /** As it was before the batch. */
  readonly watermark: number;
  readonly now: number;
  /** Held from now on, whatever became of their entries. */
  readonly held: readonly number[];
}

export interface Raised {
  /** Every number up to it is held. */
  readonly watermark: number;
  /** No number is missing any more where some were. */
  readonly whole: boolean;
}

export async function holdNumbers(within: Within, { source, now, ...input }: NumbersInput): Promise<Raised> {
  const held = input.held.toSorted((a, b) => a - b);
  const raises = held.includes(input.watermark + 1);
  const anyAhead = raises && (await ingestStore.anyAhead(within, source));
  let { watermark } = input;
  for (const forward of held) {
    if (forward > watermark + 1) await ingestStore.putAhead(within, source, { forward, at: now });
    if (forward !== watermark + 1) continue;
    watermark = forward;
    while (anyAhead && (await ingestStore.takeAhead(within, source, watermark + 1))) watermark += 1;
  }
  if (raises) await ingestStore.raise(within, source, watermark);
  return { watermark, whole: anyAhead && !(await ingestStore.anyAhead(within, source)) };
}
