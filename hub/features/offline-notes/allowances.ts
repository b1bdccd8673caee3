/**
 * Allowances: value that leaves a customer's account for an account of its own before a phone goes out of reach, so that the
 * bound on what it can spend is money and not a promise; and how what is left comes back.
 */
import { assert } from "../../../base/assert.ts";
import { toHex } from "../../../base/bytes.ts";
import type { Money } from "../../../base/money.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { ReasonCode } from "../../../wire/common.ts";
import { ALLOWANCE_ID_BYTES, type Allowance, signAllowance } from "../../../wire/offline-note.ts";
import type { PhoneMessageOf, PhoneReply } from "../../../wire/phone.ts";
import { readPublicKey } from "../../../wire/signing.ts";
import type { PayerDevice } from "../../core/payers/index.ts";
import type { ServiceCore } from "../../service.ts";
import type { Reading, Within } from "../../store/store.ts";
import { type AllowanceRow, type NoteRow, noteStore } from "./store.ts";

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

/** What a phone said, and which one. */
interface Said<Type extends "allowance-request" | "allowance-return"> {
  readonly body: PhoneMessageOf<Type>["body"];
  readonly device: PayerDevice;
}

export const answerRequest = async (core: ServiceCore, within: Within, said: Said<"allowance-request">) =>
  bothOf(await issue(core, within, said));
export const answerReturn = async (core: ServiceCore, within: Within, said: Said<"allowance-return">) =>
  bothOf(await giveBack(core, within, said));

async function issue(
  core: ServiceCore,
  within: Within,
  { body, device }: Said<"allowance-request">,
): Promise<Result<PhoneReply, Refused>> {
  const { clock, offlineNotes: policy, metrics } = core;
  const { deviceId, userId, accountId } = device;
  const { requestId } = body;
  const now = clock.now();
  const amount: Money = { minor: BigInt(body.amountMinor), currency: body.currency };
  const known = await noteStore.askedBy(within, deviceId, requestId);
  if (known) {
    if (BigInt(known.minor) === amount.minor && known.currency === amount.currency) return ok(grantOf(known));
    return refuse("E_CONFLICT", "amountMinor, currency: they differ from what came under this request before");
  }
  const refused = await refusalFor(core, within, { device, amount });
  if (refused) return refused;
  const allowance: Allowance = {
    allowanceId: toHex(core.random(ALLOWANCE_ID_BYTES)),
    deviceId,
    payerKey: readPublicKey(device.publicKey),
    amount,
    counterStart: (await noteStore.lastCounter(within, deviceId)) + 1,
    issuedAt: now,
    expiresAt: now + policy.ttlSec * SECOND_MS,
    hubEpoch: core.hubEpoch,
  };
  const row = {
    ...rowOf(allowance),
    userId,
    accountId,
    requestId,
    signed: signAllowance(allowance, core.signing.privateKey),
    state: "active" as const,
  };
  const staged = await stage(core, within, { allowanceId: row.allowanceId, accountId, amount });
  assert(staged === amount.minor, "what was found in the account can be set aside");
  await noteStore.insertAllowance(within, row);
  metrics.count("tillway_hub_allowances_total", { outcome: "issued" });
  return ok(grantOf(row));
}

