/**
 * What payments and store-and-forward ask of the hub, over whatever uplink is up: deadlines in hub time (RM2), answers
 * matched with their attempt and late ones dropped (RM1), leases and signed time handed to their keepers (RM8). A broker may
 * hold the link while no hub is behind it: who was asked and says nothing counts as down until he is heard.
 */
import type { KeyObject } from "node:crypto";
import { assert } from "../../base/assert.ts";
import { abortable, abortFault, type Clock, deadline, eitherOf, sleep } from "../../base/clock.ts";
import { Fault, isFault } from "../../base/fault.ts";
import type { Epoch, TerminalId } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { type AdviceBatch, batchText } from "../../wire/advice.ts";
import type { AuthorisationResponse } from "../../wire/authorisation.ts";
import type { DownEnvelope, DownOf } from "../../wire/envelope.ts";
import { HubTimeSchema } from "../../wire/lease.ts";
import { parseJson, type Signed, signText } from "../../wire/signing.ts";
import type { Presence } from "../../wire/terminal.ts";
import type { Hearing, SignedHubClock } from "../lease/hub-clock.ts";
import type { LeaseKeeper } from "../lease/lease-keeper.ts";
import type { EnvelopeMaker } from "./envelopes.ts";
import type { HeardReceipt, Hub, HubHolding, OnlineRequest } from "./hub.ts";
import { untilState } from "./link-events.ts";
import type { LinkState, Uplink } from "./uplink.ts";

export const ONLINE_TIMEOUT_MS = 5_000;
/** RM2: issuer 2.0 s < hub 2.5 s < agent, never under 4 s. */
export const ONLINE_TIMEOUT_MIN_MS = 4_000;
/** Of the time that is left for an answer, what it may need for its way back: the hub must have committed before that. */
const RETURN_MARGIN_MS = 1_500;
/** The hub needs 2.5 s (RM2); with less than that and the way back a second try after `stale` cannot end well. */
const RETRY_LEAST_MS = 2_500 + RETURN_MARGIN_MS;
/** How much of a sale's time goes into hearing the hub's time first, after a reboot. */
const PROVE_TIME_LIMIT_MS = 1_500;
/** Requests without an answer at one time. */
export const PENDING_MAX = 64;
const FORWARD_LIMIT_MS = 15_000;
const PRESENCE_LIMIT_MS = 5_000;
const FAREWELL_LIMIT_MS = 500;
/** Presence is renewed at half of the lease's remaining life, within these. */
const RENEW_MAX_MS = 60_000;
const RENEW_MIN_MS = 5_000;

type ReceiptListener = (receipt: HeardReceipt) => void;

export interface HubSessionOptions {
  readonly terminalId: TerminalId;
  /** This terminal's own Ed25519 key: signs batches. */
  readonly signingKey: KeyObject;
  readonly uplink: Uplink;
  readonly envelopes: EnvelopeMaker;
  readonly hubClock: SignedHubClock;
  readonly leases: LeaseKeeper;
  readonly clock: Clock;
  readonly log: Log;
  readonly onlineTimeoutMs?: number;
}

interface Pending {
  /** When the answer to an earlier `stale` was signed: the same answer, delivered again, is not the retry's. */
  readonly staleAt: number | undefined;
  readonly answer: (response: AuthorisationResponse) => void;
}

export class HubSession implements Hub, AsyncDisposable {
  readonly #options: HubSessionOptions;
  readonly #onlineTimeoutMs: number;
  readonly #pending = new Map<string, Pending>();
  readonly #receipts = new Set<ReceiptListener>();
  readonly #holdings = new Set<(held: HubHolding) => void>();
  readonly #states = new Set<(state: LinkState) => void>();
  readonly #timeHeard = new Set<() => void>();
  readonly #unsubscribe: readonly (() => void)[];
  /** As the listeners were told it. */
  #told: { readonly state: LinkState; readonly advicesOnly: boolean };
  /** A request ended without an answer, and nothing was heard since it was sent. */
  #silent = false;
  /** How often in a row it was asked in vain whether it is there: the pauses grow, for the broker's sake. */
  #unanswered = 0;
  /** Fresh words of the hub. */
  #heard = 0;
  #renew = new AbortController();
  /** Answers that nobody waits for any more (RM1). */
  lateAnswers = 0;
  /** Messages for another terminal, or answers whose time the hub did not sign. */
  strangeMessages = 0;

