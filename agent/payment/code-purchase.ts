/** The shell of a purchase paid by a scanned code: carries out what the machine decides. */
import { assert, present, unreachable } from "../../base/assert.ts";
import { deadline } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import type { Money } from "../../base/money.ts";
import type { Result } from "../../base/result.ts";
import { toWireMoney } from "../../wire/common.ts";
import type { EntryBody, NoteFacts } from "../../wire/journal-entry.ts";
import type { NewEntry } from "../journal/journal.ts";
import type { Reservation } from "../lease/lease-keeper.ts";
import { untilState } from "../uplink/link-events.ts";
import { type CodeEffect, type CodeEvent, type CodeStep, codeMachine } from "./code-machine.ts";
import type { PresentedCode } from "./presented-code.ts";
import type { PurchaseDeps } from "./purchase-deps.ts";
import { answerOf, type PurchaseDecision, type Refusal } from "./purchase-machine.ts";
import { leaseRefusal } from "./purchase-refusals.ts";
import type { PurchaseSteps } from "./purchase-steps.ts";

/** Notes of staged value, taken with both sides offline (RM11). */
export interface NoteDesk {
  /** What a phone answers for this payment: the same text however often it is asked for. */
  challenge(sale: NoteSale): string;
  /** Checks a note up to the hub's key, with no network, and signs that it was taken. */
  accept(text: string, sale: NoteSale): Result<AcceptedNote, Refusal>;
}
export interface NoteSale {
  readonly paymentId: EntryBody["paymentId"];
  readonly amount: Money;
}
export interface AcceptedNote {
  readonly facts: NoteFacts;
  /** Keyed hash of the paying device's id. */
  readonly payerToken: string;
}

export interface CodePurchaseParts {
  readonly deps: PurchaseDeps;
  readonly steps: PurchaseSteps;
  readonly presented: PresentedCode;
  readonly cancel: AbortSignal;
}

/** How long a repeat waits for a link that was cut with the answer on its way: it is mostly back within a few seconds. */
const LINK_BACK_WITHIN_MS = 6_000;

/** Runs to the decision on disk. Only a Fault of the journal is thrown. */
export function runCodePurchase(parts: CodePurchaseParts): Promise<void> {
  return new CodePurchase(parts).run();
}

class CodePurchase {
  readonly #parts: CodePurchaseParts;
  #note: AcceptedNote | undefined;
  #maskedAccount: string | undefined;
  #reservation: Reservation | undefined;

  constructor(parts: CodePurchaseParts) {
    this.#parts = parts;
  }

  async run(): Promise<void> {
    this.#parts.steps.stage("code-presented");
    let step: CodeStep = codeMachine({ at: "new" }, this.#presented());
    try {
      while (step.state.at !== "ended") {
        const effect = step.effects[0];
        assert(effect !== undefined, `a purchase by code at ${step.state.at} has something to do`);
        step = codeMachine(step.state, await this.#perform(effect));
      }
    } finally {
      this.#reservation?.release();
    }
  }

  #presented(): CodeEvent {
    const { deps, presented } = this.#parts;
    return presented.pay === "note" ? { on: "note" } : { on: "pre-authorised-code", hub: deps.hub.state };
  }

  async #perform(effect: CodeEffect): Promise<CodeEvent> {
    const { steps } = this.#parts;
    switch (effect.do) {
      case "store-request":
        await steps.storeRequest(effect.attempt);
        return { on: "request-stored" };
      case "ask-hub":
        return await this.#askHub(effect.attempt);
      case "store-unknown":
        await steps.storeUnknown(effect.attempt);
        return { on: "unknown-stored" };
      case "check-note":
        return this.#checkNote();
      case "reserve":
        return this.#reserve();
      case "store-decision":
        return await this.#storeDecision(effect.decision);
      default:
        return unreachable(effect);
    }
  }

  async #askHub(attempt: number): Promise<CodeEvent> {
    const { deps, steps, cancel, presented } = this.#parts;
    const { id, amount } = steps.request;
    assert(presented.pay === "code", "the hub is asked about codes");
    const { code } = presented;
    const request = { paymentId: id, attempt, kind: "purchase" as const, amount: toWireMoney(amount), code };
    await this.#untilLinked();
    const asking = deps.hub.authorise(request, deps.journal.head.sequence, cancel);
    steps.stage("online-request-sent");
    try {
      const answer = await steps.timed("hubMs", () => asking);
      steps.stage("online-answered");
      if (answer.outcome === "stale") return { on: "hub-unknown" };
      this.#maskedAccount = answer.maskedAccount;
      return { on: answer.outcome === "approved" ? "hub-approved" : "hub-declined", answer: answerOf(answer) };
    } catch (error) {
      if (!isFault(error)) throw error;
      deps.log.info("no answer from the hub", { paymentId: id, code: error.code, why: error.message });
      return cancel.aborted ? { on: "cancelled" } : { on: "hub-unknown" };
    }
  }

  async #untilLinked(): Promise<void> {
    const { deps, cancel } = this.#parts;
    if (deps.hub.state === "up") return;
    using limit = deadline(deps.clock, LINK_BACK_WITHIN_MS, cancel);
    // A link that stays away is told by the request itself.
    await untilState(deps.hub, "up", limit.signal).catch(() => undefined);
  }

  #checkNote(): CodeEvent {
    const { steps, presented } = this.#parts;
    const { id, amount } = steps.request;
    assert(presented.pay === "note", "notes are checked");
    const accepted = presented.notes.accept(presented.text, { paymentId: id, amount });
    if (!accepted.ok) return { on: "refused", refusal: accepted.error };
    this.#note = accepted.value;
    return { on: "note-accepted" };
  }

  #reserve(): CodeEvent {
    const { deps, steps } = this.#parts;
    const { id, amount } = steps.request;
    const { payerToken, facts } = present(this.#note, "the note that was accepted");
    const { deviceId } = facts;
    const taken = deps.leases.reserve({ paymentId: id, amount, means: "note", payerToken, deviceId });
    if (!taken.ok) return { on: "refused", refusal: leaseRefusal(taken.error) };
    this.#reservation = taken.value;
    return { on: "reserved" };
  }

  async #storeDecision(decision: PurchaseDecision): Promise<CodeEvent> {
    const { steps } = this.#parts;
    steps.stage("decision-ready");
    const { reversals, ...rest } = decision;
    const approved = decision.outcome === "approved";
    const moment = steps.moment();
    const paymentId = steps.request.id;
    const own: NewEntry = {
      body: {
        kind: "decision",
        paymentId,
        at: moment.at,
        operation: "purchase",
        amount: toWireMoney(steps.request.amount),
        ...rest,
        attempts: [...decision.attempts],
        ...(approved && this.#reservation ? { leaseId: this.#reservation.leaseId } : {}),
        ...(approved && this.#maskedAccount !== undefined ? { code: { maskedAccount: this.#maskedAccount } } : {}),
        ...(approved && this.#note ? { note: this.#note.facts } : {}),
        businessDate: moment.businessDate,
      },
      ...(approved ? { forward: true as const } : {}),
    };
    const undone = reversals.map(
      ({ attempt, reason }): NewEntry => ({
        body: { kind: "reversal", paymentId, at: moment.at, attempt, reason },
        forward: true,
      }),
    );
    await steps.append([own, ...undone]);
    if (approved) this.#reservation?.commit();
    steps.stage("decision-stored");
    return { on: "decision-stored" };
  }
}
