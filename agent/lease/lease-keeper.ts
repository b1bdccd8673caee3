/**
 * Holds the offline lease and counts against it (RM8): what may still be sold is the cap less everything that is approved
 * and not yet receipted, less what is being decided right now, across renewals.
 */
import type { KeyObject } from "node:crypto";
import { assert } from "../../base/assert.ts";
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import type { PaymentId, TerminalId } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { Money } from "../../base/money.ts";
import { fail, ok, type Result } from "../../base/result.ts";
import type { Means } from "../../wire/common.ts";
import { denyListHash, type Lease, LeaseSchema } from "../../wire/lease.ts";
import { openSigned, readPublicKey, type Signed } from "../../wire/signing.ts";
import type { StandInCheck } from "../../wire/stand-in-checks.ts";
import type { Journal, Outstanding } from "../journal/journal.ts";
import { mirrorRefusal } from "../standin/mirror.ts";
import type { HubClock, LeaseRefusal, LeaseView } from "../uplink/hub.ts";
import { keepLease, recallLease } from "./kept-lease.ts";

export interface SealingKey {
  readonly keyId: string;
  readonly publicKey: KeyObject;
}

export interface OfflineSale {
  readonly paymentId: PaymentId;
  readonly amount: Money;
  readonly means: Means;
  /** HMAC of the card number, or of the paying device's id, under this terminal's key, in hex: matched with the deny list. */
  readonly payerToken: string;
  /** The paying device, as the entry of the sale will name it (RM11); absent where a card pays. */
  readonly deviceId?: string;
  /** Of the card's number: `ACCOUNT_PREFIX_DIGITS_MAX` of them; absent where no card pays. */
  readonly leadingDigits?: string;
}

/** Room taken out of the lease for one sale that is being decided. Ends by exactly one of its two calls; a second does nothing. */
export interface Reservation {
  readonly leaseId: string;
  /** A card that declines for want of an answer may be taken at the merchant's risk (RM9). */
  readonly deferrable: boolean;
  /** The decision is durable in the journal, whose `outstanding` counts it from now on. */
  commit(): void;
  /** Not sold: the room is free again. */
  release(): void;
}

export interface LeaseKeeperOptions {
  readonly terminalId: TerminalId;
  readonly hubSigningKey: KeyObject;
  /** The key of the enrolment, used until a lease brings the hub's present one. */
  readonly sealingKey: SealingKey;
  readonly journal: Pick<Journal, "epoch" | "outstanding" | "outstandingOf" | "recall" | "keep">;
  readonly hubClock: HubClock;
  readonly log: Log;
  /** Free bytes on the journal's disk, and how many must stay free: below that no more is sold offline. */
  readonly disk: { freeBytes(): number; readonly reserveBytes: number };
}

/** Why a lease is not taken, each by its own name: not signed by the hub or not a lease, another's, over, or older than the held one. */
export type LeaseOfferRefusal =
  | "forged"
  | "malformed"
  | "deny-list-altered"
  | "other-terminal"
  | "other-epoch"
  | "expired"
  | "replayed";
/** `taken`: in force now. `held`: this very one is in force already. */
export type LeaseOffer = "taken" | "held" | LeaseOfferRefusal;