  constructor(options: HubSessionOptions) {
    this.#options = options;
    this.#onlineTimeoutMs = options.onlineTimeoutMs ?? ONLINE_TIMEOUT_MS;
    if (this.#onlineTimeoutMs < ONLINE_TIMEOUT_MIN_MS) {
      throw new Fault(
        "config.invalid",
        `the online timeout of ${this.#onlineTimeoutMs} ms is under ${ONLINE_TIMEOUT_MIN_MS} ms, the least that lets hub and issuer answer first; raise it`,
      );
    }
    this.#told = { state: this.state, advicesOnly: this.advicesOnly };
    this.#unsubscribe = [
      options.uplink.onMessage((envelope) => this.#receive(envelope)),
      options.uplink.onState(() => this.#linkChanged()),
    ];
  }

  get state(): LinkState {
    return this.#silent ? "down" : this.#options.uplink.state;
  }
  get silent(): boolean {
    return this.#silent && this.#options.uplink.state === "up";
  }
  get advicesOnly(): boolean {
    return this.#options.uplink.advicesOnly === true;
  }
  /** Somebody waits for an answer. */
  get busy(): boolean {
    return this.#pending.size > 0;
  }
  get via(): string {
    return this.#options.uplink.name;
  }
  onReceipt(listener: ReceiptListener): () => void {
    this.#receipts.add(listener);
    return () => this.#receipts.delete(listener);
  }
  onHeld(listener: (held: HubHolding) => void): () => void {
    this.#holdings.add(listener);
    return () => this.#holdings.delete(listener);
  }
  onState(listener: (state: LinkState) => void): () => void {
    this.#states.add(listener);
    return () => this.#states.delete(listener);
  }

  async authorise(request: OnlineRequest, sequence: number, signal: AbortSignal): Promise<AuthorisationResponse> {
    const { clock, uplink } = this.#options;
    if (signal.aborted) throw abortFault(signal);
    if (uplink.state === "down") throw new Fault("uplink.down", "the hub is out of reach; nothing was sent");
    if (this.#silent) throw new Fault("uplink.down", "connected, but the hub does not answer; nothing was sent");
    const endsAt = clock.monotonic() + this.#onlineTimeoutMs;
    using limit = deadline(clock, this.#onlineTimeoutMs, signal);
    await this.#proveTime(limit.signal);
    const attempt = { request, sequence, endsAt, limit: limit.signal, caller: signal };
    const first = await this.#ask(attempt, undefined);
    if (first.outcome !== "stale" || endsAt - clock.monotonic() < RETRY_LEAST_MS) return first;
    // Nothing was done, and the answer has put the clock right: once more in a fresh envelope (RM2).
    // Awaited here: leaving this scope ends the limit.
    return await this.#ask(attempt, signedAtMs(first.time));
  }

  async forward(batch: Omit<AdviceBatch, "signature">, signal: AbortSignal): Promise<void> {
    const { clock, envelopes, signingKey, terminalId, uplink } = this.#options;
    const { signature } = signText("batch", batchText(terminalId, batch), signingKey);
    const sequence = batch.entries.at(-1)?.sequence ?? 0;
    using limit = deadline(clock, FORWARD_LIMIT_MS, signal);
    try {
      await uplink.send(
        { ...envelopes.head(sequence), type: "advice.batch", body: { ...batch, signature } },
        limit.signal,
      );
    } catch (error) {
      if (isFault(error, "transport.timeout"))
        throw new Fault("uplink.timeout", "the hub did not take the batch in time");
      throw error;
    }
  }

  /** Keeps presence and lease fresh until the signal ends it. */
  async run(signal: AbortSignal): Promise<void> {
    const { uplink, clock } = this.#options;
    while (!signal.aborted) {
      await untilState(uplink, "up", signal).catch(() => undefined);
      if (signal.aborted) return;
      this.#renew = new AbortController();
      const heardBefore = this.#heard;
      const taken = await this.#present("online", PRESENCE_LIMIT_MS, signal);
      const restMs = taken ? this.#renewalMs() : this.#pauseMs();
      using until = eitherOf(signal, this.#renew.signal);
      const rested = await sleep(clock, restMs, until.signal).then(
        () => true,
        () => false,
      );
      if (rested && this.#heard === heardBefore) this.#unanswered += 1;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#options.uplink.state === "up")
      await this.#present("offline", FAREWELL_LIMIT_MS, new AbortController().signal);
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  /** Sends one request and waits for its answer until the limit. */
  async #ask(attempt: Attempt, staleAt: number | undefined): Promise<AuthorisationResponse> {
    const { clock, envelopes, uplink, hubClock } = this.#options;
    const { request, sequence, endsAt, limit, caller } = attempt;
    const key = `${request.paymentId}/${request.attempt}`;
    assert(!this.#pending.has(key), "one request per attempt");
    if (this.#pending.size >= PENDING_MAX) {
      throw new Fault("uplink.down", `${PENDING_MAX} requests wait for the hub already; nothing was sent`);
    }
    const heardBefore = this.#heard;
    const answerBy = hubClock.now().at + (endsAt - clock.monotonic()) - RETURN_MARGIN_MS;
    const body = { ...request, answerBy: new Date(answerBy).toISOString() };
    try {
      const answered = new Promise<AuthorisationResponse>((resolve) =>
        this.#pending.set(key, { staleAt, answer: resolve }),
      );
      const sent = uplink.send({ ...envelopes.head(sequence), type: "authorisation.request", body }, limit);
      // The answer may come before the acknowledgement; a failed sending ends the wait.
      const failed = sent.then(() => new Promise<never>(() => undefined));
      return await abortable(Promise.race([answered, failed]), limit);
    } catch (error) {
      if (caller.aborted) throw abortFault(caller);
      if (limit.aborted) {
        if (this.#heard === heardBefore) this.#fellSilent();
        throw this.#noAnswer(error);
      }
      if (isFault(error, "uplink.timeout") || !isFault(error)) throw error;
      throw new Fault("uplink.down", `nothing was authorised: ${error.message}`, { cause: error });
    } finally {
      this.#pending.delete(key);
    }
  }

  #noAnswer(cause: unknown): Fault {
    return new Fault("uplink.timeout", `no answer from the hub within ${this.#onlineTimeoutMs} ms`, { cause });
  }

  /** After a reboot a deadline in hub time can be named only once the hub was heard. */
  async #proveTime(signal: AbortSignal): Promise<void> {
    const { clock, hubClock } = this.#options;
    if (hubClock.now().proven) return;
    const heardBefore = this.#heard;
    using limit = deadline(clock, PROVE_TIME_LIMIT_MS, signal);
    let heard: () => void = () => undefined;
    const told = new Promise<void>((resolve) => {
      heard = resolve;
    });
    this.#timeHeard.add(heard);
    try {
      await this.#present("online", PROVE_TIME_LIMIT_MS, limit.signal);
      if (!hubClock.now().proven) await abortable(told, limit.signal);
    } catch (error) {
      if (isFault(error, "aborted")) throw error;
      if (this.#heard === heardBefore) this.#fellSilent();
      throw new Fault("uplink.down", "the hub did not tell its time, so no deadline can be named; nothing was sent");
    } finally {
      this.#timeHeard.delete(heard);
    }
  }

  /** Sends presence; true when the hub took it. Its answer is a lease message. A failure is the uplink's to tell. */
  async #present(status: Presence["status"], limitMs: number, signal: AbortSignal): Promise<boolean> {
    const { clock, envelopes, uplink, log } = this.#options;
    using limit = deadline(clock, limitMs, signal);
    try {
      await uplink.send(envelopes.presence(status, this.#silent), limit.signal);
      return true;
    } catch (error) {
      if (!isFault(error)) throw error;
      log.debug("presence was not taken", { status, why: error.message });
      return false;
    }
  }

  #renewalMs(): number {
    const { hubClock, leases } = this.#options;
    if (this.#silent) return this.#pauseMs();
    const view = leases.view();
    if (!view) return hubClock.now().proven ? RENEW_MAX_MS : this.#pauseMs();
    const halfLife = (Date.parse(view.lease.expiresAt) - hubClock.now().at) / 2;
    return Math.min(RENEW_MAX_MS, Math.max(this.#pauseMs(), halfLife));
  }

  #pauseMs(): number {
    return Math.min(RENEW_MAX_MS, RENEW_MIN_MS * 2 ** this.#unanswered);
  }

  /** The same state again means that another way took over: the hub must hear on it that we are here. */
  #linkChanged(): void {
    this.#renew.abort();
    this.#tellState();
  }

  #tellState(): void {
    const { state, advicesOnly } = this;
    const told = this.#told;
    if (state === told.state && advicesOnly === told.advicesOnly) return;
    this.#told = { state, advicesOnly };
    if (advicesOnly)
      this.#options.log.warn("this terminal's certificate has ended: the hub takes what is stored, and nothing else");
    for (const listener of [...this.#states]) listener(state);
  }

  /** Asks at once, so that one lost answer costs the next sales nothing, and then again and again. */
  #fellSilent(): void {
    if (this.#silent) return;
    this.#silent = true;
    this.#unanswered = 0;
    this.#options.log.warn("the hub does not answer; sales go offline until it is heard");
    this.#renew.abort();
    this.#tellState();
  }

  #receive(envelope: DownEnvelope): void {
    if (envelope.terminalId !== this.#options.terminalId) {
      this.#strange("a message for another terminal was dropped", { terminalId: envelope.terminalId });
      return;
    }
    if (envelope.type === "authorisation.response") this.#answered(envelope);
    else if (envelope.type === "receipt") this.#receipted(envelope);
    else if (envelope.type === "lease") this.#leased(envelope);
  }

  #answered({ body }: DownOf<"authorisation.response">): void {
    if (this.#hear(body.time) === "invalid") {
      this.#strange("an answer without the hub's signed time was dropped", { paymentId: body.paymentId });
      return;
    }
    const pending = this.#pending.get(`${body.paymentId}/${body.attempt}`);
    const repeated = body.outcome === "stale" && signedAtMs(body.time) <= (pending?.staleAt ?? 0);
    if (!pending || repeated) {
      this.lateAnswers += 1;
      this.#options.log.info("a late answer was dropped", { paymentId: body.paymentId, outcome: body.outcome });
      return;
    }
    pending.answer(body);
  }

  #receipted({ body }: DownOf<"receipt">): void {
    const hearing = this.#hear(body.time);
    if (hearing === "invalid") {
      this.#strange("a receipt without the hub's signed time was dropped", { epoch: body.epoch });
      return;
    }
    const saidAt = signedAtMs(body.time);
    const [fresh, { epoch, results }] = [hearing === "heard", body];
    this.#held(epoch, { ...body, fresh, saidAt });
    for (const listener of [...this.#receipts]) listener({ epoch, results, fresh, saidAt });
  }

  #leased({ epoch, body }: DownOf<"lease">): void {
    const hearing = this.#hear(body.time);
    if (body.held && hearing !== "invalid")
      this.#held(epoch, { ...body.held, fresh: hearing === "heard", saidAt: signedAtMs(body.time) });
    if (body.lease) this.#options.leases.offer(body.lease);
    // Only a fresh word takes a lease away: an old message overtaken by a new lease must not.
    else if (hearing === "heard") this.#options.leases.withdraw();
  }

  #held(epoch: Epoch, { hubEpoch, watermark, fence, fresh, saidAt }: HubHolding): void {
    if (epoch !== this.#options.envelopes.epoch) return;
    for (const listener of [...this.#holdings]) listener({ hubEpoch, watermark, fence, fresh, saidAt });
  }

  #hear(time: Signed): Hearing {
    const hearing = this.#options.hubClock.hear(time);
    if (hearing !== "heard" && hearing !== "answered") return hearing;
    this.#heard += 1;
    this.#unanswered = 0;
    if (hearing === "heard") for (const heard of [...this.#timeHeard]) heard();
    if (this.#silent) this.#spokeAgain();
    return hearing;
  }

  #spokeAgain(): void {
    this.#silent = false;
    this.#options.log.info("the hub answers again");
    this.#tellState();
  }

  #strange(message: string, fields: Record<string, unknown>): void {
    this.strangeMessages += 1;
    this.#options.log.warn(message, fields);
  }
}

/** The instant of a signed time that `hear` has accepted. */
const signedAtMs = (time: Signed): number => Date.parse(HubTimeSchema.parse(parseJson(time.text)).at);

interface Attempt {
  readonly request: OnlineRequest;
  readonly sequence: number;
  /** On the monotonic clock. */
  readonly endsAt: number;
  readonly limit: AbortSignal;
  readonly caller: AbortSignal;
}
