/** All SQL of payers. */
import type { Currency } from "../../../base/money.ts";
import type { Sqlite } from "../../../base/sqlite.ts";

export interface DeviceRow {
  readonly id: string;
  readonly userId: string;
  readonly publicKey: string;
  readonly accountId: string;
  readonly name: string | null;
  readonly status: "active" | "blocked";
  readonly createdAt: number;
}

export interface ClaimRow {
  readonly id: string;
  readonly userId: string;
  readonly accountId: string;
  readonly name: string | null;
  readonly secretHash: Uint8Array;
  readonly expiresAt: number;
  readonly usedAt: number | null;
}

export interface NoticeRow {
  readonly number: number;
  readonly deviceId: string;
  readonly status: "paid" | "released";
  readonly txnId: string;
  readonly grantId: string | null;
  readonly minor: number;
  readonly currency: Currency;
  readonly at: number;
}

const DEVICE_COLUMNS = `id, user_id AS userId, public_key AS publicKey, account_id AS accountId, name, status,
  created_at AS createdAt`;

export type PayerStore = ReturnType<typeof createPayerStore>;

/** A phone that was off for longer learns of older payments from its account alone. */
export const NOTICES_KEPT_MS = 90 * 24 * 3_600_000;
const FORGOTTEN_AT_ONCE = 10;

export function createPayerStore(database: Sqlite) {
  const device = database.prepare<[string], DeviceRow>(`SELECT ${DEVICE_COLUMNS} FROM payers__device WHERE id = ?`);
  const devices = database.prepare<[string, number], DeviceRow>(
    `SELECT ${DEVICE_COLUMNS} FROM payers__device WHERE id > ? ORDER BY id LIMIT ?`,
  );
  const ofUser = database.prepare<[string], 1>("SELECT 1 FROM payers__device WHERE user_id = ? LIMIT 1").pluck();
  const ofAccount = database
    .prepare<[string], string>("SELECT id FROM payers__device WHERE account_id = ? ORDER BY id")
    .pluck();
  const insert = database.prepare(
    `INSERT INTO payers__device (id, user_id, public_key, account_id, name, status, created_at)
     VALUES (@id, @userId, @publicKey, @accountId, @name, @status, @createdAt)`,
  );
  const setStatus = database.prepare("UPDATE payers__device SET status = ? WHERE id = ?");
  const claim = database.prepare<[string], ClaimRow>(
    `SELECT id, user_id AS userId, account_id AS accountId, name, secret_hash AS secretHash, expires_at AS expiresAt,
       used_at AS usedAt FROM payers__claim WHERE id = ?`,
  );
  const insertClaim = database.prepare(
    `INSERT INTO payers__claim (id, user_id, account_id, name, secret_hash, created_at, expires_at)
     VALUES (@id, @userId, @accountId, @name, @secretHash, @createdAt, @expiresAt)`,
  );
  const useClaim = database.prepare("UPDATE payers__claim SET used_at = ? WHERE id = ? AND used_at IS NULL");
  const insertNotice = database.prepare(
    `INSERT INTO payers__notice (device_id, status, txn_id, grant_id, minor, currency, at)
     VALUES (@deviceId, @status, @txnId, @grantId, @minor, @currency, @at)`,
  );
  const forgetNotices = database.prepare<[string, string, number, number]>(
    `DELETE FROM payers__notice WHERE device_id = ? AND number IN (
       SELECT number FROM payers__notice WHERE device_id = ? ORDER BY number LIMIT ?
     ) AND at < ?`,
  );
  const notices = database.prepare<[string, number, number], NoticeRow>(
    `SELECT number, device_id AS deviceId, status, txn_id AS txnId, grant_id AS grantId, minor, currency, at FROM payers__notice
     WHERE device_id = ? AND number > ? ORDER BY number LIMIT ?`,
  );
  return {
    device: (id: string) => device.get(id),
    devices: (after: string, limit: number) => devices.all(after, limit),
    devicesOf: (accountId: string) => ofAccount.all(accountId),
    hasUser: (userId: string) => ofUser.get(userId) === 1,
    insert: (row: DeviceRow) => void insert.run(row),
    setStatus: (id: string, status: DeviceRow["status"]) => setStatus.run(status, id).changes === 1,
    claim: (id: string) => claim.get(id),
    insertClaim: (row: Omit<ClaimRow, "usedAt"> & { readonly createdAt: number }) => void insertClaim.run(row),
    /** True for the one caller that used it. */
    useClaim: (id: string, at: number) => useClaim.run(at, id).changes === 1,
    /** Forgets at the same time some of what its device has had long enough to ask for. */
    insertNotice(row: Omit<NoticeRow, "number">): void {
      insertNotice.run(row);
      // Afterwards: the number of the newest row must not be given again.
      forgetNotices.run(row.deviceId, row.deviceId, FORGOTTEN_AT_ONCE, row.at - NOTICES_KEPT_MS);
    },
    notices: (deviceId: string, since: number, limit: number) => notices.all(deviceId, since, limit),
  };
}
