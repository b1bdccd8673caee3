/**
 * Allowances: value that leaves a customer's account for an account of its own before a phone goes out of reach, so that the
 * bound on what it can spend is money and not a promise; and how what is left comes back.
 */
import { assert } from "../../../base/assert.ts";
import { toHex } from "../../../base/bytes.ts";
import type { Currency, Money } from "../../../base/money.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { ReasonCode } from "../../../wire/common.ts";
import { ALLOWANCE_ID_BYTES, type Allowance, signAllowance } from "../../../wire/offline-note.ts";
import type { PhoneMessageOf, PhoneReply } from "../../../wire/phone.ts";
import { readPublicKey } from "../../../wire/signing.ts";
import type { PayerDevice } from "../../core/payers/index.ts";
import type { ServiceCore } from "../../service.ts";
import type { AllowanceRow, NoteStore } from "./store.ts";

export interface NoteParts extends ServiceCore {
  readonly store: NoteStore;
}

/** The ledger's code of accounts that hold staged value. */
const STAGED_ACCOUNT_CODE = 50;
/** Of transfers into and out of them. */
const TRANSFER_CODES = { stage: 30, unstage: 31, rest: 32, reclaim: 33 } as const;
const CLOSED_PER_SWEEP_MAX = 1_000;
const SECOND_MS = 1_000;

type Refused = Extract<PhoneReply, { type: "refused" }>;
const refuse = (reason: ReasonCode, detail: string) => fail<Refused>({ type: "refused", body: { reason, detail } });

export const stagedAccount = (allowanceId: string): string => `staged:${allowanceId}`;
const iso = (ms: number): string => new Date(ms).toISOString();
const bothOf = (result: Result<PhoneReply, Refused>): PhoneReply => (result.ok ? result.value : result.error);

export const answerRequest = (parts: NoteParts, message: PhoneMessageOf<"allowance-request">, device: PayerDevice) =>
  bothOf(issue(parts, message, device));
export const answerReturn = (parts: NoteParts, message: PhoneMessageOf<"allowance-return">, device: PayerDevice) =>
  bothOf(giveBack(parts, message, device));

function issue(
  parts: NoteParts,
  { body }: PhoneMessageOf<"allowance-request">,
  device: PayerDevice,
): Result<PhoneReply, Refused> {
  const { store, clock, offlineNotes: policy, metrics } = parts;
  const { deviceId, userId, accountId } = device;
  const { requestId } = body;
  const now = clock.now();
  const amount: Money = { minor: BigInt(body.amountMinor), currency: body.currency };
  const known = store.askedBy(deviceId, requestId);
  if (known) {
    if (BigInt(known.minor) === amount.minor && known.currency === amount.currency) return ok(grantOf(known));
    return refuse("E_CONFLICT", "amountMinor, currency: they differ from what came under this request before");
  }
  const refused = refusalFor(parts, device, amount);
  if (refused) return refused;
  const allowance: Allowance = {
    allowanceId: toHex(parts.random(ALLOWANCE_ID_BYTES)),
    deviceId,
    payerKey: readPublicKey(device.publicKey),
    amount,
    counterStart: store.lastCounter(deviceId) + 1,
    issuedAt: now,
    expiresAt: now + policy.ttlSec * SECOND_MS,
    hubEpoch: parts.hubEpoch,
  };
  const row = {
    ...rowOf(allowance),
    userId,
    accountId,
    requestId,
    signed: signAllowance(allowance, parts.signing.privateKey),
    state: "active" as const,
  };
  const staged = stage(parts, { allowanceId: row.allowanceId, accountId, amount });
  assert(staged === amount.minor, "what was found in the account can be set aside");
  store.insertAllowance(row);
  metrics.count("tillway_hub_allowances_total", { outcome: "issued" });
  return ok(grantOf(row));
}