interface HeldLease {
  readonly signed: Signed;
  readonly lease: Lease;
  readonly denied: ReadonlySet<string>;
  readonly sealingKey: SealingKey;
  readonly withdrawn: boolean;
}

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  /** Sales being decided: as many as payments run at one time. */
  readonly #reserved = new Map<PaymentId, { readonly minor: bigint; readonly payer: string }>();
  #held: HeldLease | undefined;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    const kept = recallLease(options.journal);
    const held = kept && this.#open(kept.signed);
    if (held?.ok) this.#held = { ...held.value, withdrawn: kept?.withdrawn ?? false };
    else if (held) this.#refuse(held.error);
  }

  /** Whether the deny list that came with the lease names this card, whatever became of the lease. */
  denies(cardToken: string): boolean {
    return this.#held?.denied.has(cardToken) ?? false;
  }

  /** The number of the lease held, to tell the hub; 0 without one. */
  get counter(): number {
    return this.#held?.lease.counter ?? 0;
  }

  /** The key under which card data are sealed today. */
  get sealingKey(): SealingKey {
    return this.#held?.sealingKey ?? this.#options.sealingKey;
  }

  /** Takes a lease from the hub if it is newer than the held one. */
  offer(signed: Signed): LeaseOffer {
    const offered = this.#open(signed);
    if (!offered.ok) return this.#refuse(offered.error);
    const { lease } = offered.value;
    const held = this.#held;
    if (held && lease.counter < held.lease.counter) return this.#refuse({ why: "replayed", leaseId: lease.leaseId });
    if (held && lease.counter === held.lease.counter && !held.withdrawn) return "held";
    // An unproven time is still a lower bound, so an end that it has passed is certain.
    if (this.#options.hubClock.now().at >= Date.parse(lease.expiresAt))
      return this.#refuse({ why: "expired", leaseId: lease.leaseId });
    this.#replace(offered.value);
    this.#options.log.info("offline lease taken", {
      leaseId: lease.leaseId,
      counter: lease.counter,
      expiresAt: lease.expiresAt,
    });
    return "taken";
  }

  /** The hub gives this terminal no lease any more. What is outstanding stays counted. */
  withdraw(): void {
    const held = this.#held;
    if (!held || held.withdrawn) return;
    this.#replace({ ...held, withdrawn: true });
    this.#options.log.warn("the hub withdrew the offline lease", { leaseId: held.lease.leaseId });
  }

  /**
   * Takes room for one sale, or says why there is none. Nothing can come between the check and the taking: both are
   * synchronous, so concurrent sales cannot share the same room.
   */
  reserve(sale: OfflineSale): Result<Reservation, LeaseRefusal> {
    assert(!this.#reserved.has(sale.paymentId), "one reservation per payment");
    const held = this.#held;
    if (!held || held.withdrawn) return fail("no-lease");
    const refusal = this.#refusalOf(sale, held);
    if (refusal) return fail(refusal);
    this.#reserved.set(sale.paymentId, { minor: sale.amount.minor, payer: payerOf(sale) });
    return ok(this.#reservation(sale.paymentId, held.lease));
  }

  /** Whether `reserve` would take such a sale now, of a payer who bought nothing here yet. */
  hasRoom(sale: Pick<OfflineSale, "amount" | "means">): boolean {
    const held = this.#held;
    return held !== undefined && !held.withdrawn && !this.#refusalOf({ ...sale, payerToken: NOBODY }, held);
  }

  /** Why even the least sale of a payer who bought nothing here yet would be refused now, and so every one. */
  refusesAll(): LeaseRefusal | undefined {
    const held = this.#held;
    if (!held || held.withdrawn) return "no-lease";
    const [means] = held.lease.means;
    if (means === undefined) return "means";
    const amount = { minor: 1n, currency: held.lease.currency };
    return this.#refusalOf({ amount, means, payerToken: NOBODY }, held);
  }

  /**
   * Minor units that this card, or this paying device, bought offline here and that the hub has not receipted: what it owes
   * already when a floor limit is compared (EMV Book 3, 10.6.1).
   */
  spentBy(payer: string): bigint {
    return this.#usedBy(payer).minor;
  }

  /** Whether the lease held is for this means at all. */
  takes(means: Means): boolean {
    return this.#held !== undefined && !this.#held.withdrawn && this.#held.lease.means.includes(means);
  }

  view(): LeaseView | undefined {
    const held = this.#held;
    if (!held || held.withdrawn) return undefined;
    const used = this.#used();
    return {
      lease: held.lease,
      remainingMinor: atLeastNothing(BigInt(held.lease.sumMinor) - used.minor),
      remainingCount: Math.max(0, held.lease.countMax - used.count),
    };
  }

  #refusalOf(sale: Sale, { lease, denied }: HeldLease): LeaseRefusal | undefined {
    const { hubClock, disk } = this.#options;
    const time = hubClock.now();
    // An unproven time is still a lower bound, so an end that it has passed is certain.
    if (time.at >= Date.parse(lease.expiresAt)) return "expired";
    if (!time.proven) return "time-unproven";
    if (sale.amount.currency !== lease.currency) return "currency";
    if (!lease.means.includes(sale.means)) return "means";
    if (denied.has(sale.payerToken)) return "denied-card";
    if (sale.amount.minor > BigInt(lease.perSaleMinor)) return "per-sale";
    const used = this.#used();
    if (used.oldestAt && time.at - Date.parse(used.oldestAt) > lease.ageMaxSec * 1_000) return "age";
    if (used.count + 1 > lease.countMax) return "count";
    if (used.minor + sale.amount.minor > BigInt(lease.sumMinor)) return "sum";
    if (lease.perPayer && exceeds(this.#usedBy(payerOf(sale)), sale.amount.minor, lease.perPayer)) return "velocity";
    const check = this.#mirrored(sale, lease, { at: time.at, ofAll: used });
    if (check) return `stand-in ${check}`;
    return disk.freeBytes() < disk.reserveBytes ? "disk-reserve" : undefined;
  }

  /** What the card's institution says, where the lease tells it. */
  #mirrored(
    sale: Sale,
    { standIn }: Lease,
    { at, ofAll }: { readonly at: number; readonly ofAll: Used },
  ): StandInCheck | undefined {
    const { leadingDigits, means, amount, paymentId = NO_PAYMENT } = sale;
    if (leadingDigits === undefined || means === "note") return undefined;
    const { terminalId } = this.#options;
    const ofCard = this.#usedBy(payerOf(sale));
    return mirrorRefusal(
      { paymentId, terminalId, amount, entryMode: means, leadingDigits, at, ofCard, ofAll },
      standIn,
    );
  }

  /** A sale between its commit in the journal and `commit()` here counts twice for a moment: too much, never too little. */
  #used(): Outstanding {
    const outstanding = this.#options.journal.outstanding();
    let { minor } = outstanding;
    for (const sale of this.#reserved.values()) minor += sale.minor;
    return { ...outstanding, minor, count: outstanding.count + this.#reserved.size };
  }

  /** The same of one payer. */
  #usedBy(payer: string): Used {
    let { count, minor } = this.#options.journal.outstandingOf(payer);
    for (const sale of this.#reserved.values()) {
      if (sale.payer !== payer) continue;
      count += 1;
      minor += sale.minor;
    }
    return { count, minor };
  }

  #reservation(paymentId: PaymentId, { leaseId, deferredAuthorisation: deferrable }: Lease): Reservation {
    let open = true;
    const end = () => {
      if (open) this.#reserved.delete(paymentId);
      open = false;
    };
    return { leaseId, deferrable, commit: end, release: end };
  }

  #replace(held: HeldLease): void {
    this.#held = held;
    keepLease(this.#options.journal, held).catch((error: unknown) => {
      this.#options.log.warn("the lease could not be stored; it holds until a restart", { reason: reasonOf(error) });
    });
  }

  #open(signed: Signed): Result<HeldLease, Refused> {
    const { hubSigningKey, terminalId, journal } = this.#options;
    try {
      const lease = openSigned("lease", signed, hubSigningKey, LeaseSchema);
      const { leaseId, denyList } = lease;
      if (lease.terminalId !== terminalId) return fail({ why: "other-terminal", leaseId });
      if (lease.epoch !== journal.epoch) return fail({ why: "other-epoch", leaseId });
      if (denyListHash(denyList.tokens) !== denyList.hash) return fail({ why: "deny-list-altered", leaseId });
      return ok(hold(signed, lease));
    } catch (error) {
      if (!isFault(error)) throw error;
      const why = isFault(error, "message.invalid") ? "malformed" : "forged";
      return fail({ why, detail: reasonOf(error) });
    }
  }

  #refuse(refused: Refused): LeaseOfferRefusal {
    const { why, ...rest } = refused;
    this.#options.log.warn("an offline lease was refused", { why, ...rest });
    return why;
  }
}

