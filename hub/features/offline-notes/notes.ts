/**
 * Notes as terminals forward them: checked again up to this hub's own key, placed in the chain of their allowance, and
 * honoured. What was spent twice is honoured too, as goods have changed hands; the phone is named and blocked (RM11).
 */
import type { TerminalId } from "../../../base/ids.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { ReasonCode } from "../../../wire/common.ts";
import type { NoteFacts } from "../../../wire/journal-entry.ts";
import { countersignatureFits, type NoteContent, openNote, refusalOfSpending } from "../../../wire/offline-note.ts";
import type { AdvicePayer, EntryOutcome, MeansAdvice } from "../../core/authorisation/index.ts";
import type { ServiceCore } from "../../service.ts";
import type { Reading, Within } from "../../store/store.ts";
import { isOverdue, openStaged, reclaim, rowOf, stage, stagedAccount } from "./allowances.ts";
import { type AllowanceRow, type ConflictRow, type NoteRow, noteStore } from "./store.ts";

type Resolved = { readonly payer: AdvicePayer } | { readonly outcome: EntryOutcome } | undefined;

export async function resolveNote(core: ServiceCore, within: Within, input: MeansAdvice): Promise<Resolved> {
  const facts = input.body.note;
  if (!facts) return undefined;
  const { metrics, payers } = core;
  const checked = await checkTaken(core, within, { ...input, facts });
  if (!checked.ok) {
    metrics.count("tillway_hub_notes_total", { result: "refused" });
    return { outcome: checked.error };
  }
  const note = checked.value;
  const known = await noteStore.allowance(within, note.allowance.allowanceId);
  const allowance = known ?? (await restore(core, within, note));
  const { deviceId } = allowance;
  const row = noteRow(note, input.now);
  const conflict = await conflictOf(within, allowance, row);
  const payer = await payerOf(core, within, { allowance, row, kind: conflict?.kind });
  await noteStore.insertNote(within, row);
  if (conflict) await nameDevice(core, within, { allowance, row, conflict, payer });
  else if (await payers.device(within, deviceId))
    await payers.notify(within, { deviceId, status: "paid", txnId: row.paymentId, amount: note.amount });
  metrics.count("tillway_hub_notes_total", { result: conflict ? "conflict" : "posted" });
  return { payer };
}

interface Taken extends MeansAdvice {
  readonly facts: NoteFacts;
}

/** All that the terminal should have checked itself, and that it took the note. */
async function checkTaken(
  core: ServiceCore,
  reading: Reading,
  { key, body, facts }: Taken,
): Promise<Result<NoteContent, EntryOutcome>> {
  const refuse = (reason: ReasonCode, detail: string) =>
    fail<EntryOutcome>({ status: "quarantined", reason, detail: `note: ${detail}` });
  const opened = openNote(facts.note, core.signing.publicKey);
  if (!opened.ok) return refuse(opened.error.reason, opened.error.detail);
  const note = opened.value;
  const { allowance, counter, amount } = note;
  if (facts.allowanceId !== allowance.allowanceId || facts.deviceId !== allowance.deviceId || facts.counter !== counter)
    return refuse("E_FORMAT", "what the entry says of it is not what it says itself");
  if (note.terminalId !== key.terminalId) return refuse("E_REPLAY", "it was made for another terminal");
  if (note.paymentId !== key.paymentId) return refuse("E_REPLAY", "it was made for another payment");
  if (amount.minor.toString() !== body.amount.minor || amount.currency !== body.amount.currency)
    return refuse("E_CONFLICT", "its amount is not the sale's");
  const spending = refusalOfSpending(note);
  if (spending) return refuse(spending.reason, spending.detail);
  const terminalKey = await core.terminalSigningKey(reading, key.terminalId as TerminalId);
  if (!terminalKey || !countersignatureFits(facts, terminalKey))
    return refuse("E_SIG", "the terminal did not sign that it took it");
  return ok(note);
}

/**
 * An allowance that this hub signed and does not know: its database was restored from an older backup (RM18). It is staged
 * again, as far as the account has the money.
 */
async function restore(core: ServiceCore, within: Within, { allowance }: NoteContent): Promise<AllowanceRow> {
  const owner = await core.payers.device(within, allowance.deviceId);
  const { allowanceId, amount, expiresAt } = allowance;
  const closed = isOverdue(core, expiresAt);
  if (owner && !closed) await stage(core, within, { allowanceId, accountId: owner.accountId, amount });
  else await openStaged(core, within, { allowanceId, amount });
  const row = {
    ...rowOf(allowance),
    userId: owner?.userId ?? null,
    accountId: owner?.accountId ?? null,
    requestId: null,
    signed: null,
    state: closed ? ("closed" as const) : ("active" as const),
  };
  await noteStore.insertAllowance(within, row);
  core.log.warn("an allowance was not known here and is staged again", { allowanceId, deviceId: allowance.deviceId });
  return { ...row, statedNotes: null, statedMinor: null, returnedMinor: null };
}

