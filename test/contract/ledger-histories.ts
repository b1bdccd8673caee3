/**
 * Random histories of the ledger, each from its seed: few ids, so that repeats, conflicts, refusals and resolutions are all
 * common. Written as plain functions of chance, because a hundred thousand operations are wanted in seconds.
 */
import { currencyOf } from "../../base/money.ts";
import { AMOUNT_MAX, type NewAccount, type NewTransfer } from "../../hub/core/ledger/model.ts";

/** An import says how long before the present it was. */
export type Dated<Event> = Omit<Event, "timestampUs"> & { readonly agoUs?: number };

export type Step =
  | { readonly step: "accounts"; readonly batch: readonly Dated<NewAccount>[] }
  | { readonly step: "transfers"; readonly batches: readonly (readonly Dated<NewTransfer>[])[]; readonly kept: boolean }
  | { readonly step: "wait"; readonly ms: number }
  | { readonly step: "expire"; readonly limit: number };

export const operationsIn = (step: Step): number => {
  if (step.step === "accounts") return step.batch.length;
  return step.step === "transfers" ? step.batches.reduce((sum, batch) => sum + batch.length, 0) : 1;
};

const [EUR, USD, NONE] = [currencyOf("EUR"), currencyOf("USD"), "" as ReturnType<typeof currencyOf>];
const MALFORMED = ["\ud800", "a\0b", "x".repeat(513)];

/** A stream of chance from a seed (mulberry32). */
class Chance {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }

  below(most: number): number {
    this.#state = (this.#state + 0x6d_2b_79_f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % most;
  }

  oneIn = (many: number): boolean => this.below(many) === 0;
  from = <T>(...values: readonly T[]): T => values[this.below(values.length)] as T;
  list = <T>(most: number, make: () => T): T[] => Array.from({ length: 1 + this.below(most) }, make);
  /** Hardly ever one of `odds`. */
  odd = <T>(value: T, odds: readonly T[]): T => (this.oneIn(30) ? this.from(...odds) : value);
  flag = (many: number): true | undefined => (this.oneIn(many) ? true : undefined);
  seldom = <T>(many: number, make: () => T): T | undefined => (this.oneIn(many) ? make() : undefined);
}

/** Without what is undefined: absent is absent. */
const tidy = <T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;

const accountId = (c: Chance) => c.odd(`a${c.below(8)}`, ["", ...MALFORMED]);
/** Holds and moves take their ids from ranges that overlap a little, so that most resolutions find a hold. */
const holdId = (c: Chance) => c.odd(`t${c.below(10)}`, ["", ...MALFORMED]);
const code = (c: Chance) => c.odd(c.from(1, 1, 1, 2), [0, -1, 1.5, 65_536]);
const reference = (c: Chance) => c.seldom(4, () => c.odd(c.from("one", "two", ""), ["\ud800"]));
const agoUs = (c: Chance) =>
  c.oneIn(12) ? c.from(-5_000_000, 0.5, Number.NaN, Number.MAX_SAFE_INTEGER) : 1 + c.below(3_000);
const amount = (c: Chance): bigint => {
  if (!c.oneIn(8)) return BigInt(c.below(41));
  return c.from(AMOUNT_MAX, AMOUNT_MAX - 1n, AMOUNT_MAX / 2n, AMOUNT_MAX / 3n, 10n ** 20n, AMOUNT_MAX + 1n, -1n);
};
/** What an import says, in a batch of imports; hardly ever it is the other way round. */
const dated = (c: Chance, imported: boolean) => ({
  imported: c.oneIn(20) !== imported ? true : undefined,
  agoUs: imported || c.oneIn(60) ? agoUs(c) : undefined,
});

const newAccount = (c: Chance, imported: boolean): Dated<NewAccount> =>
  tidy({
    id: accountId(c),
    currency: c.odd(c.from(EUR, EUR, EUR, EUR, USD), [NONE]),
    code: code(c),
    limit: c.from("none", "none", "debits-must-not-exceed-credits", "credits-must-not-exceed-debits"),
    reference: reference(c),
    linked: c.flag(6),
    history: c.flag(3),
    closed: c.flag(30),
    ...dated(c, imported),
  });

