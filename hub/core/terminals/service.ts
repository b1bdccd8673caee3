/** Terminals: enrolment by a one-time claim, their secrets and keys, signed hub time, and offline leases (RM8). */
import { hash, type KeyObject, timingSafeEqual } from "node:crypto";
import { toHex } from "../../../base/bytes.ts";
import type { Clock } from "../../../base/clock.ts";
import { reasonOf } from "../../../base/fault.ts";
import type { RandomBytes, TerminalId } from "../../../base/ids.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import { type Sqlite, transaction } from "../../../base/sqlite.ts";
import type { ReasonCode } from "../../../wire/common.ts";
import type { HubTime, Lease } from "../../../wire/lease.ts";
import { readPublicKey, type Signed, signText } from "../../../wire/signing.ts";
import { type EnrolRequest, type Health, HealthSchema, type Presence, PresenceSchema } from "../../../wire/terminal.ts";
import type { SealingRing } from "../../sealing-ring.ts";
import { createDenyList, type DenyList } from "./deny-list.ts";
import { type Exposure, exposureOf } from "./exposure.ts";
import { createJournalBook, needOf } from "./journals.ts";
import { createKeyVault, type KeyVault } from "./key-vault.ts";
import { createLeaseBook, type LeasePolicy, type LeaseRun, leaseFrom, leaseIdOf } from "./leases.ts";
import { type ActionRow, createTerminalStore, type TerminalRow } from "./store.ts";

export interface TerminalsOptions {
  readonly database: Sqlite;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly signingKey: KeyObject;
  /** The present key and those before it. */
  readonly sealing: Pick<SealingRing, "keyId" | "publicKey" | "find" | "rotate">;
  /** 32 bytes: keys the hub's card tokens. */
  readonly tokenKey: Uint8Array;
  /** The paying devices of an account, denied with it. */
  devicesOf(accountId: string): readonly string[];
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
  readonly reason: Extract<ReasonCode, "E_UNKNOWN" | "E_USED" | "E_EXPIRED" | "E_FORMAT" | "E_DENIED">;
  readonly detail: string;
}

export interface TerminalView {
  readonly id: TerminalId;
  readonly enrolledAt: number;
  readonly lastSeenAt?: number;
  readonly leaseCounter: number;
  readonly presence?: Presence;
  readonly health?: Health;
  readonly revokedAt?: number;
}

/** Who did something to a terminal, and why. */
export interface ActionInput {
  readonly terminalId: TerminalId;
  readonly by: string;
  readonly why: string;
}

/** A terminal that may still hold entries sealed to a key. */
export interface KeyNeed {
  readonly terminalId: TerminalId;
  readonly why: string;
}

export type Terminals = ReturnType<typeof createTerminals>;

const SECRET_BYTES = 32;
const CLAIM_ID_BYTES = 8;
/** Checked keys in memory; the cache starts over when it is full. */
const KEY_CACHE_MAX = 10_000;

const digest = (secret: string): Uint8Array => hash("sha256", secret, "buffer");
const newSecret = (random: RandomBytes): string => Buffer.from(random(SECRET_BYTES)).toString("base64url");

export function createTerminals(options: TerminalsOptions) {
  const { database, clock, random } = options;
  const store = createTerminalStore(database);
  const vault = createKeyVault(options, store);
  const denyList = createDenyList(options);
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
    ...leasing(options, { store, denyList, vault }),
    ...revocation(options, store),
    signingKeyOf,
    denyList,
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
      transaction(database, () =>
        enrol(request, { store, vault, now: clock.now(), random, sealingKeyId: options.sealing.keyId }),
      ),

    /** Compares in constant time; an unknown terminal costs the same. */
    authenticate(id: string, bearer: string): boolean {
      const known = store.get(id)?.bearerHash;
      const same = timingSafeEqual(digest(bearer), known ?? digest(""));
      return known !== undefined && same;
    },

    markSeen: (id: TerminalId) => store.markSeen(id, clock.now()),
    setHealth: (id: TerminalId, health: Health) => store.setHealth(id, JSON.stringify(health)),

    signedTime(terminalId: TerminalId): Signed {
      const time: HubTime = { terminalId, at: new Date(clock.now()).toISOString() };
      return signText("time", JSON.stringify(time), options.signingKey);
    },
  };
}

type TakenOf = Parameters<typeof needOf>[0]["takenOf"];
type Store = ReturnType<typeof createTerminalStore>;

function revocation({ database, clock }: TerminalsOptions, store: Store) {
  /** True when it changed. */
  const setRevoked = (input: ActionInput, action: "revoke" | "restore"): Result<boolean, "unknown"> =>
    transaction(database, () => {
      if (!store.get(input.terminalId)) return fail("unknown");
      const at = clock.now();
      const changed = store.setRevoked(input.terminalId, action === "revoke" ? at : null);
      if (changed) store.noteAction({ ...input, action, at });
      return ok(changed);
    });

  return {
    isRevoked: (id: TerminalId): boolean => store.get(id)?.revokedAt != null,
    /** Its messages are refused from now on; its keys stay, so that its journal can be checked. */
    revoke: (input: ActionInput) => setRevoked(input, "revoke"),
    restore: (input: ActionInput) => setRevoked(input, "restore"),
    /** Newest first. */
    actions: (id: string): readonly ActionRow[] => store.actions(id),
  };
}