interface Refused {
  readonly why: LeaseOfferRefusal;
  readonly leaseId?: string;
  readonly detail?: string;
}

function hold(signed: Signed, lease: Lease): HeldLease {
  const { keyId, publicKey } = lease.sealingKey;
  const sealingKey = { keyId, publicKey: readSealingKey(publicKey) };
  return { signed, lease, withdrawn: false, sealingKey, denied: new Set(lease.denyList.tokens) };
}

function readSealingKey(text: string): KeyObject {
  try {
    const key = readPublicKey(text);
    if (key.asymmetricKeyType === "x25519") return key;
  } catch {
    // Not a key at all: the same refusal as another kind of key.
  }
  throw new Fault("message.invalid", "the lease's sealing key is not an X25519 public key");
}

type Used = Pick<Outstanding, "count" | "minor">;

type Sale = Omit<OfflineSale, "paymentId"> & Partial<Pick<OfflineSale, "paymentId">>;
/** Of a sale that is only asked about. */
const NO_PAYMENT = "none" as PaymentId;

/** No token is empty. */
const NOBODY = "";
const payerOf = ({ deviceId, payerToken }: Pick<OfflineSale, "deviceId" | "payerToken">): string =>
  deviceId ?? payerToken;

const exceeds = (used: Used, minor: bigint, limit: NonNullable<Lease["perPayer"]>): boolean =>
  used.count + 1 > limit.countMax || used.minor + minor > BigInt(limit.sumMinor);

const atLeastNothing = (minor: bigint): bigint => (minor < 0n ? 0n : minor);
