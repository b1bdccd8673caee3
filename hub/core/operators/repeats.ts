/** The first answer to each request that moves money, so that a repeat of it gets the same and moves nothing. */
import { createHmac } from "node:crypto";
import type { Clock } from "../../../base/clock.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { Within } from "../../store/store.ts";
import { operatorStore } from "./store.ts";

export interface RepeatKey {
  /** Whose key it is: others may use the same. */
  readonly identity: string;
  readonly key: string;
  /** Method, path and body. */
  readonly request: string;
}

export interface FirstAnswer {
  readonly status: number;
  readonly answer: unknown;
}

/** other-content: the key was used for something else. full: too many keys of this one are still kept. */
export type RepeatRefusal = "other-content" | "full";

export interface Repeats {
  /** Within the transaction of the change: undefined where this is the first. */
  first(within: Within, key: RepeatKey): Promise<Result<FirstAnswer | undefined, RepeatRefusal>>;
  keep(within: Within, key: RepeatKey, answer: FirstAnswer): Promise<void>;
}

export const REPEATS_KEPT_MS = 24 * 3_600_000;
const KEPT_MAX = 10_000;

export interface RepeatOptions {
  readonly clock: Clock;
  /** A body may hold a card's number: its bare hash could be tried out. */
  readonly secret: Uint8Array;
}

export function createRepeats({ clock, secret }: RepeatOptions): Repeats {
  const hashOf = (request: string) => createHmac("sha256", secret).update(request).digest("hex");
  return {
    async first(within, { identity, key, request }) {
      await operatorStore.forgetRepeats(within, clock.now() - REPEATS_KEPT_MS);
      const known = await operatorStore.repeat(within, identity, key);
      if (!known) return (await operatorStore.repeatsOf(within, identity)) < KEPT_MAX ? ok(undefined) : fail("full");
      if (known.requestHash !== hashOf(request)) return fail("other-content");
      return ok({ status: known.status, answer: JSON.parse(known.answer) as unknown });
    },
    async keep(within, { identity, key, request }, { status, answer }) {
      const row = { identity, key, requestHash: hashOf(request), status, answer: JSON.stringify(answer) };
      await operatorStore.insertRepeat(within, { ...row, at: clock.now() });
    },
  };
}
