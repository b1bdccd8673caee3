/**
 * Payments by smart-card verification (system 2). The hub decides and holds the outcome; the agent carries messages between
 * it and the card and keeps nothing on disk: the caller's id is the transaction's, and whoever lost the answer asks again
 * with the same id, and gets what came of it. The hub is asked before a card is, so no card is needed for that.
 */
import { abortable, type Clock, deadline, sleep } from "../../../base/clock.ts";
import { Fault, isFault, reasonOf } from "../../../base/fault.ts";
import type { TerminalId } from "../../../base/ids.ts";
import type { Log } from "../../../base/log.ts";
import type { Money } from "../../../base/money.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { CardSession } from "../../../drivers/capability.ts";
import type { CardResponse, CardResult } from "../../../wire/card-verification.ts";
import { fromWireMoney, type ReasonCode, toWireMoney } from "../../../wire/common.ts";
import type { ReaderLane } from "../../payment/reader-lane.ts";
import { answerChallenge, identify } from "./card-application.ts";
import type { CardAnswer, CardHub } from "./card-hub.ts";

export interface CardPaymentRequest {
  /** Owned by the caller. */
  readonly id: string;
  readonly amount: Money;
  /** Who is paid: an account at the hub. */
  readonly payeeAccount: string;
}

/** Only in the first two can it still be cancelled. */
export type CardPaymentStage = "asking-hub" | "awaiting-card" | "verifying" | "concluding";

/**
 * `approved` and `declined` are final. `failed`: nothing was moved, and the same id may be tried again. `unknown`: the hub
 * did not say what became of it; ask again with the same id.
 */
export type CardPaymentStatus = "processing" | "approved" | "declined" | "failed" | "unknown";

export interface CardPaymentView extends Omit<CardPaymentRequest, "amount" | "payeeAccount"> {
  readonly status: CardPaymentStatus;
  readonly amount?: Money;
  readonly payeeAccount?: string;
  readonly stage?: CardPaymentStage;
  readonly failedProcess?: 1 | 2;
  readonly reason?: ReasonCode;
  readonly detail?: string;
  readonly authCode?: string;
}

export type CardPaymentRefusal =
  | { readonly why: "conflict"; readonly field: string }
  | { readonly why: "busy" | "draining" | "not-found" | "too-late"; readonly detail: string };

export interface CardPaymentOptions {
  readonly terminalId: TerminalId;
  readonly hub: CardHub;
  readonly lane: Pick<ReaderLane, "withCard">;
  readonly clock: Clock;
  readonly log: Log;
  /** Milliseconds since 1970 as well as they are known. */
  readonly now: () => number;
  readonly cardTimeoutMs: number;
}

/** Tills beside one terminal; more waiting customers than this are turned away. */
const RUNNING_MAX = 16;
/** From the card's first command to its answer, the hub's challenge in between. */
const CARD_WITHIN_MS = 15_000;
/** How often the card's answer is told to the hub, which takes it once, and the pause between. */
const TELLS_MAX = 3;
const TELL_PAUSE_MS = 500;

interface Running {
  readonly request: CardPaymentRequest;
  readonly cancel: AbortController;
  readonly done: Promise<Result<CardPaymentView, CardPaymentRefusal>>;
  stage: CardPaymentStage;
}

type Ended = Result<CardPaymentView, CardPaymentRefusal>;

export class CardPayments {
  readonly #options: CardPaymentOptions;
  readonly #running = new Map<string, Running>();
  #draining = false;

  constructor(options: CardPaymentOptions) {
    this.#options = options;
  }

