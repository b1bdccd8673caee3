import { expect, test } from "vitest";
import { fromHex, toHex } from "../../../base/bytes.ts";
import type { Tag } from "../ber-tlv.ts";
import type { TransactionSettings } from "./kernel.ts";
import { transactionOf } from "./transaction-fixture.ts";
import { terminalValues } from "./values.ts";

function terminalValue(tag: Tag, changed: Partial<TransactionSettings>): string {
  const { terminal, settings, application, aid, label, tvr, tsi } = transactionOf({ settings: changed });
  const selected = { application, aid, label, fci: [] };
  return toHex(terminalValues({ terminal, settings, selected, tvr, tsi }).get(tag) ?? fromHex(""));
}

// Book 4, 6.5.5.
test.each([
  [1, "00000001"],
  [99_999_999, "99999999"],
  [100_000_000, "00000001"],
  [199_999_998, "99999999"],
  [0, "99999999"],
])("the sequence counter %i is given as %s, and never as zero", (sequenceCounter, expected) => {
  expect(terminalValue(0x9f41, { sequenceCounter })).toBe(expected);
});

// Book 3, Annex A1.
test.each([
  [0x9f02, 4_294_967_296n, "004294967296"],
  [0x81, 4_294_967_295n, "ffffffff"],
  [0x81, 4_294_967_296n, "ffffffff"],
])("amount %i of %i minor units is %s", (tag, amountMinor, expected) => {
  expect(terminalValue(tag, { amountMinor })).toBe(expected);
});

test("the AID is the whole name that the card confirmed", () => {
  expect(terminalValue(0x9f06, {})).toBe("f054494c4c574159");
});
