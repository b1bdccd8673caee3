/**
 * Closes one issuer's business days, and tells him their totals until he says whether he counts the same (RM14). A lane of its
 * own: one message at a time, and nobody waits for it.
 */
import { assert, unreachable } from "../../../base/assert.ts";
import type { Clock } from "../../../base/clock.ts";
import { reasonOf } from "../../../base/fault.ts";
import type { Log } from "../../../base/log.ts";
import type { Iso8583Message } from "../../../protocols/iso8583/message.ts";
import type { GroupCommit } from "../../group-commit.ts";
import type { Metrics } from "../../metrics.ts";
import type { Within } from "../../store/store.ts";
import {
  acknowledgementOf,
  type ReconciliationMessage,
  type ReconciliationTotals,
  reconciliationAnswer,
  reconciliationMessage,
} from "../issuers/index.ts";
import { mayDrain } from "../standin/availability.ts";
import { type AdviceEvent, type AdviceState, adviceMachine } from "../standin/recovery.ts";
import type { Acquirer, SwitchPolicy } from "./institution.ts";
import type { IssuerDesk } from "./issuer-desk.ts";
import { movementStore } from "./movement-store.ts";
import { periodStore } from "./period-store.ts";
import { type Reconciliation, reconciliationStore } from "./reconciliation-store.ts";

export interface IssuerReconcilerOptions {
  readonly desk: Pick<IssuerDesk, "institution" | "availability" | "businessDay"> & {
    readonly link: Pick<IssuerDesk["link"], "status" | "newTrace" | "request">;
  };
  readonly acquirer: Acquirer;
  readonly policy: SwitchPolicy;
  readonly commits: Pick<GroupCommit, "submit">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "count">;
}

/** While a day waits to be closed, or totals to be told or answered. */
const LOOK_EVERY_MS = 1_000;
/** While nothing does: how late a day may be closed. */
const IDLE_LOOK_MS = 10_000;
/** One whose answer was never noted, because the process or its database died, counts as lost after this. */
const SENT_MAX_MS = 10_000;
/** Open ones that are looked at in one turn, oldest first: a day has one for each currency. */
const OPEN_MAX = 100;
/** A day of repeats, once a minute: an issuer who was there for it and answered none does not reconcile. */
const SENDS_MAX = 1_440;

interface Sending {
  readonly reconciliation: Reconciliation;
  readonly message: Iso8583Message;
}
/** What came of a sending. */
interface Told {
  readonly event: AdviceEvent;
  /** Where he compared. */
  readonly verdict?: "in-balance" | "out-of-balance";
  readonly theirs?: ReconciliationTotals;
}

export class IssuerReconciler implements AsyncDisposable {
  readonly #options: IssuerReconcilerOptions;
  readonly #step: ReturnType<typeof adviceMachine>;
  readonly #stopping = new AbortController();
  #cancelLook: () => void = () => {};
  #running: Promise<void> = Promise.resolve();

  constructor(options: IssuerReconcilerOptions) {
    this.#options = options;
    this.#step = adviceMachine(options.policy.recovery);
  }

  start(): void {
    this.#lookIn(LOOK_EVERY_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    this.#cancelLook();
    await this.#running;
  }

