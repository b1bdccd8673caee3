/** SQL of institutions: the stand-in parameters in force, and what was approved in their name and not told yet. */
import { type Reading, sql, type Value, type Within, wideSql } from "../../store/store.ts";

export interface InstitutionRow {
  readonly parameters?: string;
  readonly latestAt: number;
  readonly sumMinor: bigint;
}

export interface AccountCount {
  readonly count: number;
  readonly sumMinor: bigint;
}

const GET = wideSql<[string], { parameters: string | null; latestAt: bigint; sumMinor: bigint }>(
  "SELECT parameters, latest_at AS latestAt, sum_minor AS sumMinor FROM switch__institution WHERE id = ?",
);
const PUT_PARAMETERS = sql<[string, string]>(
  `INSERT INTO switch__institution (id, parameters, latest_at, sum_minor) VALUES (?, ?, 0, 0)
   ON CONFLICT (id) DO UPDATE SET parameters = excluded.parameters`,
);
const COUNT = sql<Record<string, Value>>(
  `INSERT INTO switch__institution (id, latest_at, sum_minor) VALUES (@id, @at, @minor)
   ON CONFLICT (id) DO UPDATE SET sum_minor = switch__institution.sum_minor + excluded.sum_minor,
     latest_at = CASE WHEN excluded.latest_at > switch__institution.latest_at
       THEN excluded.latest_at ELSE switch__institution.latest_at END`,
);
const ACCOUNT = wideSql<[string, string], { count: bigint; sumMinor: bigint }>(
  "SELECT count, sum_minor AS sumMinor FROM switch__account WHERE institution_id = ? AND account = ?",
);
const COUNT_ACCOUNT = sql<[string, string, bigint]>(
  `INSERT INTO switch__account (institution_id, account, count, sum_minor) VALUES (?, ?, 1, ?)
   ON CONFLICT (institution_id, account) DO UPDATE SET count = switch__account.count + 1,
     sum_minor = switch__account.sum_minor + excluded.sum_minor`,
);
const RESET_ACCOUNTS = sql<[string]>("DELETE FROM switch__account WHERE institution_id = ?");
const RESET = sql<[string]>("UPDATE switch__institution SET sum_minor = 0 WHERE id = ?");

export interface Counted {
  readonly institutionId: string;
  /** Milliseconds since 1970: what was decided by. */
  readonly at: number;
  /** Of an approval. */
  readonly approved?: { readonly account: string; readonly minor: bigint };
}

export const institutionStore = {
  async get(reading: Reading, id: string): Promise<InstitutionRow> {
    const row = await reading.get(GET, [id]);
    if (!row) return { latestAt: 0, sumMinor: 0n };
    const { parameters, latestAt, sumMinor } = row;
    return { ...(parameters === null ? {} : { parameters }), latestAt: Number(latestAt), sumMinor };
  },
  putParameters: async (within: Within, id: string, text: string): Promise<void> =>
    void (await within.run(PUT_PARAMETERS, [id, text])),
  async account(reading: Reading, id: string, account: string): Promise<AccountCount> {
    const row = await reading.get(ACCOUNT, [id, account]);
    return { count: Number(row?.count ?? 0n), sumMinor: row?.sumMinor ?? 0n };
  },
  /** Counts an approval, and keeps the time of any decision. */
  async count(within: Within, { institutionId: id, at, approved }: Counted): Promise<void> {
    await within.run(COUNT, { id, at, minor: approved?.minor ?? 0n });
    if (approved) await within.run(COUNT_ACCOUNT, [id, approved.account, approved.minor]);
  },
  /** The institution knows all that was decided for it. */
  async reset(within: Within, id: string): Promise<void> {
    await within.run(RESET_ACCOUNTS, [id]);
    await within.run(RESET, [id]);
  },
};
