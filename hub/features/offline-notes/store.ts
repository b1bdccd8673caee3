/** All SQL of offline notes. */
import type { Currency } from "../../../base/money.ts";
import { type Reading, sql, type Within } from "../../store/store.ts";

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

const ALLOWANCE_COLUMNS = `allowance_id AS allowanceId, device_id AS deviceId, user_id AS userId, account_id AS accountId,
  currency, minor, counter_start AS counterStart, issued_at AS issuedAt, expires_at AS expiresAt, request_id AS requestId,
  signed, state, stated_notes AS statedNotes, stated_minor AS statedMinor, returned_minor AS returnedMinor`;
const allowanceWhere = (rest: string) => `SELECT ${ALLOWANCE_COLUMNS} FROM offline_notes__allowance WHERE ${rest}`;
const ALLOWANCE = sql<[string], AllowanceRow>(allowanceWhere("allowance_id = ?"));
const ASKED_BY = sql<[string, string], AllowanceRow>(allowanceWhere("device_id = ? AND request_id = ?"));
const NEWEST_OF = sql<[string], AllowanceRow>(allowanceWhere("device_id = ? ORDER BY expires_at DESC LIMIT 1"));
const ALLOWANCES = sql<[string, number], AllowanceRow>(
  allowanceWhere("allowance_id > ? ORDER BY allowance_id LIMIT ?"),
);
const DUE_BEFORE = sql<[number, number], AllowanceRow>(
  allowanceWhere("state <> 'closed' AND expires_at < ? ORDER BY expires_at LIMIT ?"),
);
type NewAllowance = Omit<AllowanceRow, "statedNotes" | "statedMinor" | "returnedMinor">;
const INSERT_ALLOWANCE = sql<NewAllowance>(
  `INSERT INTO offline_notes__allowance (allowance_id, device_id, user_id, account_id, currency, minor, counter_start,
     issued_at, expires_at, request_id, signed, state)
   VALUES (@allowanceId, @deviceId, @userId, @accountId, @currency, @minor, @counterStart, @issuedAt, @expiresAt,
     @requestId, @signed, @state)`,
);
interface Returned {
  readonly allowanceId: string;
  readonly statedNotes: number;
  readonly statedMinor: number;
  readonly returnedMinor: number;
}
const RETURNED = sql<Readonly<Returned>>(
  `UPDATE offline_notes__allowance SET state = 'returned', stated_notes = @statedNotes, stated_minor = @statedMinor,
     returned_minor = @returnedMinor WHERE allowance_id = @allowanceId AND state = 'active'`,
);
const CLOSE = sql<[string]>("UPDATE offline_notes__allowance SET state = 'closed' WHERE allowance_id = ?");
const LAST_COUNTER = sql<{ deviceId: string }, { counter: number }>(
  `SELECT max(counter) AS counter FROM (
     SELECT counter FROM offline_notes__note JOIN offline_notes__allowance USING (allowance_id) WHERE device_id = @deviceId
     UNION ALL
     SELECT counter_start + coalesce(stated_notes, 0) - 1 FROM offline_notes__allowance WHERE device_id = @deviceId
     UNION ALL SELECT 0) AS known`,
);

const NOTE_COLUMNS = `allowance_id AS allowanceId, counter, minor, spent_after AS spentAfter, previous_hash AS previousHash,
  hash, terminal_id AS terminalId, epoch, payment_id AS paymentId, at`;
const notesAt = (counter: string) =>
  sql<{ allowanceId: string; counter: number }, NoteRow>(
    `SELECT ${NOTE_COLUMNS} FROM offline_notes__note WHERE allowance_id = @allowanceId AND counter = (${counter}) ORDER BY number`,
  );
