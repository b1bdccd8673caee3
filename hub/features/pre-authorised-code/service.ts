/**
 * Decides about pre-authorised codes: registers one for a phone that has a network, and lets a terminal spend it, once, when
 * the phone has none. A grant goes ISSUED, RESERVED by one payment, USED (RM10).
 */
import { createHmac } from "node:crypto";
import { assert, present } from "../../../base/assert.ts";
import { newMessageId } from "../../../base/ids.ts";
import { type PreAuthorisedCode, RESPONSE_CODES } from "../../../wire/authorisation.ts";
import { fromWireMoney, type ReasonCode } from "../../../wire/common.ts";
import type { CodeRegistration, PhoneReply } from "../../../wire/phone.ts";
import type { Answer, MeansOutcome, MeansRequest, Payer, PaymentKey } from "../../core/authorisation/index.ts";
import type { PayerDevice } from "../../core/payers/index.ts";
import type { ServiceCore } from "../../service.ts";
import type { Reading, Within } from "../../store/store.ts";
import { type GrantRow, grantStore } from "./store.ts";

export interface PreAuthorisedCodes {
  /** Message 1. */
  register(within: Within, body: CodeRegistration, device: PayerDevice): Promise<PhoneReply>;
  /** Message 4: undefined where no code is shown. */
  resolve(within: Within, input: MeansRequest): Promise<Resolved | undefined>;
  settle(within: Within, key: PaymentKey, outcome: MeansOutcome): Promise<void>;
  /** All codes of the user; what is paid already stays paid. False for a user unknown here. */
  revoke(within: Within, userId: string): Promise<boolean>;
  grants(
    reading: Reading,
    page: { readonly afterNumber: number; readonly limit: number },
  ): Promise<readonly GrantRow[]>;
  wrongCodes(reading: Reading, userId: string): Promise<number>;
}

interface Refused {
  readonly refusal: Answer;
}
type Resolved = { readonly payer: Payer } | Refused;

interface Parts extends ServiceCore {
  /** Under this hub's own key, of the pair: the same code of another user has another. */
  hashOf(code: PreAuthorisedCode): Uint8Array;
}

const SECOND_MS = 1_000;
/** Of an account's id, on a receipt. */
const SHOWN_CHARACTERS = 4;

export function createPreAuthorisedCodes(core: ServiceCore): PreAuthorisedCodes {
  const parts: Parts = {
    ...core,
    hashOf: ({ userId, secureCode }) => createHmac("sha256", core.secret).update(`${userId}/${secureCode}`).digest(),
  };
  return {
    register: (within, body, device) => register(parts, within, { body, device }),
    resolve: (within, input) => resolve(parts, within, input),
    settle: (within, key, outcome) => settle(parts, within, { key, outcome }),
    async revoke(within, userId) {
      if (!(await core.payers.hasUser(within, userId))) return false;
      await grantStore.revokeGrants(within, userId, core.clock.now());
      await grantStore.forgetWrongCodes(within, userId);
      return true;
    },
    grants: (reading, page) => grantStore.grants(reading, page),
    wrongCodes: (reading, userId) => grantStore.wrongCodes(reading, userId),
  };
}

const refused = (reason: ReasonCode, detail: string): PhoneReply => ({ type: "refused", body: { reason, detail } });

interface Registration {
  readonly body: CodeRegistration;
  readonly device: PayerDevice;
}