function newMove(c: Chance, imported: boolean): Dated<NewTransfer> {
  const kind = c.from("single", "pending");
  return tidy({
    id: kind === "pending" ? holdId(c) : `t${8 + c.below(55)}`,
    kind,
    debitAccount: accountId(c),
    creditAccount: accountId(c),
    amount: amount(c),
    code: code(c),
    currency: c.seldom(6, () => c.odd(c.from(EUR, EUR, EUR, USD), [NONE])),
    reference: reference(c),
    pendingId: c.seldom(60, () => holdId(c)),
    timeoutMs: c.seldom(imported ? 12 : 4, () => c.odd(c.from(0, 1, 3, 20, 20, Number.MAX_SAFE_INTEGER), [-1, 0.5])),
    linked: c.flag(6),
    balancingDebit: c.flag(10),
    balancingCredit: c.flag(10),
    closingDebit: c.flag(30),
    closingCredit: c.flag(30),
    ...dated(c, imported),
  });
}

function newResolution(c: Chance, imported: boolean): Dated<NewTransfer> {
  const id = c.odd(`t${62 + c.below(30)}`, ["", ...MALFORMED]);
  return tidy({
    id,
    kind: c.from("post-pending", "void-pending"),
    pendingId: c.oneIn(20) ? c.from(id, `t${62 + c.below(30)}`) : holdId(c),
    amount: c.seldom(3, () => amount(c)),
    debitAccount: c.seldom(6, () => accountId(c)),
    creditAccount: c.seldom(6, () => accountId(c)),
    code: c.seldom(4, () => code(c)),
    currency: c.seldom(6, () => c.from(EUR, EUR, USD)),
    reference: reference(c),
    timeoutMs: c.seldom(30, () => c.from(0, 5)),
    linked: c.flag(6),
    balancingDebit: c.flag(60),
    closingCredit: c.flag(60),
    ...dated(c, imported),
  });
}

function transfers(c: Chance): readonly Dated<NewTransfer>[] {
  const imported = c.oneIn(5);
  const made: Dated<NewTransfer>[] = [];
  // Some come twice, as they were or nearly.
  const one = (): Dated<NewTransfer> => {
    const before = c.oneIn(8) ? made.at(-1) : undefined;
    if (before) return c.oneIn(2) ? before : ({ ...before, ...newDifference(c, before) } as Dated<NewTransfer>);
    return c.below(5) < 3 ? newMove(c, imported) : newResolution(c, imported);
  };
  for (let left = 1 + c.below(5); left > 0; left -= 1) made.push(one());
  return made;
}

const newDifference = (c: Chance, { kind }: Dated<NewTransfer>): object =>
  c.from<() => object>(
    () => ({ amount: amount(c) }),
    () => ({ code: kind === "single" || kind === "pending" ? 2 : 1 }),
    () => ({ currency: USD }),
    () => ({ reference: "three" }),
    () => ({ timeoutMs: 7 }),
    () => ({ debitAccount: accountId(c) }),
    () => ({ creditAccount: accountId(c) }),
    () => ({ balancingDebit: true }),
  )();

function step(c: Chance): Step {
  const which = c.below(16);
  if (which < 2) {
    const imported = c.oneIn(3);
    return { step: "accounts", batch: c.list(4, () => newAccount(c, imported)) };
  }
  // Clocks go back too.
  if (which < 5) return { step: "wait", ms: c.below(9) - 2 };
  if (which < 6) return { step: "expire", limit: c.from(1, 100) };
  return { step: "transfers", batches: c.list(3, () => transfers(c)), kept: c.oneIn(2) };
}

/** Every history begins with accounts, so that most of it has something to move between. */
export function historyFrom(seed: number): readonly Step[] {
  const c = new Chance(seed);
  const batch = Array.from({ length: 12 }, () => newAccount(c, false));
  return [{ step: "accounts", batch }, ...c.list(60, () => step(c))];
}
