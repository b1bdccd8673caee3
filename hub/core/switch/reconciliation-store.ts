/** SQL of reconciliations: the totals of a closed day, whether its issuer has heard them, and what he said. */
import { z } from "zod";
import { Fault } from "../../../base/fault.ts";
import { type Currency, currencyOf } from "../../../base/money.ts";
import { firstIssue, parseJson } from "../../../wire/signing.ts";
import { type Reading, sql, type Within } from "../../store/store.ts";
import type { ReconciliationTotals, Trace } from "../issuers/index.ts";

/** Open while he has yet to answer. `refused`: he did not compare. `unanswered`: it is not told any more. */
export const RECONCILIATION_STATES = [
  ...(["waiting", "sent"] as const),
  ...(["in-balance", "out-of-balance", "refused", "unanswered"] as const),
] as const;
export type ReconciliationState = (typeof RECONCILIATION_STATES)[number];

export interface Reconciliation {
  /** Rises through all of them. */
  readonly number: number;
  readonly institutionId: string;
  /** YYYY-MM-DD. */
  readonly day: string;
  readonly currency: Currency;
  readonly ours: ReconciliationTotals;
  /** As the issuer gave them. */
  readonly theirs?: ReconciliationTotals;
  readonly state: ReconciliationState;
  readonly sends: number;
  readonly refusals: number;
  /** Of a waiting one when it is sent, of a sent one when it counts as lost; milliseconds since 1970. */
  readonly dueAt: number;
  /** Of the newest message that is no repeat. */
  readonly trace?: Trace;
  readonly refusedWith?: string;
  readonly closedAt: number;
  /** When the issuer answered, or was given up. */
  readonly endedAt?: number;
}

const TotalSchema = z.strictObject({
  count: z.int(),
  minor: z.codec(z.string().regex(/^\d{1,19}$/), z.bigint(), {
    decode: (text) => BigInt(text),
    encode: (minor) => minor.toString(),
  }),
});
const TotalsSchema = z.strictObject({
  debits: TotalSchema,
  debitReversals: TotalSchema,
  credits: TotalSchema,
  creditReversals: TotalSchema,
});
const totalsText = (totals: ReconciliationTotals): string => JSON.stringify(TotalsSchema.encode(totals));

/** Throws Fault `message.invalid`. */
function readTotals(text: string): ReconciliationTotals {
  const parsed = TotalsSchema.safeParse(parseJson(text));
  if (!parsed.success) throw new Fault("message.invalid", `what was kept of totals: ${firstIssue(parsed.error)}`);
  return parsed.data;
}

interface Row {
  readonly number: number;
  readonly institutionId: string;
  readonly day: string;
  readonly currency: string;
  readonly ours: string;
  readonly theirs: string | null;
  readonly state: ReconciliationState;
  readonly sends: number;
  readonly refusals: number;
  readonly dueAt: number;
  readonly stan: string | null;
  readonly transmittedAt: number | null;
  readonly refusedWith: string | null;
  readonly closedAt: number;
  readonly endedAt: number | null;
}

const COLUMNS = `number, institution_id AS institutionId, day, currency, ours, theirs, state, sends, refusals, due_at AS dueAt,
  stan, transmitted_at AS transmittedAt, refusal_code AS refusedWith, closed_at AS closedAt, ended_at AS endedAt`;
const PUT = sql<[string, string, string, string, number]>(
  `INSERT INTO switch__reconciliation (institution_id, day, currency, ours, closed_at, state, sends, refusals, due_at)
   VALUES (?, ?, ?, ?, ?, 'waiting', 0, 0, 0)`,
);
type Move = [
  ...[string | null, string, number, number, number],
  ...[string | null, number | null, string | null, number | null, number],
];
const MOVE = sql<Move>(
  `UPDATE switch__reconciliation SET theirs = ?, state = ?, sends = ?, refusals = ?, due_at = ?, stan = ?,
     transmitted_at = ?, refusal_code = ?, ended_at = ? WHERE number = ?`,
);
const ONE = sql<[number], Row>(`SELECT ${COLUMNS} FROM switch__reconciliation WHERE number = ?`);
const OPEN = sql<[string, number], Row>(
  `SELECT ${COLUMNS} FROM switch__reconciliation WHERE institution_id = ? AND state IN ('waiting', 'sent')
   ORDER BY number LIMIT ?`,
);
const LIST = sql<[string, number, number], Row>(
  `SELECT ${COLUMNS} FROM switch__reconciliation WHERE institution_id = ? AND number < ? ORDER BY number DESC LIMIT ?`,
);

function toReconciliation({ stan, transmittedAt, theirs, refusedWith, endedAt, ...row }: Row): Reconciliation {
  return {
    ...row,
    currency: currencyOf(row.currency),
    ours: readTotals(row.ours),
    ...(theirs === null ? {} : { theirs: readTotals(theirs) }),
    ...(stan === null || transmittedAt === null ? {} : { trace: { stan, transmittedAt } }),
    ...(refusedWith === null ? {} : { refusedWith }),
    ...(endedAt === null ? {} : { endedAt }),
  };
}

export type NewReconciliation = Pick<Reconciliation, "institutionId" | "day" | "currency" | "ours" | "closedAt">;

/** Newest first. */
export interface NewestPage {
  readonly beforeNumber: number;
  readonly limit: number;
}

export const reconciliationStore = {
  put: async (within: Within, { institutionId, day, currency, ours, closedAt }: NewReconciliation): Promise<void> =>
    void (await within.run(PUT, [institutionId, day, currency, totalsText(ours), closedAt])),
  async move(within: Within, r: Reconciliation): Promise<void> {
    const { stan = null, transmittedAt = null } = r.trace ?? {};
    await within.run(MOVE, [
      ...([r.theirs ? totalsText(r.theirs) : null, r.state, r.sends, r.refusals, r.dueAt] as const),
      ...([stan, transmittedAt, r.refusedWith ?? null, r.endedAt ?? null, r.number] as const),
    ]);
  },
  async get(reading: Reading, number: number): Promise<Reconciliation | undefined> {
    const row = await reading.get(ONE, [number]);
    return row && toReconciliation(row);
  },
  /** Oldest first. */
  open: async (reading: Reading, institutionId: string, limit: number): Promise<readonly Reconciliation[]> =>
    (await reading.all(OPEN, [institutionId, limit])).map(toReconciliation),
  list: async (
    reading: Reading,
    institutionId: string,
    { beforeNumber, limit }: NewestPage,
  ): Promise<readonly Reconciliation[]> =>
    (await reading.all(LIST, [institutionId, beforeNumber, limit])).map(toReconciliation),
};
