/** Tells one issuer what was decided without him: the advice log in the order of its accounts, until he has taken it (RM15). */
import { present, unreachable } from "../../../base/assert.ts";
import type { Clock } from "../../../base/clock.ts";
import { reasonOf } from "../../../base/fault.ts";
import type { Log } from "../../../base/log.ts";
import type { GroupCommit } from "../../group-commit.ts";
import type { Metrics } from "../../metrics.ts";
import type { Within } from "../../store/store.ts";
import { type Acknowledgement, acknowledgementOf } from "../issuers/index.ts";
import { mayDrain } from "../standin/availability.ts";
import { type AdviceEvent, adviceMachine, dueAdvices } from "../standin/recovery.ts";
import { type Advice, adviceStore } from "./advice-store.ts";
import type { CardVault } from "./card-vault.ts";
import { exchangeStore } from "./exchange-store.ts";
import type { SwitchPolicy } from "./institution.ts";
import { institutionStore } from "./institution-store.ts";
import type { IssuerDesk } from "./issuer-desk.ts";
import type { IssuerReconciler } from "./issuer-reconciler.ts";
import { noteTaken } from "./movements.ts";
import { messageOf } from "./payment-facts.ts";
import { periodStore } from "./period-store.ts";

export interface AdviceDeliveryOptions {
  readonly desk: IssuerDesk;
  readonly policy: SwitchPolicy;
  readonly commits: Pick<GroupCommit, "submit">;
  readonly vault: CardVault;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "count">;
}

/** What came of a sending. */
type Told = Acknowledgement | "unanswered" | "unsendable";

/** Accounts that are looked at in one turn: each has an entry that is under way, or whose time has come. */
const HEADS_MAX = 100;
/** While entries wait: how often it is looked whether the time of one has come. */
const LOOK_EVERY_MS = 500;
/** While none does: how often it is looked whether another replica left one. */
const IDLE_LOOK_MS = 10_000;
/** An entry whose answer was never noted, because the process or its database died, counts as lost after this. */
const SENT_MAX_MS = 10_000;

type Message = ReturnType<typeof messageOf>;
interface Due {
  readonly advice: Advice;
  readonly message: Message;
}

export class AdviceDelivery implements AsyncDisposable {
  readonly #options: AdviceDeliveryOptions;
  readonly #step: ReturnType<typeof adviceMachine>;
  readonly #stopping = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  #turn: Promise<void> | undefined;
  #again = false;
  #cancelLook: () => void = () => {};

  constructor(options: AdviceDeliveryOptions) {
    this.#options = options;
    this.#step = adviceMachine(options.policy.recovery);
  }

