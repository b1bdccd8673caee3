/**
 * What must hold after every run, whatever happened in it. Each oracle looks at what is on the disks, on paper and in what
 * tills were told, and says in words what it finds wrong.
 */
import type { PaymentId } from "../../base/ids.ts";
import type { EntryBody } from "../../wire/journal-entry.ts";
import type { SaleRecord } from "./cashier.ts";
import { type Evidence, entriesOf, find, gather, keyOf, minorOf } from "./evidence.ts";
import { judgeLedger } from "./ledger-oracles.ts";
import type { Shop, Terminal } from "./shop.ts";

export interface Judged {
  readonly violations: readonly string[];
  /** Sales that a terminal accepted. */
  readonly accepted: number;
  /** Accepted sales that the hub refused or set aside, each with its reason. */
  readonly refused: number;
  /** Sales that went with the newer part of a disk that was replaced by an old copy. */
  readonly lostWithDisk: number;
}

export function judge(shop: Shop, records: ReadonlyMap<string, SaleRecord>): Judged {
  const database = shop.hubDatabase;
  if (!database) return { violations: ["the hub is not there at the end"], accepted: 0, refused: 0, lostWithDisk: 0 };
  const evidence = gather(shop, records, database);
  const sums = { accepted: 0, refused: 0, lostWithDisk: 0 };
  const violations = [
    ...moneyConserved(evidence),
    ...judgeLedger(evidence),
    ...cards(shop),
    ...[...records.values()].flatMap((record) => judgeSale(evidence, record, sums)),
    ...nothingInvented(evidence),
    ...shop.terminals.flatMap((terminal) => [...tickets(terminal, shop), ...chain(evidence, terminal)]),
  ];
  return { violations, ...sums };
}

/** Debits equal credits, over all accounts and for what is pending alike, and each balance is the sum of its transfers. */
function moneyConserved({ database }: Evidence): string[] {
  const sums = database
    .prepare<[], Readonly<Record<"debits" | "credits" | "pendingDebits" | "pendingCredits", bigint>>>(
      `SELECT sum(${minorOf("debits_posted")}) AS debits, sum(${minorOf("credits_posted")}) AS credits,
              sum(${minorOf("debits_pending")}) AS pendingDebits, sum(${minorOf("credits_pending")}) AS pendingCredits
       FROM ledger__account`,
    )
    .safeIntegers()
    .get();
  if (!sums) return ["the ledger has no accounts"];
  const wrong: string[] = [];
  if (sums.debits !== sums.credits) wrong.push(`posted debits ${sums.debits} are not posted credits ${sums.credits}`);
  if (sums.pendingDebits !== sums.pendingCredits) wrong.push("pending debits are not pending credits");
  const astray = database
    .prepare<[], { id: string }>(
      `SELECT a.id FROM ledger__account a
       WHERE ${minorOf("a.credits_posted")} - ${minorOf("a.debits_posted")} <> coalesce((
         SELECT sum(CASE WHEN t.credit_account = a.id THEN 1 ELSE -1 END * ${minorOf("t.amount")}) FROM ledger__transfer t
         WHERE t.kind IN ('single', 'post-pending') AND (t.credit_account = a.id OR t.debit_account = a.id)), 0)`,
    )
    .all();
  return [...wrong, ...astray.map(({ id }) => `the balance of ${id} is not the sum of its transfers`)];
}

type Sums = { accepted: number; refused: number; lostWithDisk: number };

