/** All SQL of terminals. */
import type { TerminalId } from "../../../base/ids.ts";
import { type Reading, sql, type Within } from "../../store/store.ts";

export interface TerminalRow {
  readonly id: TerminalId;
  readonly signingKey: string;
  /** Of a terminal that an earlier version enrolled, until its first certificate is used; else empty. */
  readonly bearerHash: Uint8Array;
  /** Sealed, by the vault; bare in the file of an earlier version until the vault has seen it. */
  readonly cardTokenKey: Uint8Array;
  readonly leaseCounter: number;
  readonly enrolledAt: number;
  readonly lastSeenAt: number | null;
  /** JSON of the last presence and health messages. */
  readonly presence: string | null;
  readonly health: string | null;
  /** The sealing key that its enrolment named; null for one of an earlier version. */
  readonly enrolledKeyId: string | null;
  readonly revokedAt: number | null;
}

export interface ActionRow {
  readonly terminalId: TerminalId;
  readonly action: "revoke" | "restore" | "give-up";
  readonly by: string;
  readonly why: string;
  readonly at: number;
}

export interface ClaimRow {
  readonly id: string;
  readonly terminalId: TerminalId;
  readonly secretHash: Uint8Array;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly usedAt: number | null;
}

const TERMINAL_COLUMNS = `id, signing_key AS signingKey, bearer_hash AS bearerHash, card_token_key AS cardTokenKey,
  lease_counter AS leaseCounter, enrolled_at AS enrolledAt, last_seen_at AS lastSeenAt, presence, health,
  enrolled_key_id AS enrolledKeyId, revoked_at AS revokedAt`;

const FROM = `SELECT ${TERMINAL_COLUMNS} FROM terminals__terminal`;
const GET = sql<[string], TerminalRow>(`${FROM} WHERE id = ?`);
const LIST = sql<[string, number], TerminalRow>(`${FROM} WHERE id > ? ORDER BY id LIMIT ?`);
/**
 * A login is dated in whole seconds and good as long as its certificate: what an enrolment ended goes up to the second
 * before, as the new login may be of the same one.
 */
const ENDED_LOGINS = sql<[number, number], { id: TerminalId; upTo: number }>(
  `SELECT id, max(up_to) AS upTo FROM (
     SELECT id, revoked_at AS up_to FROM terminals__terminal WHERE revoked_at IS NOT NULL
     UNION ALL
     SELECT terminal_id AS id, closed_at - 1000 AS up_to FROM terminals__certificate
     WHERE closed_why = 'enrolled-again' AND ends_at > ?
   ) AS ended GROUP BY id ORDER BY max(up_to) DESC, id LIMIT ?`,
);
const ALL = sql<[], TerminalRow>(`${FROM} ORDER BY id`);
const ENROL = sql<[string, string, Uint8Array, Uint8Array, number, string]>(
  `INSERT INTO terminals__terminal (id, signing_key, bearer_hash, card_token_key, enrolled_at, enrolled_key_id)
   VALUES (?, ?, ?, ?, ?, ?)
   ON CONFLICT (id) DO UPDATE SET signing_key = excluded.signing_key, bearer_hash = excluded.bearer_hash,
     card_token_key = excluded.card_token_key,
     enrolled_at = excluded.enrolled_at, enrolled_key_id = excluded.enrolled_key_id`,
);
const SET_BEARER = sql<[Uint8Array, string]>("UPDATE terminals__terminal SET bearer_hash = ? WHERE id = ?");
const SET_KEY = sql<[Uint8Array, string]>("UPDATE terminals__terminal SET card_token_key = ? WHERE id = ?");
const SEEN = sql<[number, string], TerminalRow>(
  `UPDATE terminals__terminal SET last_seen_at = ? WHERE id = ? RETURNING ${TERMINAL_COLUMNS}`,
);
const PRESENCE = sql<[string, string]>("UPDATE terminals__terminal SET presence = ? WHERE id = ?");
const HEALTH = sql<[string, string]>("UPDATE terminals__terminal SET health = ? WHERE id = ?");
const NEXT_LEASE = sql<[string], { counter: number }>(
  "UPDATE terminals__terminal SET lease_counter = lease_counter + 1 WHERE id = ? RETURNING lease_counter AS counter",
);
const CLAIM = sql<[string], ClaimRow>(
  `SELECT id, terminal_id AS terminalId, secret_hash AS secretHash, created_at AS createdAt, expires_at AS expiresAt, used_at AS usedAt
   FROM terminals__claim WHERE id = ?`,
);
const INSERT_CLAIM = sql<[string, string, Uint8Array, number, number]>(
  "INSERT INTO terminals__claim (id, terminal_id, secret_hash, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
);
const USE_CLAIM = sql<[number, string]>("UPDATE terminals__claim SET used_at = ? WHERE id = ? AND used_at IS NULL");

const NO_BEARER = new Uint8Array(0);