/** Leases as they are given, and what is known of who holds them and the keys that they name. */
function leasing(
  options: TerminalsOptions,
  { store, denyList, vault }: { readonly store: Store; readonly denyList: DenyList; readonly vault: KeyVault },
) {
  const { database, clock } = options;
  const leases = createLeaseBook(database);
  const journals = createJournalBook(database);
  return {
    setPresence(id: TerminalId, epoch: Lease["epoch"], presence: Presence): void {
      const now = clock.now();
      const source = { terminalId: id, epoch };
      store.setPresence(id, JSON.stringify(presence));
      if (presence.status === "offline") return;
      journals.hear(source, presence, now);
      const held = leases.withCounter(id, presence.leaseCounter ?? 0);
      if (held?.epoch === epoch) journals.holds(source, held.sealingKeyId, now);
    },
    /** The journal that a terminal last spoke for. */
    newestEpoch: (id: TerminalId): Lease["epoch"] | undefined =>
      journals
        .of(id)
        .toSorted((a, b) => a.heardAt - b.heardAt)
        .at(-1)?.epoch,

    /** A new lease with the next counter, or undefined where policy gives none or the terminal is revoked. */
    grantLease(terminalId: TerminalId, epoch: Lease["epoch"]): Signed | undefined {
      const policy = options.leasePolicy(terminalId);
      const row = store.get(terminalId);
      if (policy === undefined || row === undefined || row.revokedAt !== null) return undefined;
      const counter = store.nextLeaseCounter(terminalId);
      if (counter === undefined) return undefined;
      if (policy.deferredAuthorisation) store.noteDeferring(terminalId, counter);
      const { sealing } = options;
      const denied = denyList.forTerminal(terminalId, vault.open(row));
      const lease = leaseFrom({ terminalId, epoch, counter, policy, now: clock.now(), sealing, denyList: denied });
      leases.note(lease);
      return signText("lease", JSON.stringify(lease), options.signingKey);
    },

    /** The last lease given; it may have ended. */
    newestLease: (id: TerminalId): LeaseRun | undefined => leases.newest(id),
    exposure: (copiesOf: (terminalId: TerminalId, epoch: string) => number): Exposure =>
      exposureOf(leases.validAt(clock.now()), copiesOf),

    /** New leases name the new key. */
    rotateSealing: () => options.sealing.rotate(clock.now()),
    /** Which terminals may still need a sealing key that is not the present one. */
    needsOfKey(keyId: string, takenOf: TakenOf): readonly KeyNeed[] {
      const generation = options.sealing.find(keyId)?.generation ?? 0;
      const isNewer = (other: string) => (options.sealing.find(other)?.generation ?? 0) > generation;
      return store.all().flatMap(({ id, enrolledAt, enrolledKeyId }) => {
        const terminal = { id, enrolledAt, ...(enrolledKeyId === null ? {} : { enrolledKeyId }) };
        const why = needOf({ terminal, book: journals, isNewer, takenOf });
        return why === undefined ? [] : [{ terminalId: id, why }];
      });
    },
    /** A person takes it on himself that what a terminal still holds under an older key can never be opened. */
    giveUp: (input: ActionInput) => store.noteAction({ ...input, action: "give-up", at: clock.now() }),

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

interface EnrolContext {
  readonly store: Store;
  readonly vault: KeyVault;
  readonly now: number;
  readonly random: RandomBytes;
  readonly sealingKeyId: string;
}

function enrol(
  request: EnrolRequest,
  { store, vault, now, random, sealingKeyId }: EnrolContext,
): Result<Enrolled, EnrolRefusal> {
  const claim = store.claim(request.claimId);
  const secretFits = timingSafeEqual(digest(request.secret), claim?.secretHash ?? digest(""));
  if (!claim || !secretFits)
    return fail({ reason: "E_UNKNOWN", detail: "no such claim and secret; ask the operator for a new claim" });
  if (claim.usedAt !== null)
    return fail({ reason: "E_USED", detail: "this claim was used; ask the operator for a new one" });
  if (now >= claim.expiresAt)
    return fail({ reason: "E_EXPIRED", detail: "this claim has expired; ask the operator for a new one" });
  const known = store.get(claim.terminalId);
  if (known && known.revokedAt !== null)
    return fail({ reason: "E_DENIED", detail: "this terminal is revoked; the operator can restore it" });
  const keyProblem = signingKeyProblem(request.signingKey);
  if (keyProblem !== undefined) return fail({ reason: "E_FORMAT", detail: `signingKey: ${keyProblem}` });
  if (!store.useClaim(claim.id, now))
    return fail({ reason: "E_USED", detail: "this claim was used; ask the operator for a new one" });

  const bearer = newSecret(random);
  // A terminal that comes again keeps its card-token key, so that the tokens in its old journal stay comparable.
  const cardTokenKey = known ? vault.open(known) : random(SECRET_BYTES);
  store.enrol({
    id: claim.terminalId,
    signingKey: request.signingKey,
    bearerHash: digest(bearer),
    cardTokenKey: vault.seal(claim.terminalId, cardTokenKey),
    enrolledAt: now,
    enrolledKeyId: sealingKeyId,
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
    ...(row.revokedAt === null ? {} : { revokedAt: row.revokedAt }),
  };
}
