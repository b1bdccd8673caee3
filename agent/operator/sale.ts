/** One payment from the command line: shows where it is, and ends with its outcome. */
import { type Clock, sleep } from "../../base/clock.ts";
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import type { ApiAnswer, ApiCall, ApiClient } from "../client.ts";
import { type PaymentAnswer, PaymentAnswerSchema, readAnswer } from "./answer.ts";

/** The API answers "still running" after two minutes at most; nobody holds a card out for longer than this many of them. */
const WAITS_MAX = 10;
/** A minute for an agent to be started again. */
const AGAIN_MAX = 60;
const AGAIN_EVERY_MS = 1_000;

export interface FollowOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
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

/**
 * The payment when it has ended. Its id is told before anything is asked of the agent, so that who lost sight of it can ask
 * again. Throws a Fault for a refusal, when no agent was there, or when it was interrupted before it was begun.
 */
export async function followPayment(options: FollowOptions): Promise<PaymentAnswer> {
  const { client, id, interrupt, signal, words, onStage } = options;
  const watching = new AbortController();
  const onInterrupt = () => void askToCancel(options).then(onStage);
  const watched = watchStages(client, { id, words, onStage, signal: AbortSignal.any([watching.signal, signal]) });
  try {
    await watched.open;
    if (interrupt.aborted) throw new Fault("aborted", `interrupted; payment ${id} was not begun`);
    onStage(`payment ${id}`);
    interrupt.addEventListener("abort", onInterrupt, { once: true });
    for (let wait = 0; wait < WAITS_MAX; wait += 1) {
      const payment = readPayment(id, accepted(await ask(options)));
      if (payment.status !== "processing") return payment;
    }
    throw new Fault("transport.timeout", `payment ${id} does not end; see ${shown(id)}, or: tillway cancel ${id}`);
  } finally {
    interrupt.removeEventListener("abort", onInterrupt);
    watching.abort();
    await watched.ended;
  }
}

function readPayment(id: string, json: unknown): PaymentAnswer {
  try {
    return readAnswer(PaymentAnswerSchema, json);
  } catch (error) {
    throw isFault(error) ? unknownEnd(id, error) : error;
  }
}

const shown = (id: string): string => `tillway payments ${id}`;

/** An agent that ended is asked again, the next one answers: the same id never pays twice (RM4). Not for who wants no payment any more. */
async function ask(options: FollowOptions): Promise<ApiAnswer> {
  const { clock, id, interrupt, signal, onStage } = options;
  let answer = await answerOrLoss(options);
  for (let again = 0; isFault(answer) && again < AGAIN_MAX && !interrupt.aborted; again += 1) {
    if (again === 0) onStage("the agent ended; waiting for it to come back");
    await sleep(clock, AGAIN_EVERY_MS, signal);
    if (!interrupt.aborted) answer = await answerOrLoss(options);
  }
  if (isFault(answer)) throw unknownEnd(id, answer);
  return answer;
}

async function answerOrLoss({ client, start, id, signal }: FollowOptions): Promise<ApiAnswer | Fault> {
  try {
    return await client.call(start, signal);
  } catch (error) {
    if (!isFault(error) || signal.aborted) throw error;
    if (isFault(error, "transport.closed", "transport.failed")) return error;
    throw unknownEnd(id, error);
  }
}

const unknownEnd = (id: string, { code, message }: Fault): Fault =>
  new Fault(code, `${message}; payment ${id} may have been taken: run it again with --id ${id}, or see ${shown(id)}`);

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

/** The stream is a comfort: without it the payment runs the same, only in silence. It does not open where no agent is. */
function watchStages(
  client: ApiClient,
  { id, signal, words, onStage }: Watch,
): { open: Promise<void>; ended: Promise<void> } {
  const stream = client.events(signal);
  const open = stream.then(
    () => undefined,
    (error: unknown) => {
      if (!isFault(error) || error.code === "transport.failed") throw error;
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
export function accepted(result: ApiAnswer): unknown {
  if (result.ok) return result.value;
  const { path, message } = result.error;
  throw new Fault("message.invalid", path ? `${path}: ${message}` : message);
}