async function refusalFor(
  { clock, ledger, offlineNotes }: ServiceCore,
  reading: Reading,
  { device, amount }: { readonly device: PayerDevice; readonly amount: Money },
) {
  if (amount.minor === 0n) return refuse("E_FORMAT", "amountMinor: an allowance of nothing cannot be spent");
  if (amount.minor > offlineNotes.maxMinor)
    return refuse("E_LIMIT", `amountMinor: an allowance holds at most ${offlineNotes.maxMinor} minor units`);
  // Until then the notes of the last one are still taken somewhere, and this phone must not spend more than one.
  const last = await noteStore.newestOf(reading, device.deviceId);
  if (last && clock.now() <= last.expiresAt)
    return refuse("E_STATE", `this phone's allowance can be spent until ${iso(last.expiresAt)}; ask again after that`);
  const account = await ledger.account(reading, device.accountId);
  if (account?.currency !== amount.currency)
    return refuse("E_DENIED", `currency: the account is not kept in ${amount.currency}`);
  const spendable = await ledger.available(reading, device.accountId);
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
export async function stage(core: ServiceCore, within: Within, staging: Staging): Promise<bigint> {
  const { allowanceId, accountId, amount } = staging;
  return await move(core, within, {
    id: `staged/${allowanceId}/stage/0`,
    debitAccount: accountId,
    creditAccount: await openStaged(core, within, staging),
    amount: amount.minor,
    code: TRANSFER_CODES.stage,
  });
}

/** It can never be overdrawn, whatever its phone signs. */
export async function openStaged(
  { ledger }: ServiceCore,
  within: Within,
  { allowanceId, amount }: Pick<Staging, "allowanceId" | "amount">,
): Promise<string> {
  const id = stagedAccount(allowanceId);
  const limit = "debits-must-not-exceed-credits";
  const account = { id, currency: amount.currency, code: STAGED_ACCOUNT_CODE, limit } as const;
  const [status] = await ledger.createAccounts(within, [account]);
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
async function move({ ledger }: ServiceCore, within: Within, transfer: Move): Promise<bigint> {
  const [status] = await ledger.createTransfers(within, [{ ...transfer, kind: "single", balancingDebit: true }]);
  assert(status === "created", `the transfer ${transfer.id} is ${status}`);
  return (await ledger.transfer(within, transfer.id))?.amount ?? 0n;
}

async function giveBack(
  core: ServiceCore,
  within: Within,
  { body, device }: Said<"allowance-return">,
): Promise<Result<PhoneReply, Refused>> {
  const row = await noteStore.allowance(within, body.allowanceId);
  if (!row || row.deviceId !== device.deviceId || row.accountId === null)
    return refuse("E_UNKNOWN", `allowanceId: this phone has no allowance ${body.allowanceId}`);
  const spentMinor = Number(body.spentMinor);
  if (row.statedNotes !== null)
    return row.statedNotes === body.notes && row.statedMinor === spentMinor
      ? ok(returnOf(core, row, row.returnedMinor ?? 0))
      : refuse("E_CONFLICT", "notes, spentMinor: they differ from what this phone stated before");
  if (row.state !== "active") return refuse("E_EXPIRED", "what was left went back to the account already");
  const wrong = await wrongStatement(within, row, { notes: body.notes, spentMinor });
  if (wrong) return wrong;
  const returned = await move(core, within, {
    id: `staged/${row.allowanceId}/unstage/0`,
    debitAccount: stagedAccount(row.allowanceId),
    creditAccount: row.accountId,
    amount: BigInt(row.minor - spentMinor),
    code: TRANSFER_CODES.unstage,
  });
  const returnedMinor = Number(returned);
  const { allowanceId } = row;
  await noteStore.returned(within, { allowanceId, statedNotes: body.notes, statedMinor: spentMinor, returnedMinor });
  core.metrics.count("tillway_hub_allowances_total", { outcome: "returned" });
  return ok(returnOf(core, row, returnedMinor));
}

interface Stated {
  readonly notes: number;
  readonly spentMinor: number;
}

async function wrongStatement(reading: Reading, row: AllowanceRow, { notes, spentMinor }: Stated) {
  if (spentMinor > row.minor) return refuse("E_LIMIT", `spentMinor: the allowance was ${row.minor} minor units`);
  if (spentMinor < notes || (notes === 0 && spentMinor > 0))
    return refuse("E_FORMAT", "notes, spentMinor: each note spends at least one minor unit");
  const known = await noteStore.spent(reading, row.allowanceId);
  if (known && (row.counterStart + notes <= known.counter || spentMinor < known.spentAfter))
    return refuse("E_CONFLICT", `spentMinor: a note is known here that spends up to ${known.spentAfter} minor units`);
  return undefined;
}

const returnOf = ({ offlineNotes }: ServiceCore, row: AllowanceRow, returnedMinor: number): PhoneReply => ({
  type: "allowance-returned",
  body: {
    allowanceId: row.allowanceId,
    returnedMinor: String(returnedMinor),
    currency: row.currency,
    restAt: iso(row.expiresAt + offlineNotes.graceSec * SECOND_MS),
  },
});

/** What no note claimed in all the time that notes had to come goes back to its owner. */
export async function closeDue(core: ServiceCore, within: Within): Promise<void> {
  const { clock, offlineNotes, metrics } = core;
  const before = clock.now() - offlineNotes.graceSec * SECOND_MS;
  for (const { allowanceId, accountId, minor } of await noteStore.dueBefore(within, before, CLOSED_PER_SWEEP_MAX)) {
    if (accountId !== null) {
      await move(core, within, {
        id: `staged/${allowanceId}/rest/0`,
        debitAccount: stagedAccount(allowanceId),
        creditAccount: accountId,
        amount: BigInt(minor),
        code: TRANSFER_CODES.rest,
      });
    }
    await noteStore.close(within, allowanceId);
    metrics.count("tillway_hub_allowances_total", { outcome: "closed" });
  }
}

interface Reclaiming {
  readonly allowance: AllowanceRow;
  readonly note: Pick<NoteRow, "terminalId" | "paymentId" | "minor">;
}

/**
 * Sets aside again what went back to the owner and a note spends after all. However many notes come, an owner pays no more
 * than the allowance: what goes beyond it was spent twice.
 */
export async function reclaim(core: ServiceCore, within: Within, { allowance, note }: Reclaiming): Promise<void> {
  const { allowanceId, accountId } = allowance;
  if (accountId === null) return;
  const { ledger } = core;
  const staged = stagedAccount(allowanceId);
  let taken = (await ledger.account(within, staged))?.creditsPosted ?? 0n;
  for (const leg of ["unstage", "rest"])
    taken -= (await ledger.transfer(within, `staged/${allowanceId}/${leg}/0`))?.amount ?? 0n;
  const left = BigInt(allowance.minor) - taken;
  const minor = BigInt(note.minor);
  if (left <= 0n) return;
  await move(core, within, {
    id: `staged/${allowanceId}/reclaim/${note.terminalId}/${note.paymentId}`,
    debitAccount: accountId,
    creditAccount: staged,
    amount: minor < left ? minor : left,
    code: TRANSFER_CODES.reclaim,
  });
}

/** Whether notes had their time to come. */
export const isOverdue = ({ clock, offlineNotes }: ServiceCore, expiresAt: number): boolean =>
  expiresAt < clock.now() - offlineNotes.graceSec * SECOND_MS;
