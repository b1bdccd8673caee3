/** All SQL of operators. */
import { type Reading, sql, type Within } from "../../store/store.ts";
import type { Role } from "./roles.ts";

export interface AccountRow {
  readonly name: string;
  readonly role: Role;
  readonly password: string;
  readonly createdAt: number;
  readonly disabledAt: number | null;
}

export interface SessionRow {
  readonly id: string;
  readonly secretHash: string;
  readonly account: string;
  readonly createdAt: number;
  readonly usedAt: number;
  readonly expiresAt: number;
}

export interface TokenRow {
  readonly id: string;
  readonly secretHash: string;
  readonly account: string;
  readonly name: string;
  readonly role: Role;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly usedAt: number | null;
}

export interface AuditRow {
  readonly number: number;
  readonly text: string;
  readonly hash: string;
}
export interface AuditHead {
  readonly number: number;
  readonly hash: string;
  readonly signature: string;
}

export interface RepeatRow {
  readonly identity: string;
  readonly key: string;
  readonly requestHash: string;
  readonly status: number;
  readonly answer: string;
  readonly at: number;
}

/** A row as a statement takes it. */
type Named<Row> = { readonly [Column in keyof Row]: Row[Column] };

const ACCOUNT = "name, role, password, created_at AS createdAt, disabled_at AS disabledAt";
const GET_ACCOUNT = sql<[string], AccountRow>(`SELECT ${ACCOUNT} FROM operators__account WHERE name = ?`);
const LIST_ACCOUNTS = sql<[string, number], AccountRow>(
  `SELECT ${ACCOUNT} FROM operators__account WHERE name > ? ORDER BY name LIMIT ?`,
);
const INSERT_ACCOUNT = sql<Omit<AccountRow, "disabledAt">>(
  `INSERT INTO operators__account (name, role, password, created_at) VALUES (@name, @role, @password, @createdAt)
   ON CONFLICT (name) DO NOTHING`,
);
const SET_ROLE = sql<[Role, string]>("UPDATE operators__account SET role = ? WHERE name = ?");
const SET_PASSWORD = sql<[string, string]>("UPDATE operators__account SET password = ? WHERE name = ?");
const SET_DISABLED = sql<[number | null, string]>("UPDATE operators__account SET disabled_at = ? WHERE name = ?");
const ADMINS_BESIDE = sql<[string], { admins: number }>(
  "SELECT count(*) AS admins FROM operators__account WHERE role = 'admin' AND disabled_at IS NULL AND name <> ?",
);

const accountSql = {
  account: (reading: Reading, name: string) => reading.get(GET_ACCOUNT, [name]),
  accounts: (reading: Reading, after: string, limit: number) => reading.all(LIST_ACCOUNTS, [after, limit]),
  /** False where the name is taken. */
  insertAccount: async (within: Within, row: Omit<AccountRow, "disabledAt">): Promise<boolean> =>
    (await within.run(INSERT_ACCOUNT, row)) === 1,
  async setRole(within: Within, name: string, role: Role): Promise<void> {
    await within.run(SET_ROLE, [role, name]);
  },
  async setPassword(within: Within, name: string, password: string): Promise<void> {
    await within.run(SET_PASSWORD, [password, name]);
  },
  async setDisabled(within: Within, name: string, at: number | null): Promise<void> {
    await within.run(SET_DISABLED, [at, name]);
  },
  /** Admins that can log in, without this one. */
  adminsBeside: async (reading: Reading, name: string): Promise<number> =>
    (await reading.get(ADMINS_BESIDE, [name]))?.admins ?? 0,
};

const GET_SESSION = sql<[string], SessionRow>(
  `SELECT id, secret_hash AS secretHash, account, created_at AS createdAt, used_at AS usedAt, expires_at AS expiresAt
   FROM operators__session WHERE id = ?`,
);
const SESSIONS_OF = sql<[string], { id: string }>(
  "SELECT id FROM operators__session WHERE account = ? ORDER BY created_at DESC, id",
);
const INSERT_SESSION = sql<Named<SessionRow>>(
  `INSERT INTO operators__session (id, secret_hash, account, created_at, used_at, expires_at)
   VALUES (@id, @secretHash, @account, @createdAt, @usedAt, @expiresAt)`,
);
const TOUCH_SESSION = sql<[number, string]>("UPDATE operators__session SET used_at = ? WHERE id = ?");
const REMOVE_SESSION = sql<[string]>("DELETE FROM operators__session WHERE id = ?");
const REMOVE_SESSIONS = sql<[string]>("DELETE FROM operators__session WHERE account = ?");
const REMOVE_ENDED_SESSIONS = sql<{ now: number; idleSince: number }>(
  "DELETE FROM operators__session WHERE expires_at <= @now OR used_at <= @idleSince",
);

const sessionSql = {
  session: (reading: Reading, id: string) => reading.get(GET_SESSION, [id]),
  /** Newest first. */
  sessionsOf: (reading: Reading, account: string) => reading.all(SESSIONS_OF, [account]),
  async insertSession(within: Within, row: SessionRow): Promise<void> {
    await within.run(INSERT_SESSION, row);
  },
  async touchSession(within: Within, id: string, at: number): Promise<void> {
    await within.run(TOUCH_SESSION, [at, id]);
  },
  async removeSession(within: Within, id: string): Promise<void> {
    await within.run(REMOVE_SESSION, [id]);
  },
  async removeSessions(within: Within, account: string): Promise<void> {
    await within.run(REMOVE_SESSIONS, [account]);
  },
  async removeEndedSessions(within: Within, ended: { now: number; idleSince: number }): Promise<void> {
    await within.run(REMOVE_ENDED_SESSIONS, ended);
  },
};

