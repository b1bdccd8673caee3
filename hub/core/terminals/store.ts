/** All SQL of terminals. */
import type { TerminalId } from "../../../base/ids.ts";
import type { Sqlite } from "../../../base/sqlite.ts";

export interface TerminalRow {
  readonly id: TerminalId;
  readonly signingKey: string;
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
  readonly expiresAt: number;
  readonly usedAt: number | null;
}

const TERMINAL_COLUMNS = `id, signing_key AS signingKey, bearer_hash AS bearerHash, card_token_key AS cardTokenKey,
  lease_counter AS leaseCounter, enrolled_at AS enrolledAt, last_seen_at AS lastSeenAt, presence, health,
  enrolled_key_id AS enrolledKeyId, revoked_at AS revokedAt`;

export function createTerminalStore(database: Sqlite) {
  const get = database.prepare<[string], TerminalRow>(
    `SELECT ${TERMINAL_COLUMNS} FROM terminals__terminal WHERE id = ?`,
  );
  const list = database.prepare<[string, number], TerminalRow>(
    `SELECT ${TERMINAL_COLUMNS} FROM terminals__terminal WHERE id > ? ORDER BY id LIMIT ?`,
  );
  const all = database.prepare<[], TerminalRow>(`SELECT ${TERMINAL_COLUMNS} FROM terminals__terminal ORDER BY id`);
  const enrol = database.prepare(
    `INSERT INTO terminals__terminal (id, signing_key, bearer_hash, card_token_key, enrolled_at, enrolled_key_id)
     VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET signing_key = excluded.signing_key, bearer_hash = excluded.bearer_hash,
       enrolled_at = excluded.enrolled_at, enrolled_key_id = excluded.enrolled_key_id`,
  );
  const setKey = database.prepare("UPDATE terminals__terminal SET card_token_key = ? WHERE id = ?");
  const seen = database.prepare("UPDATE terminals__terminal SET last_seen_at = ? WHERE id = ?");
  const presence = database.prepare("UPDATE terminals__terminal SET presence = ? WHERE id = ?");
  const health = database.prepare("UPDATE terminals__terminal SET health = ? WHERE id = ?");
  const nextLease = database
    .prepare<[string], number>(
      "UPDATE terminals__terminal SET lease_counter = lease_counter + 1 WHERE id = ? RETURNING lease_counter",
    )
    .pluck();
  const claim = database.prepare<[string], ClaimRow>(
    `SELECT id, terminal_id AS terminalId, secret_hash AS secretHash, expires_at AS expiresAt, used_at AS usedAt
     FROM terminals__claim WHERE id = ?`,
  );
  const insertClaim = database.prepare(
    "INSERT INTO terminals__claim (id, terminal_id, secret_hash, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
  );
  const useClaim = database.prepare("UPDATE terminals__claim SET used_at = ? WHERE id = ? AND used_at IS NULL");

  return {
    ...deferringSql(database),
    ...revocationSql(database),
    get: (id: string) => get.get(id),
    list: (after: string, limit: number) => list.all(after, limit),
    all: () => all.all(),
    enrol: (row: NewTerminal) =>
      void enrol.run(row.id, row.signingKey, row.bearerHash, row.cardTokenKey, row.enrolledAt, row.enrolledKeyId),
    setCardTokenKey: (id: TerminalId, sealed: Uint8Array) => void setKey.run(sealed, id),
    markSeen: (id: TerminalId, at: number) => void seen.run(at, id),
    setPresence: (id: TerminalId, text: string) => void presence.run(text, id),
    setHealth: (id: TerminalId, text: string) => void health.run(text, id),
    nextLeaseCounter: (id: TerminalId) => nextLease.get(id),
    claim: (id: string) => claim.get(id),
    insertClaim: (row: Omit<ClaimRow, "usedAt"> & { readonly createdAt: number }) =>
      void insertClaim.run(row.id, row.terminalId, row.secretHash, row.createdAt, row.expiresAt),
    /** True for the one caller that used it. */
    useClaim: (id: string, at: number) => useClaim.run(at, id).changes === 1,
  };
}

type NewTerminal = Pick<TerminalRow, "id" | "signingKey" | "bearerHash" | "cardTokenKey" | "enrolledAt"> & {
  readonly enrolledKeyId: string;
};

/** Actions shown of one terminal. */
const ACTIONS_SHOWN_MAX = 100;

/** Who revoked a terminal, restored it, or gave up what it holds. */
function revocationSql(database: Sqlite) {
  const set = database.prepare(
    "UPDATE terminals__terminal SET revoked_at = @at WHERE id = @id AND (revoked_at IS NULL) <> (@at IS NULL)",
  );
  const note = database.prepare(
    "INSERT INTO terminals__action (terminal_id, action, by_whom, why, at) VALUES (@terminalId, @action, @by, @why, @at)",
  );
  const actions = database.prepare<[string, number], ActionRow>(
    `SELECT terminal_id AS terminalId, action, by_whom AS by, why, at FROM terminals__action
     WHERE terminal_id = ? ORDER BY number DESC LIMIT ?`,
  );
  return {
    /** True when it changed. */
    setRevoked: (id: TerminalId, at: number | null): boolean => set.run({ id, at }).changes === 1,
    noteAction: (row: ActionRow) => void note.run(row),
    actions: (id: string) => actions.all(id, ACTIONS_SHOWN_MAX),
  };
}

/** Which leases permitted deferred authorisation: runs of counters, so that there is a row per change of policy and not per lease. */
function deferringSql(database: Sqlite) {
  const extend = database.prepare(
    "UPDATE terminals__deferring_leases SET last_counter = @counter WHERE terminal_id = @id AND last_counter = @counter - 1",
  );
  const begin = database.prepare(
    "INSERT INTO terminals__deferring_leases (terminal_id, first_counter, last_counter) VALUES (@id, @counter, @counter)",
  );
  const covers = database
    .prepare<[string, number, number], 1>(
      "SELECT 1 FROM terminals__deferring_leases WHERE terminal_id = ? AND first_counter <= ? AND last_counter >= ?",
    )
    .pluck();
  return {
    noteDeferring(id: TerminalId, counter: number): void {
      if (extend.run({ id, counter }).changes === 0) begin.run({ id, counter });
    },
    wasDeferring: (id: TerminalId, counter: number): boolean => covers.get(id, counter, counter) === 1,
  };
}