const noteRow = (note: NoteContent, at: number): NoteRow => ({
  allowanceId: note.allowance.allowanceId,
  counter: note.counter,
  minor: Number(note.amount.minor),
  spentAfter: Number(note.spentAfter),
  previousHash: note.previousHash,
  hash: note.hash,
  terminalId: note.terminalId,
  epoch: note.epoch,
  paymentId: note.paymentId,
  at,
});

interface Conflict {
  readonly kind: ConflictRow["kind"];
  readonly other?: NoteRow | undefined;
}

/** The notes of one phone make one chain. What does not fit beside its neighbours came from a copy of the phone's key. */
async function conflictOf(reading: Reading, allowance: AllowanceRow, note: NoteRow): Promise<Conflict | undefined> {
  const { allowanceId } = allowance;
  const [same] = await noteStore.notesAt(reading, allowanceId, note.counter);
  if (same) return { kind: "same-counter", other: same };
  const below = await noteStore.notesBelow(reading, allowanceId, note.counter);
  if (below.length > 0 && !below.some((earlier) => follows(earlier, note)))
    return { kind: "broken-chain", other: below[0] };
  const above = await noteStore.notesAbove(reading, allowanceId, note.counter);
  if (above.length > 0 && !above.some((later) => follows(note, later)))
    return { kind: "broken-chain", other: above[0] };
  const { statedNotes, statedMinor } = allowance;
  const beyond =
    statedNotes !== null &&
    (note.counter >= allowance.counterStart + statedNotes || note.spentAfter > (statedMinor ?? 0));
  return beyond ? { kind: "after-return" } : undefined;
}

/** Notes between the two may still be on their way: each of them spends at least one minor unit. */
function follows(earlier: NoteRow, later: NoteRow): boolean {
  const spentBefore = later.spentAfter - later.minor;
  const between = later.counter - earlier.counter - 1;
  if (between === 0) return later.previousHash === earlier.hash && spentBefore === earlier.spentAfter;
  return spentBefore >= earlier.spentAfter + between;
}

interface Paying {
  readonly allowance: AllowanceRow;
  readonly row: NoteRow;
  readonly kind: Conflict["kind"] | undefined;
}

/**
 * The staged value pays as far as it goes, also for what was spent twice: the money is the phone's owner's, whose key
 * signed. What went back to his account by his phone's false word, or for want of notes in time, is set aside again first.
 */
async function payerOf(core: ServiceCore, within: Within, { allowance, row, kind }: Paying): Promise<AdvicePayer> {
  const { accountId, state, allowanceId } = allowance;
  if (state === "closed" || kind === "after-return") await reclaim(core, within, { allowance, note: row });
  return {
    accountId: stagedAccount(allowanceId),
    ...(accountId === null ? {} : { refundAccountId: accountId }),
    riskParty: core.offlineNotes.riskParty,
  };
}

interface Naming {
  readonly allowance: AllowanceRow;
  readonly row: NoteRow;
  readonly conflict: Conflict;
  readonly payer: AdvicePayer;
}

async function nameDevice(
  core: ServiceCore,
  within: Within,
  { allowance, row, conflict, payer }: Naming,
): Promise<void> {
  const { deviceId, userId, allowanceId, currency } = allowance;
  const { kind, other } = conflict;
  const available = payer.accountId === undefined ? 0n : await core.ledger.available(within, payer.accountId);
  const spendable = Number(available ?? BigInt(row.minor));
  const { counter, minor, terminalId, paymentId, at } = row;
  const exposureMinor = Math.max(0, minor - spendable);
  await noteStore.insertConflict(within, {
    kind,
    allowanceId,
    deviceId,
    userId,
    counter,
    minor,
    currency,
    terminalId,
    paymentId,
    otherTerminalId: other?.terminalId ?? null,
    otherPaymentId: other?.paymentId ?? null,
    otherMinor: other?.minor ?? null,
    exposureMinor,
    exposureParty: payer.riskParty,
    at,
  });
  await core.blockPayer(within, deviceId, "spent the same staged value twice");
  core.log.error("a phone spent the same value twice, or its key was copied: it is blocked", {
    deviceId,
    kind,
    terminalId,
    paymentId,
    otherTerminalId: other?.terminalId,
    otherPaymentId: other?.paymentId,
    exposureMinor,
  });
}
