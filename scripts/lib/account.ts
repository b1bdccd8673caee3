/** Compares what was sold with the hub's ledger and the paper: each sale once, each ticket there, one original at most. */
import type { Counter, Payment } from "./counter.ts";

export interface Posting {
  readonly paymentId: string;
  readonly minor: string;
  readonly status: string;
}

export interface Expected {
  readonly id: string;
  readonly minor: number;
  readonly what: string;
  readonly expect: "approved" | "declined" | "aborted";
  readonly mode: "online" | "offline";
}

export interface Line {
  readonly id: string;
  readonly cells: readonly string[];
  readonly problems: readonly string[];
}

interface TransactionPage {
  readonly transactions: readonly {
    readonly paymentId: string;
    readonly postedMinor: string;
    readonly status: string;
  }[];
  readonly cursor?: string;
}

/** Every payment for which money moved in the hub's ledger, with all that moved for it. */
export async function readLedger(counter: Counter): Promise<readonly Posting[]> {
  return (await readLedgerFrom(counter, LEDGER_START)).postings;
}

/** Payments are listed as the hub first heard of them. */
export const LEDGER_START = "0";

export interface LedgerPart {
  readonly postings: readonly Posting[];
  /** Where to go on reading. */
  readonly cursor: string;
}

/** The same of payments that the hub first heard of after those that ended at `from`. */
export async function readLedgerFrom(counter: Counter, from: string): Promise<LedgerPart> {
  const postings: Posting[] = [];
  let cursor = from;
  for (;;) {
    const page: TransactionPage = await counter.hubGet<TransactionPage>(`/v1/transactions?limit=100&cursor=${cursor}`);
    for (const { paymentId, postedMinor, status } of page.transactions) {
      if (postedMinor !== "0" || status === "confirmed") postings.push({ paymentId, minor: postedMinor, status });
    }
    if (page.cursor === undefined) return { postings, cursor };
    cursor = page.cursor;
  }
}

export interface Evidence {
  readonly sale: Expected;
  readonly payment: Payment;
  readonly ledger: readonly Posting[];
  readonly tickets: readonly string[];
}

export interface TicketCount {
  readonly all: number;
  readonly unmarked: number;
  readonly offline: number;
}

/** A ticket belongs to a payment when its number stands on it. */
export function countTickets(id: string, tickets: readonly string[]): TicketCount {
  const own = tickets.filter((ticket) => new RegExp(`(^|\\s)${id.replace(/[.]/g, "\\.")}(\\s|$)`).test(ticket));
  return {
    all: own.length,
    unmarked: own.filter((ticket) => !ticket.includes("COPY")).length,
    offline: own.filter((ticket) => ticket.includes("ACCEPTED OFFLINE")).length,
  };
}

export function verdictOf({ sale, payment, ledger, tickets }: Evidence): Line {
  const postings = ledger.filter((posting) => posting.paymentId === sale.id);
  const paper = countTickets(sale.id, tickets);
  const approved = sale.expect === "approved";
  const problems: string[] = [];
  const must = (holds: boolean, problem: string): void => {
    if (!holds) problems.push(problem);
  };
  must(payment.status === sale.expect, `is ${payment.status}, not ${sale.expect}`);
  must(payment.mode === sale.mode, `was decided ${payment.mode ?? "nowhere"}, not ${sale.mode}`);
  must(postings.length === (approved ? 1 : 0), `stands ${postings.length} times in the ledger`);
  must(
    postings.every((posting) => posting.minor === String(sale.minor)),
    "stands in the ledger with another amount",
  );
  must(approved ? paper.all >= 1 : paper.all === 0, `has ${paper.all} tickets`);
  must(paper.unmarked <= 1, `has ${paper.unmarked} unmarked originals`);
  must(paper.offline === (sale.mode === "offline" ? paper.all : 0), "its tickets are not marked as they should be");
  return {
    id: sale.id,
    problems,
    cells: [
      sale.id,
      sale.what,
      (sale.minor / 100).toFixed(2),
      `${payment.status} ${payment.mode ?? ""}`.trim(),
      String(postings.length),
      String(paper.all),
      String(paper.unmarked),
      problems.length === 0 ? "ok" : "WRONG",
    ],
  };
}

const HEAD = ["sale", "what happened", "EUR", "outcome", "ledger", "tickets", "originals", "checked"];

export function renderTable(lines: readonly Line[]): string {
  const rows = [HEAD, ...lines.map((line) => line.cells)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const text = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  text.splice(1, 0, widths.map((width) => "-".repeat(width)).join("  "));
  return text.join("\n");
}
