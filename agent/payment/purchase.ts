/** The shell of one purchase: carries out what the machine decides, and hands back what came of it. */
import { assert, present, unreachable } from "../../base/assert.ts";
import { fromHex } from "../../base/bytes.ts";
import { deadline, eitherOf } from "../../base/clock.ts";
import { Fault, isFault } from "../../base/fault.ts";
import { fail } from "../../base/result.ts";
import type { CardSession, Scan } from "../../drivers/capability.ts";
import type { OnlineResult } from "../../protocols/emv/kernel/kernel.ts";
import type { AuthorisationResponse } from "../../wire/authorisation.ts";
import { type CardSealer, prepareCardSealer, type SealedCardData } from "../../wire/card-data.ts";
import { toWireMoney } from "../../wire/common.ts";
import type { CardFacts, EntryBody } from "../../wire/journal-entry.ts";
import { ACCOUNT_PREFIX_DIGITS_MAX } from "../../wire/stand-in.ts";
import type { NewEntry } from "../journal/journal.ts";
import type { Reservation } from "../lease/lease-keeper.ts";
import { newRecord } from "./card-dialogue.ts";
import { runCodePurchase } from "./code-purchase.ts";
import type { EmvCard } from "./emv-session.ts";
import type { PurchaseRequest } from "./payments.ts";
import { type PresentedCode, presentedCode } from "./presented-code.ts";
import type { PurchaseDeps } from "./purchase-deps.ts";
import {
  answerOf,
  type PurchaseDecision,
  type PurchaseEffect,
  type PurchaseEvent,
  purchaseMachine,
} from "./purchase-machine.ts";
import { cardFailure, type HubOnly, hubOnly, leaseRefusal } from "./purchase-refusals.ts";
import { PurchaseSteps } from "./purchase-steps.ts";
import { reversalEntries } from "./reversals.ts";

/** Each step with the card has this long: reading it, and each cryptogram. The customer stands there all the while. */
const CARD_STEP_WITHIN_MS = 30_000;

/**
 * Runs to the decision on disk, and gives what was stored on the way. Only a Fault of the journal is thrown: everything
 * else is a decision.
 */
export async function runPurchase(
  deps: PurchaseDeps,
  request: PurchaseRequest,
  cancel: AbortSignal,
): Promise<readonly EntryBody[]> {
  const steps = new PurchaseSteps(deps, request);
  await steps.storeIntent();
  const run = new PurchaseRun(deps, steps, cancel);
  await run.toDecision();
  deps.onTimings(request.id, steps.timings);
  if (run.record.began) deps.onRecord(request.id, run.record);
  return steps.stored;
}

/** A purchase begins with its intent on disk. */
const AWAITING = purchaseMachine({ at: "new" }, { on: "start" });

type CryptogramEvent = Extract<PurchaseEvent, { on: "cryptogram" }>;

class PurchaseRun {
  readonly #deps: PurchaseDeps;
  readonly #request: PurchaseRequest;
  readonly #hubOnly: HubOnly | undefined;
  readonly #cancel: AbortSignal;
  readonly #steps: PurchaseSteps;
  readonly record = newRecord();
  #readerSeen = false;
  #session: CardSession | undefined;
  #card: EmvCard | undefined;
  /** Made while the card is on its way; what it seals is the advice's. */
  #sealer: CardSealer | undefined;
  #sealed: SealedCardData | undefined;
  #reservation: Reservation | undefined;
  #answer: AuthorisationResponse | undefined;
  /** As the card stood with its ARQC: what a deferred authorisation asks with (RM9). */
  #askedFacts: CardFacts | undefined;

  constructor(deps: PurchaseDeps, steps: PurchaseSteps, cancel: AbortSignal) {
    this.#deps = deps;
    this.#steps = steps;
    this.#request = steps.request;
    this.#hubOnly = hubOnly(steps.request);
    this.#cancel = cancel;
  }

