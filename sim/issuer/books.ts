/**
 * An issuer's books: accounts, and payments by the name that their acquirer gave them. What a payment moves follows from its
 * record alone, so that whatever comes again, late or in another order ends in the same balance (RM1).
 */
import { createHash } from "node:crypto";
import type { Account, BookRecord, Counted, DayTotals, MessageClass, Payment } from "./records.ts";

export interface PaymentKey {
  readonly terminalId: string;
  readonly paymentId: string;
}

/** Where what a message moves is counted. */
export interface SettlementDay {
  readonly acquirerId: string;
  readonly day: string;
}

export const ACCOUNTS_MAX = 1_000_000;
export const PAYMENTS_MAX = 1_000_000;

const NOTHING: Counted = { count: 0, minor: 0n };

export class Books {
  readonly #accounts = new Map<string, Account>();
  readonly #payments = new Map<string, Payment>();
  readonly #totals = new Map<string, DayTotals>();
  /** Which payment a card's transaction counter was used for. */
  readonly #counters = new Map<string, string>();
  readonly #onChange: (record: BookRecord) => void;

  constructor(onChange: (record: BookRecord) => void = () => undefined) {
    this.#onChange = onChange;
  }

  /** Takes back what was written before. */
  load({ account, payment, totals }: BookRecord): void {
    if (account) this.#accounts.set(account.card, account);
    if (payment) this.#putPayment(payment);
    if (totals) this.#totals.set(totalsName(totals), totals);
  }

  account(pan: string): Account | undefined {
    return this.#accounts.get(cardOf(pan));
  }

  /** Opens it, or changes the balance and expiry of the one that is there. False when there are too many. */
  setAccount(pan: string, content: Pick<Account, "expiry" | "currency" | "balanceMinor">): boolean {
    const card = cardOf(pan);
    const known = this.#accounts.get(card);
    if (!known && this.#accounts.size >= ACCOUNTS_MAX) return false;
    this.#putAccount({ card, maskedPan: maskedPan(pan), ...content, heldMinor: known?.heldMinor ?? 0n });
    return true;
  }

  payment(key: PaymentKey): Payment | undefined {
    return this.#payments.get(paymentName(key));
  }

  get full(): boolean {
    return this.#payments.size >= PAYMENTS_MAX;
  }

  /** Stores a payment as it now is, and moves on its account what that makes different. */
  put(payment: Payment, where: SettlementDay): void {
    const before = this.payment(payment);
    this.#putPayment(payment);
    this.#onChange({ payment });
    const [was, is] = [before ? standing(before) : NONE, standing(payment)];
    const account = payment.card === undefined ? undefined : this.#accounts.get(payment.card);
    if (!account || (was.postedMinor === is.postedMinor && was.heldMinor === is.heldMinor)) return;
    const sign = payment.operation === "purchase" ? 1n : -1n;
    this.#putAccount({
      ...account,
      balanceMinor: account.balanceMinor + sign * (was.postedMinor - is.postedMinor),
      // What is to be given is not held from anybody.
      heldMinor: account.heldMinor + (sign > 0n ? is.heldMinor - was.heldMinor : 0n),
    });
    if (was.postedMinor !== is.postedMinor) this.#count(payment, { before, where });
  }

  totals(where: SettlementDay & Pick<DayTotals, "currency">): DayTotals {
    return (
      this.#totals.get(totalsName(where)) ?? {
        acquirerId: where.acquirerId,
        currency: where.currency,
        day: where.day,
        debits: NOTHING,
        debitReversals: NOTHING,
        credits: NOTHING,
        creditReversals: NOTHING,
      }
    );
  }

  /** Everything, as records that `load` takes. */
  *records(): Generator<BookRecord> {
    for (const account of this.#accounts.values()) yield { account };
    for (const payment of this.#payments.values()) yield { payment };
    for (const totals of this.#totals.values()) yield { totals };
  }

  /** Whether the card gave this counter for another payment before: a copied or replayed cryptogram. */
  isReplay({ card, counter }: Required<Pick<Payment, "card" | "counter">>, key: PaymentKey): boolean {
    const used = this.#counters.get(`${card}/${counter}`);
    return used !== undefined && used !== paymentName(key);
  }

  #putPayment(payment: Payment): void {
    const name = paymentName(payment);
    this.#payments.set(name, payment);
    const { card, counter } = payment;
    if (card === undefined || counter === undefined) return;
    const used = `${card}/${counter}`;
    if (!this.#counters.has(used)) this.#counters.set(used, name);
  }

  #putAccount(account: Account): void {
    this.#accounts.set(account.card, account);
    this.#onChange({ account });
  }

  /** What stands no more was reversed; what stands now was given. */
  #count(
    payment: Payment,
    { before, where }: { readonly before: Payment | undefined; readonly where: SettlementDay },
  ): void {
    const { operation, currency = "" } = payment;
    const totals = this.totals({ ...where, currency });
    const [given, back] =
      operation === "purchase" ? (["debits", "debitReversals"] as const) : (["credits", "creditReversals"] as const);
    const [was, is] = [before ? postedBy(before) : new Map<string, bigint>(), postedBy(payment)];
    const counted = {
      ...totals,
      [back]: withMore(totals[back], was, is),
      [given]: withMore(totals[given], is, was),
    };
    this.#totals.set(totalsName(totals), counted);
    this.#onChange({ totals: counted });
  }
}

