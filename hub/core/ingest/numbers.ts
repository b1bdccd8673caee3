/** Keeps the watermark of one epoch during a batch: read once, written once. */
import type { IngestStore, Source } from "./store.ts";

export interface Numbers {
  readonly watermark: number;
  /** This number is held, whatever became of its entry. */
  hold(forward: number | undefined): void;
  /** Writes what has changed. True when a gap has closed. */
  save(): boolean;
}

export interface NumbersOptions {
  readonly store: IngestStore;
  readonly source: Source;
  readonly watermark: number;
  readonly now: number;
}

/** Raises the watermark over every number that is held without a gap. */
export function createNumbers({ store, source, watermark: stored, now }: NumbersOptions): Numbers {
  let watermark = stored;
  let ahead: boolean | undefined;
  let filled = false;
  const anyAhead = () => {
    ahead ??= store.anyAhead(source);
    return ahead;
  };
  return {
    get watermark() {
      return watermark;
    },
    hold(forward) {
      if (forward === undefined || forward <= watermark) return;
      if (forward > watermark + 1) {
        store.putAhead(source, forward, now);
        ahead = true;
        return;
      }
      watermark = forward;
      if (!anyAhead()) return;
      filled = true;
      while (store.takeAhead(source, watermark + 1)) watermark += 1;
    },
    save() {
      if (watermark !== stored) store.raise(source, watermark);
      return filled && !store.anyAhead(source);
    },
  };
}