  /** Whatever is presented first is what is paid with: a card at the reader, or a code at the scanner. */
  async toDecision(): Promise<void> {
    let step = purchaseMachine(AWAITING.state, { on: "intent-stored" });
    assert(step.state.at === "awaiting-card", "a stored intent awaits a card");
    if (this.#hubOnly && this.#deps.hub.state === "down") {
      const { detail } = this.#hubOnly.refusal;
      return await this.#run(purchaseMachine(step.state, { on: "card-failed", why: "no-hub", detail }));
    }
    const asked = this.#deps.clock.monotonic();
    using limit = deadline(this.#deps.clock, this.#deps.cardTimeoutMs, this.#cancel);
    const other = new AbortController();
    using either = eitherOf(limit.signal, other.signal);
    const waiting = either.signal;
    let presented: "card" | "code" | undefined;
    const byCode = this.#scanned(waiting, async (code) => {
      if (presented) return;
      presented = "code";
      other.abort(new Fault("aborted", "a code was scanned"));
      await runCodePurchase({ deps: this.#deps, steps: this.#steps, presented: code, cancel: this.#cancel });
    });
    const dialogue = async (session: CardSession): Promise<void> => {
      if (presented) return;
      presented = "card";
      this.#steps.timings.cardMs += this.#deps.clock.monotonic() - asked;
      this.#session = this.#measured(session);
      this.#steps.stage("card-presented");
      step = purchaseMachine(step.state, { on: "card-presented" });
      const decided = this.#run(step);
      // The first command is on its way: the scanner is told while the card works.
      other.abort(new Fault("aborted", "a card was presented"));
      await decided;
    };
    try {
      const byCard = this.#deps.lane.withCard(waiting, this.#seen, dialogue);
      this.#sealer = this.#prepareSealer();
      await byCard;
      if (presented === "code") await byCode;
    } catch (error) {
      if (presented === "code") return await byCode;
      if (presented || !isFault(error, "transport.timeout", "aborted")) throw error;
      await this.#run(purchaseMachine(step.state, this.#nobody()));
    }
  }

  readonly #seen = () => {
    this.#readerSeen = true;
  };

