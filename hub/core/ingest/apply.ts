/**
 * Applies a batch: each entry once, and what cannot be taken is set aside so that the rest moves on. A batch shares one
 * savepoint; only where an entry breaks is it done again with one for each.
 */
import { reasonOf } from "../../../base/fault.ts";
import type { Fields, Log } from "../../../base/log.ts";
import { type Sqlite, transaction } from "../../../base/sqlite.ts";
import type { EntryReceipt } from "../../../wire/advice.ts";
import type { EntryBody, EntryOf } from "../../../wire/journal-entry.ts";
import { isStoreFailure } from "../../store/failure.ts";
import type { Authorisation, EntryOutcome } from "../authorisation/index.ts";
import type { CheckedEntry, GoodEntry, WrongEntry } from "./check.ts";
import type { Findings } from "./findings.ts";
import { createNumbers, type Numbers } from "./numbers.ts";
import type { QuarantineStore, SetAside, SetAsideResult } from "./quarantine-store.ts";
import type { IngestStore, KnownEntry, Source } from "./store.ts";

export interface ApplyParts {
  readonly database: Sqlite;
  readonly log: Log;
  readonly authorisation: Authorisation;
  readonly store: IngestStore;
  readonly quarantine: QuarantineStore;
  readonly findings: Findings;
}

export interface Applied {
  readonly results: readonly EntryReceipt[];
  readonly watermark: number;
}

export interface ApplyInput {
  readonly source: Source;
  readonly entries: readonly CheckedEntry[];
  readonly watermark: number;
  readonly now: number;
}

/** Within the caller's transaction. */
export function applyBatch(parts: ApplyParts, input: ApplyInput): Applied {
  try {
    return finish(
      transaction(parts.database, () => parts.authorisation.batched(() => applyAll(parts, input, (_, work) => work()))),
    );
  } catch (error) {
    if (isStoreFailure(error)) throw error;
    return finish(applyAll(parts, input, apart));
  }
}

interface Done extends Applied {
  readonly said: readonly (() => void)[];
}

/** Speaks only of what stands. */
function finish({ said, ...applied }: Done): Applied {
  for (const say of said) say();
  return applied;
}

/** Runs what an entry does, and says what became of it. */
type Guard = (applier: Applier, work: () => EntryOutcome) => EntryOutcome;

/** An entry that breaks the hub is undone and set aside alone. */
function apart(applier: Applier, work: () => EntryOutcome): EntryOutcome {
  try {
    return transaction(applier.database, work);
  } catch (error) {
    if (isStoreFailure(error)) throw error;
    applier.complain("an entry broke the hub and was set aside", { reason: reasonOf(error) });
    return { status: "quarantined", reason: "E_UNAVAILABLE", detail: reasonOf(error).slice(0, DETAIL_MAX) };
  }
}

function applyAll(parts: ApplyParts, input: ApplyInput, guard: Guard): Done {
  const { store, findings, log } = parts;
  const { source, now } = input;
  const said: (() => void)[] = [];
  const numbers = createNumbers({ store, ...input });
  const setAsideOpen = parts.quarantine.anyOpen(source);
  const applier: Applier = {
    ...parts,
    source,
    now,
    numbers,
    guard,
    setAsideOpen,
    ...lookUp(store, input),
    complain: (message, fields) => void said.push(() => log.error(message, { ...source, ...fields })),
  };
  const results = input.entries.map((checked) => applyEntry(applier, checked));
  if (numbers.save()) findings.whole(source, now);
  return { results, watermark: numbers.watermark, said };
}

interface Applier extends ApplyParts {
  readonly source: Source;
  readonly now: number;
  readonly numbers: Numbers;
  readonly guard: Guard;
  /** Whether anything of this epoch waits for a person. */
  readonly setAsideOpen: boolean;
  known(sequence: number): KnownEntry | undefined;
  learn(entry: KnownEntry): void;
  complain(message: string, fields: Fields): void;
}

/** The longest `detail` of a receipt. */
const DETAIL_MAX = 200;
/** A batch's sequences lie close together, with those between that are not forwarded; wider ones are looked up one by one. */
const SPAN_MAX = 1_000;

