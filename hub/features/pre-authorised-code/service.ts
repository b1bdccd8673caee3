/**
 * Decides about pre-authorised codes: registers one for a phone that has a network, and lets a terminal spend it, once, when
 * the phone has none. A grant goes ISSUED, RESERVED by one payment, USED (RM10).
 */
import { createHmac } from "node:crypto";
import { assert, present } from "../../../base/assert.ts";
import { newMessageId } from "../../../base/ids.ts";
import { transaction } from "../../../base/sqlite.ts";
import { type PreAuthorisedCode, RESPONSE_CODES } from "../../../wire/authorisation.ts";
import { fromWireMoney, type ReasonCode } from "../../../wire/common.ts";
import type { CodeRegistration, PhoneReply } from "../../../wire/phone.ts";
import type { Answer, MeansOutcome, MeansRequest, Payer, PaymentKey } from "../../core/authorisation/index.ts";
import type { PayerDevice } from "../../core/payers/index.ts";
import type { ServiceCore } from "../../service.ts";
import { createGrantStore, type GrantRow, type GrantStore } from "./store.ts";

export interface PreAuthorisedCodes {
  /** Message 1. */
  register(body: CodeRegistration, device: PayerDevice): PhoneReply;
  /** Message 4: undefined where no code is shown. */
  resolve(input: MeansRequest): { readonly payer: Payer } | { readonly refusal: Answer } | undefined;
  settle(key: PaymentKey, outcome: MeansOutcome): void;
  /** All codes of the user; what is paid already stays paid. False for a user unknown here. */
  revoke(userId: string): boolean;
  grants(page: { readonly afterNumber: number; readonly limit: number }): readonly GrantRow[];
  wrongCodes(userId: string): number;
}

interface Parts extends ServiceCore {
  readonly store: GrantStore;
  /** Under this hub's own key, of the pair: the same code of another user has another. */
  hashOf(code: PreAuthorisedCode): Uint8Array;
}

const SECOND_MS = 1_000;
/** Of an account's id, on a receipt. */
const SHOWN_CHARACTERS = 4;

export function createPreAuthorisedCodes(core: ServiceCore): PreAuthorisedCodes {
  const store = createGrantStore(core.database);
  const parts: Parts = {
    ...core,
    store,
    hashOf: ({ userId, secureCode }) => createHmac("sha256", core.secret).update(`${userId}/${secureCode}`).digest(),
  };
  return {
    register: (body, device) => register(parts, body, device),
    resolve: (input) => resolve(parts, input),
    settle: (key, outcome) => settle(parts, key, outcome),
    revoke: (userId) =>
      transaction(core.database, () => {
        if (!core.payers.hasUser(userId)) return false;
        store.revokeGrants(userId, core.clock.now());
        store.forgetWrongCodes(userId);
        return true;
      }),
    grants: ({ afterNumber, limit }) => store.grants(afterNumber, limit),
    wrongCodes: (userId) => store.wrongCodes(userId),
  };
}

const refused = (reason: ReasonCode, detail: string): PhoneReply => ({ type: "refused", body: { reason, detail } });

function register(parts: Parts, body: CodeRegistration, device: PayerDevice): PhoneReply {
  const { store, clock, random, offlineCode } = parts;
  if (body.deviceId !== device.deviceId || body.userId !== device.userId)
    return refused("E_DENIED", "a phone registers codes for itself and its own user alone");
  const codeHash = parts.hashOf(body);
  const known = store.grant(body.userId, codeHash);
  if (known) return answerRepeat(parts, known, body);
  const problem = problemOf(parts, body, device);
  if (problem) return problem;
  const now = clock.now();
  store.expireGrants(body.userId, now);
  const { maxActivePerUser } = offlineCode;
  if (store.activeGrants(body.userId) >= maxActivePerUser)
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
  store.insertGrant(grant);
  return firstApproval({ ...grant, status: "ISSUED" });
}

const boundsOf = ({ offlineCode }: Parts, body: CodeRegistration) => ({
  capMinor: body.capMinor === undefined ? offlineCode.capMinor : BigInt(body.capMinor),
  validitySec: body.validitySec ?? offlineCode.ttlSec,
});

