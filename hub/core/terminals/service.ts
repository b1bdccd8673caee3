/** Terminals: enrolment by a one-time claim, their secrets and keys, signed hub time, and offline leases (RM8). */
import { type KeyObject, timingSafeEqual } from "node:crypto";
import type { Clock } from "../../../base/clock.ts";
import { Fault } from "../../../base/fault.ts";
import type { RandomBytes, TerminalId } from "../../../base/ids.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { HubTime, Lease } from "../../../wire/lease.ts";
import { readPublicKey, type Signed, signText } from "../../../wire/signing.ts";
import { type Health, HealthSchema, type Presence, PresenceSchema } from "../../../wire/terminal.ts";
import type { SealingRing } from "../../sealing-ring.ts";
import type { Reading, Within } from "../../store/store.ts";
import type { TerminalCertificate } from "./certificate-store.ts";
import { createCertificates } from "./certificates.ts";
import { createDenyList, type DenyList } from "./deny-list.ts";
import {
  type ClaimInput,
  claimOf,
  createClaim,
  digest,
  type Enrolled,
  type EnrolRefusal,
  enrol,
  type Redemption,
} from "./enrolment.ts";
import { type Exposure, exposureOf } from "./exposure.ts";
import { journalBook, needOf } from "./journals.ts";
import { createKeyVault, type KeyVault } from "./key-vault.ts";
import { type LeasePolicy, type LeaseRun, leaseBook, leaseFrom, leaseIdOf, leaseText } from "./leases.ts";
import { type ActionRow, terminalStore as store, type TerminalRow } from "./store.ts";

