/** Counts what is refused and logs it once per source and minute, so that a broken terminal cannot fill the log. */
import type { Clock } from "../base/clock.ts";
import { isFault } from "../base/fault.ts";
import type { Fields, Log } from "../base/log.ts";
import type { Metrics } from "./metrics.ts";

/** Why a message or connection was refused: the label of the counter. */
export type RefusalReason = "malformed" | "signature" | "topic" | "identity" | "too-long" | "connection";

export interface Refusals {
  note(source: string, reason: RefusalReason, fields?: Fields): void;
}

const QUIET_MS = 60_000;
/** Sources remembered; the oldest is forgotten at the limit. */
const SOURCES_MAX = 1_000;

export function createRefusals({ clock, log, metrics }: { clock: Clock; log: Log; metrics: Metrics }): Refusals {
  const sources = new Map<string, { loggedAt: number; since: number }>();
  return {
    note(source, reason, fields = {}) {
      metrics.count("tillway_hub_messages_refused_total", { reason });
      const known = sources.get(source);
      const now = clock.monotonic();
      if (known && now - known.loggedAt < QUIET_MS) {
        known.since += 1;
        return;
      }
      sources.delete(source);
      const [oldest] = sources.keys();
      if (sources.size >= SOURCES_MAX && oldest !== undefined) sources.delete(oldest);
      sources.set(source, { loggedAt: now, since: 0 });
      log.warn("refused", { source, reason, ...fields, ...(known?.since ? { unloggedBefore: known.since } : {}) });
    },
  };
}

/** Undefined for what is the hub's own trouble. */
export function refusalOf(error: unknown): RefusalReason | undefined {
  if (isFault(error, "signature.invalid")) return "signature";
  if (isFault(error, "message.invalid", "codec.invalid", "codec.truncated")) return "malformed";
  if (isFault(error, "codec.too-long")) return "too-long";
  if (isFault(error, "identity.invalid")) return "identity";
  return undefined;
}
