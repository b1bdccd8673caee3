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
import { isOverdue, type NoteParts, openStaged, reclaim, rowOf, stage, stagedAccount } from "./allowances.ts";
import type { AllowanceRow, ConflictRow, NoteRow } from "./store.ts";

type Resolved = { readonly payer: AdvicePayer } | { readonly outcome: EntryOutcome } | undefined;

/** Within the hub's transaction. */
export function resolveNote(parts: NoteParts, input: MeansAdvice): Resolved {
  const facts = input.body.note;
  if (!facts) return undefined;
  const { store, metrics, payers } = parts;
  const checked = checkTaken(parts, input, facts);
  if (!checked.ok) {
    metrics.count("tillway_hub_notes_total", { result: "refused" });
    return { outcome: checked.error };
  }
  const note = checked.value;
  const allowance = store.allowance(note.allowance.allowanceId) ?? restore(parts, note);
  const row = noteRow(note, input.now);
  const conflict = conflictOf(parts, allowance, row);
  const payer = payerOf(parts, { allowance, row, kind: conflict?.kind });
  store.insertNote(row);
  if (conflict) nameDevice(parts, { allowance, row, conflict, payer });
  else if (payers.device(allowance.deviceId))
    payers.notify({ deviceId: allowance.deviceId, status: "paid", txnId: row.paymentId, amount: note.amount });
  metrics.count("tillway_hub_notes_total", { result: conflict ? "conflict" : "posted" });
  return { payer };
}

/** All that the terminal should have checked itself, and that it took the note. */
function checkTaken(parts: NoteParts, { key, body }: MeansAdvice, facts: NoteFacts): Result<NoteContent, EntryOutcome> {
  const refuse = (reason: ReasonCode, detail: string) =>
    fail<EntryOutcome>({ status: "quarantined", reason, detail: `note: ${detail}` });
  const opened = openNote(facts.note, parts.signing.publicKey);
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
  const terminalKey = parts.terminalSigningKey(key.terminalId as TerminalId);
  if (!terminalKey || !countersignatureFits(facts, terminalKey))
    return refuse("E_SIG", "the terminal did not sign that it took it");
  return ok(note);
}

/**
 * An allowance that this hub signed and does not know: its database was restored from an older backup (RM18). It is staged
 * again, as far as the account has the money.
 */
function restore(parts: NoteParts, { allowance }: NoteContent): AllowanceRow {
  const { store, payers, ledger } = parts;
  const owner = payers.device(allowance.deviceId);
  const { allowanceId, amount, expiresAt } = allowance;
  const closed = isOverdue(parts, expiresAt);
  if (owner && !closed) stage(parts, { allowanceId, accountId: owner.accountId, amount });
  else openStaged(ledger, allowanceId, amount.currency);
  const row = {
    ...rowOf(allowance),
    userId: owner?.userId ?? null,
    accountId: owner?.accountId ?? null,
    requestId: null,
    signed: null,
    state: closed ? ("closed" as const) : ("active" as const),
  };
  store.insertAllowance(row);
  parts.log.warn("an allowance was not known here and is staged again", { allowanceId, deviceId: allowance.deviceId });
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
function conflictOf({ store }: NoteParts, allowance: AllowanceRow, note: NoteRow): Conflict | undefined {
  const { allowanceId } = allowance;
  const [same] = store.notesAt(allowanceId, note.counter);
  if (same) return { kind: "same-counter", other: same };
  const below = store.notesBelow(allowanceId, note.counter);
  if (below.length > 0 && !below.some((earlier) => follows(earlier, note)))
    return { kind: "broken-chain", other: below[0] };
  const above = store.notesAbove(allowanceId, note.counter);
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
function payerOf(parts: NoteParts, { allowance, row, kind }: Paying): AdvicePayer {
  const { accountId, state, allowanceId } = allowance;
  if (state === "closed" || kind === "after-return") reclaim(parts, allowance, row);
  return {
    accountId: stagedAccount(allowanceId),
    ...(accountId === null ? {} : { refundAccountId: accountId }),
    riskParty: parts.offlineNotes.riskParty,
  };
}

interface Naming {
  readonly allowance: AllowanceRow;
  readonly row: NoteRow;
  readonly conflict: Conflict;
  readonly payer: AdvicePayer;
}

function nameDevice(parts: NoteParts, { allowance, row, conflict, payer }: Naming): void {
  const { store, ledger, log } = parts;
  const { deviceId, userId, allowanceId, currency } = allowance;
  const { kind, other } = conflict;
  const spendable = Number(
    payer.accountId === undefined ? 0n : (ledger.available(payer.accountId) ?? BigInt(row.minor)),
  );
  const { counter, minor, terminalId, paymentId, at } = row;
  const exposureMinor = Math.max(0, minor - spendable);
  store.insertConflict({
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
  parts.blockPayer(deviceId, "spent the same staged value twice");
  log.error("a phone spent the same value twice, or its key was copied: it is blocked", {
    deviceId,
    kind,
    terminalId,
    paymentId,
    otherTerminalId: other?.terminalId,
    otherPaymentId: other?.paymentId,
    exposureMinor,
  });
}
