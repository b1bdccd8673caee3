/**
 * Whose money an entry moves: entries of one account go to the hub in their order, entries of others move past them. Read
 * straight out of the stored text, without parsing it: the journal wrote it, and inside a JSON string a quote is never bare,
 * so `"cardToken":"` can be nothing but that key and the beginning of its value.
 */
import type { PaymentId } from "../../base/ids.ts";
import type { EntryBody } from "../../wire/journal-entry.ts";

const CARD_KEY = '"cardToken":"';
/** Hex of a SHA-256. */
const CARD_TOKEN_LENGTH = 64;
const DEVICE = /"deviceId":("(?:[^"\\]|\\.)*")/;

/** The card's token, or the id of the device that paid with a note (RM11); undefined where neither is said. */
export function payerIn(text: string): string | undefined {
  const card = text.indexOf(CARD_KEY);
  if (card >= 0) return text.slice(card + CARD_KEY.length, card + CARD_KEY.length + CARD_TOKEN_LENGTH);
  const device = text.includes('"deviceId":') ? DEVICE.exec(text)?.[1] : undefined;
  return device === undefined ? undefined : String(JSON.parse(device));
}

/** The same of an entry at hand. */
export function payerOf(body: EntryBody): string | undefined {
  return body.kind === "decision" ? (body.card?.cardToken ?? body.note?.deviceId) : undefined;
}

/** All names under which an entry must keep its order: its payment, and who pays. */
export function accountsIn(entry: { readonly paymentId: PaymentId; readonly text: string }): readonly string[] {
  const payer = payerIn(entry.text);
  return payer === undefined ? [`payment ${entry.paymentId}`] : [`payment ${entry.paymentId}`, `payer ${payer}`];
}