/** What a payment takes from its account, or gives to it. */
export interface Standing {
  readonly postedMinor: bigint;
  readonly heldMinor: bigint;
}
const NONE: Standing = { postedMinor: 0n, heldMinor: 0n };

/**
 * An approval that was told stands over the attempts; without one, and where it was withdrawn, each approved attempt counts
 * until it is reversed.
 */
export function standing(payment: Payment): Standing {
  const sum = (of: MessageClass) =>
    counting(payment)
      .filter(([, one]) => one.of === of)
      .reduce((total, [, { minor }]) => total + minor, 0n);
  return { postedMinor: sum("financial"), heldMinor: sum("authorisation") };
}

type Counting = Pick<NonNullable<Payment["advice"]>, "of" | "minor">;
/** By attempt; `0` is what was told of none. */
const counting = ({ advice, attempts }: Payment): readonly (readonly [string, Counting])[] =>
  advice && !advice.withdrawn
    ? [[String(advice.attempt ?? 0), advice]]
    : Object.entries(attempts).filter(([, { state }]) => state === "approved");

const postedBy = (payment: Payment): ReadonlyMap<string, bigint> =>
  new Map(counting(payment).flatMap(([name, { of, minor }]) => (of === "financial" ? [[name, minor] as const] : [])));

/** Each that is in these and not, or with another amount, in the others. */
const withMore = (total: Counted, these: ReadonlyMap<string, bigint>, others: ReadonlyMap<string, bigint>): Counted =>
  [...these].filter(([name, minor]) => others.get(name) !== minor).reduce((sum, [, minor]) => plus(sum, minor), total);

const plus = ({ count, minor }: Counted, more: bigint): Counted => ({ count: count + 1, minor: minor + more });

/** Unsalted: the numbers are those of test cards, and what the books say is to be the same each time. */
const cardOf = (pan: string): string => createHash("sha256").update(pan).digest("hex");

const PAN_FIRST = 6;
const PAN_LAST = 4;
const maskedPan = (pan: string): string =>
  `${pan.slice(0, PAN_FIRST)}${"*".repeat(Math.max(pan.length - PAN_FIRST - PAN_LAST, 0))}${pan.slice(-PAN_LAST)}`;

const paymentName = ({ terminalId, paymentId }: PaymentKey): string => `${terminalId}/${paymentId}`;
const totalsName = ({ acquirerId, currency, day }: SettlementDay & { readonly currency: string }): string =>
  `${acquirerId}/${currency}/${day}`;