const TOKEN = `id, secret_hash AS secretHash, account, name, role, created_at AS createdAt, expires_at AS expiresAt,
  used_at AS usedAt`;
const GET_TOKEN = sql<[string], TokenRow>(`SELECT ${TOKEN} FROM operators__token WHERE id = ?`);
const TOKENS_OF = sql<[string], TokenRow>(`SELECT ${TOKEN} FROM operators__token WHERE account = ? ORDER BY name`);
const INSERT_TOKEN = sql<Omit<TokenRow, "usedAt">>(
  `INSERT INTO operators__token (id, secret_hash, account, name, role, created_at, expires_at)
   VALUES (@id, @secretHash, @account, @name, @role, @createdAt, @expiresAt) ON CONFLICT (account, name) DO NOTHING`,
);
const TOUCH_TOKEN = sql<[number, string]>("UPDATE operators__token SET used_at = ? WHERE id = ?");
const REMOVE_TOKEN = sql<[string, string]>("DELETE FROM operators__token WHERE account = ? AND name = ?");
const REMOVE_TOKENS = sql<[string]>("DELETE FROM operators__token WHERE account = ?");

const tokenSql = {
  token: (reading: Reading, id: string) => reading.get(GET_TOKEN, [id]),
  tokensOf: (reading: Reading, account: string) => reading.all(TOKENS_OF, [account]),
  /** False where the account has a token of that name. */
  insertToken: async (within: Within, row: Omit<TokenRow, "usedAt">): Promise<boolean> =>
    (await within.run(INSERT_TOKEN, row)) === 1,
  async touchToken(within: Within, id: string, at: number): Promise<void> {
    await within.run(TOUCH_TOKEN, [at, id]);
  },
  /** False where there is none. */
  removeToken: async (within: Within, account: string, name: string): Promise<boolean> =>
    (await within.run(REMOVE_TOKEN, [account, name])) === 1,
  async removeTokens(within: Within, account: string): Promise<void> {
    await within.run(REMOVE_TOKENS, [account]);
  },
};

const INSERT_AUDIT = sql<Named<AuditRow>>(
  "INSERT INTO operators__audit (number, text, hash) VALUES (@number, @text, @hash)",
);
const AUDIT_AFTER = sql<[number, number], AuditRow>(
  "SELECT number, text, hash FROM operators__audit WHERE number > ? ORDER BY number LIMIT ?",
);
const AUDIT_BEFORE = sql<[number, number], AuditRow>(
  "SELECT number, text, hash FROM operators__audit WHERE number < ? ORDER BY number DESC LIMIT ?",
);
const AUDIT_HEAD = sql<[], AuditHead>("SELECT number, hash, signature FROM operators__audit_head WHERE one = 1");
const MOVE_AUDIT_HEAD = sql<Named<AuditHead>>(
  `UPDATE operators__audit_head SET number = @number, hash = @hash, signature = @signature
   WHERE one = 1 AND number = CAST(@number AS BIGINT) - 1`,
);

const auditSql = {
  async insertAudit(within: Within, row: AuditRow): Promise<void> {
    await within.run(INSERT_AUDIT, row);
  },
  auditAfter: (reading: Reading, number: number, limit: number) => reading.all(AUDIT_AFTER, [number, limit]),
  /** Newest first. */
  auditBefore: (reading: Reading, number: number, limit: number) => reading.all(AUDIT_BEFORE, [number, limit]),
  auditHead: (reading: Reading) => reading.get(AUDIT_HEAD, []),
  /** False where the head is not that of the entry before. */
  moveAuditHead: async (within: Within, row: AuditHead): Promise<boolean> =>
    (await within.run(MOVE_AUDIT_HEAD, row)) === 1,
};

const GET_REPEAT = sql<[string, string], RepeatRow>(
  `SELECT identity, key, request_hash AS requestHash, status, answer, at FROM operators__repeat
   WHERE identity = ? AND key = ?`,
);
const REPEATS_OF = sql<[string], { kept: number }>("SELECT count(*) AS kept FROM operators__repeat WHERE identity = ?");
const INSERT_REPEAT = sql<Named<RepeatRow>>(
  `INSERT INTO operators__repeat (identity, key, request_hash, status, answer, at)
   VALUES (@identity, @key, @requestHash, @status, @answer, @at)`,
);
const FORGET_REPEATS = sql<[number]>("DELETE FROM operators__repeat WHERE at <= ?");

const repeatSql = {
  repeat: (reading: Reading, identity: string, key: string) => reading.get(GET_REPEAT, [identity, key]),
  repeatsOf: async (reading: Reading, identity: string): Promise<number> =>
    (await reading.get(REPEATS_OF, [identity]))?.kept ?? 0,
  async insertRepeat(within: Within, row: RepeatRow): Promise<void> {
    await within.run(INSERT_REPEAT, row);
  },
  async forgetRepeats(within: Within, until: number): Promise<void> {
    await within.run(FORGET_REPEATS, [until]);
  },
};

export const operatorStore = { ...accountSql, ...sessionSql, ...tokenSql, ...auditSql, ...repeatSql };
