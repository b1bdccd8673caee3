import { expect, test } from "vitest";
import { denyList, MemoryJournal, signedLease } from "../../test/rules/lease-fixture.ts";
import { LeaseSchema } from "../../wire/lease.ts";
import { parseJson, type Signed } from "../../wire/signing.ts";
import { keepLease, recallLease } from "./kept-lease.ts";

const LONG = Array.from({ length: 5_000 }, (_, n) => n.toString(16).padStart(64, "0"));

class Written extends MemoryJournal {
  characters = 0;
  override keep(...[fact, text]: Parameters<MemoryJournal["keep"]>): Promise<void> {
    this.characters += text.length;
    return super.keep(fact, text);
  }
}
const parts = (signed: Signed, withdrawn = false) => ({
  signed,
  lease: LeaseSchema.parse(parseJson(signed.text)),
  withdrawn,
});

test.each([0, 1, 49, 50, 5_000])(
  "a lease with %d denied comes back to the letter, also when withdrawn",
  async (count) => {
    for (const withdrawn of [false, true]) {
      const journal = new MemoryJournal();
      const signed = signedLease({ denyList: denyList(...LONG.slice(0, count)) });
      await keepLease(journal, parts(signed, withdrawn));
      expect(recallLease(journal)).toEqual({ signed, withdrawn });
    }
  },
);

test("a renewal writes a full deny list once, and again only when it has changed", async () => {
  const journal = new Written();
  await keepLease(journal, parts(signedLease({ denyList: denyList(...LONG) })));
  journal.characters = 0;
  const renewed = signedLease({ counter: 2, denyList: denyList(...LONG) });
  await keepLease(journal, parts(renewed));
  expect(journal.characters).toBeLessThan(2_000);
  expect(recallLease(journal)?.signed).toEqual(renewed);
  const changed = signedLease({ counter: 3, denyList: denyList(...LONG.slice(1)) });
  await keepLease(journal, parts(changed));
  expect(recallLease(journal)?.signed).toEqual(changed);
});

test("a lease kept by an earlier version is read, a damaged or missing list is never a lease that holds", async () => {
  const journal = new MemoryJournal();
  const signed = signedLease({ denyList: denyList(...LONG) });
  journal.kept.set("lease", JSON.stringify({ lease: signed }));
  expect(recallLease(journal)).toEqual({ signed, withdrawn: false });
  await keepLease(journal, parts(signed));
  for (const damage of [() => journal.kept.delete("deny-list"), () => journal.kept.set("deny-list", "[]")]) {
    damage();
    expect(recallLease(journal)?.signed.text).not.toBe(signed.text);
  }
  journal.kept.set("lease", "{");
  expect(recallLease(journal)).toBeUndefined();
});
