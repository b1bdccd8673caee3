/** SQL of what issuers were asked and told about: one row for each attempt, and attempt 0 for what a terminal decided itself. */
import type { PaymentId, TerminalId } from "../../../base/ids.ts";
import { type Reading, sql, type Within } from "../../store/store.ts";
import type { PaymentKey } from "../authorisation/index.ts";
import type { Trace } from "../issuers/index.ts";

export interface Exchange extends PaymentKey {
  readonly attempt: number;
  readonly institutionId: string;
  /** The hub's token of the account. */
  readonly account: string;
  /** JSON of `PaymentFacts`. */
  readonly facts: string;
  readonly card: Uint8Array;
  readonly trace: Trace;
  readonly sent: boolean;
  readonly open: boolean;
  /** What the issuer did with it. */
  readonly known: boolean;
  /** YYYY-MM-DD, of the issuer's business day. */
  readonly day: string;
  readonly at: number;
}

export type NewExchange = Omit<Exchange, "known">;

interface ExchangeRow {
  readonly terminalId: TerminalId;
  readonly paymentId: PaymentId;
  readonly attempt: number;
  readonly institutionId: string;
  readonly account: string;
  readonly facts: string;
  readonly card: Uint8Array;
  readonly stan: string;
  readonly transmittedAt: number;
  readonly sent: number;
  readonly open: number;
  readonly known: number;
  readonly day: string;
  readonly at: number;
}

const COLUMNS = `terminal_id AS terminalId, payment_id AS paymentId, attempt, institution_id AS institutionId, account, facts,
  card, stan, transmitted_at AS transmittedAt, sent, open, known, day, at`;
type Put = [
  ...[string, string, number, string, string, string, Uint8Array],
  ...[string, number, number, number, string, number],
];
const PUT = sql<Put>(
  `INSERT INTO switch__exchange (terminal_id, payment_id, attempt, institution_id, account, facts, card, stan,
     transmitted_at, sent, open, day, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
);
const ONE = sql<[string, string, number], ExchangeRow>(
  `SELECT ${COLUMNS} FROM switch__exchange WHERE terminal_id = ? AND payment_id = ? AND attempt = ?`,
);
const FIRST = sql<[string, string], ExchangeRow>(
  `SELECT ${COLUMNS} FROM switch__exchange WHERE terminal_id = ? AND payment_id = ? ORDER BY attempt LIMIT 1`,
);
const END = sql<[string, string, number]>(
  "UPDATE switch__exchange SET open = 0 WHERE terminal_id = ? AND payment_id = ? AND attempt = ? AND open = 1",
);
const KNOWN = sql<[string, string, number]>(
  "UPDATE switch__exchange SET open = 0, known = 1 WHERE terminal_id = ? AND payment_id = ? AND attempt = ?",
);
const ALL_KNOWN = sql<[string, string]>(
  "UPDATE switch__exchange SET open = 0, known = 1 WHERE terminal_id = ? AND payment_id = ?",
);
const LEFT_OPEN = sql<[number, number], ExchangeRow>(
  `SELECT ${COLUMNS} FROM switch__exchange WHERE open = 1 AND at < ? ORDER BY at LIMIT ?`,
);

const toExchange = ({ stan, transmittedAt, sent, open, known, ...row }: ExchangeRow): Exchange => ({
  ...row,
  trace: { stan, transmittedAt },
  sent: sent === 1,
  open: open === 1,
  known: known === 1,
});

export const exchangeStore = {
  put: async (within: Within, e: NewExchange): Promise<void> =>
    void (await within.run(PUT, [
      ...([e.terminalId, e.paymentId, e.attempt, e.institutionId, e.account, e.facts, e.card] as const),
      ...([e.trace.stan, e.trace.transmittedAt, e.sent ? 1 : 0, e.open ? 1 : 0, e.day, e.at] as const),
    ])),
  async get(reading: Reading, { terminalId, paymentId }: PaymentKey, attempt: number): Promise<Exchange | undefined> {
    const row = await reading.get(ONE, [terminalId, paymentId, attempt]);
    return row && toExchange(row);
  },
  /** The first that there was about a payment: all of them are about its card. */
  async first(reading: Reading, { terminalId, paymentId }: PaymentKey): Promise<Exchange | undefined> {
    const row = await reading.get(FIRST, [terminalId, paymentId]);
    return row && toExchange(row);
  },
  end: async (within: Within, { terminalId, paymentId }: PaymentKey, attempt: number): Promise<void> =>
    void (await within.run(END, [terminalId, paymentId, attempt])),
  /** What the issuer did with it, or with all that there was about the payment, is known; so it is open no more. */
  async known(within: Within, { terminalId, paymentId }: PaymentKey, attempt: number | "all"): Promise<void> {
    if (attempt === "all") await within.run(ALL_KNOWN, [terminalId, paymentId]);
    else await within.run(KNOWN, [terminalId, paymentId, attempt]);
  },
  /** Oldest first. */
  leftOpen: async (reading: Reading, before: number, limit: number): Promise<readonly Exchange[]> =>
    (await reading.all(LEFT_OPEN, [before, limit])).map(toExchange),
};
