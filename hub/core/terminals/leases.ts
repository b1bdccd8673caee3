/** Offline leases as they were given (RM8): what each says, and what of them may still be in force or in use somewhere. */
import type { Epoch, TerminalId } from "../../../base/ids.ts";
import type { Currency } from "../../../base/money.ts";
import type { Means } from "../../../wire/common.ts";
import type { Lease, MirroredSet } from "../../../wire/lease.ts";
import { publicKeyText, SIGNED_TEXT_MAX } from "../../../wire/signing.ts";
import type { SealingKeys } from "../../sealing-ring.ts";
import { type Reading, sql, type Value, type Within, wideSql } from "../../store/store.ts";

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

const HOUR_MS = 3_600_000;
/** 90 days: the longest that a lease can say. */
const AGE_HOURS_MAX = 2_160;

export const leaseIdOf = (terminalId: TerminalId, counter: number): string => `${terminalId.slice(0, 40)}-${counter}`;

export interface LeaseInput {
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
  readonly counter: number;
  readonly policy: LeasePolicy;
  readonly now: number;
  readonly sealing: Pick<SealingKeys, "keyId" | "publicKey">;
  readonly denyList: Lease["denyList"];
  readonly standIn?: Lease["standIn"];
}

export function leaseFrom({ terminalId, epoch, counter, policy, now, sealing, denyList, standIn }: LeaseInput): Lease {
  const { perPayer } = policy;
  return {
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
    ...(perPayer && { perPayer: { countMax: perPayer.countMax, sumMinor: perPayer.sumMinor.toString() } }),
    denyList,
    ...(standIn && { standIn }),
    sealingKey: { keyId: sealing.keyId, publicKey: publicKeyText(sealing.publicKey) },
  };
}

/**
 * A lease as it is signed, and whose stand-in parameters are not in it: where it would be longer than a terminal takes, the
 * longest go first. Ranges without parameters say that nothing is decided in that institution's name; a lease that is
 * refused for its length would end all sales offline.
 */
export function leaseText(lease: Lease): { readonly text: string; readonly cut: readonly string[] } {
  const text = JSON.stringify(lease);
  const { standIn } = lease;
  let excess = text.length - SIGNED_TEXT_MAX;
  if (!standIn || excess <= 0) return { text, cut: [] };
  const cut: string[] = [];
  for (const { id, length } of longestFirst(standIn.sets)) {
    if (excess <= 0) break;
    cut.push(id);
    excess -= length;
  }
  const sets = standIn.sets.map((set) =>
    cut.includes(set.parameters?.institution.id ?? "") ? { ranges: set.ranges } : set,
  );
  return { text: JSON.stringify({ ...lease, standIn: { ...standIn, sets } }), cut };
}

const longestFirst = (sets: readonly MirroredSet[]) =>
  sets
    .flatMap(({ parameters }) =>
      parameters ? [{ id: parameters.institution.id, length: JSON.stringify(parameters).length }] : [],
    )
    .toSorted((a, b) => b.length - a.length);

/** Leases of one content in a row. */
export interface LeaseRun {
  readonly terminalId: TerminalId;
  readonly firstCounter: number;
  readonly lastCounter: number;
  readonly epoch: Epoch;
  readonly currency: Currency;
  readonly sumMinor: bigint;
  /** What one card or device may spend of the sum. */
  readonly payerMinor: bigint;
  readonly sealingKeyId: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

interface RunRow {
  readonly terminalId: TerminalId;
  readonly firstCounter: bigint;
  readonly lastCounter: bigint;
  readonly epoch: Epoch;
  readonly currency: Currency;
  readonly sumMinor: bigint;
  readonly payerMinor: bigint;
  readonly sealingKeyId: string;
  readonly issuedAt: bigint;
  readonly expiresAt: bigint;
}

const toRun = (row: RunRow): LeaseRun => ({
  ...row,
  firstCounter: Number(row.firstCounter),
  lastCounter: Number(row.lastCounter),
  issuedAt: Number(row.issuedAt),
  expiresAt: Number(row.expiresAt),
});

const COLUMNS = `terminal_id AS terminalId, first_counter AS firstCounter, last_counter AS lastCounter, epoch, currency,
  sum_minor AS sumMinor, payer_minor AS payerMinor, sealing_key_id AS sealingKeyId, issued_at AS issuedAt,
  expires_at AS expiresAt`;

const EXTEND = sql<Record<string, Value>>(
  `UPDATE terminals__lease SET last_counter = @counter, issued_at = @issuedAt,
     expires_at = CASE WHEN expires_at > @expiresAt THEN expires_at ELSE @expiresAt END
   WHERE terminal_id = @terminalId AND last_counter = CAST(@counter AS BIGINT) - 1 AND epoch = @epoch
     AND currency = @currency AND sum_minor = @sumMinor AND payer_minor = @payerMinor AND sealing_key_id = @sealingKeyId`,
);
/** A hub restored from a backup gives some counters once more: the newest counts. */
const BEGIN = sql<Record<string, Value>>(
  `INSERT INTO terminals__lease (terminal_id, first_counter, last_counter, epoch, currency, sum_minor, payer_minor,
     sealing_key_id, issued_at, expires_at)
   VALUES (@terminalId, @counter, @counter, @epoch, @currency, @sumMinor, @payerMinor, @sealingKeyId, @issuedAt, @expiresAt)
   ON CONFLICT (terminal_id, first_counter) DO UPDATE SET last_counter = excluded.last_counter, epoch = excluded.epoch,
     currency = excluded.currency, sum_minor = excluded.sum_minor, payer_minor = excluded.payer_minor,
     sealing_key_id = excluded.sealing_key_id, issued_at = excluded.issued_at, expires_at = excluded.expires_at`,
);
const runs = <P extends readonly Value[]>(where: string) =>
  wideSql<P, RunRow>(`SELECT ${COLUMNS} FROM terminals__lease WHERE ${where}`);
const NEWEST = runs<[string]>("terminal_id = ? ORDER BY first_counter DESC LIMIT 1");
const COVERING = runs<[string, number, number]>("terminal_id = ? AND first_counter <= ? AND last_counter >= ?");
const VALID = runs<[number]>("expires_at > ? ORDER BY terminal_id, first_counter");

/** All SQL of given leases. */
export const leaseBook = {
  async note(within: Within, lease: Lease): Promise<void> {
    const row = {
      terminalId: lease.terminalId,
      counter: lease.counter,
      epoch: lease.epoch,
      currency: lease.currency,
      sumMinor: BigInt(lease.sumMinor),
      payerMinor: smaller(BigInt(lease.sumMinor), BigInt(lease.perPayer?.sumMinor ?? lease.sumMinor)),
      sealingKeyId: lease.sealingKey.keyId,
      issuedAt: Date.parse(lease.issuedAt),
      expiresAt: Date.parse(lease.expiresAt),
    };
    if ((await within.run(EXTEND, row)) === 0) await within.run(BEGIN, row);
  },
  async newest(reading: Reading, terminalId: TerminalId): Promise<LeaseRun | undefined> {
    const row = await reading.get(NEWEST, [terminalId]);
    return row && toRun(row);
  },
  /** The run that a lease of this number belongs to. */
  async withCounter(reading: Reading, terminalId: TerminalId, counter: number): Promise<LeaseRun | undefined> {
    const row = await reading.get(COVERING, [terminalId, counter, counter]);
    return row && toRun(row);
  },
  validAt: async (reading: Reading, now: number): Promise<readonly LeaseRun[]> =>
    (await reading.all(VALID, [now])).map(toRun),
};

const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);
