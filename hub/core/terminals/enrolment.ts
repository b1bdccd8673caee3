/**
 * Enrolment by a claim: a secret of one use and a short life that an operator makes for one terminal. Whoever redeems it is
 * that terminal from then on, and whoever was it before is so no more.
 */
import { hash, timingSafeEqual } from "node:crypto";
import { toHex } from "../../../base/bytes.ts";
import type { Clock } from "../../../base/clock.ts";
import { reasonOf } from "../../../base/fault.ts";
import type { RandomBytes, TerminalId } from "../../../base/ids.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { ReasonCode } from "../../../wire/common.ts";
import { readPublicKey } from "../../../wire/signing.ts";
import type { EnrolRequest } from "../../../wire/terminal.ts";
import type { Reading, Within } from "../../store/store.ts";
import type { KeyVault } from "./key-vault.ts";
import { type ClaimRow, terminalStore as store } from "./store.ts";

export interface ClaimInput {
  readonly terminalId: TerminalId;
  readonly validMs: number;
}

export interface NewClaim {
  readonly claimId: string;
  readonly secret: string;
  readonly terminalId: TerminalId;
  readonly expiresAt: number;
}

export interface Enrolled {
  readonly terminalId: TerminalId;
  readonly cardTokenKey: Uint8Array;
}

/** What a claim is redeemed with. The request for a certificate is the authority's to read. */
export type Redemption = Omit<EnrolRequest, "csr">;

export interface EnrolRefusal {
  readonly reason: Extract<ReasonCode, "E_UNKNOWN" | "E_USED" | "E_EXPIRED" | "E_FORMAT" | "E_DENIED">;
  readonly detail: string;
}

const SECRET_BYTES = 32;
const CLAIM_ID_BYTES = 8;

export const digest = (secret: string): Uint8Array => hash("sha256", secret, "buffer");
const newSecret = (random: RandomBytes): string => Buffer.from(random(SECRET_BYTES)).toString("base64url");

/** Only a hash of the secret stays here. */
export async function createClaim(
  within: Within,
  { terminalId, validMs }: ClaimInput,
  { clock, random }: { readonly clock: Clock; readonly random: RandomBytes },
): Promise<NewClaim> {
  const createdAt = clock.now();
  const claim = { claimId: toHex(random(CLAIM_ID_BYTES)), secret: newSecret(random), terminalId };
  const expiresAt = createdAt + validMs;
  await store.insertClaim(within, {
    id: claim.claimId,
    terminalId,
    secretHash: digest(claim.secret),
    createdAt,
    expiresAt,
  });
  return { ...claim, expiresAt };
}

/** A claim that can be redeemed now. A revocation is taken back by claims that were made in its knowledge alone. */
export async function claimOf(
  reading: Reading,
  request: Redemption,
  now: number,
): Promise<Result<ClaimRow, EnrolRefusal>> {
  const claim = await store.claim(reading, request.claimId);
  const secretFits = timingSafeEqual(digest(request.secret), claim?.secretHash ?? digest(""));
  if (!claim || !secretFits)
    return fail({ reason: "E_UNKNOWN", detail: "no such claim and secret; ask the operator for a new claim" });
  if (claim.usedAt !== null) return fail(CLAIM_USED);
  if (now >= claim.expiresAt)
    return fail({ reason: "E_EXPIRED", detail: "this claim has expired; ask the operator for a new one" });
  const revokedAt = (await store.get(reading, claim.terminalId))?.revokedAt ?? Number.NEGATIVE_INFINITY;
  if (claim.createdAt <= revokedAt)
    return fail({ reason: "E_DENIED", detail: "this terminal was revoked since; ask the operator for a new claim" });
  const keyProblem = signingKeyProblem(request.signingKey);
  if (keyProblem !== undefined) return fail({ reason: "E_FORMAT", detail: `signingKey: ${keyProblem}` });
  return ok(claim);
}
const CLAIM_USED: EnrolRefusal = {
  reason: "E_USED",
  detail: "this claim was used; ask the operator for a new one",
};

export interface EnrolContext {
  readonly vault: KeyVault;
  readonly now: number;
  readonly random: RandomBytes;
  readonly sealingKeyId: string;
}

export async function enrol(
  within: Within,
  request: Redemption,
  { vault, now, random, sealingKeyId }: EnrolContext,
): Promise<Result<Enrolled, EnrolRefusal>> {
  const claim = await claimOf(within, request, now);
  if (!claim.ok) return claim;
  const { id, terminalId } = claim.value;
  if (!(await store.useClaim(within, id, now))) return fail(CLAIM_USED);
  const known = await store.get(within, terminalId);
  // A terminal that comes again keeps its card-token key, so that the tokens in its old journal stay comparable.
  const cardTokenKey = (known && vault.open(known)) ?? random(SECRET_BYTES);
  await store.enrol(within, {
    id: terminalId,
    signingKey: request.signingKey,
    cardTokenKey: vault.seal(terminalId, cardTokenKey),
    enrolledAt: now,
    enrolledKeyId: sealingKeyId,
  });
  if (await store.setRevoked(within, terminalId, null)) {
    const restored = { action: "restore", by: `claim ${id}`, why: "enrolled again" } as const;
    await store.noteAction(within, { terminalId, ...restored, at: now });
  }
  return ok({ terminalId, cardTokenKey });
}

function signingKeyProblem(text: string): string | undefined {
  try {
    return readPublicKey(text).asymmetricKeyType === "ed25519" ? undefined : "not an Ed25519 key";
  } catch (error) {
    return reasonOf(error);
  }
}