async function register(parts: Parts, within: Within, { body, device }: Registration): Promise<PhoneReply> {
  const { clock, random, offlineCode } = parts;
  if (body.deviceId !== device.deviceId || body.userId !== device.userId)
    return refused("E_DENIED", "a phone registers codes for itself and its own user alone");
  const codeHash = parts.hashOf(body);
  const known = await grantStore.grant(within, body.userId, codeHash);
  if (known) return answerRepeat(parts, known, body);
  const problem = await problemOf(parts, within, { body, device });
  if (problem) return problem;
  const now = clock.now();
  await grantStore.expireGrants(within, body.userId, now);
  const { maxActivePerUser } = offlineCode;
  if ((await grantStore.activeGrants(within, body.userId)) >= maxActivePerUser)
    return refused("E_LIMIT", `${maxActivePerUser} codes are active already; use one first or wait until it expires`);
  const { capMinor, validitySec } = boundsOf(parts, body);
  const { userId, deviceId, currency } = body;
  const grant = {
    grantId: newMessageId(random),
    userId,
    codeHash,
    deviceId,
    accountId: device.accountId,
    capMinor: Number(capMinor),
    currency,
    validitySec,
    issuedAt: now,
    // Rounded, so that a code's text can name the very instant whatever unit it counts in.
    expiresAt: Math.floor(now / SECOND_MS + validitySec) * SECOND_MS,
  };
  await grantStore.insertGrant(within, grant);
  return firstApproval({ ...grant, status: "ISSUED" });
}

const boundsOf = ({ offlineCode }: Parts, body: CodeRegistration) => ({
  capMinor: body.capMinor === undefined ? offlineCode.capMinor : BigInt(body.capMinor),
  validitySec: body.validitySec ?? offlineCode.ttlSec,
});

async function problemOf(
  parts: Parts,
  reading: Reading,
  { body, device }: Registration,
): Promise<PhoneReply | undefined> {
  const { ledger, offlineCode } = parts;
  const account = body.accountRef === device.accountId ? await ledger.account(reading, device.accountId) : undefined;
  if (!account) return refused("E_UNKNOWN", `accountRef: this phone has no account ${body.accountRef}`);
  if (account.currency !== body.currency)
    return refused("E_DENIED", `currency: the account is kept in ${account.currency}`);
  const { capMinor, validitySec } = boundsOf(parts, body);
  if (capMinor === 0n) return refused("E_FORMAT", "capMinor: a code for nothing pays nothing");
  if (capMinor > offlineCode.capMinor)
    return refused("E_LIMIT", `capMinor: a code pays at most ${offlineCode.capMinor} minor units`);
  if (validitySec > offlineCode.ttlSec)
    return refused("E_LIMIT", `validitySec: a code is good for at most ${offlineCode.ttlSec} s`);
  return undefined;
}

/** The first answer, with the first expiry (R6) and with what has become of the code since. */
function answerRepeat(parts: Parts, known: GrantRow, body: CodeRegistration): PhoneReply {
  const { capMinor, validitySec } = boundsOf(parts, body);
  const differing = Object.entries({
    deviceId: body.deviceId !== known.deviceId,
    accountRef: body.accountRef !== known.accountId,
    capMinor: body.capMinor !== undefined && capMinor !== BigInt(known.capMinor),
    currency: body.currency !== known.currency,
    validitySec: body.validitySec !== undefined && validitySec !== known.validitySec,
  }).find(([, differs]) => differs);
  if (differing) return refused("E_CONFLICT", `${differing[0]} differs from what this code was registered with`);
  return firstApproval(known);
}

const firstApproval = (grant: Pick<GrantRow, "grantId" | "status" | "expiresAt" | "capMinor">): PhoneReply => ({
  type: "first-approval",
  body: {
    grantId: grant.grantId,
    status: grant.status,
    expiresAt: new Date(grant.expiresAt).toISOString(),
    capMinor: String(grant.capMinor),
  },
});

const declined = (responseCode: string, reason: ReasonCode, detail: string): Refused => ({
  refusal: { outcome: "declined", responseCode, reason, detail },
});

