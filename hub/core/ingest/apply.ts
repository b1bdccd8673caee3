/**
 * Applies a batch: each entry once, and what cannot be taken is set aside so that the rest moves on. A batch shares one
 * savepoint; only where an entry breaks is it done again with one for each.
 */
import { reasonOf } from "../../../base/fault.ts";
import type { Fields, Log } from "../../../base/log.ts";
import type { EntryReceipt } from "../../../wire/advice.ts";
import type { EntryBody, EntryOf } from "../../../wire/journal-entry.ts";
import { isStoreFailure } from "../../store/failure.ts";
import type { Reading, Within } from "../../store/store.ts";
import type { Authorisation, EntryOutcome } from "../authorisation/index.ts";
import type { CheckedEntry, GoodEntry, WrongEntry } from "./check.ts";
import type { Findings } from "./findings.ts";
import { holdNumbers } from "./numbers.ts";
import { quarantineStore, type SetAsideResult, type WhySetAside } from "./quarantine-store.ts";
import { ingestStore, type KnownEntry, type Source } from "./store.ts";

export interface ApplyParts {
  readonly log: Log;
  readonly authorisation: Authorisation;
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

export async function applyBatch(within: Within, parts: ApplyParts, input: ApplyInput): Promise<Applied> {
  const batch = { ...parts, ...input, within };
  try {
    const together = () => applyAll({ ...batch, guard: (_, work) => work() });
    return finish(await within.savepoint(() => parts.authorisation.batched(within, together)));
  } catch (error) {
    if (isStoreFailure(error)) throw error;
    return finish(await applyAll({ ...batch, guard: apart }));
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

/** An entry that breaks the hub is undone and set aside alone. */
async function apart(applier: Applier, work: () => Promise<EntryOutcome>): Promise<EntryOutcome> {
  try {
    return await applier.within.savepoint(work);
  } catch (error) {
    if (isStoreFailure(error)) throw error;
    applier.complain("an entry broke the hub and was set aside", { reason: reasonOf(error) });
    return { status: "quarantined", reason: "E_UNAVAILABLE", detail: reasonOf(error).slice(0, DETAIL_MAX) };
  }
}

interface Batch extends ApplyParts, ApplyInput {
  readonly within: Within;
  /** Runs what an entry does, and says what became of it. */
  guard(applier: Applier, work: () => Promise<EntryOutcome>): Promise<EntryOutcome>;
}

async function applyAll(batch: Batch): Promise<Done> {
  const { within, source, now, findings, log } = batch;
  const said: (() => void)[] = [];
  const numbers: number[] = [];
  const applier: Applier = {
    ...batch,
    known: await lookUp(within, batch),
    setAsideOpen: await quarantineStore.anyOpen(within, source),
    hold(forward) {
      if (forward !== undefined) numbers.push(forward);
    },
    complain: (message, fields) => void said.push(() => log.error(message, { ...source, ...fields })),
  };
  const results: EntryReceipt[] = [];
  for (const checked of batch.entries) results.push(await applyEntry(applier, checked));
  const { watermark, whole } = await holdNumbers(within, { ...batch, held: numbers });
  if (whole) await findings.whole(within, source, now);
  return { results, watermark, said };
}

interface Applier extends Batch {
  /** What is held, by sequence, of the batch's entries and of those before them. */
  readonly known: Map<number, KnownEntry>;
  /** Whether anything of this epoch waits for a person. */
  readonly setAsideOpen: boolean;
  /** This number is held, whatever became of its entry. */
  hold(forward: number | undefined): void;
  complain(message: string, fields: Fields): void;
}

/** The longest `detail` of a receipt. */
const DETAIL_MAX = 200;
/** A batch's sequences lie close together, with those between that are not forwarded; wider ones are looked up one by one. */
const SPAN_MAX = 1_000;

async function lookUp(reading: Reading, { source, entries }: ApplyInput): Promise<Map<number, KnownEntry>> {
  const sequences = entries.map(({ entry }) => entry.sequence);
  const ends = { first: Math.min(...sequences) - 1, last: Math.max(...sequences) };
  const known = new Map<number, KnownEntry>();
  const learn = (row: KnownEntry | undefined) => row && known.set(row.sequence, row);
  if (ends.last - ends.first <= SPAN_MAX)
    for (const row of await ingestStore.knownBetween(reading, source, ends)) learn(row);
  else
    for (const sequence of new Set(sequences.flatMap((own) => [own - 1, own])))
      learn(await ingestStore.known(reading, source, sequence));
  return known;
}

async function applyEntry(applier: Applier, checked: CheckedEntry): Promise<EntryReceipt> {
  const { entry } = checked;
  const known = applier.known.get(entry.sequence);
  if (known?.hash === entry.hash)
    return known.status === "quarantined" ? again(applier, checked, known) : repeat(known);
  if (known) return await setFork(applier, checked, { held: known, why: "another entry has this sequence" });
  const before = applier.known.get(entry.sequence - 1);
  if (before && before.hash !== entry.previousHash)
    return await setFork(applier, checked, { why: "its previous hash is not that of the entry before it" });
  return await ("wrong" in checked ? setWrong(applier, checked) : takeEntry(applier, checked));
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

/** What was decided of an entry that is held nowhere but among those set aside is the answer from then on. */
async function decidedOf({ within, source }: Applier, checked: CheckedEntry): Promise<EntryReceipt | undefined> {
  const decided = (await quarantineStore.find(within, source, checked.entry))?.closed;
  return decided && receiptOf(checked, decided.status === "processed" ? { ...decided, status: "duplicate" } : decided);
}

/** Neither lost nor doubled: a person decides. */
async function setFork(applier: Applier, checked: CheckedEntry, { held, why }: Fork): Promise<EntryReceipt> {
  const { within, source, now } = applier;
  const { entry } = checked;
  const decided = await decidedOf(applier, checked);
  if (decided) return decided;
  const receipt = receiptOf(checked, { status: "quarantined", reason: "E_CONFLICT", detail: why });
  await putAside(applier, checked, receipt);
  await applier.findings.fork(within, source, { sequence: entry.sequence, held, now });
  applier.hold(entry.forward);
  return receipt;
}

/** Its content cannot be believed or read, so its place stays free for the right one. */
async function setWrong(applier: Applier, checked: WrongEntry): Promise<EntryReceipt> {
  const decided = await decidedOf(applier, checked);
  if (decided) return decided;
  const receipt = receiptOf(checked, { status: "quarantined", reason: checked.wrong, detail: checked.why });
  await putAside(applier, checked, receipt);
  applier.hold(checked.entry.forward);
  return receipt;
}

async function putAside(applier: Applier, checked: CheckedEntry, receipt: EntryReceipt): Promise<void> {
  const { within, source, now } = applier;
  const aside = { entry: checked.entry, why: whyOf(checked, receipt), at: now };
  if (await quarantineStore.put(within, source, aside))
    applier.complain("an entry was set aside", { sequence: receipt.sequence, reason: receipt.detail });
}

const whyOf = (checked: CheckedEntry, { reason, detail }: EntryReceipt): WhySetAside => ({
  reason: reason ?? "",
  detail: detail ?? "",
  ...("card" in checked && typeof checked.card === "object" ? { card: checked.card } : {}),
});

async function takeEntry(applier: Applier, checked: GoodEntry): Promise<EntryReceipt> {
  const { within, source, now } = applier;
  const { entry, body } = checked;
  const receipt = receiptOf(checked, await applier.guard(applier, () => dispatch(applier, checked)));
  await ingestStore.insert(within, source, { entry, at: body.at, receipt, receivedAt: now });
  applier.known.set(entry.sequence, knownOf(receipt, now));
  if (receipt.status === "quarantined") await putAside(applier, checked, receipt);
  else if (applier.setAsideOpen) await closeAside(applier, receipt);
  warnOfLoss(applier, checked, receipt);
  applier.hold(entry.forward);
  if (body.kind === "void") applier.hold(body.voidedForward);
  return receipt;
}

/** What set it aside may be mended: a retry at the terminal, a key that is back. */
async function again(applier: Applier, checked: CheckedEntry, known: KnownEntry): Promise<EntryReceipt> {
  if ("wrong" in checked) return repeat(known);
  const { within, source, now } = applier;
  const receipt = receiptOf(checked, await applier.guard(applier, () => dispatch(applier, checked)));
  await ingestStore.settle(within, source, receipt);
  applier.known.set(receipt.sequence, knownOf(receipt, now));
  if (receipt.status === "quarantined") await sayWhyStill(applier, checked, receipt);
  else await closeAside(applier, receipt);
  warnOfLoss(applier, checked, receipt);
  return receipt;
}

async function sayWhyStill({ within, source }: Applier, checked: GoodEntry, receipt: EntryReceipt): Promise<void> {
  const aside = await quarantineStore.find(within, source, checked.entry);
  if (aside && !aside.closed) await quarantineStore.say(within, aside.number, whyOf(checked, receipt));
}

async function closeAside({ within, source, now }: Applier, receipt: EntryReceipt): Promise<void> {
  const aside = await quarantineStore.find(within, source, receipt);
  if (!aside || aside.closed) return;
  const result: SetAsideResult = receipt;
  const why = "it came again and could be decided";
  await quarantineStore.close(within, aside.number, { ...result, at: now, by: "hub", why });
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
  readonly within: Within;
  readonly authorisation: Authorisation;
  readonly source: Source;
  readonly now: number;
}

/** What a good entry does. A deferred sale whose card data are gone cannot be asked for, nor can it be told to be unpaid. */
async function dispatch(parts: Dispatch, checked: GoodEntry): Promise<EntryOutcome> {
  const { entry, body } = checked;
  const erased = entry.sealedDigest !== undefined && entry.sealed === undefined;
  if (erased && body.kind === "decision" && body.deferred)
    return { status: "quarantined", reason: "E_STATE", detail: ERASED };
  const outcome = await dispatchBody(parts, checked);
  if (!erased || outcome.status !== "processed" || outcome.detail === undefined) return outcome;
  return { ...outcome, detail: `${outcome.detail}: its card data did not come with it` };
}

const ERASED =
  "deferred: its card data did not come with it; accept it if the terminal holds a receipt that says processed, else drop it";

/** Exported for what a person accepts. */
export async function dispatchBody(
  { within, authorisation, source, now }: Dispatch,
  { body, card }: Pick<GoodEntry, "body" | "card">,
): Promise<EntryOutcome> {
  const input = <Body extends EntryBody>(of: Body) => ({
    key: { terminalId: source.terminalId, paymentId: of.paymentId },
    body: of,
    now,
  });
  switch (body.kind) {
    case "decision":
      return await authorisation.advice(within, { ...input<EntryOf<"decision">>(body), card });
    case "reversal":
      return await authorisation.reversal(within, input(body));
    case "void":
      return await authorisation.void(within, input(body));
    case "intent":
    case "online-requested":
    case "online-unknown":
    case "completed":
    case "print-intent":
    case "printed":
    case "signature":
    case "queue-action":
      return { status: "quarantined", reason: "E_FORMAT", detail: `kind: the hub has no use for ${body.kind}` };
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
