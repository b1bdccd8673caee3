/** All SQL of payers. */
import type { Currency } from "../../../base/money.ts";
import { type Reading, sql, type Within } from "../../store/store.ts";

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

/** A phone that was off for longer learns of older payments from its account alone. */
export const NOTICES_KEPT_MS = 90 * 24 * 3_600_000;
const FORGOTTEN_AT_ONCE = 10;

const DEVICE_COLUMNS = `id, user_id AS userId, public_key AS publicKey, account_id AS accountId, name, status,
  created_at AS createdAt`;
const DEVICE = sql<[string], DeviceRow>(`SELECT ${DEVICE_COLUMNS} FROM payers__device WHERE id = ?`);
const DEVICES = sql<[string, number], DeviceRow>(
  `SELECT ${DEVICE_COLUMNS} FROM payers__device WHERE id > ? ORDER BY id LIMIT ?`,
);
const ONE_OF_USER = sql<[string], { id: string }>("SELECT id FROM payers__device WHERE user_id = ? LIMIT 1");
const ALL_OF_ACCOUNT = sql<[string], { id: string }>("SELECT id FROM payers__device WHERE account_id = ? ORDER BY id");
const INSERT_DEVICE = sql<Readonly<DeviceRow>>(
  `INSERT INTO payers__device (id, user_id, public_key, account_id, name, status, created_at)
   VALUES (@id, @userId, @publicKey, @accountId, @name, @status, @createdAt)`,
);
const SET_STATUS = sql<[DeviceRow["status"], string]>("UPDATE payers__device SET status = ? WHERE id = ?");

type NewClaim = Omit<ClaimRow, "usedAt"> & { readonly createdAt: number };
const CLAIM = sql<[string], ClaimRow>(
  `SELECT id, user_id AS userId, account_id AS accountId, name, secret_hash AS secretHash, expires_at AS expiresAt,
     used_at AS usedAt FROM payers__claim WHERE id = ?`,
);
const INSERT_CLAIM = sql<NewClaim>(
  `INSERT INTO payers__claim (id, user_id, account_id, name, secret_hash, created_at, expires_at)
   VALUES (@id, @userId, @accountId, @name, @secretHash, @createdAt, @expiresAt)`,
);
const USE_CLAIM = sql<[number, string]>("UPDATE payers__claim SET used_at = ? WHERE id = ? AND used_at IS NULL");

type NewNotice = Omit<NoticeRow, "number">;
const INSERT_NOTICE = sql<NewNotice>(
  `INSERT INTO payers__notice (device_id, status, txn_id, grant_id, minor, currency, at)
   VALUES (@deviceId, @status, @txnId, @grantId, @minor, @currency, @at)`,
);
const FORGET_NOTICES = sql<[string, string, number, number]>(
  `DELETE FROM payers__notice WHERE device_id = ? AND number IN (
     SELECT number FROM payers__notice WHERE device_id = ? ORDER BY number LIMIT ?
   ) AND at < ?`,
);
const NOTICES = sql<[string, number, number], NoticeRow>(
  `SELECT number, device_id AS deviceId, status, txn_id AS txnId, grant_id AS grantId, minor, currency, at FROM payers__notice
   WHERE device_id = ? AND number > ? ORDER BY number LIMIT ?`,
);

export const payerStore = {
  device: (reading: Reading, id: string) => reading.get(DEVICE, [id]),
  devices: (reading: Reading, { after, limit }: { readonly after: string; readonly limit: number }) =>
    reading.all(DEVICES, [after, limit]),
  devicesOf: async (reading: Reading, accountId: string) =>
    (await reading.all(ALL_OF_ACCOUNT, [accountId])).map(({ id }) => id),
  hasUser: async (reading: Reading, userId: string) => (await reading.get(ONE_OF_USER, [userId])) !== undefined,
  insert: (within: Within, row: DeviceRow) => within.run(INSERT_DEVICE, row),
  setStatus: async (within: Within, id: string, status: DeviceRow["status"]) =>
    (await within.run(SET_STATUS, [status, id])) === 1,
  claim: (reading: Reading, id: string) => reading.get(CLAIM, [id]),
  insertClaim: (within: Within, row: NewClaim) => within.run(INSERT_CLAIM, row),
  /** True for the one caller that used it. */
  useClaim: async (within: Within, id: string, at: number) => (await within.run(USE_CLAIM, [at, id])) === 1,
  /** Forgets at the same time some of what its device has had long enough to ask for. */
  async insertNotice(within: Within, row: NewNotice): Promise<void> {
    await within.run(INSERT_NOTICE, row);
    // Afterwards: the number of the newest row must not be given again.
    await within.run(FORGET_NOTICES, [row.deviceId, row.deviceId, FORGOTTEN_AT_ONCE, row.at - NOTICES_KEPT_MS]);
  },
  notices: (reading: Reading, deviceId: string, { since, limit }: { readonly since: number; readonly limit: number }) =>
    reading.all(NOTICES, [deviceId, since, limit]),
};
