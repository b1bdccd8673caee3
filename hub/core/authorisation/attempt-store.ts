/** SQL of the attempts at a payment. */
import { sql, type Within } from "../../store/store.ts";
import type { PaymentTables } from "./fresh-payments.ts";
import type { AnsweredAttempt, AttemptRecord, AttemptState, Unsaved } from "./store.ts";

interface AttemptRow {
  readonly attempt: number;
  readonly state: AttemptState;
  readonly content: string | null;
  readonly answer: string | null;
  readonly at: number;
}

const toAttempt = (row: AttemptRow): AttemptRecord => ({
  attempt: row.attempt,
  state: row.state,
  ...(row.content === null ? {} : { content: row.content }),
  ...(row.answer === null ? {} : { answer: row.answer }),
  at: row.at,
});

const ATTEMPTS = sql<[number], AttemptRow>(
  "SELECT * FROM authorisation__attempt WHERE payment_number = ? ORDER BY attempt",
);
const PUT_ATTEMPT = sql<[number, number, string, string | null, string | null, number]>(
  `INSERT INTO authorisation__attempt (payment_number, attempt, state, content, answer, at) VALUES (?, ?, ?, ?, ?, ?)`,
);
const ANSWER_ATTEMPT = sql<[string, string, number, number]>(
  "UPDATE authorisation__attempt SET state = ?, answer = ? WHERE payment_number = ? AND attempt = ?",
);
const MOVE_ATTEMPT = sql<[string, number, number]>(
  "UPDATE authorisation__attempt SET state = ? WHERE payment_number = ? AND attempt = ?",
);

export const attemptTables: Pick<PaymentTables, "attempts" | "insertAttempt"> = {
  attempts: async (reading, number) => (await reading.all(ATTEMPTS, [number])).map(toAttempt),
  insertAttempt: async (within, number, a) =>
    void (await within.run(PUT_ATTEMPT, [number, a.attempt, a.state, a.content ?? null, a.answer ?? null, a.at])),
};

export function attemptSql({ saveAll }: Unsaved) {
  return {
    async answerAttempt(within: Within, number: number, a: AnsweredAttempt): Promise<void> {
      await saveAll(within);
      await within.run(ANSWER_ATTEMPT, [a.state, a.answer, number, a.attempt]);
    },
    async moveAttempt(within: Within, number: number, attempt: number, state: AttemptState): Promise<void> {
      await saveAll(within);
      await within.run(MOVE_ATTEMPT, [state, number, attempt]);
    },
  };
}
