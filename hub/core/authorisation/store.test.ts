/** Questions about payments find their rows by an index: on SQLite a walk over all of them would stop every till (RM2). */
import { expect, test } from "vitest";
import type { TerminalId } from "../../../base/ids.ts";
import { openSqlite } from "../../../base/sqlite.ts";
import { sqliteStore } from "../../store/sqlite-store.ts";
import { type Parameters, type Reading, type Statement, sql } from "../../store/store.ts";
import { authorisationMigrations } from "./schema.ts";
import { type AuthorisationStore, createAuthorisationStore, type PaymentFilter } from "./store.ts";

const PAGE = { afterNumber: 0, limit: 100 };
/** How SQLite goes about each statement that is asked. */
async function plansOf(ask: (payments: AuthorisationStore, reading: Reading) => Promise<unknown>): Promise<string[]> {
  await using store = sqliteStore(openSqlite(":memory:", { migrations: authorisationMigrations }));
  return await store.read(async (reading) => {
    const plans: string[] = [];
    const explain = async <P extends Parameters>({ text }: Statement<P, unknown>, parameters: P) => {
      const steps = await reading.all(sql<P, { detail: string }>(`EXPLAIN QUERY PLAN ${text}`), parameters);
      plans.push(...steps.map(({ detail }) => detail));
    };
    await ask(createAuthorisationStore(), {
      async get(statement, parameters) {
        await explain(statement, parameters);
        return await reading.get(statement, parameters);
      },
      async all(statement, parameters) {
        await explain(statement, parameters);
        return await reading.all(statement, parameters);
      },
    });
    return plans;
  });
}

test.each([
  ["of a terminal", { terminalId: "T1" }, "(terminal_id=?)"],
  ["of an id", { paymentId: "sale-1" }, "(payment_id=?)"],
  ["of an id at a terminal", { terminalId: "T1", paymentId: "sale-1" }, "(payment_id=?)"],
  ["since a time", { from: 1 }, "(created_at>? AND created_at<?)"],
  ["until a time", { to: 1 }, "(created_at>? AND created_at<?)"],
  ["after those of the page before", { from: 1, afterNumber: 7 }, "(rowid>?)"],
] satisfies readonly (readonly [string, Partial<PaymentFilter>, string])[])(
  "payments %s are searched for",
  async (_, filter, by) => {
    const plans = await plansOf((payments, reading) => payments.payments(reading, { ...PAGE, ...filter }));
    expect(plans).toContainEqual(expect.stringContaining(by));
    expect(plans).not.toContainEqual(expect.stringMatching(/^SCAN authorisation/));
  },
);

test("whether a terminal has sold takes one row", async () => {
  const plans = await plansOf((payments, reading) => payments.hasPayment(reading, "T1" as TerminalId));
  expect(plans).toEqual([expect.stringMatching(/^SEARCH .*\(terminal_id=\?\)$/)]);
});