/** Checks in the order of R4; the debit is the caller's, and comes after the reservation. */
async function resolve(
  parts: Parts,
  within: Within,
  { key, request, now }: MeansRequest,
): Promise<Resolved | undefined> {
  if (request.code === undefined) return undefined;
  const { userId } = request.code;
  const grant = await grantStore.grant(within, userId, parts.hashOf(request.code));
  if (!grant) return await unknownPair(parts, within, { userId, now });
  const state = await refusalOfState(within, grant, now);
  if (state) return state;
  const amount = fromWireMoney(request.amount);
  if (amount.currency !== grant.currency)
    return declined(RESPONSE_CODES.doNotHonour, "E_DENIED", `code: it pays in ${grant.currency} only`);
  if (amount.minor > BigInt(grant.capMinor))
    return declined(RESPONSE_CODES.exceedsLimit, "E_LIMIT", `code: it pays at most ${grant.capMinor} minor units`);
  const phone = await parts.payers.device(within, grant.deviceId);
  if (phone?.status !== "active")
    return declined(RESPONSE_CODES.doNotHonour, "E_DENIED", "code: the phone that registered it is blocked");
  const reserved = await grantStore.reserve(within, grant.grantId, { ...key, minor: amount.minor });
  assert(reserved, "what is ISSUED within this transaction can be reserved");
  const { accountId, deviceId } = grant;
  return { payer: { accountId, deviceId, maskedAccount: `****${accountId.slice(-SHOWN_CHARACTERS)}` } };
}

const USED = declined(RESPONSE_CODES.doNotHonour, "E_USED", "code: it was used; a code pays once");

async function refusalOfState(within: Within, grant: GrantRow, now: number): Promise<Refused | undefined> {
  switch (grant.status) {
    case "USED":
    case "RESERVED":
      return USED;
    case "REVOKED":
      return declined(RESPONSE_CODES.doNotHonour, "E_DENIED", "code: it was revoked; register a new one");
    case "ISSUED":
      if (now <= grant.expiresAt) return undefined;
      await grantStore.move(within, grant.grantId, "EXPIRED");
      break;
    case "EXPIRED":
      break;
  }
  return declined(RESPONSE_CODES.expiredCard, "E_EXPIRED", "code: it has expired; register a new one");
}

/** Counted for the user whose id was shown, if there is one; whoever guesses does not get far (R5). */
async function unknownPair(
  { payers, offlineCode, log }: Parts,
  within: Within,
  { userId, now }: { readonly userId: string; readonly now: number },
): Promise<Refused> {
  const isUser = await payers.hasUser(within, userId);
  if (isUser && (await grantStore.countWrongCode(within, userId)) >= offlineCode.wrongCodesMax) {
    await grantStore.revokeGrants(within, userId, now);
    await grantStore.forgetWrongCodes(within, userId);
    log.warn("too many wrong codes: all codes of the user are revoked", { userId });
  }
  return declined(RESPONSE_CODES.invalidCard, "E_UNKNOWN", "code: nobody registered this code for this user");
}

interface Settling {
  readonly key: PaymentKey;
  readonly outcome: MeansOutcome;
}

async function settle(parts: Parts, within: Within, { key, outcome }: Settling): Promise<void> {
  const grant = await grantStore.grantOfPayment(within, key);
  if (!grant) return;
  const free = grant.revokedAt === null ? "ISSUED" : "REVOKED";
  if (outcome === "approved" && grant.status !== "USED") {
    await grantStore.move(within, grant.grantId, "USED");
    await grantStore.forgetWrongCodes(within, grant.userId);
    await notify(parts, within, { grant, status: "paid" });
  }
  if (outcome === "declined" && grant.status === "RESERVED") {
    await grantStore.move(within, grant.grantId, free);
    await grantStore.forgetPayment(within, key);
  }
  if (outcome === "released" && grant.status === "USED") {
    // The payment stays known: an advice that comes after its hold ran out still spends the code.
    await grantStore.move(within, grant.grantId, free);
    await notify(parts, within, { grant, status: "released" });
  }
}

interface Notice {
  readonly grant: GrantRow;
  readonly status: "paid" | "released";
}

async function notify({ payers }: Parts, within: Within, { grant, status }: Notice): Promise<void> {
  const { grantId, deviceId, paymentId, minor, currency } = grant;
  const amount = { minor: BigInt(present(minor ?? undefined, "what the payment takes")), currency };
  const txnId = present(paymentId ?? undefined, "the payment that has the grant");
  await payers.notify(within, { deviceId, status, txnId, grantId, amount });
}