function problemOf(parts: Parts, body: CodeRegistration, device: PayerDevice): PhoneReply | undefined {
  const { ledger, offlineCode } = parts;
  const account = body.accountRef === device.accountId ? ledger.account(device.accountId) : undefined;
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

const declined = (responseCode: string, reason: ReasonCode, detail: string): { readonly refusal: Answer } => ({
  refusal: { outcome: "declined", responseCode, reason, detail },
});

/** Checks in the order of R4; the debit is the caller's, and comes after the reservation. */
function resolve(
  parts: Parts,
  { key, request, now }: MeansRequest,
): { readonly payer: Payer } | { readonly refusal: Answer } | undefined {
  const { store, payers } = parts;
  if (request.code === undefined) return undefined;
  const grant = store.grant(request.code.userId, parts.hashOf(request.code));
  if (!grant) return unknownPair(parts, request.code.userId, now);
  const state = refusalOfState(parts, grant, now);
  if (state) return state;
  const amount = fromWireMoney(request.amount);
  if (amount.currency !== grant.currency)
    return declined(RESPONSE_CODES.doNotHonour, "E_DENIED", `code: it pays in ${grant.currency} only`);
  if (amount.minor > BigInt(grant.capMinor))
    return declined(RESPONSE_CODES.exceedsLimit, "E_LIMIT", `code: it pays at most ${grant.capMinor} minor units`);
  if (payers.device(grant.deviceId)?.status !== "active")
    return declined(RESPONSE_CODES.doNotHonour, "E_DENIED", "code: the phone that registered it is blocked");
  assert(store.reserve(grant.grantId, key, amount.minor), "what is ISSUED within this transaction can be reserved");
  const { accountId, deviceId } = grant;
  return { payer: { accountId, deviceId, maskedAccount: `****${accountId.slice(-SHOWN_CHARACTERS)}` } };
}

const USED = declined(RESPONSE_CODES.doNotHonour, "E_USED", "code: it was used; a code pays once");

function refusalOfState({ store }: Parts, grant: GrantRow, now: number): { readonly refusal: Answer } | undefined {
  switch (grant.status) {
    case "USED":
    case "RESERVED":
      return USED;
    case "REVOKED":
      return declined(RESPONSE_CODES.doNotHonour, "E_DENIED", "code: it was revoked; register a new one");
    case "ISSUED":
      if (now <= grant.expiresAt) return undefined;
      store.move(grant.grantId, "EXPIRED");
      break;
    case "EXPIRED":
      break;
  }
  return declined(RESPONSE_CODES.expiredCard, "E_EXPIRED", "code: it has expired; register a new one");
}

/** Counted for the user whose id was shown, if there is one; whoever guesses does not get far (R5). */
function unknownPair(
  { store, payers, offlineCode, log }: Parts,
  userId: string,
  now: number,
): { readonly refusal: Answer } {
  if (payers.hasUser(userId) && store.countWrongCode(userId) >= offlineCode.wrongCodesMax) {
    store.revokeGrants(userId, now);
    store.forgetWrongCodes(userId);
    log.warn("too many wrong codes: all codes of the user are revoked", { userId });
  }
  return declined(RESPONSE_CODES.invalidCard, "E_UNKNOWN", "code: nobody registered this code for this user");
}

function settle(parts: Parts, key: PaymentKey, outcome: MeansOutcome): void {
  const { store } = parts;
  const grant = store.grantOfPayment(key);
  if (!grant) return;
  const free = grant.revokedAt === null ? "ISSUED" : "REVOKED";
  if (outcome === "approved" && grant.status !== "USED") {
    store.move(grant.grantId, "USED");
    store.forgetWrongCodes(grant.userId);
    notify(parts, grant, "paid");
  }
  if (outcome === "declined" && grant.status === "RESERVED") {
    store.move(grant.grantId, free);
    store.forgetPayment(key);
  }
  if (outcome === "released" && grant.status === "USED") {
    // The payment stays known: an advice that comes after its hold ran out still spends the code.
    store.move(grant.grantId, free);
    notify(parts, grant, "released");
  }
}

function notify({ payers }: Parts, grant: GrantRow, status: "paid" | "released"): void {
  const { grantId, deviceId, paymentId, minor, currency } = grant;
  const amount = { minor: BigInt(present(minor ?? undefined, "what the payment takes")), currency };
  const txnId = present(paymentId ?? undefined, "the payment that has the grant");
  payers.notify({ deviceId, status, txnId, grantId, amount });
}
