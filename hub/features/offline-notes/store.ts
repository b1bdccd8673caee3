/** All SQL of offline notes. */
import type { Currency } from "../../../base/money.ts";
import type { Sqlite } from "../../../base/sqlite.ts";

export interface AllowanceRow {
  readonly allowanceId: string;
  readonly deviceId: string;
  readonly userId: string | null;
  readonly accountId: string | null;
  readonly currency: Currency;
  readonly minor: number;
  readonly counterStart: number;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly requestId: string | null;
  /** Base64url, as the phone was given it. */
  readonly signed: string | null;
  /** `returned`: the phone gave back the rest. `closed`: nothing is set aside any more. */
  readonly state: "active" | "returned" | "closed";
  readonly statedNotes: number | null;
  readonly statedMinor: number | null;
  readonly returnedMinor: number | null;
}

export interface NoteRow {
  readonly allowanceId: string;
  readonly counter: number;
  readonly minor: number;
  readonly spentAfter: number;
  readonly previousHash: string;
  readonly hash: string;
  readonly terminalId: string;
  readonly epoch: string;
  readonly paymentId: string;
  readonly at: number;
}

export interface ConflictRow {
  readonly number: number;
  /** `after-return`: the phone had signed that it made no such note. */
  readonly kind: "same-counter" | "broken-chain" | "after-return";
  readonly allowanceId: string;
  readonly deviceId: string;
  readonly userId: string | null;
  readonly counter: number;
  readonly minor: number;
  readonly currency: Currency;
  readonly terminalId: string;
  readonly paymentId: string;
  readonly otherTerminalId: string | null;
  readonly otherPaymentId: string | null;
  readonly otherMinor: number | null;
  readonly exposureMinor: number;
  readonly exposureParty: string;
  readonly at: number;
}

export interface Statement {
  readonly allowanceId: string;
  readonly statedNotes: number;
  readonly statedMinor: number;
  readonly returnedMinor: number;
}

export type NoteStore = ReturnType<typeof createNoteStore>;

export function createNoteStore(database: Sqlite) {
  return { ...allowanceSql(database), ...noteSql(database), ...conflictSql(database) };
}

function allowanceSql(database: Sqlite) {
  const COLUMNS = `allowance_id AS allowanceId, device_id AS deviceId, user_id AS userId, account_id AS accountId, currency,
    minor, counter_start AS counterStart, issued_at AS issuedAt, expires_at AS expiresAt, request_id AS requestId, signed,
    state, stated_notes AS statedNotes, stated_minor AS statedMinor, returned_minor AS returnedMinor`;
  const select = (rest: string) => `SELECT ${COLUMNS} FROM offline_notes__allowance ${rest}`;
  const one = database.prepare<[string], AllowanceRow>(select("WHERE allowance_id = ?"));
  const asked = database.prepare<[string, string], AllowanceRow>(select("WHERE device_id = ? AND request_id = ?"));
  const newest = database.prepare<[string], AllowanceRow>(
    select("WHERE device_id = ? ORDER BY expires_at DESC LIMIT 1"),
  );
  const list = database.prepare<[string, number], AllowanceRow>(
    select("WHERE allowance_id > ? ORDER BY allowance_id LIMIT ?"),
  );
  const due = database.prepare<[number, number], AllowanceRow>(
    select("WHERE state <> 'closed' AND expires_at < ? ORDER BY expires_at LIMIT ?"),
  );
  const insert = database.prepare(
    `INSERT INTO offline_notes__allowance (allowance_id, device_id, user_id, account_id, currency, minor, counter_start,
       issued_at, expires_at, request_id, signed, state)
     VALUES (@allowanceId, @deviceId, @userId, @accountId, @currency, @minor, @counterStart, @issuedAt, @expiresAt,
       @requestId, @signed, @state)`,
  );
  const state = database.prepare(
    `UPDATE offline_notes__allowance SET state = 'returned', stated_notes = @statedNotes, stated_minor = @statedMinor,
       returned_minor = @returnedMinor WHERE allowance_id = @allowanceId AND state = 'active'`,
  );
  const close = database.prepare("UPDATE offline_notes__allowance SET state = 'closed' WHERE allowance_id = ?");
  const lastCounter = database
    .prepare<[{ deviceId: string }], number>(
      `SELECT max(counter) FROM (
         SELECT counter FROM offline_notes__note JOIN offline_notes__allowance USING (allowance_id) WHERE device_id = @deviceId
         UNION ALL
         SELECT counter_start + coalesce(stated_notes, 0) - 1 FROM offline_notes__allowance WHERE device_id = @deviceId
         UNION ALL SELECT 0)`,
    )
    .pluck();
  return {
    allowance: (allowanceId: string) => one.get(allowanceId),
    askedBy: (deviceId: string, requestId: string) => asked.get(deviceId, requestId),
    newestOf: (deviceId: string) => newest.get(deviceId),
    allowances: (after: string, limit: number) => list.all(after, limit),
    /** Not closed, and expired before `time`; the oldest first. */
    dueBefore: (time: number, limit: number) => due.all(time, limit),
    insertAllowance: (row: Omit<AllowanceRow, "statedNotes" | "statedMinor" | "returnedMinor">) => void insert.run(row),
    returned: (statement: Statement) => void state.run(statement),
    close: (allowanceId: string) => void close.run(allowanceId),
    /** The highest counter that is known of this phone; 0 when there is none. */
    lastCounter: (deviceId: string): number => lastCounter.get({ deviceId }) ?? 0,
  };
}