/** Each accepted sale is posted once or refused with a reason; what was told is what is written; nothing else moved money. */
function judgeSale(evidence: Evidence, record: SaleRecord, sums: Sums): string[] {
  const { terminal, id } = record;
  const name = `${terminal.id} ${id}`;
  const entries = entriesOf(terminal, id);
  const decision = find(entries, "decision");
  const voided = find(entries, "void") !== undefined;
  const wrong: string[] = [];
  const told = new Set(record.told.map(({ status }) => status));
  const toldApproved = told.has("approved") || told.has("voided");
  const key = keyOf(terminal.id, id);
  const posted = evidence.posted.get(key) ?? 0n;
  const row = evidence.payments.get(key);
  const confirmed = row?.state === "confirmed";
  const approved = decision?.outcome === "approved";
  if (!approved && toldApproved && (terminal.restored || terminal.renewed)) {
    // The newer part of the disk is gone, or all of it; what had been sent by then is at the hub.
    if (confirmed) sums.accepted += 1;
    else sums.lostWithDisk += 1;
    return [];
  }
  if (decision && decisions(entries) > 1) wrong.push(`${name}: has ${decisions(entries)} decisions`);
  if (toldApproved && !approved)
    wrong.push(`${name}: was told approved, but the journal says ${decision?.outcome ?? "nothing"}`);
  if (told.size > 1 && !(told.size === 2 && told.has("voided")))
    wrong.push(`${name}: was told ${[...told].join(" and ")}`);
  if (approved && record.told.length > 0 && !toldApproved)
    wrong.push(`${name}: is approved, but was told ${[...told].join()}`);
  // An older copy of the disk may have the sale and not its void.
  if (record.voided && !voided && !terminal.restored)
    wrong.push(`${name}: was told voided, but the journal has no void`);
  if (approved && !voided) wrong.push(...judgeAccepted({ evidence, record, name, posted, confirmed, sums }));
  if ((!approved || voided) && posted !== 0n && !terminal.twisted && !terminal.renewed)
    wrong.push(`${name}: moved ${posted} without a standing approval`);
  if (decision && record.told.length === 0) wrong.push(`${name}: was decided, but its till was never told`);
  return wrong;
}

interface Accepted {
  readonly evidence: Evidence;
  readonly record: SaleRecord;
  readonly name: string;
  readonly posted: bigint;
  readonly confirmed: boolean;
  readonly sums: Sums;
}

function judgeAccepted({ evidence, record, name, posted, confirmed, sums }: Accepted): string[] {
  sums.accepted += 1;
  const [queued] = queueOf(record.terminal, record.id);
  if (!queued) return [`${name}: an approval that is not in the queue`];
  if (record.operation === "pre-authorisation")
    return posted === 0n ? [] : [`${name}: only held, and ${posted} were posted for it`];
  if (confirmed) {
    const wrong = posted === record.minor ? [] : [`${name}: sold for ${record.minor}, posted ${posted}`];
    if (queued.state !== "processed" && !record.terminal.twisted)
      wrong.push(`${name}: is posted, but stands as ${queued.state} in the queue`);
    return wrong;
  }
  if (posted !== 0n) return [`${name}: posted ${posted} without being confirmed`];
  const refusal = queued.state === "declined" || queued.state === "expired" || queued.state === "quarantined";
  // A restored hub holds the other copy's entries under these numbers; the comparison of the day finds it, and they go again.
  if (queued.state === "processed" && record.terminal.twisted && evidence.shop.hubRestored) return [];
  if (!refusal) return [`${name}: accepted and not posted, it stands as ${queued.state} in the queue`];
  if (queued.reason === undefined) return [`${name}: ${queued.state} without a reason`];
  sums.refused += 1;
  // Only a disk that came back from the past, or a refund that lost its original, gives the hub a reason to refuse.
  const explained = record.terminal.twisted || evidence.shop.hubRestored || record.operation === "refund" || record.bad;
  return explained
    ? []
    : [`${name}: ${queued.state} for ${queued.reason} ${queued.detail ?? ""}, which nothing explains`];
}

