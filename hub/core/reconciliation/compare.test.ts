import fc from "fast-check";
import { expect, test } from "vitest";
import type { PaymentId } from "../../../base/ids.ts";
import { currencyOf } from "../../../base/money.ts";
import { type Difference, QueueStateSchema, type SummaryEntry } from "../../../wire/reconciliation.ts";
import { type CompareInput, compareDay, type HubEntry } from "./compare.ts";

const EPOCH = "0".repeat(16);
const hashOf = (number: number) => number.toString(16).padStart(64, "0");
const idOf = (number: number) => `sale-${number}` as PaymentId;
const own = (number: number, changes: Partial<SummaryEntry> = {}): SummaryEntry => ({
  forward: number,
  sequence: number,
  hash: hashOf(number),
  paymentId: idOf(number),
  kind: "decision",
  state: "processed",
  minor: "1000",
  currency: currencyOf("EUR"),
  ...changes,
});
const held = (number: number, changes: Partial<HubEntry> = {}): HubEntry => ({
  epoch: EPOCH,
  sequence: number,
  hash: hashOf(number),
  state: "processed",
  paymentId: idOf(number),
  decidedMinor: 1_000n,
  ...changes,
});
const compare = (terminal: SummaryEntry[], hub: HubEntry[], changes: Partial<CompareInput> = {}) =>
  compareDay({ epoch: EPOCH, archivedThrough: 0, terminal, hub, postedMinor: () => 1_000n, ...changes });
const kinds = (differences: readonly Difference[]) =>
  differences.map(({ what, explained }) => [what, explained !== undefined]);

test("a day on which both tell the same agrees, what was voided before it was sent included", () => {
  expect(compare([own(1), own(2, { state: "voided" })], [held(1)])).toEqual({ agreed: 2, differences: [] });
});

test("each difference has its own name, and only what is known to be harmless or dealt with is explained", () => {
  const cases: readonly (readonly [SummaryEntry | undefined, HubEntry | undefined, string, boolean])[] = [
    [own(1), undefined, "missing-at-hub", false],
    [own(1, { state: "eligible" }), undefined, "not-sent", true],
    [own(1, { state: "forwarding" }), held(1), "other-state", true],
    [own(1, { state: "voided" }), held(1), "other-state", false],
    [own(1), held(1, { hash: hashOf(9) }), "other-hash", false],
    [own(1), held(1, { state: "declined" }), "other-state", false],
    [own(1, { state: "quarantined" }), held(1, { state: "quarantined", reason: "E_FORMAT" }), "quarantined", true],
    [own(1, { state: "quarantined" }), held(1, { closedWhy: "the box was found" }), "other-state", true],
    [undefined, held(1), "missing-at-terminal", false],
    [undefined, held(1, { state: "quarantined", detail: "a fork" }), "missing-at-terminal", true],
    [undefined, held(1, { epoch: "1".repeat(16) }), "missing-at-terminal", true],
  ];
  for (const [terminal, hub, what, explained] of cases) {
    const { agreed, differences } = compare(terminal ? [terminal] : [], hub ? [hub] : []);
    expect(kinds(differences)).toEqual([[what, explained]]);
    expect(agreed).toBe(0);
  }
  expect(kinds(compare([], [held(3)], { archivedThrough: 3 }).differences)).toEqual([["missing-at-terminal", true]]);
});

test("what the ledger moved is compared with what the terminal decided, and a second time is named", () => {
  const posted = (minor: bigint | undefined, entry: HubEntry) =>
    compare([own(1, { state: entry.state })], [entry], { postedMinor: () => minor }).differences;
  expect(posted(1_000n, held(1))).toEqual([]);
  expect(posted(2_000n, held(1))).toMatchObject([{ what: "posted-twice", agent: "1000", hub: "2000" }]);
  expect(posted(999n, held(1))).toMatchObject([{ what: "other-amount", agent: "1000", hub: "999" }]);
  expect(posted(undefined, held(1))).toMatchObject([{ what: "other-amount", hub: "0" }]);
  expect(posted(1_000n, held(1, { state: "declined" }))).toMatchObject([{ what: "other-amount", agent: "0" }]);
  expect(posted(undefined, held(1, { state: "declined" }))).toEqual([]);
  expect(posted(-1_000n, held(1, { decidedMinor: -1_000n }))).toEqual([]);
  expect(posted(-2_000n, held(1, { decidedMinor: -1_000n }))).toMatchObject([{ what: "posted-twice" }]);
});

test("every entry of either side agrees or is in exactly one difference; the unexplained come first", () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 30 }), { maxLength: 20 });
  const states = fc.constantFrom(...QueueStateSchema.options);
  fc.assert(
    fc.property(numbers, numbers, fc.array(states, { minLength: 31, maxLength: 31 }), (here, there, at) => {
      const terminal = here.map((number) => own(number, { state: at[number] ?? "processed" }));
      const { agreed, differences } = compare(
        terminal,
        there.map((number) => held(number)),
      );
      expect(agreed + differences.length).toBe(new Set([...here, ...there]).size);
      const explained = differences.map((difference) => difference.explained !== undefined);
      expect(explained).toEqual(explained.toSorted());
    }),
  );
});
