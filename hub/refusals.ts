/** Counts what is refused and logs it once per source and minute, so that neither a broken terminal nor a full disk fills the log. */
import type { Clock } from "../base/clock.ts";
import { isFault, reasonOf } from "../base/fault.ts";
import type { Fields, Log } from "../base/log.ts";
import type { Metrics } from "./metrics.ts";

/**
 * Why a message or connection was refused: the label of the counter. taken-over: an older session gave way to a new one of
 * the same terminal, which two boxes with one identity do to each other without end. fence: a batch of an earlier opening
 * of a journal.
 */
export type RefusalReason =
  | "malformed"
  | "signature"
  | "topic"
  | "identity"
  | "too-long"
  | "connection"
  | "taken-over"
  | "fence"
  | "revoked";

export interface Refusals {
  note(source: string, reason: RefusalReason, fields?: Fields): void;
  /** The hub's own trouble with messages, such as a full disk: one line a minute for all of them. */
  trouble(error: unknown): void;
}

const QUIET_MS = 60_000;
/** Sources remembered; the oldest is forgotten at the limit. */
const SOURCES_MAX = 1_000;
/** Characters shown of what a sender wrote. */
const SHOWN_MAX = 200;

export function createRefusals({ clock, log, metrics }: { clock: Clock; log: Log; metrics: Metrics }): Refusals {
  const sources = new Map<string, Quiet>();
  const own: Quiet = { loggedAt: Number.NEGATIVE_INFINITY, since: 0 };
  return {
    note(source, reason, fields = {}) {
      metrics.count("tillway_hub_messages_refused_total", { reason });
      const known = sources.get(source);
      if (known && !speaks(known, clock)) return;
      sources.delete(source);
      const [oldest] = sources.keys();
      if (sources.size >= SOURCES_MAX && oldest !== undefined) sources.delete(oldest);
      sources.set(source, { loggedAt: clock.monotonic(), since: 0 });
      log.warn("refused", { source, reason, ...cut(fields), ...unlogged(known) });
    },
    trouble(error) {
      if (!speaks(own, clock)) return;
      log.error("messages cannot be taken; their senders will send them again", {
        reason: reasonOf(error),
        ...unlogged(own),
      });
      own.loggedAt = clock.monotonic();
      own.since = 0;
    },
  };
}

interface Quiet {
  loggedAt: number;
  /** How many went without a line since then. */
  since: number;
}

function speaks(quiet: Quiet, clock: Clock): boolean {
  if (clock.monotonic() - quiet.loggedAt >= QUIET_MS) return true;
  quiet.since += 1;
  return false;
}

const unlogged = (quiet: Quiet | undefined): Fields => (quiet?.since ? { unloggedBefore: quiet.since } : {});

const cut = (fields: Fields): Fields =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === "string" && value.length > SHOWN_MAX ? `${value.slice(0, SHOWN_MAX)}…` : value,
    ]),
  );

/** Undefined for what is the hub's own trouble. */
export function refusalOf(error: unknown): RefusalReason | undefined {
  if (isFault(error, "signature.invalid")) return "signature";
  if (isFault(error, "message.invalid", "codec.invalid", "codec.truncated")) return "malformed";
  if (isFault(error, "codec.too-long")) return "too-long";
  if (isFault(error, "identity.invalid")) return "identity";
  if (isFault(error, "fence.stale")) return "fence";
  if (isFault(error, "identity.revoked")) return "revoked";
  return undefined;
}
