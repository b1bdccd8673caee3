/** Terminals: enrolment by a one-time claim, their secrets and keys, signed hub time, and offline leases (RM8). */
import { hash, type KeyObject, timingSafeEqual } from "node:crypto";
import { toHex } from "../../../base/bytes.ts";
import type { Clock } from "../../../base/clock.ts";
import { reasonOf } from "../../../base/fault.ts";
import type { RandomBytes, TerminalId } from "../../../base/ids.ts";
import type { Currency } from "../../../base/money.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import { type Sqlite, transaction } from "../../../base/sqlite.ts";
import type { Means, ReasonCode } from "../../../wire/common.ts";
import type { HubTime, Lease } from "../../../wire/lease.ts";
import { publicKeyText, readPublicKey, type Signed, signText } from "../../../wire/signing.ts";
import { type EnrolRequest, type Health, HealthSchema, type Presence, PresenceSchema } from "../../../wire/terminal.ts";
import { createTerminalStore, type TerminalRow } from "./store.ts";

/** How much a terminal may sell with no hub in reach. */
export interface LeasePolicy {
  readonly currency: Currency;
  readonly perSaleMinor: bigint;
  readonly sumMinor: bigint;
  readonly countMax: number;
  readonly hours: number;
  readonly means: readonly Means[];
  readonly deferredAuthorisation: boolean;
  /** Hours that the oldest sale without a receipt may be old; 90 days when not said. */
  readonly ageHours?: number;
  /** For one card or one payer's device among the sales without a receipt; no limit of its own when not said. */
  readonly perPayer?: { readonly countMax: number; readonly sumMinor: bigint };
}

export interface TerminalsOptions {
  readonly database: Sqlite;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly signingKey: KeyObject;
  readonly sealing: { readonly keyId: string; readonly publicKey: KeyObject };
  /** Undefined: this terminal gets none. */
  leasePolicy(terminalId: TerminalId): LeasePolicy | undefined;
}

export interface NewClaim {
  readonly claimId: string;
  readonly secret: string;
  readonly terminalId: TerminalId;
  readonly expiresAt: number;
}

export interface Enrolled {
  readonly terminalId: TerminalId;
  readonly bearer: string;
  readonly cardTokenKey: Uint8Array;
}

export interface EnrolRefusal {
  readonly reason: Extract<ReasonCode, "E_UNKNOWN" | "E_USED" | "E_EXPIRED" | "E_FORMAT">;
  readonly detail: string;
}

export interface TerminalView {
  readonly id: TerminalId;
  readonly enrolledAt: number;
  readonly lastSeenAt?: number;
  readonly leaseCounter: number;
  readonly presence?: Presence;
  readonly health?: Health;
}

export type Terminals = ReturnType<typeof createTerminals>;

const SECRET_BYTES = 32;
const CLAIM_ID_BYTES = 8;
const HOUR_MS = 3_600_000;
/** 90 days: the longest that a lease can say. */
const AGE_HOURS_MAX = 2_160;
/** Checked keys in memory; the cache starts over when it is full. */
const KEY_CACHE_MAX = 10_000;

const digest = (secret: string): Uint8Array => hash("sha256", secret, "buffer");
const newSecret = (random: RandomBytes): string => Buffer.from(random(SECRET_BYTES)).toString("base64url");
const NO_DENIED_CARDS = { version: 0, hash: hash("sha256", "", "hex"), tokens: [] };

