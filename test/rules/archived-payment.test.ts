/** A payment whose entries have moved to an archive: its id is never sold under again. */
import { expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { money } from "../../base/money.ts";
import { Till } from "./till.ts";

const DAY_MS = 86_400_000;

test("RM4 a sale of long ago is known by its id: the same again gives its outcome, another is a conflict", async () => {
  await using till = new Till();
  await till.sell("p-old", 500n);
  await till.printed("p-old");
  const { journal } = till;
  for (let sale = 0; sale < 80; sale += 1) {
    await till.sell(`p-${sale}`, 100n);
    await till.printed(`p-${sale}`);
  }
  await journal.settle(
    journal.nextToForward(1_000).map(({ sequence, hash }) => ({ sequence, hash, status: "processed" })),
  );
  let archived: { readonly entries: number } | undefined;
  void journal.archive(till.clock.now() + DAY_MS, new AbortController().signal).then((outcome) => {
    archived = outcome;
  });
  // It works in slices, between the sales, and waits for real files: as many turns as a busy machine takes.
  while (!archived) await till.clock.advance(100);
  expect(archived.entries).toBeGreaterThan(0);
  expect(journal.entriesOf("p-old" as PaymentId)).toEqual([]);
  const id = "p-old" as PaymentId;
  expect(till.desk.get(id)).toMatchObject({ status: "approved", amount: money(500n, "EUR") });
  expect(till.desk.begin({ id, amount: money(500n, "EUR") })).toMatchObject({
    ok: true,
    value: { status: "approved" },
  });
  expect(await till.desk.void(id, undefined)).toMatchObject({
    error: { why: "already-processed", detail: expect.stringContaining("in an archive of the journal") },
  });
  expect(till.desk.begin({ id, amount: money(501n, "EUR") })).toEqual({
    ok: false,
    error: { why: "conflict", field: "amount.minor" },
  });
});
