/** All SQL of pre-authorised codes. */
import type { Currency } from "../../../base/money.ts";
import type { Sqlite } from "../../../base/sqlite.ts";
import type { GrantStatus } from "../../../wire/phone.ts";
import type { PaymentKey } from "../../core/authorisation/index.ts";

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

export type NewGrant = Omit<GrantRow, "number" | "status" | "terminalId" | "paymentId" | "minor" | "revokedAt">;

const COLUMNS = `number, grant_id AS grantId, user_id AS userId, code_hash AS codeHash, device_id AS deviceId,
  account_id AS accountId, cap_minor AS capMinor, currency, validity_sec AS validitySec, status,
  terminal_id AS terminalId, payment_id AS paymentId, minor, issued_at AS issuedAt, expires_at AS expiresAt,
  revoked_at AS revokedAt`;

export type GrantStore = ReturnType<typeof createGrantStore>;

export const createGrantStore = (database: Sqlite) => ({ ...grantSql(database), ...wrongCodeSql(database) });

function grantSql(database: Sqlite) {
  const table = "pre_authorised_code__grant";
  const byPair = database.prepare<[string, Uint8Array], GrantRow>(
    `SELECT ${COLUMNS} FROM ${table} WHERE user_id = ? AND code_hash = ?`,
  );
  const byPayment = database.prepare<[string, string], GrantRow>(
    `SELECT ${COLUMNS} FROM ${table} WHERE terminal_id = ? AND payment_id = ?`,
  );
  const list = database.prepare<[number, number], GrantRow>(
    `SELECT ${COLUMNS} FROM ${table} WHERE number > ? ORDER BY number LIMIT ?`,
  );
  const active = database
    .prepare<[string], number>(`SELECT count(*) FROM ${table} WHERE user_id = ? AND status IN ('ISSUED', 'RESERVED')`)
    .pluck();
  const insert = database.prepare(
    `INSERT INTO ${table} (grant_id, user_id, code_hash, device_id, account_id, cap_minor, currency, validity_sec, status,
       issued_at, expires_at)
     VALUES (@grantId, @userId, @codeHash, @deviceId, @accountId, @capMinor, @currency, @validitySec, 'ISSUED',
       @issuedAt, @expiresAt)`,
  );
  const forget = database.prepare(
    `UPDATE ${table} SET terminal_id = NULL, payment_id = NULL, minor = NULL WHERE terminal_id = ? AND payment_id = ?`,
  );
  const reserve = database.prepare(
    `UPDATE ${table} SET status = 'RESERVED', terminal_id = ?, payment_id = ?, minor = ?
     WHERE grant_id = ? AND status = 'ISSUED'`,
  );
  const move = database.prepare(`UPDATE ${table} SET status = ? WHERE grant_id = ?`);
  const expire = database.prepare(
    `UPDATE ${table} SET status = 'EXPIRED' WHERE user_id = ? AND status = 'ISSUED' AND expires_at < ?`,
  );
  const revoke = database.prepare(
    `UPDATE ${table} SET revoked_at = @at, status = CASE WHEN status = 'ISSUED' THEN 'REVOKED' ELSE status END
     WHERE user_id = @userId AND revoked_at IS NULL AND status IN ('ISSUED', 'RESERVED', 'USED')`,
  );
  return {
    /** By the pair, never by either alone. */
    grant: (userId: string, codeHash: Uint8Array) => byPair.get(userId, codeHash),
    grantOfPayment: (key: PaymentKey) => byPayment.get(key.terminalId, key.paymentId),
    grants: (afterNumber: number, limit: number) => list.all(afterNumber, limit),
    activeGrants: (userId: string) => active.get(userId) ?? 0,
    insertGrant: (grant: NewGrant) => void insert.run(grant),
    /** False unless it was free. A payment has one grant: what an earlier attempt of it had is another's from now on. */
    reserve(grantId: string, key: PaymentKey, minor: bigint): boolean {
      forget.run(key.terminalId, key.paymentId);
      return reserve.run(key.terminalId, key.paymentId, minor, grantId).changes === 1;
    },
    move: (grantId: string, status: GrantStatus) => void move.run(status, grantId),
    forgetPayment: (key: PaymentKey) => void forget.run(key.terminalId, key.paymentId),
    /** Those whose time is over at `now`. */
    expireGrants: (userId: string, now: number) => void expire.run(userId, now),
    /** None of the user's grants pays again, not even one that is given back later. */
    revokeGrants: (userId: string, at: number) => void revoke.run({ userId, at }),
  };
}

function wrongCodeSql(database: Sqlite) {
  const count = database
    .prepare<[string], number>(
      `INSERT INTO pre_authorised_code__wrong_codes (user_id, count) VALUES (?, 1)
       ON CONFLICT (user_id) DO UPDATE SET count = count + 1 RETURNING count`,
    )
    .pluck();
  const read = database
    .prepare<[string], number>("SELECT count FROM pre_authorised_code__wrong_codes WHERE user_id = ?")
    .pluck();
  const forget = database.prepare("DELETE FROM pre_authorised_code__wrong_codes WHERE user_id = ?");
  return {
    /** How many there have been, with this one. */
    countWrongCode: (userId: string): number => count.get(userId) ?? 0,
    wrongCodes: (userId: string): number => read.get(userId) ?? 0,
    forgetWrongCodes: (userId: string) => void forget.run(userId),
  };
}