function refusalFor({ store, clock, ledger, offlineNotes }: NoteParts, device: PayerDevice, amount: Money) {
  if (amount.minor === 0n) return refuse("E_FORMAT", "amountMinor: an allowance of nothing cannot be spent");
  if (amount.minor > offlineNotes.maxMinor)
    return refuse("E_LIMIT", `amountMinor: an allowance holds at most ${offlineNotes.maxMinor} minor units`);
  // Until then the notes of the last one are still taken somewhere, and this phone must not spend more than one.
  const last = store.newestOf(device.deviceId);
  if (last && clock.now() <= last.expiresAt)
    return refuse("E_STATE", `this phone's allowance can be spent until ${iso(last.expiresAt)}; ask again after that`);
  if (ledger.account(device.accountId)?.currency !== amount.currency)
    return refuse("E_DENIED", `currency: the account is not kept in ${amount.currency}`);
  const spendable = ledger.available(device.accountId);
  if (spendable !== undefined && spendable < amount.minor)
    return refuse("E_DENIED", "the account's funds do not suffice");
  return undefined;
}

export const rowOf = (allowance: Allowance) => ({
  allowanceId: allowance.allowanceId,
  deviceId: allowance.deviceId,
  currency: allowance.amount.currency,
  minor: Number(allowance.amount.minor),
  counterStart: allowance.counterStart,
  issuedAt: allowance.issuedAt,
  expiresAt: allowance.expiresAt,
});

const grantOf = (
  row: Pick<AllowanceRow, "allowanceId" | "signed" | "minor" | "currency" | "expiresAt">,
): PhoneReply => ({
  type: "allowance",
  body: {
    allowanceId: row.allowanceId,
    allowance: row.signed ?? "",
    amountMinor: String(row.minor),
    currency: row.currency,
    expiresAt: iso(row.expiresAt),
  },
});

interface Staging {
  readonly allowanceId: string;
  readonly accountId: string;
  readonly amount: Money;
}

/** Sets aside what the account has, at most `amount`. Returns how much that was. */
export function stage({ ledger }: NoteParts, { allowanceId, accountId, amount }: Staging): bigint {
  const id = openStaged(ledger, allowanceId, amount.currency);
  return move(ledger, {
    id: `staged/${allowanceId}/stage/0`,
    debitAccount: accountId,
    creditAccount: id,
    amount: amount.minor,
    code: TRANSFER_CODES.stage,
  });
}

/** It can never be overdrawn, whatever its phone signs. */
export function openStaged(ledger: ServiceCore["ledger"], allowanceId: string, currency: Currency): string {
  const id = stagedAccount(allowanceId);
  const limit = "debits-must-not-exceed-credits";
  const [status] = ledger.createAccounts([{ id, currency, code: STAGED_ACCOUNT_CODE, limit }]);
  assert(status === "created" || status === "exists", `account ${id} is ${status}`);
  return id;
}

interface Move {
  readonly id: string;
  readonly debitAccount: string;
  readonly creditAccount: string;
  readonly amount: bigint;
  readonly code: number;
}

/** A balancing debit: at most what is there. */
function move(ledger: ServiceCore["ledger"], transfer: Move): bigint {
  const [status] = ledger.createTransfers([{ ...transfer, kind: "single", balancingDebit: true }]);
  assert(status === "created", `the transfer ${transfer.id} is ${status}`);
  return ledger.transfer(transfer.id)?.amount ?? 0n;
}

function giveBack(
  parts: NoteParts,
  { body }: PhoneMessageOf<"allowance-return">,
  device: PayerDevice,
): Result<PhoneReply, Refused> {
  const { store, ledger, metrics } = parts;
  const row = store.allowance(body.allowanceId);
  if (!row || row.deviceId !== device.deviceId || row.accountId === null)
    return refuse("E_UNKNOWN", `allowanceId: this phone has no allowance ${body.allowanceId}`);
  const spentMinor = Number(body.spentMinor);
  if (row.statedNotes !== null)
    return row.statedNotes === body.notes && row.statedMinor === spentMinor
      ? ok(returnOf(parts, row, row.returnedMinor ?? 0))
      : refuse("E_CONFLICT", "notes, spentMinor: they differ from what this phone stated before");
  if (row.state !== "active") return refuse("E_EXPIRED", "what was left went back to the account already");
  const wrong = wrongStatement(parts, row, { notes: body.notes, spentMinor });
  if (wrong) return wrong;
  const returned = move(ledger, {
    id: `staged/${row.allowanceId}/unstage/0`,
    debitAccount: stagedAccount(row.allowanceId),
    creditAccount: row.accountId,
    amount: BigInt(row.minor - spentMinor),
    code: TRANSFER_CODES.unstage,
  });
  const returnedMinor = Number(returned);
  store.returned({ allowanceId: row.allowanceId, statedNotes: body.notes, statedMinor: spentMinor, returnedMinor });
  metrics.count("tillway_hub_allowances_total", { outcome: "returned" });
  return ok(returnOf(parts, row, returnedMinor));
}

