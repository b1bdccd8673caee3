/**
 * A till as a shop has it: takes orders, asks its agent for each, repeats the same payment after a crash, and begins another
 * one for an order that was not paid. Two cards take turns in the reader, so that the next is in while the last is taken out.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { cardProfile } from "../../sim/card/profiles.ts";
import { type Answer, Counter, type CounterOptions, type Payment, type Slot } from "../lib/counter.ts";
import { until } from "../lib/processes.ts";
import type { Link } from "./link.ts";

export interface Attempt {
  readonly id: string;
  readonly minor: number;
  /** What the till was told in the end. */
  readonly told: Payment;
}

/** One customer's purchase: to be charged once, by however many attempts. */
export interface Order {
  readonly key: string;
  readonly minor: number;
  readonly attempts: Attempt[];
}

export const isPaid = ({ attempts }: Order): boolean => attempts.some(({ told }) => told.status === "approved");

export interface TillOptions extends CounterOptions {
  /** Puts a relay between agent and hub, so that the link can be cut. */
  readonly link?: Link;
  /** Profiles of the two cards. No two tills have the same one: a counter that comes twice is a cloned card's. */
  readonly cards: readonly [string, string];
}

/** Of each customer: enough for a million runs. */
export const OPENING = { text: "90000000.00", minor: 9_000_000_000n } as const;
/** Each card has an account of its own, whose name ends so. */
export const CUSTOMER = "customer";
/** The card whose account a counter opens by itself. */
const COUNTERS_OWN = "standard";
/** Cards that buy below the floor limit by themselves, above it with the hub's word, and by themselves when it is away. */
export const CARDS = [
  ["standard", "dda"],
  ["tc-hash", "dda-default-ddol"],
  ["default-tdol", "signature"],
  ["common-core", "cda"],
] as const;

const ATTEMPTS_MAX = 6;
/** With a crash and a restart in it, a sale takes some seconds; one that takes this long hangs. */
const SALE_WITHIN_MS = 90_000;
const RETRY_MS = 60;
const SUPERVISED_EVERY_MS = 50;
const STARTS_IN_VAIN_MAX = 20;
/** The amounts below it are approved by the card alone, whether or not the hub is there. */
export const FLOOR_LIMIT_MINOR = 1_000;

export class Till implements AsyncDisposable {
  readonly counter: Counter;
  readonly link: Link | undefined;
  readonly #profiles: readonly [string, string];
  readonly #cards: [Promise<unknown>, Promise<unknown>] = [Promise.resolve(), Promise.resolve()];
  #slot: Slot = 0;
  /** One customer at a time. */
  #lane: Promise<unknown> = Promise.resolve();
  /** Every attempt since the last account. */
  orders: Order[] = [];

  constructor({ link, cards, ...options }: TillOptions) {
    this.#profiles = cards;
    mkdirSync(options.folder, { recursive: true });
    this.link = link;
    const between = link && { between: (hub: Parameters<Link["open"]>[0]) => link.open(hub) };
    this.counter = new Counter({ balance: OPENING.text, ...options, ...between });
  }

  get name(): string {
    return this.counter.terminal;
  }