  /** Something was logged, or the issuer can be reached. It looks after what is being committed now. */
  wake(): void {
    this.#again = true;
    if (this.#stopping.signal.aborted) return;
    this.#turn ??= this.#turns();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    this.#cancelLook();
    await this.#turn;
    await Promise.all(this.#underWay);
  }

  async #turns(): Promise<void> {
    const { signal } = this.#stopping;
    while (this.#again && !signal.aborted) {
      this.#again = false;
      let nextMs = LOOK_EVERY_MS;
      try {
        nextMs = await this.#look();
      } catch (error) {
        this.#options.log.error("the advice log cannot be delivered; it is tried again", {
          issuer: this.#options.desk.institution.id,
          reason: reasonOf(error),
        });
      }
      this.#cancelLook();
      this.#cancelLook = this.#options.clock.after(nextMs, () => this.wake());
    }
    // In the same step in which nothing was found to be asked for.
    this.#turn = undefined;
  }

  /** Sends what is due. Returns when to look again, in milliseconds. */
  async #look(): Promise<number> {
    const { desk, commits } = this.#options;
    // What cannot leave is no sending: its count says how long the issuer was there and did not answer.
    if (desk.link.status !== "up" || !mayDrain(desk.availability)) return IDLE_LOOK_MS;
    const found = await commits.submit({ lane: "queue", apply: (within) => this.#take(within) });
    if (found === "drained") {
      desk.tell({ on: "drained" });
      return IDLE_LOOK_MS;
    }
    for (const due of found) {
      const work = this.#deliver(due).finally(() => {
        this.#underWay.delete(work);
        this.wake();
      });
      this.#underWay.add(work);
    }
    return LOOK_EVERY_MS;
  }

  /** What is to be sent now is marked as sent before it is; `drained` where nothing waits. */
  async #take(within: Within): Promise<readonly Due[] | "drained"> {
    const { desk, policy, clock } = this.#options;
    const { id } = desk.institution;
    const now = clock.now();
    const heads = await adviceStore.heads(within, id, {
      now,
      latest: now + policy.recovery.retryMaxMs,
      limit: HEADS_MAX,
    });
    if (heads.length === 0) return (await adviceStore.hasOpen(within, id)) ? [] : await this.#drained(within);
    const open: Advice[] = [];
    for (const head of heads)
      open.push(isForgotten(head, now) ? await this.#move(within, head, { on: "lost", now }) : head);
    const due: Due[] = [];
    for (const head of dueAdvices(open, policy.recovery, now)) {
      const trace = head.trace ?? desk.link.newTrace();
      const day = await this.#openDay(within, head);
      const advice = await this.#move(within, { ...head, trace, day }, { on: "send" });
      const message = await this.#messageOf(within, advice);
      if (message) due.push({ advice, message });
      else this.#tell(await this.#move(within, advice, { on: "set-aside" }));
    }
    return due;
  }

  #openDay(within: Within, { institutionId, day: earlier }: Advice): Promise<string> {
    return periodStore.open(within, { institutionId, today: this.#options.desk.businessDay, earlier });
  }

  async #drained(within: Within): Promise<"drained"> {
    const { id } = this.#options.desk.institution;
    if ((await institutionStore.get(within, id)).sumMinor > 0n) await institutionStore.reset(within, id);
    return "drained";
  }

  /** Undefined for one that can never be sent: its card, or what was kept of its payment, cannot be read. */
  async #messageOf(within: Within, advice: Advice): Promise<Message | undefined> {
    const { desk, vault, log } = this.#options;
    const exchange = await exchangeStore.get(within, advice, advice.attempt);
    try {
      const found = present(exchange, `what advice ${advice.number} tells of`);
      const card = vault.open(found.card, found);
      return messageOf({ version: desk.institution.spec.version, advice, exchange: found, card });
    } catch (error) {
      const { number, paymentId } = advice;
      log.error("an advice cannot be made", {
        issuer: desk.institution.id,
        number,
        paymentId,
        reason: reasonOf(error),
      });
      return undefined;
    }
  }

  async #move(within: Within, advice: Advice, event: AdviceEvent): Promise<Advice> {
    const { state } = this.#step(advice.state, event);
    if (state === advice.state) return advice;
    const moved = { ...advice, state };
    const sentUntil = state.at === "sent" ? this.#options.clock.now() + SENT_MAX_MS : undefined;
    await adviceStore.move(within, { ...moved, ...(sentUntil === undefined ? {} : { sentUntil }) });
    return moved;
  }

  async #deliver({ advice, message }: Due): Promise<void> {
    const { desk, commits, log } = this.#options;
    const issuer = desk.institution.id;
    const told = await this.#ask(message);
    try {
      const end = await commits.submit({
        lane: "queue",
        apply: (within) => this.#note(within, { advice, message }, told),
      });
      if (end) this.#tell(end);
    } catch (error) {
      const { number } = advice;
      log.error("what became of an advice cannot be noted; it is sent again", {
        issuer,
        number,
        reason: reasonOf(error),
      });
    }
  }

  async #ask(message: Message): Promise<Told> {
    const { desk, policy, log } = this.#options;
    const { hostTimeoutMs: timeoutMs } = policy.availability;
    try {
      const answer = await desk.link.request(message, { timeoutMs, signal: this.#stopping.signal });
      return answer.what === "answered" ? acknowledgementOf(message, answer.message) : "unanswered";
    } catch (error) {
      log.error("an advice cannot be packed", { issuer: desk.institution.id, reason: reasonOf(error) });
      return "unsendable";
    }
  }

  /** Of the entry as it is by now: a person, or another replica, may have ended it meanwhile. */
  async #note(within: Within, { advice: sent, message }: Due, told: Told): Promise<Advice | undefined> {
    const advice = await adviceStore.get(within, sent.number);
    if (!advice) return undefined;
    const moved = await this.#move(within, advice, eventOf(told, this.#options.clock.now()));
    if (moved !== advice && moved.state.at === "delivered") {
      const day = await this.#openDay(within, sent);
      const found = typeof told === "object" && told.what === "taken";
      await noteTaken(within, { advice: moved, message, found, day });
    }
    return moved;
  }

  #tell({ number, kind, paymentId, state }: Advice): void {
    const { desk, metrics, log } = this.#options;
    const issuer = desk.institution.id;
    metrics.count("tillway_hub_advices_total", { issuer, kind, end: state.at });
    if (state.at !== "exception") return;
    const { responseCode = "none" } = state;
    log.warn("an issuer does not post what was decided for him", { issuer, number, kind, paymentId, responseCode });
  }
}

const isForgotten = ({ state, sentUntil }: Advice, now: number): boolean =>
  state.at === "sent" && (sentUntil === undefined || sentUntil <= now || sentUntil > now + SENT_MAX_MS);

function eventOf(told: Told, now: number): AdviceEvent {
  if (told === "unsendable") return { on: "set-aside" };
  if (told === "unanswered") return { on: "lost", now };
  switch (told.what) {
    case "taken":
    case "nothing-to-reverse":
      return { on: "answer", answer: { what: "taken" }, now };
    case "again":
      return { on: "answer", answer: { what: "again" }, now };
    case "refused":
      return { on: "answer", answer: told, now };
    default:
      return unreachable(told);
  }
}

/** One issuer, what brings him the log, and what compares with him what it came to. */
export interface Served {
  readonly desk: IssuerDesk;
  readonly delivery: AdviceDelivery;
  readonly reconciler: IssuerReconciler;
}
/** By institution. */
export type Desks = ReadonlyMap<string, Served>;
