/** Ends a wait with whatever comes first: its limit, the caller who hangs up, or the API that stops. */
import type { FastifyReply } from "fastify";
import { type Clock, deadline, eitherOf } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";

export interface WaitLimits {
  readonly clock: Clock;
  readonly waitMs: number;
  /** Ends the waits when the API stops. */
  readonly stopping: AbortSignal;
}

/** The signal of `work` aborts with a Fault: `transport.timeout` at the limit, `aborted` else. */
export async function whileWaiting<T>(
  reply: FastifyReply,
  { clock, waitMs, stopping }: WaitLimits,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  using limit = deadline(clock, waitMs, stopping);
  const left = new AbortController();
  const onClose = () => left.abort(new Fault("aborted", "the caller left"));
  reply.raw.once("close", onClose);
  using either = eitherOf(limit.signal, left.signal);
  try {
    return await work(either.signal);
  } finally {
    reply.raw.off("close", onClose);
  }
}
