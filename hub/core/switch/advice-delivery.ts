/** Tells one issuer what was decided without him: the advice log in the order of its accounts, until he has taken it (RM15). */
import type { Clock } from "../../../base/clock.ts";
import { reasonOf } from "../../../base/fault.ts";
import type { Log } from "../../../base/log.ts";
import type { GroupCommit } from "../../group-commit.ts";
import type { Metrics } from "../../metrics.ts";
import type { Within } from "../../store/store.ts";
import { acknowledgementOf, type LinkAnswer } from "../issuers/index.ts";
import { mayDrain } from "../standin/availability.ts";
import { type AdviceAnswer, type AdviceEvent, adviceMachine, dueAdvices } from "../standin/recovery.ts";
import { type Advice, adviceStore } from "./advice-store.ts";
import type { CardVault } from "./card-vault.ts";
import { exchangeStore } from "./exchange-store.ts";
import type { SwitchPolicy } from "./institution.ts";
import { institutionStore } from "./institution-store.ts";
import type { IssuerDesk } from "./issuer-desk.ts";
import { messageOf } from "./payment-facts.ts";

export interface AdviceDeliveryOptions {
  readonly desk: IssuerDesk;
  readonly policy: SwitchPolicy;
  readonly commits: Pick<GroupCommit, "submit">;
  readonly vault: CardVault;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "count">;
}

/** Accounts that are looked at in one turn. */
const HEADS_MAX = 500;
/** While entries wait: how often it is looked whether the time of one has come. */
const LOOK_EVERY_MS = 500;
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
    if (this.#turn || this.#stopping.signal.aborted) return;
    this.#turn = this.#turns().finally(() => {
      this.#turn = undefined;
    });
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
      try {
        await this.#look();
      } catch (error) {
        this.#options.log.error("the advice log cannot be delivered; it is tried again", {
          issuer: this.#options.desk.institution.id,
          reason: reasonOf(error),
        });
        this.#lookLater();
      }
    }
  }

  async #look(): Promise<void> {
    const { desk, commits } = this.#options;
    if (!mayDrain(desk.availability)) return;
    const found = await commits.submit({ lane: "queue", apply: (within) => this.#take(within) });
    if (found === "drained") {
      desk.tell({ on: "drained" });
      return;
    }
    for (const due of found) {
      const work = this.#deliver(due).finally(() => {
        this.#underWay.delete(work);
        this.wake();
      });
      this.#underWay.add(work);
    }
    this.#lookLater();
  }

  #lookLater(): void {
    this.#cancelLook();
    this.#cancelLook = this.#options.clock.after(LOOK_EVERY_MS, () => this.wake());
  }

  /** What is to be sent now is marked as sent before it is; `drained` where nothing waits. */
  async #take(within: Within): Promise<readonly Due[] | "drained"> {
    const { desk, policy, clock } = this.#options;
    const { id } = desk.institution;
    const heads = await adviceStore.heads(within, id, HEADS_MAX);
    if (heads.length === 0) {
      await institutionStore.reset(within, id);
      return "drained";
    }
    const now = clock.now();
    const open: Advice[] = [];
    for (const head of heads)
      open.push(isForgotten(head, now) ? await this.#move(within, head, { on: "lost", now }) : head);
    const due: Due[] = [];
    for (const head of dueAdvices(open, policy.recovery, now)) {
      const trace = head.trace ?? desk.link.newTrace();
      const advice = await this.#move(within, { ...head, trace }, { on: "send" });
      due.push({ advice, message: await this.#messageOf(within, advice) });
    }
    return due;
  }

  async #messageOf(within: Within, advice: Advice): Promise<Message> {
    const { desk, vault } = this.#options;
    const exchange = await exchangeStore.get(within, advice, advice.attempt);
    if (!exchange) throw new Error(`broken invariant: advice ${advice.number} has nothing to tell of`);
    const card = vault.open(exchange.card, exchange);
    return messageOf({ version: desk.institution.spec.version, advice, exchange, card });
  }

  async #move(within: Within, advice: Advice, event: AdviceEvent): Promise<Advice> {
    const { state } = this.#step(advice.state, event);
    const moved = { ...advice, state };
    const sentUntil = state.at === "sent" ? this.#options.clock.now() + SENT_MAX_MS : undefined;
    await adviceStore.move(within, { ...moved, ...(sentUntil === undefined ? {} : { sentUntil }) });
    return moved;
  }

  async #deliver({ advice, message }: Due): Promise<void> {
    const { desk, policy, commits, clock, log } = this.#options;
    const { hostTimeoutMs: timeoutMs } = policy.availability;
    try {
      const answer = await desk.link.request(message, { timeoutMs, signal: this.#stopping.signal });
      const event = (now: number): AdviceEvent => {
        const read = answerOf(message, answer);
        return read ? { on: "answer", answer: read, now } : { on: "lost", now };
      };
      const end = await commits.submit({
        lane: "queue",
        apply: (within) => this.#move(within, advice, event(clock.now())),
      });
      this.#tell(end);
    } catch (error) {
      log.error("what became of an advice cannot be noted; it is sent again", {
        ...{ issuer: desk.institution.id, number: advice.number, reason: reasonOf(error) },
      });
    }
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

function answerOf(message: Message, answer: LinkAnswer): AdviceAnswer | undefined {
  if (answer.what !== "answered") return undefined;
  const read = acknowledgementOf(message, answer.message);
  return read.what === "again" ? { what: "again" } : read;
}

/** One issuer, and what brings him the log. */
export interface Served {
  readonly desk: IssuerDesk;
  readonly delivery: AdviceDelivery;
}
/** By institution. */
export type Desks = ReadonlyMap<string, Served>;