  #lookIn(delayMs: number): void {
    if (this.#stopping.signal.aborted) return;
    this.#cancelLook = this.#options.clock.after(delayMs, () => {
      this.#running = this.#look().then((nextMs) => this.#lookIn(nextMs));
    });
  }

  /** Never rejects. Returns when to look again, in milliseconds. */
  async #look(): Promise<number> {
    const { desk, commits, log } = this.#options;
    if (desk.link.status !== "up" || !mayDrain(desk.availability)) return IDLE_LOOK_MS;
    try {
      const found = await commits.submit({ lane: "queue", apply: (within) => this.#take(within) });
      if (typeof found === "number") return found;
      const told = await this.#tell(found);
      const { number } = found.reconciliation;
      const end = await commits.submit({ lane: "queue", apply: (within) => this.#note(within, number, told) });
      if (end) this.#report(end);
    } catch (error) {
      const issuer = desk.institution.id;
      log.error("an issuer cannot be reconciled with yet; it is tried again", { issuer, reason: reasonOf(error) });
    }
    return LOOK_EVERY_MS;
  }

  /** What to send now, marked as sent before it is; or when to look again. */
  async #take(within: Within): Promise<Sending | number> {
    const { desk, clock } = this.#options;
    const { id } = desk.institution;
    const ended = await periodStore.ended(within, id, desk.businessDay);
    const inDoubt = ended !== undefined && (await periodStore.inDoubt(within, id, ended));
    if (ended !== undefined && !inDoubt) await this.#close(within, ended);
    const open = await reconciliationStore.open(within, id, OPEN_MAX);
    for (const one of open) {
      const now = clock.now();
      const waiting = isForgotten(one, now) ? await this.#move(within, one, { event: { on: "lost", now } }) : one;
      if (this.#isDue(waiting, now)) return await this.#send(within, waiting);
    }
    return ended !== undefined || open.length > 0 ? LOOK_EVERY_MS : IDLE_LOOK_MS;
  }

  /** Whatever comes later is counted by a later day. */
  async #close(within: Within, day: string): Promise<void> {
    const { desk, clock } = this.#options;
    const { id: institutionId } = desk.institution;
    await periodStore.close(within, institutionId, day);
    for (const currency of await movementStore.currencies(within, institutionId, day)) {
      const ours = await movementStore.totals(within, { institutionId, day, currency });
      await reconciliationStore.put(within, { institutionId, day, currency, ours, closedAt: clock.now() });
    }
  }

  /** A clock that was set back makes nobody wait longer than the longest delay. */
  #isDue({ state, dueAt }: Reconciliation, now: number): boolean {
    const { retryMaxMs } = this.#options.policy.recovery;
    return state === "waiting" && (dueAt <= now || dueAt > now + retryMaxMs);
  }

  /** Asked first; then told, and told again under the same trace. */
  async #send(within: Within, waiting: Reconciliation): Promise<Sending> {
    const { desk, acquirer } = this.#options;
    const { version } = desk.institution.spec;
    const as: ReconciliationMessage["as"] = (["request", "advice"] as const)[waiting.sends] ?? "repeat";
    const trace = as === "repeat" && waiting.trace ? waiting.trace : desk.link.newTrace();
    const reconciliation = await this.#move(within, { ...waiting, trace }, { event: { on: "send" } });
    const { day: settlementDate, currency, ours: totals } = reconciliation;
    const about = { version, trace, acquirerId: acquirer.id, settlementDate, currency, totals, as };
    return { reconciliation, message: reconciliationMessage(about) };
  }

  async #tell({ reconciliation, message }: Sending): Promise<Told> {
    const { desk, policy, clock, log } = this.#options;
    const { hostTimeoutMs: timeoutMs } = policy.availability;
    try {
      const answer = await desk.link.request(message, { timeoutMs, signal: this.#stopping.signal });
      const now = clock.now();
      if (answer.what === "answered") return toldOf(message, answer.message, now);
      return { event: reconciliation.sends < SENDS_MAX ? { on: "lost", now } : { on: "set-aside" } };
    } catch (error) {
      log.error("totals cannot be packed", { issuer: desk.institution.id, reason: reasonOf(error) });
      return { event: { on: "set-aside" } };
    }
  }

  /** As it is by now: another replica may have ended it meanwhile. Undefined where it goes on, or had its end. */
  async #note(within: Within, number: number, told: Told): Promise<Reconciliation | undefined> {
    const known = await reconciliationStore.get(within, number);
    if (!known || !isOpen(known)) return undefined;
    const moved = await this.#move(within, known, told);
    return isOpen(moved) ? undefined : moved;
  }

  async #move(within: Within, known: Reconciliation, told: Told): Promise<Reconciliation> {
    const now = this.#options.clock.now();
    const { state } = this.#step(progressOf(known), told.event);
    const { sends, refusals } = state;
    const moved: Reconciliation = {
      ...{ ...known, ...endOf(state, told), sends, refusals },
      ...(told.theirs && { theirs: told.theirs }),
      ...(state.at === "sent" ? { dueAt: now + SENT_MAX_MS } : {}),
      ...(state.at === "waiting" ? { dueAt: state.dueAt } : {}),
      ...(state.at === "delivered" || state.at === "exception" ? { endedAt: now } : {}),
    };
    await reconciliationStore.move(within, moved);
    return moved;
  }

  #report({ institutionId: issuer, day, currency, state, ours, theirs, refusedWith }: Reconciliation): void {
    const { log, metrics } = this.#options;
    metrics.count("tillway_hub_issuer_reconciliations_total", { issuer, end: state });
    const about = { issuer, day, currency, end: state };
    if (state === "in-balance") {
      log.info("an issuer counts the same", about);
      return;
    }
    const totals = { ours: shortly(ours), ...(theirs && { theirs: shortly(theirs) }) };
    const refused = refusedWith === undefined ? {} : { responseCode: refusedWith };
    log.warn("an issuer is not reconciled with: a person has to compare the books", {
      ...about,
      ...totals,
      ...refused,
    });
  }
}

const isOpen = ({ state }: Reconciliation): boolean => state === "waiting" || state === "sent";

const isForgotten = ({ state, dueAt }: Reconciliation, now: number): boolean =>
  state === "sent" && (dueAt <= now || dueAt > now + SENT_MAX_MS);

/** How far it got, as the advice log has it: repeats and refusals go by the same rules. */
function progressOf({ state: at, sends, refusals, dueAt }: Reconciliation): AdviceState {
  assert(at === "waiting" || at === "sent", "what has its end is not moved");
  return at === "waiting" ? { at, sends, refusals, dueAt } : { at, sends, refusals };
}

function endOf(state: AdviceState, { verdict }: Told): Pick<Reconciliation, "state" | "refusedWith"> {
  switch (state.at) {
    case "waiting":
    case "sent":
      return { state: state.at };
    case "delivered":
      assert(verdict !== undefined, "who takes totals compares them");
      return { state: verdict };
    case "exception":
      return state.responseCode === undefined
        ? { state: "unanswered" }
        : { state: "refused", refusedWith: state.responseCode };
    default:
      return unreachable(state);
  }
}

/** He says of it that he could not compare, or that the field says nothing. */
const NO_CODE = "none";

function toldOf(message: Iso8583Message, answer: Iso8583Message, now: number): Told {
  const read = reconciliationAnswer(message, answer);
  if (read.what === "in-balance") return { event: taken(now), verdict: read.what };
  if (read.what === "out-of-balance")
    return { event: taken(now), verdict: read.what, ...(read.totals && { theirs: read.totals }) };
  if (acknowledgementOf(message, answer).what === "again")
    return { event: { on: "answer", answer: { what: "again" }, now } };
  const { responseCode = NO_CODE } = read;
  return { event: { on: "answer", answer: { what: "refused", responseCode }, now } };
}

const taken = (now: number): AdviceEvent => ({ on: "answer", answer: { what: "taken" }, now });

/** `debits 12 120050, …` in numbers and minor units. */
const shortly = (totals: ReconciliationTotals): string =>
  (["debits", "debitReversals", "credits", "creditReversals"] as const)
    .map((kind) => `${kind} ${totals[kind].count} ${totals[kind].minor}`)
    .join(", ");