const NOTES_AT = notesAt("@counter");
const NOTES_BELOW = notesAt(
  "SELECT max(counter) FROM offline_notes__note WHERE allowance_id = @allowanceId AND counter < @counter",
);
const NOTES_ABOVE = notesAt(
  "SELECT min(counter) FROM offline_notes__note WHERE allowance_id = @allowanceId AND counter > @counter",
);
const SPENT = sql<[string], { counter: number; spentAfter: number }>(
  `SELECT max(counter) AS counter, max(spent_after) AS spentAfter FROM offline_notes__note WHERE allowance_id = ?
   HAVING count(*) > 0`,
);
const INSERT_NOTE = sql<Readonly<NoteRow>>(
  `INSERT INTO offline_notes__note (allowance_id, counter, minor, spent_after, previous_hash, hash, terminal_id, epoch,
     payment_id, at)
   VALUES (@allowanceId, @counter, @minor, @spentAfter, @previousHash, @hash, @terminalId, @epoch, @paymentId, @at)`,
);

const CONFLICTS = sql<[number, number], ConflictRow>(
  `SELECT number, kind, allowance_id AS allowanceId, device_id AS deviceId, user_id AS userId, counter, minor, currency,
     terminal_id AS terminalId, payment_id AS paymentId, other_terminal_id AS otherTerminalId,
     other_payment_id AS otherPaymentId, other_minor AS otherMinor, exposure_minor AS exposureMinor,
     exposure_party AS exposureParty, at FROM offline_notes__conflict WHERE number > ? ORDER BY number LIMIT ?`,
);
type NewConflict = Omit<ConflictRow, "number">;
const INSERT_CONFLICT = sql<NewConflict>(
  `INSERT INTO offline_notes__conflict (kind, allowance_id, device_id, user_id, counter, minor, currency, terminal_id,
     payment_id, other_terminal_id, other_payment_id, other_minor, exposure_minor, exposure_party, at)
   VALUES (@kind, @allowanceId, @deviceId, @userId, @counter, @minor, @currency, @terminalId, @paymentId,
     @otherTerminalId, @otherPaymentId, @otherMinor, @exposureMinor, @exposureParty, @at)`,
);

export const noteStore = {
  allowance: (reading: Reading, allowanceId: string) => reading.get(ALLOWANCE, [allowanceId]),
  askedBy: (reading: Reading, deviceId: string, requestId: string) => reading.get(ASKED_BY, [deviceId, requestId]),
  newestOf: (reading: Reading, deviceId: string) => reading.get(NEWEST_OF, [deviceId]),
  allowances: (reading: Reading, after: string, limit: number) => reading.all(ALLOWANCES, [after, limit]),
  /** Not closed, and expired before `time`; the oldest first. */
  dueBefore: (reading: Reading, time: number, limit: number) => reading.all(DUE_BEFORE, [time, limit]),
  insertAllowance: (within: Within, row: NewAllowance) => within.run(INSERT_ALLOWANCE, row),
  returned: (within: Within, returned: Returned) => within.run(RETURNED, returned),
  close: (within: Within, allowanceId: string) => within.run(CLOSE, [allowanceId]),
  /** The highest counter that is known of this phone; 0 when there is none. */
  lastCounter: async (reading: Reading, deviceId: string): Promise<number> =>
    (await reading.get(LAST_COUNTER, { deviceId }))?.counter ?? 0,

  notesAt: (reading: Reading, allowanceId: string, counter: number) => reading.all(NOTES_AT, { allowanceId, counter }),
  /** Those with the next lower counter that is known; more than one after a double spend. */
  notesBelow: (reading: Reading, allowanceId: string, counter: number) =>
    reading.all(NOTES_BELOW, { allowanceId, counter }),
  notesAbove: (reading: Reading, allowanceId: string, counter: number) =>
    reading.all(NOTES_ABOVE, { allowanceId, counter }),
  /** How far the allowance is known to be spent. */
  spent: (reading: Reading, allowanceId: string) => reading.get(SPENT, [allowanceId]),
  insertNote: (within: Within, row: NoteRow) => within.run(INSERT_NOTE, row),

  conflicts: (reading: Reading, afterNumber: number, limit: number) => reading.all(CONFLICTS, [afterNumber, limit]),
  insertConflict: (within: Within, row: NewConflict) => within.run(INSERT_CONFLICT, row),
};
