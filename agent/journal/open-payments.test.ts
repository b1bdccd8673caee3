/** What a restart must look at, without reading the years before. */
import { expect, test } from "vitest";
import { decision, id, intent } from "./journal-fixture.ts";
import { OpenPayments, UNPRINTED_MAX } from "./open-payments.ts";

test("a snapshot and what followed it say the same as everything from the start", () => {
  const all = [
    intent("p-1"),
    intent("p-2"),
    decision("p-1"),
    intent("p-3"),
    decision("p-2", { outcome: "declined" }),
    decision("p-3"),
  ];
  const whole = new OpenPayments();
  for (const body of all) whole.apply(body);
  for (let cut = 0; cut <= all.length; cut += 1) {
    const before = new OpenPayments();
    for (const body of all.slice(0, cut)) before.apply(body);
    const restored = new OpenPayments();
    expect(restored.restore(before.snapshot(cut), 0)).toBe(cut);
    for (const body of all.slice(cut)) restored.apply(body);
    expect([restored.undecided, restored.unprinted]).toEqual([whole.undecided, whole.unprinted]);
  }
});

test("a terminal without a printer keeps a bounded number of tickets to print: the newest", () => {
  const open = new OpenPayments();
  for (let count = 0; count < UNPRINTED_MAX + 5; count += 1) open.apply(decision(`p-${count}`));
  expect(open.unprinted).toHaveLength(UNPRINTED_MAX);
  expect([open.unprinted[0], open.unprinted.at(-1)]).toEqual([id("p-5"), id(`p-${UNPRINTED_MAX + 4}`)]);
  expect(new OpenPayments().restore(open.snapshot(9), 9)).toBe(9);
});

test("without a snapshot, or with one of another form, everything is read", () => {
  expect([new OpenPayments().restore(undefined, 0), new OpenPayments().restore('{"upTo":-1}', 0)]).toEqual([0, 0]);
});