  /** Hands the next code that can pay to `work`; ends quietly when the wait ends first. */
  async #scanned(waiting: AbortSignal, work: (code: PresentedCode) => Promise<void>): Promise<void> {
    const use = (scan: Scan): PresentedCode | undefined => {
      const code = this.#hubOnly ? fail(this.#hubOnly.needsCard) : presentedCode(scan, this.#deps.notes);
      if (code.ok) return code.value;
      this.#deps.onHint(this.#request.id, code.error);
      return undefined;
    };
    let code: PresentedCode;
    try {
      code = await this.#deps.scanner.next(waiting, { seen: this.#seen, use });
    } catch (error) {
      if (isFault(error)) return;
      throw error;
    }
    await work(code);
  }

  async #run(first: ReturnType<typeof purchaseMachine>): Promise<void> {
    let step = first;
    try {
      for (;;) {
        const effect = step.effects[0];
        if (step.state.at === "ended") return;
        assert(effect !== undefined, `a purchase at ${step.state.at} has something to do`);
        step = purchaseMachine(step.state, await this.#perform(effect));
      }
    } finally {
      this.#reservation?.release();
    }
  }

  #perform(effect: PurchaseEffect): Promise<PurchaseEvent> {
    switch (effect.do) {
      case "store-intent":
      case "await-card":
        throw new Error("broken invariant: the intent and the card come before the dialogue");
      case "read-card":
        return this.#readCard();
      case "reserve":
        return Promise.resolve(this.#reserve());
      case "first-cryptogram":
        return this.#cryptogram("first-cryptogram", async (card, signal) => ({
          type: await card.generateFirst(effect.ask, signal, () => this.#sealFor(card)),
        }));
      case "store-request":
        return this.#storeRequest(effect.attempt);
      case "ask-hub":
        return this.#askHub(effect.attempt);
      case "store-unknown":
        return this.#storeUnknown(effect.attempt);
      case "second-cryptogram":
        return this.#cryptogram("second-cryptogram", async (card, signal) => {
          // A TC whose signature failed declines (RM13): what counts is the outcome.
          const { outcome, refusedBy } = await card.complete(this.#onlineResult(effect), signal);
          if (outcome === "approved") return { type: "TC" };
          return refusedBy ? { type: "AAC", refusedBy } : { type: "AAC" };
        });
      case "store-decision":
        return this.#storeDecision(effect.decision);
      default:
        return unreachable(effect);
    }
  }

  async #readCard(): Promise<PurchaseEvent> {
    const { amount, cashback } = this.#request;
    const { terminal, now, random, hub, journal, leases, floorLimitMinor } = this.#deps;
    const event = await this.#withCard(async (session, signal) => {
      const card = await this.#deps.readCard(
        session,
        {
          ...terminal,
          amount,
          cashback,
          atMs: now(),
          random,
          forceOnline: this.#hubOnly !== undefined || (hub.state === "up" && amount.minor >= floorLimitMinor),
          sequenceCounter: journal.head.sequence,
          spentBy: (cardToken) => leases.spentBy(cardToken),
          denies: (cardToken) => leases.denies(cardToken),
          record: this.record,
        },
        signal,
      );
      this.#card = card;
      return { on: "card-read", hub: hub.state, proposed: card.proposed } as const;
    });
    if (event.on === "card-read") this.#steps.stage("records-read");
    return event;
  }

  #reserve(): PurchaseEvent {
    if (this.#hubOnly) return { on: "lease-refused", refusal: this.#hubOnly.refusal };
    if (this.#reservation) return reserved(this.#reservation);
    const card = present(this.#card, "the card that was read");
    const { id, amount } = this.#request;
    const { entryMode, cardToken } = card.facts;
    const leadingDigits = card.data.pan.slice(0, ACCOUNT_PREFIX_DIGITS_MAX);
    const sale = { paymentId: id, amount, means: entryMode, payerToken: cardToken, leadingDigits };
    const taken = this.#deps.leases.reserve(sale);
    if (!taken.ok) return { on: "lease-refused", refusal: leaseRefusal(taken.error) };
    this.#reservation = taken.value;
    return reserved(taken.value);
  }

  async #cryptogram(
    stage: "first-cryptogram" | "second-cryptogram",
    generate: (card: EmvCard, signal: AbortSignal) => Promise<Omit<CryptogramEvent, "on">>,
  ): Promise<PurchaseEvent> {
    const card = present(this.#card, "the card that was read");
    const event = await this.#withCard(
      async (_session, signal): Promise<CryptogramEvent> => ({ on: "cryptogram", ...(await generate(card, signal)) }),
    );
    if (stage === "first-cryptogram") this.#askedFacts = card.finalFacts();
    this.#steps.stage(stage);
    return event;
  }

  /** While the card works, which takes longer than sealing does. */
  #sealFor(card: EmvCard): void {
    this.#sealed ??= this.#seal(card.data, this.#sealer ?? this.#prepareSealer());
  }

  #onlineResult({ ask, responseCode }: Extract<PurchaseEffect, { do: "second-cryptogram" }>): OnlineResult {
    const answer = this.#answer;
    if (!answer) return { was: "unable", approvable: ask === "TC" };
    const { issuerAuthenticationData, issuerScripts } = answer;
    return {
      was: "answered",
      approved: ask === "TC",
      responseCode,
      ...(issuerAuthenticationData === undefined
        ? {}
        : { issuerAuthenticationData: fromHex(issuerAuthenticationData) }),
      ...(issuerScripts === undefined ? {} : { scripts: issuerScripts.map(fromHex) }),
    };
  }

  async #storeRequest(attempt: number): Promise<PurchaseEvent> {
    await this.#steps.storeRequest(attempt);
    return { on: "request-stored" };
  }

  async #askHub(attempt: number): Promise<PurchaseEvent> {
    const { id, amount, cashback, operation = "purchase" } = this.#request;
    const card = present(this.#card, "the card that was read");
    const data = card.track2 === undefined ? card.data : { ...card.data, track2: card.track2 };
    const asking = this.#deps.hub.authorise(
      {
        paymentId: id,
        attempt,
        kind: operation,
        amount: toWireMoney(amount),
        ...(cashback === undefined ? {} : { cashback: toWireMoney(cashback) }),
        card: this.#seal(data, this.#prepareSealer()),
        entryMode: card.facts.entryMode,
        iccData: card.iccData(),
      },
      this.#deps.journal.head.sequence,
      this.#cancel,
    );
    this.#steps.stage("online-request-sent");
    try {
      const answer = await this.#steps.timed("hubMs", () => asking);
      this.#steps.stage("online-answered");
      if (answer.outcome !== "stale") this.#answer = answer;
      if (answer.outcome === "approved") return { on: "hub-approved", answer: answerOf(answer) };
      return answer.outcome === "declined" ? { on: "hub-declined", answer: answerOf(answer) } : { on: "hub-unknown" };
    } catch (error) {
      if (!isFault(error)) throw error;
      this.#deps.log.info("no answer from the hub", { paymentId: id, code: error.code, why: error.message });
      return this.#cancel.aborted ? { on: "hub-cancelled" } : { on: "hub-unknown" };
    }
  }

  async #storeUnknown(attempt: number): Promise<PurchaseEvent> {
    await this.#steps.storeUnknown(attempt);
    return { on: "unknown-stored" };
  }

  async #storeDecision(decision: PurchaseDecision): Promise<PurchaseEvent> {
    this.#steps.stage("decision-ready");
    const moment = this.#steps.moment();
    const approved = decision.outcome === "approved";
    const own: NewEntry = {
      body: this.#decisionBody(decision, moment),
      ...(approved ? { forward: true as const } : {}),
      ...(approved && this.#sealed ? { sealed: this.#sealed } : {}),
    };
    const scriptResults = this.#card?.scriptResults();
    const undone = reversalEntries({ ...decision, paymentId: this.#request.id, at: moment.at, scriptResults });
    await this.#steps.append([own, ...undone]);
    if (approved && decision.mode === "offline") this.#reservation?.commit();
    this.#steps.stage("decision-stored");
    return { on: "decision-stored" };
  }

  #decisionBody(decision: PurchaseDecision, moment: ReturnType<PurchaseSteps["moment"]>): EntryBody {
    const { reversals: _, ...rest } = decision;
    const { amount, cashback } = this.#request;
    const approved = decision.outcome === "approved";
    const leaseId = decision.mode === "offline" && approved ? this.#reservation?.leaseId : undefined;
    // What the card did not confirm is reversed, and held no more.
    const heldUntil = approved ? this.#answer?.heldUntil : undefined;
    const card = decision.deferred ? this.#askedFacts : this.#card?.finalFacts();
    return {
      kind: "decision",
      paymentId: this.#request.id,
      at: moment.at,
      operation: this.#request.operation ?? "purchase",
      amount: toWireMoney(amount),
      ...(cashback === undefined ? {} : { cashback: toWireMoney(cashback) }),
      ...rest,
      attempts: [...decision.attempts],
      ...(leaseId === undefined ? {} : { leaseId }),
      ...(card === undefined ? {} : { card }),
      ...(heldUntil === undefined ? {} : { heldUntil }),
      businessDate: moment.businessDate,
    };
  }

  /** Every step with the card has one limit, and ends at once when the card leaves. */
  async #withCard<E extends PurchaseEvent>(
    work: (session: CardSession, signal: AbortSignal) => Promise<E>,
  ): Promise<E | Extract<PurchaseEvent, { on: "card-failed" }>> {
    const session = present(this.#session, "the card session");
    using limit = deadline(this.#deps.clock, CARD_STEP_WITHIN_MS, session.removed);
    try {
      return await work(session, limit.signal);
    } catch (error) {
      return { on: "card-failed", ...cardFailure(error) };
    }
  }

  #nobody(): PurchaseEvent {
    if (this.#cancel.aborted) return { on: "card-failed", why: "cancelled", detail: "cancelled before a card came" };
    return this.#readerSeen
      ? { on: "card-failed", why: "no-card", detail: "no card or code was presented in time" }
      : { on: "card-failed", why: "no-reader", detail: "no card reader is ready; run `tillway doctor`" };
  }

  #prepareSealer(): CardSealer {
    return prepareCardSealer({ key: this.#deps.leases.sealingKey, random: this.#deps.random });
  }

  #seal(data: EmvCard["data"], sealer: CardSealer): SealedCardData {
    return sealer({ data, terminalId: this.#deps.journal.terminalId, paymentId: this.#request.id });
  }

  #measured(session: CardSession): CardSession {
    return {
      atr: session.atr,
      removed: session.removed,
      transceive: (command, signal) => this.#steps.timed("cardMs", () => session.transceive(command, signal)),
      [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
    };
  }
}

const reserved = ({ deferrable }: Reservation): PurchaseEvent =>
  deferrable ? { on: "reserved", deferrable } : { on: "reserved" };
