/** What an entry turns out to be by itself, found without the database. */
import { reasonOf } from "../../../base/fault.ts";
import type { TerminalId } from "../../../base/ids.ts";
import type { ForwardedEntry } from "../../../wire/advice.ts";
import { digestOfSealed } from "../../../wire/card-data.ts";
import type { ReasonCode } from "../../../wire/common.ts";
import { type EntryBody, EntryBodySchema, hashEntry } from "../../../wire/journal-entry.ts";
import { firstIssue, parseJson } from "../../../wire/signing.ts";
import type { Presented } from "../authorisation/index.ts";
import type { Source } from "./store.ts";

export interface GoodEntry {
  readonly entry: ForwardedEntry;
  readonly body: EntryBody;
  readonly card: Presented;
}
export interface WrongEntry {
  readonly entry: ForwardedEntry;
  readonly wrong: ReasonCode;
  readonly why: string;
}
export type CheckedEntry = GoodEntry | WrongEntry;

/** Opens the seal of an entry's card data. */
export type OpenCard = (entry: ForwardedEntry, paymentId: string, terminalId: TerminalId) => Presented;

/** Sealed data are checked where they are: a terminal erases them after the first receipt, and may have to send again (RM18). */
export function checkEntry(openCard: OpenCard, source: Source, entry: ForwardedEntry): CheckedEntry {
  const wrong = (reason: ReasonCode, why: string): CheckedEntry => ({ entry, wrong: reason, why });
  const { terminalId, epoch } = source;
  const { sequence, forward, previousHash, sealedDigest, text } = entry;
  if (hashEntry({ terminalId, epoch, sequence, forward, previousHash, sealedDigest, text }) !== entry.hash)
    return wrong("E_SIG", "the hash does not fit the content");
  if (entry.sealed && sealedDigest !== digestOfSealed(entry.sealed))
    return wrong("E_SIG", "the sealed card data do not fit their digest");
  if (forward === undefined) return wrong("E_FORMAT", "forward: an entry of the queue has a number");
  try {
    const parsed = EntryBodySchema.safeParse(parseJson(text));
    if (!parsed.success) return wrong("E_FORMAT", firstIssue(parsed.error));
    const body = parsed.data;
    return { entry, body, card: entry.sealed && openCard(entry, body.paymentId, terminalId) };
  } catch (error) {
    return wrong("E_FORMAT", reasonOf(error));
  }
}