export interface TerminalsOptions {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly signingKey: KeyObject;
  /** The present key and those before it. */
  readonly sealing: Pick<SealingRing, "keyId" | "publicKey" | "find" | "rotate">;
  /** 32 bytes: keys the hub's card tokens. */
  readonly tokenKey: Uint8Array;
  /** The paying devices of an account, denied with it. */
  devicesOf(reading: Reading, accountId: string): Promise<readonly string[]>;
  /** Undefined: this terminal gets none. */
  leasePolicy(terminalId: TerminalId): LeasePolicy | undefined;
  /** What institutions let terminals decide in their names; nothing when not said. */
  standInOf?(reading: Reading): Promise<Lease["standIn"]>;
  /** Of a lease that was too long for this institution's parameters. */
  onCut?(institutionId: string): void;
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

/** What a message of a terminal is judged by. */
export interface Speaker {
  /** Checks what it signs. */
  readonly signingKey: KeyObject;
  readonly isRevoked: boolean;
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

const DIGEST_BYTES = 32;
/** Checked keys in memory; the cache starts over when it is full. */
const KEY_CACHE_MAX = 10_000;

export function createTerminals(options: TerminalsOptions) {
  const { clock, random } = options;
  const vault = createKeyVault(options);
  const denyList = createDenyList(options);
  const keys = new Map<string, KeyObject>();
  const certificates = createCertificates({
    terminal: (reading, id) => store.get(reading, id),
    onUse: (within, id) => store.forgetBearer(within, id),
  });

  function keyOf({ signingKey }: TerminalRow): KeyObject {
    const cached = keys.get(signingKey);
    if (cached) return cached;
    if (keys.size >= KEY_CACHE_MAX) keys.clear();
    const key = readPublicKey(signingKey);
    keys.set(signingKey, key);
    return key;
  }
  async function signingKeyOf(reading: Reading, id: TerminalId): Promise<KeyObject | undefined> {
    const row = await store.get(reading, id);
    return row && keyOf(row);
  }

  return {
    ...leasing(options, { denyList, vault }),
    ...revocation(options),
    /** Who speaks, and that he was seen; undefined for one that was never enrolled here. */
    async speaker(within: Within, id: TerminalId): Promise<Speaker | undefined> {
      const row = await store.markSeen(within, id, clock.now());
      return row && { signingKey: keyOf(row), isRevoked: row.revokedAt !== null };
    },
    signingKeyOf,
    denyList,
    certificates,
    /** To be called once before all else: brings what an earlier version stored to its present form. */
    prepare: (within: Within) => vault.sealBare(within),
    async get(reading: Reading, id: string): Promise<TerminalView | undefined> {
      const row = await store.get(reading, id);
      return row && viewOf(row);
    },
    list: async (
      reading: Reading,
      page: { readonly after: string; readonly limit: number },
    ): Promise<readonly TerminalView[]> => (await store.list(reading, page.after, page.limit)).map(viewOf),

    createClaim: (within: Within, input: ClaimInput) => createClaim(within, input, options),
    /** The terminal whose claim this is, if it can be redeemed now: before a certificate is made for it. Uses up nothing. */
    async claimed(reading: Reading, request: Redemption): Promise<Result<TerminalId, EnrolRefusal>> {
      const claim = await claimOf(reading, request, clock.now());
      return claim.ok ? ok(claim.value.terminalId) : claim;
    },
    /**
     * Uses the claim up, and takes a revocation back. All certificates before this one are closed; without one the terminal
     * can speak to no gateway.
     */
    async enrol(
      within: Within,
      request: Redemption,
      certificate?: TerminalCertificate,
    ): Promise<Result<Enrolled, EnrolRefusal>> {
      const now = clock.now();
      const enrolled = await enrol(within, request, { vault, now, random, sealingKeyId: options.sealing.keyId });
      if (enrolled.ok && certificate) await certificates.enrolled(within, certificate, now);
      return enrolled;
    },

    /**
     * The secret of a terminal that an earlier version enrolled, which is good for its first certificate and until that one
     * is used. Compares in constant time; an unknown terminal costs the same.
     */
    async holdsBearer(reading: Reading, id: string, bearer: string): Promise<boolean> {
      const known = (await store.get(reading, id))?.bearerHash;
      const kept = known?.length === DIGEST_BYTES ? known : undefined;
      const same = timingSafeEqual(digest(bearer), kept ?? digest(""));
      return kept !== undefined && same;
    },

    setHealth: (within: Within, id: TerminalId, health: Health) => store.setHealth(within, id, JSON.stringify(health)),

    /** `nonce`: of the presence that it answers. */
    signedTime(terminalId: TerminalId, nonce?: string): Signed {
      const at = new Date(clock.now()).toISOString();
      const time: HubTime = { terminalId, at, ...(nonce === undefined ? {} : { nonce }) };
      return signText("time", JSON.stringify(time), options.signingKey);
    },
  };
}

type TakenOf = Parameters<typeof needOf>[1]["takenOf"];

function revocation({ clock }: TerminalsOptions) {
  /** True when it changed. */
  async function setRevoked(
    within: Within,
    input: ActionInput,
    action: "revoke" | "restore",
  ): Promise<Result<boolean, "unknown">> {
    if (!(await store.get(within, input.terminalId))) return fail("unknown");
    const at = clock.now();
    const changed = await store.setRevoked(within, input.terminalId, action === "revoke" ? at : null);
    if (changed) await store.noteAction(within, { ...input, action, at });
    return ok(changed);
  }

  return {
    isRevoked: async (reading: Reading, id: TerminalId): Promise<boolean> =>
      (await store.get(reading, id))?.revokedAt != null,
    /** Whose logins up to some time are good no more: of the revoked, and of who was enrolled again. The last ones first. */
    endedLogins: (reading: Reading, limit: number) => store.endedLogins(reading, { now: clock.now(), limit }),
    /** Its messages are refused from now on; its keys stay, so that its journal can be checked. */
    revoke: (within: Within, input: ActionInput) => setRevoked(within, input, "revoke"),
    restore: (within: Within, input: ActionInput) => setRevoked(within, input, "restore"),
    /** Newest first. */
    actions: (reading: Reading, id: string): Promise<readonly ActionRow[]> => store.actions(reading, id),
  };
}

interface LeaseNeeds {
  readonly denyList: DenyList;
  readonly vault: KeyVault;
}

/** Leases as they are given, and what is known of who holds them and the keys that they name. */
function leasing(options: TerminalsOptions, { denyList, vault }: LeaseNeeds) {
  const { clock } = options;
  return {
    ...keyNeeds(options),
    async setPresence(within: Within, source: JournalSource, { nonce: _, ...presence }: Presence): Promise<void> {
      const now = clock.now();
      const { terminalId } = source;
      await store.setPresence(within, terminalId, JSON.stringify(presence));
      if (presence.status === "offline") return;
      await journalBook.hear(within, source, { presence, at: now });
      const held = await leaseBook.withCounter(within, terminalId, presence.leaseCounter ?? 0);
      if (held?.epoch === source.epoch) await journalBook.holds(within, source, { keyId: held.sealingKeyId, at: now });
    },
    /** The journal that a terminal last spoke for. */
    newestEpoch: async (reading: Reading, id: TerminalId): Promise<Lease["epoch"] | undefined> =>
      (await journalBook.of(reading, id)).toSorted((a, b) => a.heardAt - b.heardAt).at(-1)?.epoch,

    /**
     * A new lease with the next counter, or undefined where policy gives none or the terminal is revoked. Throws Fault
     * `identity.invalid` where the key of its card tokens cannot be opened.
     */
    async grantLease(within: Within, terminalId: TerminalId, epoch: Lease["epoch"]): Promise<Signed | undefined> {
      const policy = options.leasePolicy(terminalId);
      const row = await store.get(within, terminalId);
      if (policy === undefined || row === undefined || row.revokedAt !== null) return undefined;
      const cardTokenKey = vault.open(row);
      if (!cardTokenKey)
        throw new Fault("identity.invalid", `the card-token key of ${terminalId} does not open here; enrol it again`);
      const counter = await store.nextLeaseCounter(within, terminalId);
      if (counter === undefined) return undefined;
      if (policy.deferredAuthorisation) await store.noteDeferring(within, terminalId, counter);
      const { sealing } = options;
      const denied = await denyList.forTerminal(within, terminalId, cardTokenKey);
      const standIn = await options.standInOf?.(within);
      const now = clock.now();
      const lease = leaseFrom({ terminalId, epoch, counter, policy, now, sealing, denyList: denied, standIn });
      await leaseBook.note(within, lease);
      const { text, cut } = leaseText(lease);
      for (const institutionId of cut) options.onCut?.(institutionId);
      return signText("lease", text, options.signingKey);
    },

    /** The last lease given; it may have ended. */
    newestLease: (reading: Reading, id: TerminalId): Promise<LeaseRun | undefined> => leaseBook.newest(reading, id),
    /** `copiesOf`: how many journals of this terminal and epoch are known to be written. */
    async exposure(reading: Reading, copiesOf: CopiesOf): Promise<Exposure> {
      const runs = await leaseBook.validAt(reading, clock.now());
      const copies = new Map<string, number>();
      const nameOf = (terminalId: TerminalId, epoch: string) => `${terminalId}\n${epoch}`;
      for (const { terminalId, epoch } of runs) {
        const name = nameOf(terminalId, epoch);
        if (!copies.has(name)) copies.set(name, await copiesOf(terminalId, epoch));
      }
      return exposureOf(runs, (terminalId, epoch) => copies.get(nameOf(terminalId, epoch)) ?? 1);
    },

    /**
     * Whether a sale under this lease may be authorised afterwards (RM9). What the lease said when it was given counts, so
     * that a policy changed since then takes nothing from a merchant who kept to it. What policy says today counts too:
     * a hub restored from a backup no longer knows the newest leases.
     */
    async permitsDeferred(reading: Reading, terminalId: TerminalId, leaseId: string | undefined): Promise<boolean> {
      if (options.leasePolicy(terminalId)?.deferredAuthorisation) return true;
      const counter = Number(/-(\d{1,15})$/.exec(leaseId ?? "")?.[1] ?? 0);
      return leaseIdOf(terminalId, counter) === leaseId && (await store.wasDeferring(reading, terminalId, counter));
    },
  };
}

type CopiesOf = (terminalId: TerminalId, epoch: string) => Promise<number>;
interface JournalSource {
  readonly terminalId: TerminalId;
  readonly epoch: Lease["epoch"];
}

/** Which sealing keys may go. */
function keyNeeds({ sealing, clock }: TerminalsOptions) {
  return {
    /** New leases name the new key. */
    rotateSealing: () => sealing.rotate(clock.now()),
    /** Which terminals may still need a sealing key that is not the present one. */
    async needsOfKey(reading: Reading, keyId: string, takenOf: TakenOf): Promise<readonly KeyNeed[]> {
      const generation = sealing.find(keyId)?.generation ?? 0;
      const isNewer = (other: string) => (sealing.find(other)?.generation ?? 0) > generation;
      const needs: KeyNeed[] = [];
      for (const { id, enrolledAt, enrolledKeyId } of await store.all(reading)) {
        const terminal = { id, enrolledAt, ...(enrolledKeyId === null ? {} : { enrolledKeyId }) };
        const why = await needOf(reading, { terminal, isNewer, takenOf });
        if (why !== undefined) needs.push({ terminalId: id, why });
      }
      return needs;
    },
    /** A person takes it on himself that what a terminal still holds under an older key can never be opened. */
    giveUp: (within: Within, input: ActionInput) =>
      store.noteAction(within, { ...input, action: "give-up", at: clock.now() }),
  };
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
