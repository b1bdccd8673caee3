/** Who an entry's money belongs to, read out of its stored text. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import { decision } from "../journal/journal-fixture.ts";
import { accountsIn, payerIn, payerOf } from "./accounts.ts";
import { tokenOf } from "./saf-fixture.ts";

const card = (cardToken: string): NonNullable<EntryOf<"decision">["card"]> => ({
  entryMode: "chip",
  maskedPan: "476173******0010",
  cardToken,
  aid: "a0000000031010",
  label: "VISA",
  cryptogramType: "TC",
  iccData: "9f2701",
});
const note = (deviceId: string, text: string): NonNullable<EntryOf<"decision">["note"]> => ({
  allowanceId: "a-1",
  deviceId,
  counter: 1,
  note: text,
  countersignature: "AAAA",
});

test("what is read out of the text is what the entry says, whatever else is written in it", () => {
  const words = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.constantFrom('"cardToken":"', '","deviceId":"x"', '\\","cardToken":"', '{"deviceId":"y"}'),
  );
  const payer = fc.oneof(
    fc.constant({}),
    fc.string({ minLength: 1, maxLength: 8 }).map((name) => ({ card: card(tokenOf(name).slice(0, 64)) })),
    fc.tuple(fc.string({ minLength: 1, maxLength: 64 }), words).map(([id, text]) => ({ note: note(id, text) })),
  );
  fc.assert(
    fc.property(words, payer, (detail, paid) => {
      const body = decision("p-1", { detail, ...paid });
      expect(payerIn(JSON.stringify(body))).toBe(payerOf(body));
    }),
  );
});

test("an entry keeps its order with its payment's and its payer's others", () => {
  const token = tokenOf("a");
  const text = JSON.stringify(decision("p-1", { card: card(token) }));
  expect(accountsIn({ paymentId: "p-1" as PaymentId, text })).toEqual(["payment p-1", `payer ${token}`]);
  expect(accountsIn({ paymentId: "p-1" as PaymentId, text: "{}" })).toEqual(["payment p-1"]);
});