  /** Begins, or attaches to the one that runs under this id (RM4). Resolves at its end; the signal ends the wait alone. */
  async take(request: CardPaymentRequest, signal: AbortSignal): Promise<Ended> {
    const known = this.#running.get(request.id);
    const field = known && differingField(known.request, request);
    if (field !== undefined) return fail({ why: "conflict", field });
    if (known) return await abortable(known.done, signal);
    if (this.#draining) return fail({ why: "draining", detail: "the terminal is stopping and takes no new payments" });
    if (this.#running.size >= RUNNING_MAX)
      return fail({ why: "busy", detail: `${RUNNING_MAX} card payments are running already` });
    return await abortable(this.#start(request), signal);
  }

  /** The running one as it is. */
  running(id: string): CardPaymentView | undefined {
    const running = this.#running.get(id);
    return running && { ...running.request, status: "processing", stage: running.stage };
  }

  /** What the hub knows of one that does not run. Throws as `CardHub.ask` does. */
  async lookUp(id: string, signal: AbortSignal): Promise<CardPaymentView | undefined> {
    const answer = await this.#options.hub.ask({ type: "card.lookup", body: { txnId: id } }, signal);
    if (answer.type !== "card.result" || answer.amount === undefined) return undefined;
    return viewOf(id, answer);
  }

  /** Ends the wait for a card. Once the card is worked with, its outcome is waited for instead. */
  cancel(id: string): Result<CardPaymentView, CardPaymentRefusal> {
    const running = this.#running.get(id);
    const view = this.running(id);
    if (!running || !view) return fail({ why: "not-found", detail: `no card payment ${id} is running here` });
    if (!cancellable(running))
      return fail({ why: "too-late", detail: "the card is being worked with; wait for the outcome" });
    running.cancel.abort(new Fault("aborted", "cancelled"));
    return ok(view);
  }

  /** Takes nothing new, cancels who waits for a card, and waits for the rest. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#draining = true;
    for (const running of this.#running.values()) {
      if (cancellable(running)) running.cancel.abort(new Fault("aborted", "stopping"));
    }
    await abortable(Promise.all([...this.#running.values()].map(({ done }) => done)), signal);
  }

  #start(request: CardPaymentRequest): Promise<Ended> {
    const { promise: done, resolve, reject } = Promise.withResolvers<Ended>();
    const running: Running = { request, cancel: new AbortController(), done, stage: "asking-hub" };
    this.#running.set(request.id, running);
    // Whoever asked may be gone; what a bug threw is in the log.
    done.catch(() => undefined);
    this.#run(request, running)
      .finally(() => this.#running.delete(request.id))
      .then((ended) => {
        if (ended.ok) this.#tell(ended.value);
        resolve(ended);
      })
      .catch((error: unknown) => {
        this.#options.log.error("a card payment failed by a bug", { id: request.id, reason: reasonOf(error) });
        reject(error);
      });
    return done;
  }

  #tell({ id, status, reason, failedProcess }: CardPaymentView): void {
    this.#options.log.info("a card payment ended", { id, status, reason, failedProcess });
  }

  async #run(request: CardPaymentRequest, running: Running): Promise<Ended> {
    const known = await this.#knownOutcome(request, running.cancel.signal);
    if (known) return known;
    running.stage = "awaiting-card";
    const told = await this.#withCard(request, running);
    if (!("challengeId" in told)) return told;
    running.stage = "concluding";
    return await this.#conclude(request, told);
  }

  /** What the hub has under this id already; undefined when nothing, so that a card is asked for. */
  async #knownOutcome(request: CardPaymentRequest, cancel: AbortSignal): Promise<Ended | undefined> {
    const { id, amount, payeeAccount } = request;
    try {
      const body = { txnId: id, amount: toWireMoney(amount), payeeAccount };
      const answer = await this.#options.hub.ask({ type: "card.lookup", body }, cancel);
      return answer.type === "card.result" && answer.status !== "open" ? endedBy(request, answer) : undefined;
    } catch (error) {
      if (!isFault(error)) throw error;
      if (cancel.aborted) return failed(request, "E_STATE", "cancelled before a card came");
      const detail = `${error.message}; no card was asked for: ask again with the same id`;
      return ok({ ...request, status: "unknown", reason: "E_UNAVAILABLE", detail });
    }
  }

  async #withCard(request: CardPaymentRequest, running: Running): Promise<Ended | CardResponse> {
    const { clock, lane, cardTimeoutMs } = this.#options;
    using limit = deadline(clock, cardTimeoutMs, running.cancel.signal);
    let presented = false;
    let readerSeen = false;
    const seen = () => {
      readerSeen = true;
    };
    try {
      return await lane.withCard(limit.signal, seen, async (session) => {
        presented = true;
        running.stage = "verifying";
        return await this.#verify(request, session);
      });
    } catch (error) {
      if (presented || !isFault(error, "transport.timeout", "aborted")) throw error;
      if (running.cancel.signal.aborted) return failed(request, "E_STATE", "cancelled before a card came");
      return readerSeen
        ? failed(request, "E_TIMEOUT", "no card was presented in time")
        : failed(request, "E_UNAVAILABLE", "no card reader is ready; run `tillway doctor`");
    }
  }

  /** Messages 1 to 3. Until the card's answer is told, nothing can have moved, whatever ends it. */
  async #verify(request: CardPaymentRequest, session: CardSession): Promise<Ended | CardResponse> {
    using limit = deadline(this.#options.clock, CARD_WITHIN_MS, session.removed);
    const { signal } = limit;
    try {
      const card = await identify(session, signal);
      if (!card.ok) return failed(request, "E_UNKNOWN", "this card cannot be verified: it has no such application");
      const answer = await this.#begin(request, card.value, signal);
      if (answer.type === "card.result") return endedBy(request, answer);
      const { challengeId, cipherChallenge } = answer;
      const { id: txnId, amount, payeeAccount } = request;
      const { minor: amountMinor, currency } = amount;
      const shown = { txnId, amountMinor, currency, payeeAccount, terminalId: this.#options.terminalId };
      return { txnId, challengeId, ...(await answerChallenge(session, { cipherChallenge, shown }, signal)) };
    } catch (error) {
      const failure = failureOf(error);
      if (!failure) throw error;
      return failed(request, failure.reason, `${failure.detail}; nothing was moved`);
    }
  }

  #begin(
    { id, amount, payeeAccount }: CardPaymentRequest,
    card: { readonly cardId: string; readonly encryptedCardData: string },
    signal: AbortSignal,
  ): Promise<CardAnswer> {
    const { hub, terminalId, now } = this.#options;
    const at = new Date(now()).toISOString();
    const transaction = { txnId: id, amount: toWireMoney(amount), payeeAccount, terminalId, at };
    return hub.ask({ type: "card.transaction", body: { ...card, transaction } }, signal);
  }

  /** Message 4, told again until its result comes: the hub takes it once and repeats its first answer. */
  async #conclude(request: CardPaymentRequest, body: CardResponse): Promise<Ended> {
    const { hub, clock, log } = this.#options;
    const { signal } = new AbortController();
    for (let tell = 1; ; tell += 1) {
      try {
        const answer = await hub.ask({ type: "card.response", body }, signal);
        if (answer.type === "card.result") return endedBy(request, answer);
        throw new Fault("message.invalid", "the hub answers a card's answer with a challenge; compare versions");
      } catch (error) {
        if (!isFault(error)) throw error;
        log.info("no result from the hub", { id: request.id, tell, why: error.message });
        if (tell === TELLS_MAX) {
          const detail = "the hub did not say what became of it; ask again with the same id";
          return ok({ ...request, status: "unknown", reason: "E_TIMEOUT", detail });
        }
      }
      await sleep(clock, TELL_PAUSE_MS, signal);
    }
  }
}

