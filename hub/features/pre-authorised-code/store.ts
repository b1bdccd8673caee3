/** All SQL of pre-authorised codes. */
import type { Currency } from "../../../base/money.ts";
import type { GrantStatus } from "../../../wire/phone.ts";
import type { PaymentKey } from "../../core/authorisation/index.ts";
import { type Reading, sql, type Within } from "../../store/store.ts";

export interface GrantRow {
  readonly number: number;
  readonly grantId: string;
  readonly userId: string;
  readonly codeHash: Uint8Array;
  readonly deviceId: string;
  readonly accountId: string;
  readonly capMinor: number;
  readonly currency: Currency;
  readonly validitySec: number;
  readonly status: GrantStatus;
  /** The payment that has it, or had it last, with what it takes. */
  readonly terminalId: string | null;
  readonly paymentId: string | null;
  readonly minor: number | null;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly revokedAt: number | null;
}

type NewGrant = Omit<GrantRow, "number" | "status" | "terminalId" | "paymentId" | "minor" | "revokedAt">;

const TABLE = "pre_authorised_code__grant";
const COLUMNS = `number, grant_id AS grantId, user_id AS userId, code_hash AS codeHash, device_id AS deviceId,
  account_id AS accountId, cap_minor AS capMinor, currency, validity_sec AS validitySec, status,
  terminal_id AS terminalId, payment_id AS paymentId, minor, issued_at AS issuedAt, expires_at AS expiresAt,
  revoked_at AS revokedAt`;
const BY_PAIR = sql<[string, Uint8Array], GrantRow>(
  `SELECT ${COLUMNS} FROM ${TABLE} WHERE user_id = ? AND code_hash = ?`,
);
const BY_PAYMENT = sql<[string, string], GrantRow>(
  `SELECT ${COLUMNS} FROM ${TABLE} WHERE terminal_id = ? AND payment_id = ?`,
);
const LIST = sql<[number, number], GrantRow>(
  `SELECT ${COLUMNS} FROM ${TABLE} WHERE number > ? ORDER BY number LIMIT ?`,
);
const COUNT_ACTIVE = sql<[string], { active: number }>(
  `SELECT count(*) AS active FROM ${TABLE} WHERE user_id = ? AND status IN ('ISSUED', 'RESERVED')`,
);
const INSERT = sql<NewGrant>(
  `INSERT INTO ${TABLE} (grant_id, user_id, code_hash, device_id, account_id, cap_minor, currency, validity_sec, status,
     issued_at, expires_at)
   VALUES (@grantId, @userId, @codeHash, @deviceId, @accountId, @capMinor, @currency, @validitySec, 'ISSUED',
     @issuedAt, @expiresAt)`,
);
const FORGET_PAYMENT = sql<[string, string]>(
  `UPDATE ${TABLE} SET terminal_id = NULL, payment_id = NULL, minor = NULL WHERE terminal_id = ? AND payment_id = ?`,
);
const RESERVE = sql<[string, string, bigint, string]>(
  `UPDATE ${TABLE} SET status = 'RESERVED', terminal_id = ?, payment_id = ?, minor = ?
   WHERE grant_id = ? AND status = 'ISSUED'`,
);
const MOVE = sql<[GrantStatus, string]>(`UPDATE ${TABLE} SET status = ? WHERE grant_id = ?`);
const EXPIRE = sql<[string, number]>(
  `UPDATE ${TABLE} SET status = 'EXPIRED' WHERE user_id = ? AND status = 'ISSUED' AND expires_at < ?`,
);
const REVOKE = sql<{ userId: string; at: number }>(
  `UPDATE ${TABLE} SET revoked_at = @at, status = CASE WHEN status = 'ISSUED' THEN 'REVOKED' ELSE status END
   WHERE user_id = @userId AND revoked_at IS NULL AND status IN ('ISSUED', 'RESERVED', 'USED')`,
);

const WRONG_CODES = "pre_authorised_code__wrong_codes";
const COUNT_WRONG_CODE = sql<[string], { count: number }>(
  `INSERT INTO ${WRONG_CODES} (user_id, count) VALUES (?, 1)
   ON CONFLICT (user_id) DO UPDATE SET count = ${WRONG_CODES}.count + 1 RETURNING count`,
);
const READ_WRONG_CODES = sql<[string], { count: number }>(`SELECT count FROM ${WRONG_CODES} WHERE user_id = ?`);
const FORGET_WRONG_CODES = sql<[string]>(`DELETE FROM ${WRONG_CODES} WHERE user_id = ?`);

export const grantStore = {
  /** By the pair, never by either alone. */
  grant: (reading: Reading, userId: string, codeHash: Uint8Array) => reading.get(BY_PAIR, [userId, codeHash]),
  grantOfPayment: (reading: Reading, { terminalId, paymentId }: PaymentKey) =>
    reading.get(BY_PAYMENT, [terminalId, paymentId]),
  grants: (reading: Reading, { afterNumber, limit }: { readonly afterNumber: number; readonly limit: number }) =>
    reading.all(LIST, [afterNumber, limit]),
  activeGrants: async (reading: Reading, userId: string) => (await reading.get(COUNT_ACTIVE, [userId]))?.active ?? 0,
  insertGrant: (within: Within, grant: NewGrant) => within.run(INSERT, grant),
  /** False unless it was free. A payment has one grant: what an earlier attempt of it had is another's from now on. */
  async reserve(within: Within, grantId: string, { terminalId, paymentId, minor }: Reserving): Promise<boolean> {
    await within.run(FORGET_PAYMENT, [terminalId, paymentId]);
    return (await within.run(RESERVE, [terminalId, paymentId, minor, grantId])) === 1;
  },
  move: (within: Within, grantId: string, status: GrantStatus) => within.run(MOVE, [status, grantId]),
  forgetPayment: (within: Within, { terminalId, paymentId }: PaymentKey) =>
    within.run(FORGET_PAYMENT, [terminalId, paymentId]),
  /** Those whose time is over at `now`. */
  expireGrants: (within: Within, userId: string, now: number) => within.run(EXPIRE, [userId, now]),
  /** None of the user's grants pays again, not even one that is given back later. */
  revokeGrants: (within: Within, userId: string, at: number) => within.run(REVOKE, { userId, at }),
  /** How many there have been, with this one. */
  countWrongCode: async (within: Within, userId: string) => (await within.get(COUNT_WRONG_CODE, [userId]))?.count ?? 0,
  wrongCodes: async (reading: Reading, userId: string) => (await reading.get(READ_WRONG_CODES, [userId]))?.count ?? 0,
  forgetWrongCodes: (within: Within, userId: string) => within.run(FORGET_WRONG_CODES, [userId]),
};

interface Reserving extends PaymentKey {
  readonly minor: bigint;
}