type NewTerminal = Pick<TerminalRow, "id" | "signingKey" | "cardTokenKey" | "enrolledAt"> & {
  readonly enrolledKeyId: string;
};
type NewClaimRow = Omit<ClaimRow, "usedAt">;

const terminalSql = {
  get: (reading: Reading, id: string) => reading.get(GET, [id]),
  list: (reading: Reading, after: string, limit: number) => reading.all(LIST, [after, limit]),
  all: (reading: Reading) => reading.all(ALL, []),
  endedLogins: (reading: Reading, { now, limit }: { readonly now: number; readonly limit: number }) =>
    reading.all(ENDED_LOGINS, [now, limit]),
  async enrol(within: Within, row: NewTerminal): Promise<void> {
    const { id, signingKey, cardTokenKey, enrolledAt, enrolledKeyId } = row;
    await within.run(ENROL, [id, signingKey, NO_BEARER, cardTokenKey, enrolledAt, enrolledKeyId]);
  },
  async forgetBearer(within: Within, id: TerminalId): Promise<void> {
    await within.run(SET_BEARER, [NO_BEARER, id]);
  },
  async setCardTokenKey(within: Within, id: TerminalId, sealed: Uint8Array): Promise<void> {
    await within.run(SET_KEY, [sealed, id]);
  },
  markSeen: (within: Within, id: TerminalId, at: number) => within.get(SEEN, [at, id]),
  async setPresence(within: Within, id: TerminalId, text: string): Promise<void> {
    await within.run(PRESENCE, [text, id]);
  },
  async setHealth(within: Within, id: TerminalId, text: string): Promise<void> {
    await within.run(HEALTH, [text, id]);
  },
  nextLeaseCounter: async (within: Within, id: TerminalId) => (await within.get(NEXT_LEASE, [id]))?.counter,
  claim: (reading: Reading, id: string) => reading.get(CLAIM, [id]),
  async insertClaim(within: Within, row: NewClaimRow): Promise<void> {
    await within.run(INSERT_CLAIM, [row.id, row.terminalId, row.secretHash, row.createdAt, row.expiresAt]);
  },
  /** True for the one caller that used it. */
  useClaim: async (within: Within, id: string, at: number) => (await within.run(USE_CLAIM, [at, id])) === 1,
};

/** Actions shown of one terminal. */
const ACTIONS_SHOWN_MAX = 100;
const SET_REVOKED = sql<{ id: string; at: number | null }>(
  "UPDATE terminals__terminal SET revoked_at = @at WHERE id = @id AND (revoked_at IS NULL) <> (CAST(@at AS BIGINT) IS NULL)",
);
const NOTE_ACTION = sql<[string, string, string, string, number]>(
  "INSERT INTO terminals__action (terminal_id, action, by_whom, why, at) VALUES (?, ?, ?, ?, ?)",
);
const ACTIONS = sql<[string, number], ActionRow>(
  `SELECT terminal_id AS terminalId, action, by_whom AS by, why, at FROM terminals__action
   WHERE terminal_id = ? ORDER BY number DESC LIMIT ?`,
);

/** Who revoked a terminal, restored it, or gave up what it holds. */
const revocationSql = {
  /** True when it changed. */
  setRevoked: async (within: Within, id: TerminalId, at: number | null): Promise<boolean> =>
    (await within.run(SET_REVOKED, { id, at })) === 1,
  async noteAction(within: Within, { terminalId, action, by, why, at }: ActionRow): Promise<void> {
    await within.run(NOTE_ACTION, [terminalId, action, by, why, at]);
  },
  actions: (reading: Reading, id: string) => reading.all(ACTIONS, [id, ACTIONS_SHOWN_MAX]),
};

const EXTEND_DEFERRING = sql<{ id: string; counter: number }>(
  `UPDATE terminals__deferring_leases SET last_counter = @counter
   WHERE terminal_id = @id AND last_counter = CAST(@counter AS BIGINT) - 1`,
);
const BEGIN_DEFERRING = sql<{ id: string; counter: number }>(
  "INSERT INTO terminals__deferring_leases (terminal_id, first_counter, last_counter) VALUES (@id, @counter, @counter)",
);
const DEFERRING = sql<[string, number, number], { covered: number }>(
  `SELECT 1 AS covered FROM terminals__deferring_leases
   WHERE terminal_id = ? AND first_counter <= ? AND last_counter >= ?`,
);

/** Which leases permitted deferred authorisation: runs of counters, so that there is a row per change of policy and not per lease. */
const deferringSql = {
  async noteDeferring(within: Within, id: TerminalId, counter: number): Promise<void> {
    if ((await within.run(EXTEND_DEFERRING, { id, counter })) === 0) await within.run(BEGIN_DEFERRING, { id, counter });
  },
  wasDeferring: async (reading: Reading, id: TerminalId, counter: number): Promise<boolean> =>
    (await reading.get(DEFERRING, [id, counter, counter])) !== undefined,
};

export const terminalStore = { ...terminalSql, ...revocationSql, ...deferringSql };
