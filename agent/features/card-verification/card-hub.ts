/** Questions to the hub about verified cards, each with its own answer, over whichever uplink is up. */
import { abortable, abortFault, type Clock, deadline } from "../../../base/clock.ts";
import { Fault, isFault } from "../../../base/fault.ts";
import type { CardChallenge, CardResult } from "../../../wire/card-verification.ts";
import type { DownEnvelope, UpEnvelope } from "../../../wire/envelope.ts";
import type { EnvelopeMaker } from "../../uplink/envelopes.ts";
import type { Uplink } from "../../uplink/uplink.ts";

type ContentOf<E> = E extends { readonly type: `card.${string}`; readonly body: infer B }
  ? { readonly type: E["type"]; readonly body: B }
  : never;
export type CardQuestion = ContentOf<UpEnvelope>;

export type CardAnswer =
  | ({ readonly type: "card.challenge" } & CardChallenge)
  | ({ readonly type: "card.result" } & CardResult);

export interface CardHub {
  /**
   * Throws Fault `uplink.down` when nothing left, `uplink.timeout` when no answer came in time: whether the hub heard it is
   * unknown; else the signal's Fault. Late answers are dropped.
   */
  ask(question: CardQuestion, signal: AbortSignal): Promise<CardAnswer>;
}

/** The hub commits and answers within 2.5 s (RM2); the rest is for the way there and back. */
export const ANSWER_LIMIT_MS = 4_000;
/** Questions without an answer at one time. */
const PENDING_MAX = 64;

export interface CardHubOptions {
  readonly uplink: Uplink;
  readonly envelopes: Pick<EnvelopeMaker, "head">;
  readonly clock: Clock;
}

export class UplinkCardHub implements CardHub, Disposable {
  readonly #options: CardHubOptions;
  readonly #pending = new Map<string, (answer: CardAnswer) => void>();
  readonly #unsubscribe: () => void;

  constructor(options: CardHubOptions) {
    this.#options = options;
    this.#unsubscribe = options.uplink.onMessage((envelope) => this.#receive(envelope));
  }

  async ask(question: CardQuestion, signal: AbortSignal): Promise<CardAnswer> {
    const { uplink, envelopes, clock } = this.#options;
    if (signal.aborted) throw abortFault(signal);
    if (this.#pending.size >= PENDING_MAX)
      throw new Fault("uplink.down", `${PENDING_MAX} questions wait for the hub already; nothing was sent`);
    const head = envelopes.head(0);
    using limit = deadline(clock, ANSWER_LIMIT_MS, signal);
    const answered = new Promise<CardAnswer>((resolve) => this.#pending.set(head.id, resolve));
    try {
      const sent = uplink.send({ ...head, ...question }, limit.signal);
      // The answer may come before the acknowledgement; a failed sending ends the wait.
      const failed = sent.then(() => new Promise<never>(() => undefined));
      return await abortable(Promise.race([answered, failed]), limit.signal);
    } catch (error) {
      if (signal.aborted) throw abortFault(signal);
      if (limit.signal.aborted || isFault(error, "transport.timeout"))
        throw new Fault("uplink.timeout", `no answer from the hub within ${ANSWER_LIMIT_MS} ms`, { cause: error });
      throw error;
    } finally {
      this.#pending.delete(head.id);
    }
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
  }

  #receive(envelope: DownEnvelope): void {
    if (envelope.type !== "card.challenge" && envelope.type !== "card.result") return;
    const answer = { type: envelope.type, ...envelope.body } as CardAnswer;
    this.#pending.get(answer.replyTo)?.(answer);
  }
}
