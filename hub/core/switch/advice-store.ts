/** SQL of the advice log: what issuers have yet to hear of, in order, and what became of each entry. */
import type { PaymentId, TerminalId } from "../../../base/ids.ts";
import { type Reading, sql, type Within } from "../../store/store.ts";
import type { PaymentKey } from "../authorisation/index.ts";
import type { Trace } from "../issuers/index.ts";
import type { AdviceEntry, AdviceKind, AdviceState } from "../standin/recovery.ts";

/** What was decided, as its message says it. */
export interface NewAdvice extends PaymentKey {
  readonly institutionId: string;
  readonly account: string;
  readonly attempt: number;
  readonly kind: AdviceKind;
  /** Of an advice why it was decided here; of a reversal, in a word or two. */
  readonly reason: string;
  readonly approved: boolean;
  readonly responseCode: string;
  readonly approvalCode?: string;
  /** The check that refused. */
  readonly decidedBy?: string;
  /** Of a reversal: tag 9F5B in hex, where the issuer had sent the card scripts (RM13). */
  readonly scriptResults?: string;
  readonly at: number;
}

export interface Advice extends AdviceEntry, NewAdvice {
  /** Of its first sending. */
  readonly trace?: Trace;
  /** Of one that was sent: when it counts as lost, in milliseconds since 1970. */
  readonly sentUntil?: number;
  /** Of the issuer, YYYY-MM-DD: that of a question whose end it tells, or of its first sending. */
  readonly day?: string;
}

interface AdviceRow {
  readonly number: number;
  readonly institutionId: string;
  readonly account: string;
  readonly terminalId: TerminalId;
  readonly paymentId: PaymentId;
  readonly attempt: number;
  readonly kind: AdviceKind;
  readonly reason: string;
  readonly approved: number;
  readonly responseCode: string;
  readonly approvalCode: string | null;
  readonly decidedBy: string | null;
  readonly at: number;
  readonly state: AdviceState["at"];
  readonly sends: number;
  readonly refusals: number;
  readonly dueAt: number;
  readonly stan: string | null;
  readonly transmittedAt: number | null;
  readonly refusalCode: string | null;
  readonly day: string | null;
  readonly scriptResults: string | null;
}

const COLUMNS = `number, institution_id AS institutionId, account, terminal_id AS terminalId, payment_id AS paymentId,
  attempt, kind, reason, approved, response_code AS responseCode, approval_code AS approvalCode, decided_by AS decidedBy, at,
  state, sends, refusals, due_at AS dueAt, stan, transmitted_at AS transmittedAt, refusal_code AS refusalCode, day,
  script_results AS scriptResults`;
type Put = [
  ...[string, string, string, string, number, string, string, number],
  ...[string, string | null, string | null, string | null, number, string, string],
];
/** Where the issuer may have posted what is told of, it is told as of the day on which he would have. */
const PUT = sql<Put>(
  `INSERT INTO switch__advice (institution_id, account, terminal_id, payment_id, attempt, kind, reason, approved,
     response_code, approval_code, decided_by, script_results, at, state, sends, refusals, due_at, day)
   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', 0, 0, 0,
     (SELECT min(day) FROM switch__exchange WHERE terminal_id = ? AND payment_id = ? AND sent = 1 AND known = 0))
   ON CONFLICT DO NOTHING`,
);
type Move = [string, number, number, number, string | null, string | null, number | null, string | null, number];
const MOVE = sql<Move>(
  `UPDATE switch__advice SET state = ?, sends = ?, refusals = ?, due_at = ?, refusal_code = ?, stan = ?, transmitted_at = ?,
     day = ? WHERE number = ?`,
);
const ONE = sql<[number], AdviceRow>(`SELECT ${COLUMNS} FROM switch__advice WHERE number = ?`);
const HEADS = sql<[string, number, number, number], AdviceRow>(
  `SELECT ${COLUMNS} FROM switch__advice WHERE number IN (
     SELECT min(number) FROM switch__advice WHERE institution_id = ? AND state IN ('waiting', 'sent') GROUP BY account)
     AND (state = 'sent' OR due_at <= ? OR due_at > ?)
   ORDER BY number LIMIT ?`,
);
const OPEN = sql<[string], { number: number }>(
  "SELECT number FROM switch__advice WHERE institution_id = ? AND state IN ('waiting', 'sent') LIMIT 1",
);
/** The reversal of an attempt that was declined brings the results of scripts, and moves no money. */
const HELD = sql<[string, string], { number: number }>(
  `SELECT number FROM switch__advice WHERE institution_id = ? AND account = ? AND state IN ('waiting', 'sent')
     AND (kind = 'reversal' AND reason <> 'declined' OR approved = 1) LIMIT 1`,
);
const COUNT_OPEN = sql<[string], { count: number }>(
  "SELECT count(*) AS count FROM switch__advice WHERE institution_id = ? AND state IN ('waiting', 'sent')",
);
const COUNT_EXCEPTIONS = sql<[string], { count: number }>(
  "SELECT count(*) AS count FROM switch__advice WHERE institution_id = ? AND state = 'exception'",
);
const WAITING_INSTITUTIONS = sql<[], { id: string; count: number }>(
  `SELECT institution_id AS id, count(*) AS count FROM switch__advice WHERE state IN ('waiting', 'sent')
   GROUP BY institution_id ORDER BY institution_id`,
);
const LIST = sql<[string, number, number], AdviceRow>(
  `SELECT ${COLUMNS} FROM switch__advice WHERE institution_id = ? AND number > ? ORDER BY number LIMIT ?`,
);
const EXCEPTIONS = sql<[string, number, number], AdviceRow>(
  `SELECT ${COLUMNS} FROM switch__advice WHERE institution_id = ? AND state = 'exception' AND number > ?
   ORDER BY number LIMIT ?`,
);