/** Nothing is posted that no terminal accepted. */
function nothingInvented({ payments, records, shop }: Evidence): string[] {
  return [...payments.values()].flatMap((row) => {
    if (row.state !== "confirmed") return [];
    const record = records.get(keyOf(row.terminal_id, row.payment_id));
    if (!record) return [`${row.terminal_id} ${row.payment_id}: posted, and no till knows it`];
    if (row.minor !== record.minor) return [`${row.payment_id}: posted as ${row.minor}, sold for ${record.minor}`];
    const terminal = shop.terminals.find(({ id }) => id === row.terminal_id);
    const decision = terminal && find(entriesOf(terminal, record.id), "decision");
    if (decision?.outcome === "approved" || record.terminal.twisted || record.terminal.renewed) return [];
    return [`${row.payment_id}: posted, and the journal says ${decision?.outcome ?? "nothing"}`];
  });
}

/** RM3: at most one unmarked original, and at least one ticket of each approval; none of what was not approved. */
function tickets(terminal: Terminal, shop: Shop): string[] {
  const originals = new Map<string, number>();
  const complete = new Map<string, number>();
  // A copied terminal has sales in its journal whose tickets came out of the other printer.
  for (const { id: terminalId, counter } of shop.terminals) {
    if (terminalId !== terminal.id) continue;
    for (const { document, complete: whole } of counter.papers) {
      const [operation = "", id = "", marking = ""] = document.title.split(" ");
      if (operation === "") continue;
      if (marking === "original" && counter === terminal.counter) originals.set(id, (originals.get(id) ?? 0) + 1);
      if (whole) complete.set(id, (complete.get(id) ?? 0) + 1);
    }
  }
  const wrong = [...originals]
    // What an old copy of a disk says is unprinted may be on paper.
    .filter(([, count]) => count > 1 && !terminal.restored)
    .map(([id, count]) => `${id}: ${count} unmarked originals`);
  const { core } = terminal;
  if (!core) return [...wrong, `${terminal.id} is not there at the end`];
  for (const id of core.journal.recentPayments(100_000)) {
    const entries = entriesOf(terminal, id);
    const approved = find(entries, "decision")?.outcome === "approved";
    const printed = complete.get(id) ?? 0;
    if (approved && printed === 0 && !find(entries, "void")) wrong.push(`${id}: approved, and no ticket`);
    if (!approved && printed > 0 && !terminal.twisted) wrong.push(`${id}: a ticket without an approval`);
  }
  return wrong;
}

/** The chain is whole, nothing is left undone, and the hub holds every number of every journal. */
function chain({ database }: Evidence, { id, core, twisted }: Terminal): string[] {
  if (!core) return [];
  const { journal } = core;
  const wrong: string[] = [];
  const verified = journal.verify();
  if (!verified.ok) wrong.push(`${id}: entry ${verified.error.sequence} ${verified.error.why}`);
  if (journal.undecided().length > 0) wrong.push(`${id}: ${journal.undecided().length} payments were never decided`);
  const { depth } = journal.backlog();
  if (depth > 0) wrong.push(`${id}: ${depth} entries still wait for the hub`);
  const outstanding = journal.outstanding();
  if (depth === 0 && outstanding.minor !== 0n)
    wrong.push(`${id}: ${outstanding.minor} are held against the lease by nothing`);
  const watermark = database
    .prepare<[string, string], number>("SELECT watermark FROM ingest__epoch WHERE terminal_id = ? AND epoch = ?")
    .pluck()
    .get(id, journal.epoch);
  if (!twisted && (watermark ?? 0) !== journal.head.forward) {
    wrong.push(`${id}: the hub holds ${watermark ?? 0} of ${journal.head.forward} entries`);
  }
  return wrong;
}

/** RM3: card commands are never repeated. */
const cards = ({ customers }: Shop): string[] =>
  customers.flatMap(({ pan, dialogues }) =>
    dialogues.some(({ repeated }) => repeated > 0)
      ? [`the card ${pan.slice(-4)} was asked for a cryptogram again`]
      : [],
  );

const decisions = (entries: readonly EntryBody[]): number => entries.filter(({ kind }) => kind === "decision").length;
const queueOf = (terminal: Terminal, id: PaymentId) =>
  (terminal.core?.journal.queue({ paymentId: id }) ?? []).filter(({ kind }) => kind === "decision");