const cancellable = ({ stage }: Running): boolean => stage === "asking-hub" || stage === "awaiting-card";

const failed = (request: CardPaymentRequest, reason: ReasonCode, detail: string): Ended =>
  ok({ ...request, status: "failed", reason, detail });

function endedBy(request: CardPaymentRequest, result: CardResult): Ended {
  if (result.reason === "E_CONFLICT" && result.field !== undefined)
    return fail({ why: "conflict", field: result.field });
  return ok({ ...request, ...viewOf(request.id, result) });
}

function viewOf(id: string, result: CardResult): CardPaymentView {
  const { status, amount, payeeAccount, failedProcess, reason, detail, authCode } = result;
  return {
    id,
    status: status === "open" ? "failed" : status,
    ...(amount && { amount: fromWireMoney(amount) }),
    ...(payeeAccount !== undefined && { payeeAccount }),
    ...(failedProcess && { failedProcess }),
    ...(reason !== undefined && { reason }),
    ...(detail !== undefined && { detail }),
    ...(authCode !== undefined && { authCode }),
  };
}

function differingField(known: CardPaymentRequest, asked: CardPaymentRequest): string | undefined {
  if (known.amount.currency !== asked.amount.currency) return "amount.currency";
  if (known.amount.minor !== asked.amount.minor) return "amount.minor";
  return known.payeeAccount === asked.payeeAccount ? undefined : "payeeAccount";
}

/** Why the card or the hub did not get as far as an answer; undefined for a bug. */
function failureOf(error: unknown): { readonly reason: ReasonCode; readonly detail: string } | undefined {
  if (!isFault(error)) return undefined;
  switch (error.code) {
    case "card.removed":
    case "device.absent":
    case "transport.closed":
      return { reason: "E_TIMEOUT", detail: "the card left the reader before it had answered" };
    case "card.mute":
    case "device.hung":
    case "device.protocol":
    case "transport.timeout":
      return { reason: "E_TIMEOUT", detail: "the card gives no answer" };
    case "codec.invalid":
    case "codec.truncated":
    case "codec.too-long":
      return { reason: "E_FORMAT", detail: `the card's answer cannot be read: ${error.message}` };
    case "uplink.timeout":
      return { reason: "E_TIMEOUT", detail: error.message };
    default:
      return { reason: "E_UNAVAILABLE", detail: error.message };
  }
}