export function createTerminals(options: TerminalsOptions) {
  const { database, clock, random } = options;
  const store = createTerminalStore(database);
  const keys = new Map<string, KeyObject>();

  function signingKeyOf(id: TerminalId): KeyObject | undefined {
    const row = store.get(id);
    if (!row) return undefined;
    const cached = keys.get(row.signingKey);
    if (cached) return cached;
    if (keys.size >= KEY_CACHE_MAX) keys.clear();
    const key = readPublicKey(row.signingKey);
    keys.set(row.signingKey, key);
    return key;
  }

  return {
    signingKeyOf,
    get: (id: string): TerminalView | undefined => {
      const row = store.get(id);
      return row && viewOf(row);
    },
    list: (page: { readonly after: string; readonly limit: number }): readonly TerminalView[] =>
      store.list(page.after, page.limit).map(viewOf),

    /** Only a hash of the secret stays here. */
    createClaim(input: { readonly terminalId: TerminalId; readonly validMs: number }): NewClaim {
      const now = clock.now();
      const claim = { claimId: toHex(random(CLAIM_ID_BYTES)), secret: newSecret(random), terminalId: input.terminalId };
      const expiresAt = now + input.validMs;
      store.insertClaim({
        id: claim.claimId,
        terminalId: claim.terminalId,
        secretHash: digest(claim.secret),
        createdAt: now,
        expiresAt,
      });
      return { ...claim, expiresAt };
    },

    enrol: (request: EnrolRequest): Result<Enrolled, EnrolRefusal> =>
      transaction(database, () => enrol(request, { store, now: clock.now(), random })),

    /** Compares in constant time; an unknown terminal costs the same. */
    authenticate(id: string, bearer: string): boolean {
      const known = store.get(id)?.bearerHash;
      const same = timingSafeEqual(digest(bearer), known ?? digest(""));
      return known !== undefined && same;
    },

    markSeen: (id: TerminalId) => store.markSeen(id, clock.now()),
    setPresence: (id: TerminalId, presence: Presence) => store.setPresence(id, JSON.stringify(presence)),
    setHealth: (id: TerminalId, health: Health) => store.setHealth(id, JSON.stringify(health)),

    signedTime(terminalId: TerminalId): Signed {
      const time: HubTime = { terminalId, at: new Date(clock.now()).toISOString() };
      return signText("time", JSON.stringify(time), options.signingKey);
    },

    /** A new lease with the next counter, or undefined where policy gives none. */
    grantLease(terminalId: TerminalId, epoch: Lease["epoch"]): Signed | undefined {
      const policy = options.leasePolicy(terminalId);
      const counter = policy && store.nextLeaseCounter(terminalId);
      if (policy === undefined || counter === undefined) return undefined;
      if (policy.deferredAuthorisation) store.noteDeferring(terminalId, counter);
      const now = clock.now();
      const lease: Lease = {
        leaseId: leaseIdOf(terminalId, counter),
        terminalId,
        epoch,
        counter,
        issuedAt: new Date(now).toISOString(),
        expiresAt: new Date(now + policy.hours * HOUR_MS).toISOString(),
        currency: policy.currency,
        perSaleMinor: policy.perSaleMinor.toString(),
        sumMinor: policy.sumMinor.toString(),
        countMax: policy.countMax,
        means: [...policy.means],
        deferredAuthorisation: policy.deferredAuthorisation,
        ageMaxSec: (policy.ageHours ?? AGE_HOURS_MAX) * (HOUR_MS / 1_000),
        ...(policy.perPayer === undefined ? {} : { perPayer: perPayerOf(policy.perPayer) }),
        denyList: NO_DENIED_CARDS,
        sealingKey: { keyId: options.sealing.keyId, publicKey: publicKeyText(options.sealing.publicKey) },
      };
      return signText("lease", JSON.stringify(lease), options.signingKey);
    },

    /**
     * Whether a sale under this lease may be authorised afterwards (RM9). What the lease said when it was given counts, so
     * that a policy changed since then takes nothing from a merchant who kept to it. What policy says today counts too:
     * a hub restored from a backup no longer knows the newest leases.
     */
    permitsDeferred(terminalId: TerminalId, leaseId: string | undefined): boolean {
      if (options.leasePolicy(terminalId)?.deferredAuthorisation) return true;
      const counter = Number(/-(\d{1,15})$/.exec(leaseId ?? "")?.[1] ?? 0);
      return leaseIdOf(terminalId, counter) === leaseId && store.wasDeferring(terminalId, counter);
    },
  };
}

const perPayerOf = ({ countMax, sumMinor }: NonNullable<LeasePolicy["perPayer"]>) => ({
  countMax,
  sumMinor: sumMinor.toString(),
});

const leaseIdOf = (terminalId: TerminalId, counter: number): string => `${terminalId.slice(0, 40)}-${counter}`;

interface EnrolContext {
  readonly store: ReturnType<typeof createTerminalStore>;
  readonly now: number;
  readonly random: RandomBytes;
}

function enrol(request: EnrolRequest, { store, now, random }: EnrolContext): Result<Enrolled, EnrolRefusal> {
  const claim = store.claim(request.claimId);
  const secretFits = timingSafeEqual(digest(request.secret), claim?.secretHash ?? digest(""));
  if (!claim || !secretFits)
    return fail({ reason: "E_UNKNOWN", detail: "no such claim and secret; ask the operator for a new claim" });
  if (claim.usedAt !== null)
    return fail({ reason: "E_USED", detail: "this claim was used; ask the operator for a new one" });
  if (now >= claim.expiresAt)
    return fail({ reason: "E_EXPIRED", detail: "this claim has expired; ask the operator for a new one" });
  const keyProblem = signingKeyProblem(request.signingKey);
  if (keyProblem !== undefined) return fail({ reason: "E_FORMAT", detail: `signingKey: ${keyProblem}` });
  if (!store.useClaim(claim.id, now))
    return fail({ reason: "E_USED", detail: "this claim was used; ask the operator for a new one" });

  const bearer = newSecret(random);
  // A terminal that comes again keeps its card-token key, so that the tokens in its old journal stay comparable.
  const cardTokenKey = store.get(claim.terminalId)?.cardTokenKey ?? random(SECRET_BYTES);
  store.enrol({
    id: claim.terminalId,
    signingKey: request.signingKey,
    bearerHash: digest(bearer),
    cardTokenKey,
    enrolledAt: now,
  });
  return ok({ terminalId: claim.terminalId, bearer, cardTokenKey });
}

function signingKeyProblem(text: string): string | undefined {
  try {
    return readPublicKey(text).asymmetricKeyType === "ed25519" ? undefined : "not an Ed25519 key";
  } catch (error) {
    return reasonOf(error);
  }
}

function viewOf(row: TerminalRow): TerminalView {
  const presence = row.presence === null ? undefined : PresenceSchema.safeParse(JSON.parse(row.presence)).data;
  const health = row.health === null ? undefined : HealthSchema.safeParse(JSON.parse(row.health)).data;
  return {
    id: row.id,
    enrolledAt: row.enrolledAt,
    leaseCounter: row.leaseCounter,
    ...(row.lastSeenAt === null ? {} : { lastSeenAt: row.lastSeenAt }),
    ...(presence === undefined ? {} : { presence }),
    ...(health === undefined ? {} : { health }),
  };
}