function toAdvice(row: AdviceRow): Advice {
  const { state: _, sends: _s, refusals: _r, dueAt: _d, refusalCode: _c, stan, transmittedAt, ...rest } = row;
  const { approvalCode, decidedBy, approved, day, scriptResults, ...told } = rest;
  return {
    ...told,
    approved: approved === 1,
    ...(approvalCode === null ? {} : { approvalCode }),
    ...(decidedBy === null ? {} : { decidedBy }),
    ...(scriptResults === null ? {} : { scriptResults }),
    ...(stan === null || transmittedAt === null ? {} : { trace: { stan, transmittedAt } }),
    ...(row.state === "sent" ? { sentUntil: row.dueAt } : {}),
    ...(day === null ? {} : { day }),
    state: stateOf(row),
  };
}

function stateOf({ state: at, sends, refusals, dueAt, refusalCode }: AdviceRow): AdviceState {
  switch (at) {
    case "waiting":
      return { at, sends, refusals, dueAt };
    case "exception":
      return { at, sends, refusals, ...(refusalCode === null ? {} : { responseCode: refusalCode }) };
    default:
      return { at, sends, refusals };
  }
}

export interface Due {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** No entry waits for longer: one that says so was put off by a clock that was set back since. */
  readonly latest: number;
  readonly limit: number;
}

export interface Page {
  readonly afterNumber: number;
  readonly limit: number;
}

export const adviceStore = {
  /** Nothing for what the log has already: one attempt has one entry of a kind. */
  put: async (within: Within, a: NewAdvice): Promise<void> =>
    void (await within.run(PUT, [
      ...([a.institutionId, a.account, a.terminalId, a.paymentId, a.attempt, a.kind, a.reason] as const),
      ...([a.approved ? 1 : 0, a.responseCode, a.approvalCode ?? null, a.decidedBy ?? null] as const),
      ...([a.scriptResults ?? null, a.at] as const),
      ...([a.terminalId, a.paymentId] as const),
    ])),
  async move(within: Within, { number, trace, state, day, sentUntil = 0 }: Advice): Promise<void> {
    const dueAt = state.at === "waiting" ? state.dueAt : sentUntil;
    const code = state.at === "exception" ? (state.responseCode ?? null) : null;
    const { stan = null, transmittedAt = null } = trace ?? {};
    const sendings = [state.sends, state.refusals] as const;
    await within.run(MOVE, [state.at, ...sendings, dueAt, code, stan, transmittedAt, day ?? null, number]);
  },
  async get(reading: Reading, number: number): Promise<Advice | undefined> {
    const row = await reading.get(ONE, [number]);
    return row && toAdvice(row);
  },
  /** The oldest open entry of each account, oldest first, of those that are under way or due. */
  heads: async (reading: Reading, institutionId: string, { now, latest, limit }: Due): Promise<readonly Advice[]> =>
    (await reading.all(HEADS, [institutionId, now, latest, limit])).map(toAdvice),
  hasOpen: async (reading: Reading, institutionId: string): Promise<boolean> =>
    (await reading.get(OPEN, [institutionId])) !== undefined,
  isHeld: async (reading: Reading, institutionId: string, account: string): Promise<boolean> =>
    (await reading.get(HELD, [institutionId, account])) !== undefined,
  async counts(
    reading: Reading,
    institutionId: string,
  ): Promise<{ readonly open: number; readonly exceptions: number }> {
    const open = (await reading.get(COUNT_OPEN, [institutionId]))?.count ?? 0;
    return { open, exceptions: (await reading.get(COUNT_EXCEPTIONS, [institutionId]))?.count ?? 0 };
  },
  /** Institutions that have something yet to hear, with how much. */
  waiting: (reading: Reading): Promise<readonly { readonly id: string; readonly count: number }[]> =>
    reading.all(WAITING_INSTITUTIONS, []),
  list: async (reading: Reading, institutionId: string, { afterNumber, limit }: Page): Promise<readonly Advice[]> =>
    (await reading.all(LIST, [institutionId, afterNumber, limit])).map(toAdvice),
  exceptions: async (
    reading: Reading,
    institutionId: string,
    { afterNumber, limit }: Page,
  ): Promise<readonly Advice[]> => (await reading.all(EXCEPTIONS, [institutionId, afterNumber, limit])).map(toAdvice),
};