  async start(): Promise<void> {
    await this.counter.start();
    await this.counter.startCard(1);
    for (const profile of this.#profiles) if (profile !== COUNTERS_OWN) await this.#openAccount(profile);
    this.#change(0);
    this.#change(1);
  }

  /** Sells, whatever it takes. Throws when an order cannot be sold at all. */
  order(key: string, minor: number): Promise<Order> {
    const order: Order = { key, minor, attempts: [] };
    this.orders.push(order);
    const turn = this.#lane.then(() => this.#sell(order));
    this.#lane = turn.catch(() => undefined);
    return turn;
  }

  /** One payment, asked for once; accounted for when it was approved. A refused one that moved money is told as a stranger. */
  once(id: string, minor: number): Promise<Answer<Payment>> {
    const turn = this.#lane.then(async () => {
      const slot = await this.#nextCard();
      const answer = await this.#post(id, minor);
      this.#change(slot);
      if (answer.status === 200 && answer.body.status === "approved")
        this.orders.push({ key: id, minor, attempts: [{ id, minor, told: answer.body }] });
      return answer;
    });
    this.#lane = turn.catch(() => undefined);
    return turn;
  }

  /** The agent again, after it was killed. */
  async restart(): Promise<void> {
    await this.counter.startAgent();
  }

  /** Starts the agent whenever it has ended, and again when it does not start, as the system's own supervisor does. */
  async supervise(over: AbortSignal, onStart: (outcome: "started" | "not-started") => void): Promise<void> {
    let inVain = 0;
    for (;;) {
      // Whoever says that it is over may have seen the agent's last word a moment before its end is known here.
      const isLast = over.aborted;
      await delay(SUPERVISED_EVERY_MS);
      if (this.counter.program("agent").hasEnded) {
        try {
          await this.restart();
          onStart("started");
          inVain = 0;
        } catch (error) {
          onStart("not-started");
          inVain += 1;
          if (inVain >= STARTS_IN_VAIN_MAX) throw error;
        }
      } else if (isLast) return;
    }
  }

  /** Until the hub holds everything and every ticket is on paper. */
  async settle(): Promise<void> {
    const { counter } = this;
    this.link?.late(0);
    this.link?.set("up");
    await counter.online();
    await counter.drained();
    const owed = new Set(this.orders.flatMap(({ attempts }) => attempts).map(({ id }) => id));
    await until(
      `${this.name} to print what it owes`,
      async () => {
        for (const id of owed) {
          const { ticket, status } = await counter.payment(id);
          if (status === "processing" || ticket === "pending" || ticket === "possibly-printed") return undefined;
          owed.delete(id);
        }
        return true;
      },
      60_000,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([this.#lane, ...this.#cards]);
    await this.counter[Symbol.asyncDispose]();
    await this.link?.[Symbol.asyncDispose]();
  }

  async #sell(order: Order): Promise<Order> {
    const refusals: string[] = [];
    while (refusals.length < ATTEMPTS_MAX) {
      const id = `${order.key}.${order.attempts.length + 1}`;
      const told = await this.#pay(id, order.minor);
      order.attempts.push({ id, minor: order.minor, told });
      if (told.status === "approved") return order;
      refusals.push(`${told.status}: ${told.detail ?? told.reason ?? "no reason"}`);
    }
    throw new Error(`${this.name} cannot sell ${order.key}: ${refusals.join("; ")}`);
  }

  /** The same payment until its end is told: a till repeats it when the agent died over it (RM4). */
  async #pay(id: string, minor: number): Promise<Payment> {
    const slot = await this.#nextCard();
    let last = "nobody answered";
    const end = Date.now() + SALE_WITHIN_MS;
    while (Date.now() < end) {
      try {
        const { status, body } = await this.#post(id, minor);
        if (status === 200 && body.status !== "processing") {
          this.#change(slot);
          return body;
        }
        last = `${status} ${JSON.stringify(body).slice(0, 200)}`;
      } catch (error) {
        last = error instanceof Error ? error.message : String(error);
      }
      await delay(RETRY_MS);
    }
    throw new Error(`${this.name}: payment ${id} had no end within ${SALE_WITHIN_MS} ms: ${last}`);
  }

  #post(id: string, minor: number): Promise<Answer<Payment>> {
    const payment = { id, amount: { minor: String(minor), currency: "EUR" } };
    return this.counter.call<Payment>("POST", "/v1/payments", payment);
  }

  async #nextCard(): Promise<Slot> {
    const slot = this.#slot;
    this.#slot = slot === 0 ? 1 : 0;
    await this.#cards[slot];
    return slot;
  }

  async #openAccount(profile: string): Promise<void> {
    const { pan, expiry } = cardProfile(profile);
    await this.counter.openAccount({ pan, expiry, balance: OPENING.text, name: `${profile} ${CUSTOMER}` });
  }

  #change(slot: Slot): void {
    this.#cards[slot] = this.#insert(slot);
    // The next sale with this card tells of it; a shop that closes meanwhile has no next sale.
    this.#cards[slot].catch(() => undefined);
  }

  /** Takes the card out and puts it in again: the agent takes a card once. */
  async #insert(slot: Slot): Promise<void> {
    await this.counter.card({ do: "pull" }, slot);
    await this.counter.card({ do: "insert", profile: this.#profiles[slot] }, slot);
  }
}

/** Short, because Unix sockets lie in it. */
export const tillFolder = (folder: string, index: number): string => join(folder, `t${index}`);
