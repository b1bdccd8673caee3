/** EMV Book 3, 10.6.1: an amount is not split under the floor limit, as what a card owes here offline adds up. */
import { expect, test } from "vitest";
import { fromHex } from "../../base/bytes.ts";
import { decodeTlv, findValue } from "../../protocols/emv/ber-tlv.ts";
import { hasBit, TVR } from "../../protocols/emv/bits.ts";
import { Till } from "./till.ts";

const exceeded = (iccData: string | undefined): boolean => {
  const tvr = findValue(decodeTlv(fromHex(iccData ?? "")), 0x95);
  return tvr !== undefined && hasBit(tvr, TVR.floorLimitExceeded);
};

test("what the same card bought offline counts until the hub's receipt, and not after it", async () => {
  await using till = new Till({ emv: { floorLimitMinor: 2_000 } });
  till.hub.state = "down";
  const first = await till.sell("P-1", 1_500n);
  expect([first.status, exceeded(first.card?.iccData)]).toEqual(["approved", false]);
  const second = await till.sell("P-2", 600n);
  expect(exceeded(second.card?.iccData)).toBe(true);
  const waiting = till.journal.nextToForward(10);
  await till.journal.settle(waiting.map(({ sequence, hash }) => ({ sequence, hash, status: "processed" })));
  const third = await till.sell("P-3", 600n);
  expect(exceeded(third.card?.iccData)).toBe(false);
});