function noteSql(database: Sqlite) {
  const COLUMNS = `allowance_id AS allowanceId, counter, minor, spent_after AS spentAfter, previous_hash AS previousHash, hash,
    terminal_id AS terminalId, epoch, payment_id AS paymentId, at`;
  const at = (which: string) =>
    database.prepare<[{ allowanceId: string; counter: number }], NoteRow>(
      `SELECT ${COLUMNS} FROM offline_notes__note WHERE allowance_id = @allowanceId AND counter = (${which}) ORDER BY number`,
    );
  const same = at("@counter");
  const below = at(
    "SELECT max(counter) FROM offline_notes__note WHERE allowance_id = @allowanceId AND counter < @counter",
  );
  const above = at(
    "SELECT min(counter) FROM offline_notes__note WHERE allowance_id = @allowanceId AND counter > @counter",
  );
  const highest = database.prepare<[string], { counter: number; spentAfter: number }>(
    `SELECT max(counter) AS counter, max(spent_after) AS spentAfter FROM offline_notes__note WHERE allowance_id = ?
     HAVING count(*) > 0`,
  );
  const insert = database.prepare(
    `INSERT INTO offline_notes__note (allowance_id, counter, minor, spent_after, previous_hash, hash, terminal_id, epoch,
       payment_id, at)
     VALUES (@allowanceId, @counter, @minor, @spentAfter, @previousHash, @hash, @terminalId, @epoch, @paymentId, @at)`,
  );
  return {
    notesAt: (allowanceId: string, counter: number) => same.all({ allowanceId, counter }),
    /** Those with the next lower counter that is known; more than one after a double spend. */
    notesBelow: (allowanceId: string, counter: number) => below.all({ allowanceId, counter }),
    notesAbove: (allowanceId: string, counter: number) => above.all({ allowanceId, counter }),
    /** How far the allowance is known to be spent. */
    spent: (allowanceId: string) => highest.get(allowanceId),
    insertNote: (row: NoteRow) => void insert.run(row),
  };
}

function conflictSql(database: Sqlite) {
  const list = database.prepare<[number, number], ConflictRow>(
    `SELECT number, kind, allowance_id AS allowanceId, device_id AS deviceId, user_id AS userId, counter, minor, currency,
       terminal_id AS terminalId, payment_id AS paymentId, other_terminal_id AS otherTerminalId,
       other_payment_id AS otherPaymentId, other_minor AS otherMinor, exposure_minor AS exposureMinor,
       exposure_party AS exposureParty, at FROM offline_notes__conflict WHERE number > ? ORDER BY number LIMIT ?`,
  );
  const insert = database.prepare(
    `INSERT INTO offline_notes__conflict (kind, allowance_id, device_id, user_id, counter, minor, currency, terminal_id,
       payment_id, other_terminal_id, other_payment_id, other_minor, exposure_minor, exposure_party, at)
     VALUES (@kind, @allowanceId, @deviceId, @userId, @counter, @minor, @currency, @terminalId, @paymentId,
       @otherTerminalId, @otherPaymentId, @otherMinor, @exposureMinor, @exposureParty, @at)`,
  );
  return {
    conflicts: (afterNumber: number, limit: number) => list.all(afterNumber, limit),
    insertConflict: (row: Omit<ConflictRow, "number">) => void insert.run(row),
  };
}
