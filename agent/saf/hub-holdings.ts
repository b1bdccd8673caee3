/**
 * What the hub says that it durably holds of this journal (RM18). Less than it once said, or another database altogether,
 * means that it was restored from a backup: then everything above what it holds now is told again.
 */
import { z } from "zod";
import { reasonOf } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import { EpochSchema } from "../../wire/common.ts";
import { parseJson } from "../../wire/signing.ts";
import type { Journal } from "../journal/journal.ts";
import type { HubHolding } from "../uplink/hub.ts";

const KeptSchema = z.strictObject({
  hubEpoch: EpochSchema,
  watermark: z.int().min(0),
  /** Hub time when it told of its last loss. */
  lossAt: z.number().optional(),
  /** A copy of this journal speaks to the hub as well. */
  copied: z.literal(true).optional(),
});
type Kept = z.infer<typeof KeptSchema>;

export interface HubHoldingsOptions {
  readonly journal: Pick<
    Journal,
    "fence" | "raiseFence" | "recall" | "keep" | "resendFrom" | "resendOne" | "backlog" | "head"
  >;
  readonly log: Log;
}

export class HubHoldings {
  readonly #options: HubHoldingsOptions;
  #highest: Kept | undefined;
  #copied: boolean;
  /** The watermark whose successor was looked at, so that each is looked at once. */
  #looked = -1;

  constructor(options: HubHoldingsOptions) {
    this.#options = options;
    this.#highest = readKept(options.journal.recall("hub-held"));
    this.#copied = this.#highest?.copied ?? false;
  }

  /**
   * A receipt that was given before the hub lost what it holds, and came late, says nothing of what it holds now: the entry
   * is told again, and only the receipt for that counts.
   */
  isOutdated({ saidAt }: { readonly saidAt: number }): boolean {
    return saidAt < (this.#highest?.lossAt ?? Number.NEGATIVE_INFINITY);
  }

  /**
   * Hears of a holding. What it brings about is on disk with whatever else this turn of the event loop stores: the most that
   * was heard with the receipt that said it, and the loss with the first slice of what is told again.
   */
  async heard({ hubEpoch, watermark, fence, fresh, saidAt }: HubHolding): Promise<void> {
    await this.#notShutOut(fence);
    const highest = this.#highest;
    const less = highest !== undefined && (highest.hubEpoch !== hubEpoch || watermark < highest.watermark);
    if (watermark === highest?.watermark && !less) return this.#lookBehind(watermark, fresh);
    // Words come late and twice: only one that is newer than all others before can tell of a loss.
    if (less && !fresh) return;
    const lossAt = less ? Math.max(saidAt, highest.lossAt ?? 0) : highest?.lossAt;
    this.#highest = {
      ...{ hubEpoch, watermark },
      ...(lossAt === undefined ? {} : { lossAt }),
      ...(this.#copied ? { copied: true } : {}),
    };
    const { journal, log } = this.#options;
    const work: Promise<unknown>[] = [journal.keep("hub-held", JSON.stringify(this.#highest))];
    if (less) {
      log.error(
        "the hub holds less than it receipted: it was restored from a backup; what is kept here is sent again",
        {
          receipted: highest.watermark,
          holds: watermark,
          hubEpoch,
          otherDatabase: highest.hubEpoch !== hubEpoch,
        },
      );
      // The numbers that it holds may be those of the copy.
      work.push(journal.resendFrom(this.#copied ? 0 : watermark));
    }
    try {
      await Promise.all(work);
    } catch (error) {
      // Not stored: as if nothing had been heard, so that the hub's next word brings it about.
      this.#highest = highest;
      log.warn("what the hub holds could not be stored", { reason: reasonOf(error) });
    }
  }

  /**
   * With nothing left to send, the hub holds every number. One that it misses, and that counts as receipted here, was never
   * told: the note of its receipt is no part of the chain, and damage to it alone would hide the entry for ever.
   */
  async #lookBehind(watermark: number, fresh: boolean): Promise<void> {
    const { journal, log } = this.#options;
    const nothingMissing = watermark >= journal.head.forward || journal.backlog().depth > 0;
    if (!fresh || nothingMissing || this.#looked === watermark) return;
    this.#looked = watermark;
    try {
      if (!(await journal.resendOne(watermark + 1))) return;
      log.error("the hub does not hold an entry that counts as receipted here; it is sent again", {
        forward: watermark + 1,
      });
    } catch (error) {
      this.#looked = -1;
      log.warn("what the hub lacks could not be looked at; its next word brings it about", { reason: reasonOf(error) });
    }
  }

  /**
   * The file is locked for this one opening, so a higher fence than its own can only be a copy's. Both go on: what either
   * sold is told, each thing once, and the hub names the copy.
   */
  async #notShutOut(fence: number | undefined): Promise<void> {
    const { journal, log } = this.#options;
    if (fence === undefined || fence <= journal.fence) return;
    this.#copied = true;
    log.error("a copy of this terminal's journal speaks to the hub", { fence: journal.fence, copysFence: fence });
    const kept: Kept | undefined = this.#highest && { ...this.#highest, copied: true };
    this.#highest = kept;
    try {
      await Promise.all([journal.raiseFence(fence), kept && journal.keep("hub-held", JSON.stringify(kept))]);
    } catch (error) {
      log.warn("the fence could not be raised; the hub's next word brings it about", { reason: reasonOf(error) });
    }
  }
}

/** A damaged note counts as none. */
function readKept(text: string | undefined): Kept | undefined {
  if (text === undefined) return undefined;
  try {
    return KeptSchema.safeParse(parseJson(text)).data;
  } catch {
    return undefined;
  }
}
