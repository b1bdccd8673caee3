/** RM13 at the till: a card that wants a signature, from the sale to the cashier's word. */
import { expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { Till } from "./till.ts";

const id = "P-1" as PaymentId;

function signingTill(): Till {
  const till = new Till({ emv: { signature: true } });
  till.slot.profile = "signature";
  return till;
}
const cutsOf = (till: Till, index: number) =>
  till.paper.documents[index]?.lines.filter(({ kind }) => kind === "cut").length;

test("RM13 a shop that takes signatures prints its own ticket first, and only once", async () => {
  await using till = signingTill();
  expect(await till.sell("P-1")).toMatchObject({ status: "approved", card: { signature: true } });
  await till.printed("P-1");
  expect(cutsOf(till, 0)).toBe(1);
  expect(await till.desk.checkSignature({ id, accepted: true })).toMatchObject({ ok: true });
  await till.desk.reprint(id);
  expect(till.paper.documents).toHaveLength(2);
  expect(cutsOf(till, 1)).toBe(0);
  expect(till.desk.get(id)?.status).toBe("approved");
});

test("RM13 a refused signature takes the sale back while the hub has not heard of it", async () => {
  await using till = signingTill();
  await till.sell("P-1");
  expect(await till.desk.checkSignature({ id, accepted: false })).toMatchObject({
    ok: true,
    value: { status: "voided" },
  });
  expect(till.kinds("P-1")).toEqual(expect.arrayContaining(["decision", "signature", "void"]));
});

test("RM13 a shop that takes no signatures is asked for none by the same card", async () => {
  await using till = new Till();
  till.slot.profile = "signature";
  const sale = await till.sell("P-1");
  expect(sale.card?.signature).toBeUndefined();
  expect(await till.desk.checkSignature({ id, accepted: true })).toMatchObject({
    ok: false,
    error: { why: "not-asked" },
  });
  await till.printed("P-1");
  expect(cutsOf(till, 0)).toBe(0);
});