interface Stated {
  readonly notes: number;
  readonly spentMinor: number;
}

function wrongStatement({ store }: NoteParts, row: AllowanceRow, { notes, spentMinor }: Stated) {
  if (spentMinor > row.minor) return refuse("E_LIMIT", `spentMinor: the allowance was ${row.minor} minor units`);
  if (spentMinor < notes || (notes === 0 && spentMinor > 0))
    return refuse("E_FORMAT", "notes, spentMinor: each note spends at least one minor unit");
  const known = store.spent(row.allowanceId);
  if (known && (row.counterStart + notes <= known.counter || spentMinor < known.spentAfter))
    return refuse("E_CONFLICT", `spentMinor: a note is known here that spends up to ${known.spentAfter} minor units`);
  return undefined;
}

const returnOf = ({ offlineNotes }: NoteParts, row: AllowanceRow, returnedMinor: number): PhoneReply => ({
  type: "allowance-returned",
  body: {
    allowanceId: row.allowanceId,
    returnedMinor: String(returnedMinor),
    currency: row.currency,
    restAt: iso(row.expiresAt + offlineNotes.graceSec * SECOND_MS),
  },
});

/** What no note claimed in all the time that notes had to come goes back to its owner. */
export function closeDue(parts: NoteParts): void {
  const { store, clock, ledger, offlineNotes, metrics } = parts;
  const before = clock.now() - offlineNotes.graceSec * SECOND_MS;
  for (const { allowanceId, accountId, minor } of store.dueBefore(before, CLOSED_PER_SWEEP_MAX)) {
    if (accountId !== null) {
      move(ledger, {
        id: `staged/${allowanceId}/rest/0`,
        debitAccount: stagedAccount(allowanceId),
        creditAccount: accountId,
        amount: BigInt(minor),
        code: TRANSFER_CODES.rest,
      });
    }
    store.close(allowanceId);
    metrics.count("tillway_hub_allowances_total", { outcome: "closed" });
  }
}

interface Reclaiming {
  readonly terminalId: string;
  readonly paymentId: string;
  readonly minor: number;
}

/**
 * Sets aside again what went back to the owner and a note spends after all. However many notes come, an owner pays no more
 * than the allowance: what goes beyond it was spent twice.
 */
export function reclaim({ ledger }: NoteParts, row: AllowanceRow, note: Reclaiming): void {
  const { allowanceId, accountId } = row;
  if (accountId === null) return;
  const staged = stagedAccount(allowanceId);
  const back = ["unstage", "rest"].map((leg) => ledger.transfer(`staged/${allowanceId}/${leg}/0`)?.amount ?? 0n);
  const taken = back.reduce((sum, amount) => sum - amount, ledger.account(staged)?.creditsPosted ?? 0n);
  const left = BigInt(row.minor) - taken;
  const minor = BigInt(note.minor);
  if (left <= 0n) return;
  move(ledger, {
    id: `staged/${allowanceId}/reclaim/${note.terminalId}/${note.paymentId}`,
    debitAccount: accountId,
    creditAccount: staged,
    amount: minor < left ? minor : left,
    code: TRANSFER_CODES.reclaim,
  });
}

/** Whether notes had their time to come. */
export const isOverdue = ({ clock, offlineNotes }: NoteParts, expiresAt: number): boolean =>
  expiresAt < clock.now() - offlineNotes.graceSec * SECOND_MS;
