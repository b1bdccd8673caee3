/** A journal in a folder of its own, and entries to put into it, for the tests beside it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ManualClock } from "../../base/clock.ts";
import { type PaymentId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { currencyOf } from "../../base/money.ts";
import type { EntryReceipt } from "../../wire/advice.ts";
import type { SealedCardData } from "../../wire/card-data.ts";
import type { EntryBody, EntryOf, StoredEntry } from "../../wire/journal-entry.ts";
import { newSigningKeys } from "../../wire/signing.ts";
import type { Journal, NewEntry } from "./journal.ts";
import { type OpenJournalOptions, openJournal } from "./sqlite-journal.ts";

export const TERMINAL = "shop-1" as TerminalId;
export const AT = "2026-01-05T09:00:00.000Z";
/** A day of sales that are due to be archived, as all is that came before the other. */
export const OLD = "2025-09-01T09:00:00.000Z";
export const BEFORE_MS = Date.parse("2025-10-01T00:00:00.000Z");
export const KEYS = newSigningKeys();
export const never = new AbortController().signal;
export const id = (text: string): PaymentId => text as PaymentId;

export class JournalFolder implements Disposable {
  readonly clock = new ManualClock();
  readonly folder = mkdtempSync(join(tmpdir(), "journal-"));
  readonly path = join(this.folder, "journal.db");

  open(terminalId = TERMINAL, more: Partial<OpenJournalOptions> = {}): Journal {
    const common = { clock: this.clock, random: systemRandom, log: silentLog };
    return openJournal({ path: this.path, terminalId, ...common, ...more });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const intent = (payment: string, minor = "1250"): EntryOf<"intent"> => ({
  kind: "intent",
  paymentId: id(payment),
  at: AT,
  operation: "purchase",
  amount: { minor, currency: currencyOf("EUR") },
});
export const decision = (payment: string, more: Partial<EntryOf<"decision">> = {}): EntryOf<"decision"> => ({
  kind: "decision",
  paymentId: id(payment),
  at: AT,
  outcome: "approved",
  mode: "offline",
  operation: "purchase",
  amount: { minor: "1250", currency: currencyOf("EUR") },
  attempts: [],
  businessDate: "2026-01-05",
  ...more,
});
export const sealedFor = (filler: number): SealedCardData => ({
  keyId: "hub-1",
  enc: Buffer.alloc(32, filler).toString("base64"),
  ciphertext: Buffer.from(systemRandom(90)).toString("base64"),
});
export const advice = (payment: string, sealed = sealedFor(1)): NewEntry => ({
  body: decision(payment),
  forward: true,
  sealed,
});
export const voiding = (target: Pick<StoredEntry, "sequence" | "forward">, payment: string): EntryOf<"void"> => ({
  kind: "void",
  paymentId: id(payment),
  at: AT,
  voidedSequence: target.sequence,
  voidedForward: target.forward ?? 0,
  amount: { minor: "1250", currency: currencyOf("EUR") },
  attempts: [],
});
export const receipt = (entry: StoredEntry, status: EntryReceipt["status"] = "processed"): EntryReceipt => ({
  sequence: entry.sequence,
  hash: entry.hash,
  status,
});
export const one = async (journal: Journal, entry: NewEntry): Promise<StoredEntry> => {
  const [stored] = await journal.append([entry]);
  if (!stored) throw new Error("nothing was stored");
  return stored;
};
export const printed = (payment: string, at = AT): EntryBody => ({
  kind: "printed",
  paymentId: id(payment),
  at,
  print: 1,
  result: "proven",
});
export const sale = (payment: string, at = AT): readonly [NewEntry, NewEntry, NewEntry] => [
  { body: { ...intent(payment), at } },
  { body: decision(payment, { at }), forward: true, sealed: sealedFor(1) },
  { body: printed(payment, at) },
];

export const SALES = 200;
/** So many old sales that the hub has, and after them as many of today; then all is checked. */
export async function soldOldAndNew(
  journal: Journal,
  { clock }: JournalFolder,
  leave: (payment: string) => boolean = () => false,
): Promise<void> {
  for (const [name, at] of [
    ["old", OLD],
    ["new", AT],
  ] as const) {
    const names = Array.from({ length: SALES }, (_, n) => `${name}-${n}`);
    const stored = await journal.append(names.flatMap((payment) => sale(payment, at)));
    const waiting = stored.filter(({ forward }) => forward !== undefined);
    await journal.settle(waiting.filter((_, n) => !leave(names[n] ?? "")).map((entry) => receipt(entry)));
  }
  await clock.advance(5_000);
}

/** Lets time pass until the work is done. */
export async function passing<T>(work: Promise<T>, folder: JournalFolder): Promise<T> {
  let done = false;
  const ended = work.finally(() => {
    done = true;
  });
  ended.catch(() => undefined);
  for (let turn = 0; turn < 20_000 && !done; turn += 1) await folder.clock.advance(25);
  return ended;
}
