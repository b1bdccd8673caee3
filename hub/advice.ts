/** Takes a batch of a terminal's queue: its answer is the receipt, which leaves after the commit. */
import type { Clock } from "../base/clock.ts";
import type { RandomBytes } from "../base/ids.ts";
import type { DownOf, UpOf } from "../wire/envelope.ts";
import type { Ingest } from "./core/ingest/index.ts";
import type { Terminals } from "./core/terminals/index.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { Metrics } from "./metrics.ts";
import type { SealOpenings } from "./openings.ts";
import { headOf, workFor } from "./terminal-messages.ts";

export interface AdviceParts {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly terminals: Terminals;
  readonly ingest: Ingest;
  readonly commits: GroupCommit;
  readonly metrics: Metrics;
  readonly openings?: SealOpenings | undefined;
}

/** Throws Fault `fence.stale`, and as `workFor` and `Ingest.take`. */
export async function takeBatch(parts: AdviceParts, envelope: UpOf<"advice.batch">): Promise<DownOf<"receipt">> {
  const { clock, terminals, ingest, metrics, openings } = parts;
  const { terminalId, body: batch } = envelope;
  const ready = openings?.prepare(batch.entries.flatMap(({ sealed }) => sealed ?? []));
  const applied = await workFor(parts, envelope, {
    lane: "queue",
    weight: batch.entries.length,
    ...(ready === undefined ? {} : { ready }),
    // All is checked here and not on arrival, so that a burst of batches keeps no person waiting.
    apply: (within, { signingKey }) => ingest.take(within, { terminalId, batch, signingKey }, clock.now()),
  });
  // What the refusal found is committed before it is told.
  if ("stale" in applied) throw applied.stale;
  for (const { status } of applied.results) metrics.count("tillway_hub_entries_total", { status });
  const body: DownOf<"receipt">["body"] = {
    epoch: batch.epoch,
    results: [...applied.results],
    hubEpoch: ingest.hubEpoch,
    watermark: applied.watermark,
    time: terminals.signedTime(terminalId),
  };
  return { ...headOf(parts, envelope), type: "receipt", body };
}
