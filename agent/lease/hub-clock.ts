/**
 * Hub time as far as this box can prove it (RM8). Only times that the hub signed move it; between them it is carried on by
 * the time since boot, never by the wall clock, which may be as wrong as it likes. What proves the time after a reboot is an
 * answer to a question of this very start: an older word, kept by a broker or recorded by a thief, is as well signed, and a
 * disk that was restored from a copy no longer knows that it is old.
 */
import type { KeyObject } from "node:crypto";
import { z } from "zod";
import type { Clock } from "../../base/clock.ts";
import { isFault, reasonOf } from "../../base/fault.ts";
import type { RandomBytes, TerminalId } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { type HubTime, HubTimeSchema } from "../../wire/lease.ts";
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

/** An answer that took longer says too little of what time it is now. */
const ANSWER_WITHIN_MS = 10_000;
/** Questions that wait for their answer; the oldest makes room. */
const ASKED_MAX = 8;
const NONCE_BYTES = 16;

const KeptTimeSchema = z.strictObject({ at: z.number(), bootId: z.string(), uptimeMs: z.number().min(0) });
type KeptTime = z.infer<typeof KeptTimeSchema>;

/**
 * `heard`: newer than all before. `answered`: not newer, so no news of the time, but the answer to a question of now. `old`: a
 * repeat, a replay, or no answer while one is needed; ignored. `invalid`: not the hub's word for this terminal.
 */
export type Hearing = "heard" | "answered" | "old" | "invalid";

export interface HubClockOptions {
  readonly terminalId: TerminalId;
  readonly hubSigningKey: KeyObject;
  readonly journal: Pick<Journal, "recall" | "keep">;
  readonly boot: Boot;
  readonly random: RandomBytes;
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
  /** Nonces of questions without an answer, with the time since boot at which each was asked. */
  readonly #asked = new Map<string, number>();
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

  /**
   * To be sent along when the hub is told of us; undefined while time is proven and nothing needs to be asked. `always`: the
   * answer is to show that the hub is there, also where its clock was set back behind what was heard before.
   */
  question(always = false): string | undefined {
    if (this.#anchor && !always) return undefined;
    const nonce = Buffer.from(this.#options.random(NONCE_BYTES)).toString("base64url");
    const [oldest] = this.#asked.keys();
    if (this.#asked.size >= ASKED_MAX && oldest !== undefined) this.#asked.delete(oldest);
    this.#asked.set(nonce, this.#options.boot.uptimeMs());
    return nonce;
  }

  /** Takes a signed time from the hub. Never throws for what came from outside. */
  hear(signed: Signed): Hearing {
    const time = this.#open(signed);
    const at = time === undefined ? 0 : Date.parse(time.at);
    if (time === undefined || at <= this.#newestSigned || !(this.#anchor || this.#isOfNow(time))) {
      this.ignored += 1;
      if (time === undefined) return "invalid";
      return this.#isOfNow(time) ? "answered" : "old";
    }
    this.#asked.clear();
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

  #isOfNow({ nonce = "" }: HubTime): boolean {
    const askedAt = this.#asked.get(nonce);
    return askedAt !== undefined && this.#options.boot.uptimeMs() - askedAt <= ANSWER_WITHIN_MS;
  }

  #derived(): number | undefined {
    if (!this.#anchor) return undefined;
    return this.#anchor.at + Math.max(0, this.#options.boot.uptimeMs() - this.#anchor.uptimeMs);
  }

  #open(signed: Signed): HubTime | undefined {
    const { hubSigningKey, terminalId, log } = this.#options;
    try {
      const time = openSigned("time", signed, hubSigningKey, HubTimeSchema);
      return time.terminalId === terminalId ? time : undefined;
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
