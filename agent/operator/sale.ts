/** One payment from the command line: shows where it is, and ends with its outcome. */
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import { type PaymentJson, PaymentViewSchema } from "../api/api-schemas.ts";
import type { ApiCall, ApiClient, ApiRefusal } from "../client.ts";

/** The API answers "still running" after two minutes at most; nobody holds a card out for longer than this many of them. */
const WAITS_MAX = 10;

export interface FollowOptions {
  readonly client: ApiClient;
  /** The call that starts the payment, and that attaches to it when it is made again. */
  readonly start: ApiCall;
  readonly id: string;
  /** Asks the agent to cancel the payment, which is then followed to its end all the same: it may have been too late. */
  readonly interrupt: AbortSignal;
  /** Ends the watching; the payment itself goes on. */
  readonly signal: AbortSignal;
  /** What the cashier is told of a stage, if anything. */
  words(stage: string): string | undefined;
  onStage(words: string): void;
}

/** The payment when it has ended. Throws a Fault for a refusal, or when it was interrupted before it was begun. */
export async function followPayment(options: FollowOptions): Promise<PaymentJson> {
  const { client, start, id, interrupt, signal, words, onStage } = options;
  const watching = new AbortController();
  const onInterrupt = () => void askToCancel(options).then(onStage);
  const watched = watchStages(client, { id, words, onStage, signal: AbortSignal.any([watching.signal, signal]) });
  try {
    await watched.open;
    if (interrupt.aborted) throw new Fault("aborted", `interrupted; payment ${id} was not begun`);
    interrupt.addEventListener("abort", onInterrupt, { once: true });
    for (let wait = 0; wait < WAITS_MAX; wait += 1) {
      const payment = PaymentViewSchema.parse(accepted(await client.call(start, signal)));
      if (payment.status !== "processing") return payment;
    }
    throw new Fault("transport.timeout", `payment ${id} does not end; look at tillway status and cancel it`);
  } finally {
    interrupt.removeEventListener("abort", onInterrupt);
    watching.abort();
    await watched.ended;
  }
}

/** What came of the wish; never rejects. The payment's own end follows and has the last word. */
async function askToCancel({ client, id, signal }: FollowOptions): Promise<string> {
  try {
    const path = `/v1/payments/${encodeURIComponent(id)}/cancel`;
    const answer = await client.call({ method: "POST", path }, signal);
    return answer.ok ? "cancelling" : `not cancelled: ${answer.error.message}`;
  } catch (error) {
    return `not cancelled: ${reasonOf(error)}`;
  }
}

interface Watch {
  readonly id: string;
  readonly signal: AbortSignal;
  words(stage: string): string | undefined;
  onStage(words: string): void;
}

/** The stream is a comfort: without it the payment runs the same, only in silence. */
function watchStages(
  client: ApiClient,
  { id, signal, words, onStage }: Watch,
): { open: Promise<void>; ended: Promise<void> } {
  const stream = client.events(signal);
  const open = stream.then(
    () => undefined,
    (error: unknown) => {
      if (!isFault(error)) throw error;
    },
  );
  const ended = (async () => {
    try {
      for await (const event of await stream) {
        const { id: of, stage, detail } = event.data as { id?: string; stage?: string; detail?: string };
        if (of !== id) continue;
        const told = event.type === "payment.stage" && stage !== undefined ? words(stage) : undefined;
        const line = event.type === "payment.hint" ? detail : told;
        if (line !== undefined) onStage(line);
      }
    } catch (error) {
      if (!isFault(error)) throw error;
    }
  })();
  return { open, ended };
}

/** The value; a refusal becomes the line that is printed of it. */
export function accepted<T>(result: { ok: true; value: T } | { ok: false; error: ApiRefusal }): T {
  if (result.ok) return result.value;
  const { path, message } = result.error;
  throw new Fault("message.invalid", path ? `${path}: ${message}` : message);
}
