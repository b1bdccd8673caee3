/**
 * Counts what is refused and logs it once for each source and reason, so that neither a broken terminal nor a full disk
 * fills the log. What looks like somebody who tries doors is an alarm when it is repeated.
 */
import type { Clock } from "../base/clock.ts";
import { isFault, reasonOf } from "../base/fault.ts";
import type { Fields, Log } from "../base/log.ts";
import type { Metrics } from "./metrics.ts";

/**
 * Why a message or connection was refused: the label of the counter. taken-over: an older session gave way to a new one of
 * the same terminal. fence: a batch of an earlier opening of a journal. identity: none shown, or of nobody here.
 * certificate: not of this hub, or not any more. copy: of an identity that somebody else goes on with. foreign: one
 * terminal's certificate, another's name. expired: a certificate past its end, for more than it may. claim: an enrolment.
 */
export type RefusalReason =
  | "malformed"
  | "signature"
  | "topic"
  | "identity"
  | "certificate"
  | "copy"
  | "foreign"
  | "expired"
  | "claim"
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

const QUIET_MS = 600_000;
/** The hub's own trouble is told more often: somebody is about to mend it. */
const TROUBLE_QUIET_MS = 60_000;
/** So many refusals of one source for one reason, within the time for which it is quiet, are an alarm. */
export const ALARM_AT = 10;
/** A wrong certificate, a foreign topic, an expired claim. The others are what broken software and bad lines do. */
const ALARMING: ReadonlySet<RefusalReason> = new Set([
  "identity",
  "certificate",
  "copy",
  "foreign",
  "expired",
  "claim",
  "topic",
  "signature",
  "revoked",
]);
/** Sources remembered, with their reasons; the oldest is forgotten at the limit. */
const SOURCES_MAX = 1_000;
/** Characters shown of what a sender wrote. */
const SHOWN_MAX = 200;

export function createRefusals({ clock, log, metrics }: { clock: Clock; log: Log; metrics: Metrics }): Refusals {
  const sources = new Map<string, Quiet>();
  const own: Quiet = { loggedAt: Number.NEGATIVE_INFINITY, since: 0 };

  function alarm(source: string, reason: RefusalReason): void {
    metrics.count("tillway_hub_alarms_total", { reason });
    log.error("refused again and again; find out who this is", { source, reason, times: ALARM_AT });
  }

  return {
    note(source, reason, fields = {}) {
      metrics.count("tillway_hub_messages_refused_total", { reason });
      const key = `${reason} ${source}`;
      const known = sources.get(key);
      if (known && !speaks(known, clock, QUIET_MS)) {
        if (known.since + 1 === ALARM_AT && ALARMING.has(reason)) alarm(source, reason);
        return;
      }
      sources.delete(key);
      const [oldest] = sources.keys();
      if (sources.size >= SOURCES_MAX && oldest !== undefined) sources.delete(oldest);
      sources.set(key, { loggedAt: clock.monotonic(), since: 0 });
      log.warn("refused", { source, reason, ...cut(fields), ...unlogged(known) });
    },
    trouble(error) {
      if (!speaks(own, clock, TROUBLE_QUIET_MS)) return;
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

function speaks(quiet: Quiet, clock: Clock, quietMs: number): boolean {
  if (clock.monotonic() - quiet.loggedAt >= quietMs) return true;
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
