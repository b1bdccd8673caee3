/** What the command line prints of the store-and-forward queue. */
import type { QueueDetailJson, QueueViewJson } from "../../api/queue-schemas.ts";
import type { Status } from "../../health/health.ts";
import { amountText, durationText, queueSummary, table } from "../words.ts";

export interface QueueJson {
  readonly summary: Status["queue"] & { readonly currency?: string | undefined };
  readonly entries: readonly QueueViewJson[];
}

export function queueText({ summary, entries }: QueueJson): string {
  const whole = `queue: ${queueSummary(summary, summary.currency)}`;
  if (entries.length === 0) return whole;
  const rows = entries.map((entry) => [
    String(entry.sequence),
    durationText(entry.ageSec),
    entry.state,
    entry.kind,
    entry.paymentId,
    entry.amount ? amountText(entry.amount) : "",
    `sent ${entry.attempts}x`,
    nextTryText(entry),
    entry.lastError ?? "",
  ]);
  const columns = ["entry", "age", "state", "kind", "payment", "amount", "tries", "next try", "last error"];
  return [whole, table([columns, ...rows])].join("\n");
}

export function queueDetailText(entry: QueueDetailJson): string {
  const said = entry.actions.map(({ at, action, by, why }) => ["", `${action} by ${by} at ${at}: ${why}`]);
  return table([
    ["entry", `${entry.sequence}, ${entry.kind} of payment ${entry.paymentId}`],
    ["state", `${entry.state}, ${durationText(entry.ageSec)} old, made at ${entry.at}`],
    ...(entry.amount ? [["amount", amountText(entry.amount)]] : []),
    ["tries", [`sent ${entry.attempts}x`, nextTryText(entry)].filter((word) => word !== "").join(", next try ")],
    ...(entry.lastError === undefined ? [] : [["error", entry.lastError]]),
    ...(said.length === 0 ? [] : [["actions", said[0]?.[1] ?? ""], ...said.slice(1)]),
    ["to do", entry.whatToDo],
  ]);
}

const nextTryText = ({ nextTryInSec }: QueueViewJson): string =>
  nextTryInSec === undefined ? "" : `in ${durationText(nextTryInSec)}`;
