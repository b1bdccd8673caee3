/**
 * Hub time as far as this box can prove it (RM8). Only times that the hub signed move it; between them it is carried on by
 * the time since boot, never by the wall clock, which may be as wrong as it likes.
 */
import type { KeyObject } from "node:crypto";
import { z } from "zod";
import type { Clock } from "../../base/clock.ts";
import { isFault, reasonOf } from "../../base/fault.ts";
import type { TerminalId } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { HubTimeSchema } from "../../wire/lease.ts";
import { openSigned, parseJson, type Signed } from "../../wire/signing.ts";
import type { Journal } from "../journal/journal.ts";
import type { HubClock } from "../uplink/hub.ts";

/** This start of the machine. Elapsed time can be shown within one boot only. */
export interface Boot {
  /** Other after every reboot: /proc/sys/kernel/random/boot_id. */
  readonly id: string;
  /** Milliseconds since boot, time asleep included (CLOCK_BOOTTIME). */
  uptimeMs(): number;
}

/** Writing every signed time would cost an fsync each; a high-water older than this is written anew. */
const KEEP_EVERY_MS = 30_000;
/** An oscillator may run this much faster than the hub's: by so much of the elapsed time the hub may correct us downwards. */
const DRIFT_SHARE_MAX = 0.000_3;
/** After a restart a signed time this far under the high-water still counts as present, and not as an old one replayed. */
const HIGH_WATER_SLACK_MS = 10_000;

const KeptTimeSchema = z.strictObject({ at: z.number(), bootId: z.string(), uptimeMs: z.number().min(0) });
type KeptTime = z.infer<typeof KeptTimeSchema>;

/** `heard`: newer than all before. `old`: a repeat or a replay, ignored. `invalid`: not the hub's word for this terminal. */
export type Hearing = "heard" | "old" | "invalid";

export interface HubClockOptions {
  readonly terminalId: TerminalId;
  readonly hubSigningKey: KeyObject;
  readonly journal: Pick<Journal, "recall" | "keep">;
  readonly boot: Boot;
  readonly log: Log;
}

export class SignedHubClock implements HubClock {
  readonly #options: HubClockOptions;
  /** A hub time and the time since boot at which it was heard; absent until the hub was heard in this boot. */
  #anchor: { readonly at: number; readonly uptimeMs: number } | undefined;
  /** The latest time ever shown; what is shown never goes back. */
  #highWater = 0;
  /** The newest time that the hub signed; after a restart what it was at least, so that an old one proves nothing. */
  #newestSigned = 0;
  #kept: KeptTime | undefined;
  /** Signed times that were not believed: forged, another terminal's, or older than one heard before. */
  ignored = 0;

  constructor(options: HubClockOptions) {
    this.#options = options;
    const kept = readKept(options.journal.recall("hub-time"));
    if (!kept) return;
    const uptimeMs = options.boot.uptimeMs();
    this.#kept = kept;
    this.#newestSigned = kept.at - HIGH_WATER_SLACK_MS;
    if (kept.bootId === options.boot.id && uptimeMs >= kept.uptimeMs) {
      this.#anchor = { at: kept.at, uptimeMs: kept.uptimeMs };
      this.#highWater = kept.at;
    } else {
      // What was kept was kept before this boot, so at least the time since boot has passed since then.
      this.#highWater = kept.at + uptimeMs;
    }
  }

  now(): { readonly at: number; readonly proven: boolean } {
    this.#highWater = Math.max(this.#highWater, this.#derived() ?? 0);
    return { at: this.#highWater, proven: this.#anchor !== undefined };
  }

  /** Takes a signed time from the hub. Never throws for what came from outside. */
  hear(signed: Signed): Hearing {
    const at = this.#open(signed);
    if (at === undefined || at <= this.#newestSigned) {
      this.ignored += 1;
      return at === undefined ? "invalid" : "old";
    }
    this.now();
    const uptimeMs = this.#options.boot.uptimeMs();
    const derived = this.#derived();
    const elapsedMs = this.#anchor ? uptimeMs - this.#anchor.uptimeMs : 0;
    const least = derived === undefined ? this.#highWater : derived - elapsedMs * DRIFT_SHARE_MAX;
    this.#newestSigned = at;
    // A correction downwards makes what is shown stand still for a while, by the high-water just taken; it never goes back.
    this.#anchor = { at: Math.max(at, least), uptimeMs };
    this.keepHighWater();
    return "heard";
  }

  /** Makes the high-water durable when the one on disk is too old. Called on every signed time, and by the clock while offline. */
  keepHighWater(): void {
    const { boot, journal, log } = this.#options;
    const { at, proven } = this.now();
    if (!proven) return;
    if (this.#kept && this.#kept.bootId === boot.id && at - this.#kept.at < KEEP_EVERY_MS) return;
    const previous = this.#kept;
    const kept = { at, bootId: boot.id, uptimeMs: boot.uptimeMs() };
    this.#kept = kept;
    journal.keep("hub-time", JSON.stringify(kept)).catch((error: unknown) => {
      if (this.#kept === kept) this.#kept = previous;
      log.warn("the high-water of hub time could not be stored", { reason: reasonOf(error) });
    });
  }

  #derived(): number | undefined {
    if (!this.#anchor) return undefined;
    return this.#anchor.at + Math.max(0, this.#options.boot.uptimeMs() - this.#anchor.uptimeMs);
  }

  #open(signed: Signed): number | undefined {
    const { hubSigningKey, terminalId, log } = this.#options;
    try {
      const time = openSigned("time", signed, hubSigningKey, HubTimeSchema);
      return time.terminalId === terminalId ? Date.parse(time.at) : undefined;
    } catch (error) {
      if (!isFault(error, "signature.invalid", "message.invalid", "codec.invalid")) throw error;
      log.warn("a time that the hub did not sign was ignored", { reason: reasonOf(error) });
      return undefined;
    }
  }
}

/**
 * When it is, for entries and for people: hub time where it is proven, else the box's own clock, but never before what hub
 * time is known to have reached, as a box without a battery starts in 1970 (RM8).
 */
export function wallTime(hubClock: HubClock, clock: Pick<Clock, "now">): number {
  const { at, proven } = hubClock.now();
  return proven ? at : Math.max(at, clock.now());
}

/** A damaged note counts as none: then the hub must be heard first, which is the safe side. */
function readKept(text: string | undefined): KeptTime | undefined {
  if (text === undefined) return undefined;
  try {
    return KeptTimeSchema.safeParse(parseJson(text)).data;
  } catch {
    return undefined;
  }
}