/** What is held of the batch's sequences and of those before them, by one look for all. */
function lookUp(store: IngestStore, { source, entries }: ApplyInput): Pick<Applier, "known" | "learn"> {
  const sequences = entries.map(({ entry }) => entry.sequence);
  const [first, last] = [Math.min(...sequences) - 1, Math.max(...sequences)];
  const near = last - first <= SPAN_MAX;
  const held = new Map<number, KnownEntry>();
  if (near) for (const row of store.knownBetween(source, first, last)) held.set(row.sequence, row);
  return {
    known: (sequence) => held.get(sequence) ?? (near ? undefined : store.known(source, sequence)),
    learn: (entry) => void held.set(entry.sequence, entry),
  };
}

function applyEntry(applier: Applier, checked: CheckedEntry): EntryReceipt {
  const { entry } = checked;
  const known = applier.known(entry.sequence);
  if (known?.hash === entry.hash)
    return known.status === "quarantined" ? again(applier, checked, known) : repeat(known);
  if (known) return setFork(applier, checked, { held: known, why: "another entry has this sequence" });
  const before = applier.known(entry.sequence - 1);
  if (before && before.hash !== entry.previousHash)
    return setFork(applier, checked, { why: "its previous hash is not that of the entry before it" });
  return "wrong" in checked ? setWrong(applier, checked) : takeEntry(applier, checked);
}

const repeat = (known: KnownEntry): EntryReceipt => ({
  sequence: known.sequence,
  hash: known.hash,
  status: known.status === "processed" ? "duplicate" : known.status,
  ...(known.paymentId === null ? {} : { paymentId: known.paymentId }),
  ...(known.reason === null ? {} : { reason: known.reason }),
  ...(known.detail === null ? {} : { detail: known.detail }),
});

interface Fork {
  readonly held?: KnownEntry;
  readonly why: string;
}

/** Neither lost nor doubled: a person decides, and what he decided is the answer from then on. */
function setFork(applier: Applier, checked: CheckedEntry, { held, why }: Fork): EntryReceipt {
  const { entry } = checked;
  const decided = applier.quarantine.find(applier.source, entry)?.closed;
  if (decided)
    return receiptOf(checked, decided.status === "processed" ? { ...decided, status: "duplicate" } : decided);
  const receipt = receiptOf(checked, { status: "quarantined", reason: "E_CONFLICT", detail: why });
  putAside(applier, checked, receipt);
  applier.findings.fork(applier.source, { sequence: entry.sequence, held }, applier.now);
  applier.numbers.hold(entry.forward);
  return receipt;
}

/** Its content cannot be believed or read, so its place stays free for the right one. */
function setWrong(applier: Applier, checked: WrongEntry): EntryReceipt {
  const receipt = receiptOf(checked, { status: "quarantined", reason: checked.wrong, detail: checked.why });
  putAside(applier, checked, receipt);
  applier.numbers.hold(checked.entry.forward);
  return receipt;
}

function putAside(applier: Applier, checked: CheckedEntry, receipt: EntryReceipt): void {
  const { quarantine, source, now } = applier;
  const why = whyOf(checked, receipt);
  if (quarantine.put(source, checked.entry, why, now))
    applier.complain("an entry was set aside", { sequence: receipt.sequence, reason: receipt.detail });
}

const whyOf = (
  checked: CheckedEntry,
  { reason, detail }: EntryReceipt,
): Pick<SetAside, "reason" | "detail" | "card"> => ({
  reason: reason ?? "",
  detail: detail ?? "",
  ...("card" in checked && typeof checked.card === "object" ? { card: checked.card } : {}),
});

function takeEntry(applier: Applier, checked: GoodEntry): EntryReceipt {
  const { store, quarantine, source, now, numbers } = applier;
  const { entry, body } = checked;
  const receipt = receiptOf(
    checked,
    applier.guard(applier, () => dispatch(applier, checked)),
  );
  store.insert(source, entry, receipt, now);
  applier.learn(knownOf(receipt, now));
  if (receipt.status === "quarantined") putAside(applier, checked, receipt);
  else if (applier.setAsideOpen) closeAside(quarantine, { ...source, ...receipt }, now);
  warnOfLoss(applier, checked, receipt);
  numbers.hold(entry.forward);
  if (body.kind === "void") numbers.hold(body.voidedForward);
  return receipt;
}

