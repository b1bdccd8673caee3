/** What must hold of a shop of real processes: each order charged once, nothing charged beside, paper as RM3 says, chains whole. */
import { LEDGER_START, type Posting, readLedger, readLedgerFrom, verdictOf } from "../lib/account.ts";
import type { Counter } from "../lib/counter.ts";
import { runTillway } from "../lib/processes.ts";
import type { Counts } from "./lane.ts";
import { CUSTOMER, isPaid, OPENING, type Till } from "./till.ts";

/** Keeps the account of a shop over many runs; each look covers what was sold since the last. */
export class Judge {
  readonly #hub: Counter;
  #cursor = LEDGER_START;
  readonly #judged = new Set<string>();
  #soldMinor = 0n;
  /** Orders that were sold and accounted for. */
  charges = 0;
  /** Payments that were begun for them. */
  attempts = 0;
  offline = 0;
  /** How often payments that were not approved were told why. */
  readonly refusals = new Map<string, number>();

  /** `hub`: the counter that runs it. */
  constructor(hub: Counter) {
    this.#hub = hub;
  }

  /** What is wrong with the orders since the last look, by terminal. The shop must have settled. */
  async look(tills: readonly Till[]): Promise<ReadonlyMap<Till, readonly string[]>> {
    const { postings: read, cursor } = await readLedgerFrom(this.#hub, this.#cursor);
    this.#cursor = cursor;
    // The hub lists by whole pages, so the last ones of the look before come again.
    const postings = read.filter(({ paymentId }) => !this.#judged.has(paymentId));
    const wrong = new Map<Till, readonly string[]>();
    for (const till of tills) {
      wrong.set(till, await this.#judge(till, postings));
      for (const order of till.orders) for (const { id } of order.attempts) this.#judged.add(id);
      till.orders = [];
      await till.counter.printer({ do: "clear" });
    }
    const strangers = postings.filter(({ paymentId }) => !this.#judged.has(paymentId));
    const [first] = tills;
    if (first && strangers.length > 0) {
      const said = strangers.map(({ paymentId, minor }) => `${paymentId} moved ${minor}, and no till sold it`);
      wrong.set(first, [...(wrong.get(first) ?? []), ...said]);
    }
    return wrong;
  }

  async #judge(till: Till, ledger: readonly Posting[]): Promise<string[]> {
    const tickets = await till.counter.tickets();
    const wrong: string[] = [];
    for (const order of till.orders) {
      let charged = 0;
      for (const { id, minor, told } of order.attempts) {
        const payment = await till.counter.payment(id);
        const expect = told.status as "approved" | "declined" | "aborted";
        const sale = {
          id,
          minor,
          what: order.key,
          expect,
          mode: told.mode === "online" ? "online" : "offline",
        } as const;
        const { problems } = verdictOf({ sale, payment, ledger, tickets });
        wrong.push(...problems.map((problem) => `${till.name} ${id}: ${problem}`));
        charged += ledger.filter(({ paymentId }) => paymentId === id).length;
        this.attempts += 1;
        if (told.status !== "approved") this.#refused(`${told.status}: ${told.detail ?? told.reason ?? "no reason"}`);
        if (told.status === "approved" && told.mode === "offline") this.offline += 1;
      }
      if (charged !== 1) wrong.push(`${till.name} order ${order.key}: charged ${charged} times`);
      if (!isPaid(order)) wrong.push(`${till.name} order ${order.key}: not paid in ${order.attempts.length} attempts`);
      this.charges += 1;
      this.#soldMinor += BigInt(order.minor);
    }
    return wrong;
  }

  #refused(why: string): void {
    this.refusals.set(why, (this.refusals.get(why) ?? 0) + 1);
  }

  /** At the end: the whole ledger once more, the customer's balance, every day and every chain. Ends the agents. */
  async close(tills: readonly Till[]): Promise<string[]> {
    const wrong = [...(await this.#balances())];
    for (const till of tills) {
      const day = await till.counter.call<DayAnswer>("POST", "/v1/reconciliation", {});
      if (day.status !== 200 || day.body.differences.length > 0)
        wrong.push(`${till.name} and the hub differ over the day: ${JSON.stringify(day.body).slice(0, 400)}`);
      wrong.push(...(await chainOf(till)));
    }
    return wrong;
  }

  async #balances(): Promise<string[]> {
    const wrong: string[] = [];
    const ledger = await readLedger(this.#hub);
    if (ledger.length !== this.charges) wrong.push(`the ledger holds ${ledger.length} charges of ${this.charges}`);
    const { accounts } = await this.#hub.hubGet<{ accounts: Readonly<Record<string, string>>[] }>(
      "/v1/accounts?limit=100",
    );
    const customers = accounts.filter((account) => account["name"]?.endsWith(CUSTOMER));
    const had = OPENING.minor * BigInt(customers.length);
    const have = customers.reduce((sum, account) => sum + BigInt(account["balanceMinor"] ?? 0), 0n);
    if (have !== had - this.#soldMinor) wrong.push(`the customers have ${have} left, not ${had - this.#soldMinor}`);
    for (const { name, debitsPendingMinor } of customers)
      if (debitsPendingMinor !== "0") wrong.push(`${name}: ${debitsPendingMinor} are still held back`);
    return wrong;
  }
}

interface DayAnswer {
  readonly differences: readonly unknown[];
}

/** What the judge counted, for the report. */
export function countInto(counts: Counts, judge: Judge): void {
  counts.add("charges", judge.charges);
  counts.add("payments-begun", judge.attempts);
  counts.add("approved-offline", judge.offline);
  for (const [why, times] of judge.refusals) counts.add(why, times);
}

/** Ends the agent and has its journal proven from the first entry to the last. */
export async function chainOf({ name, counter }: Till): Promise<string[]> {
  await counter.program("agent").stop();
  const { code, stdout, stderr } = await runTillway(["journal", "verify", "--config", counter.agentConfig]);
  return code === 0 ? [] : [`${name}: its journal does not hold: ${(stdout + stderr).trim()}`];
}