/** What set it aside may be mended: a retry at the terminal, a key that is back. */
function again(applier: Applier, checked: CheckedEntry, known: KnownEntry): EntryReceipt {
  if ("wrong" in checked) return repeat(known);
  const { store, quarantine, source, now } = applier;
  const receipt = receiptOf(
    checked,
    applier.guard(applier, () => dispatch(applier, checked)),
  );
  store.settle(source, checked.entry, receipt);
  applier.learn(knownOf(receipt, now));
  const aside = quarantine.find(source, checked.entry);
  if (receipt.status !== "quarantined") closeAside(quarantine, { ...source, ...receipt }, now);
  else if (aside && !aside.closed) quarantine.say(aside.number, whyOf(checked, receipt));
  warnOfLoss(applier, checked, receipt);
  return receipt;
}

function closeAside(quarantine: QuarantineStore, receipt: Source & EntryReceipt, now: number): void {
  const aside = quarantine.find(receipt, receipt);
  if (!aside || aside.closed) return;
  const result: SetAsideResult = receipt;
  quarantine.close(aside.number, { ...result, at: now, by: "hub", why: "it came again and could be decided" });
}

const knownOf = (receipt: EntryReceipt, receivedAt: number): KnownEntry => ({
  sequence: receipt.sequence,
  hash: receipt.hash,
  status: receipt.status,
  reason: receipt.reason ?? null,
  detail: receipt.detail ?? null,
  paymentId: receipt.paymentId ?? null,
  receivedAt,
});

function warnOfLoss(applier: Applier, { body }: GoodEntry, { status, detail }: EntryReceipt): void {
  if (body.kind !== "decision" || !body.deferred || (status !== "declined" && status !== "expired")) return;
  applier.complain("a sale at the merchant's risk was refused", { paymentId: body.paymentId, reason: detail });
}

interface Dispatch {
  readonly authorisation: Authorisation;
  readonly source: Source;
  readonly now: number;
}

/** What a good entry does. A deferred sale whose card data are gone cannot be asked for, nor can it be told to be unpaid. */
function dispatch(parts: Dispatch, checked: GoodEntry): EntryOutcome {
  const { entry, body } = checked;
  const erased = entry.sealedDigest !== undefined && entry.sealed === undefined;
  if (erased && body.kind === "decision" && body.deferred)
    return { status: "quarantined", reason: "E_STATE", detail: ERASED };
  const outcome = dispatchBody(parts, checked);
  if (!erased || outcome.status !== "processed" || outcome.detail === undefined) return outcome;
  return { ...outcome, detail: `${outcome.detail}: its card data did not come with it` };
}

const ERASED =
  "deferred: its card data did not come with it; accept it if the terminal holds a receipt that says processed, else drop it";

/** Exported for what a person accepts. */
export function dispatchBody(
  { authorisation, source, now }: Dispatch,
  { body, card }: Pick<GoodEntry, "body" | "card">,
) {
  const input = <Body extends EntryBody>(of: Body) => ({
    key: { terminalId: source.terminalId, paymentId: of.paymentId },
    body: of,
    now,
  });
  switch (body.kind) {
    case "decision":
      return authorisation.advice({ ...input<EntryOf<"decision">>(body), card });
    case "reversal":
      return authorisation.reversal(input(body));
    case "void":
      return authorisation.void(input(body));
    case "intent":
    case "online-requested":
    case "online-unknown":
    case "print-intent":
    case "printed":
    case "signature":
    case "queue-action":
      return {
        status: "quarantined",
        reason: "E_FORMAT",
        detail: `kind: the hub has no use for ${body.kind}`,
      } as const;
  }
}

const receiptOf = (checked: CheckedEntry, { status, reason, detail }: SetAsideResult): EntryReceipt => ({
  sequence: checked.entry.sequence,
  hash: checked.entry.hash,
  status,
  ...("body" in checked ? { paymentId: checked.body.paymentId } : {}),
  ...(reason === undefined ? {} : { reason }),
  ...(detail === undefined ? {} : { detail: detail.slice(0, DETAIL_MAX) }),
});
