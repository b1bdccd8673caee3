/** What the hub's books must say once all is at rest, beside each sale's own posting: whose money moved, and none is held. */
import { fromHex, toHex } from "../../base/bytes.ts";
import { decodeTlv } from "../../protocols/emv/ber-tlv.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import type { SaleRecord } from "./cashier.ts";
import { type Evidence, entriesOf, find, keyOf } from "./evidence.ts";

export const judgeLedger = (evidence: Evidence): string[] => [
  ...nothingHeld(evidence),
  ...refundsWithinOriginals(evidence),
  ...[...evidence.records.values()].flatMap((record) => judgeDecision(evidence, record)),
];

/** Whoever asked for money has confirmed it or given it back by now. */
function nothingHeld({ database, shop }: Evidence): string[] {
  const held = database
    .prepare<[], string>("SELECT transfer_id FROM ledger__pending WHERE state = 'pending' ORDER BY transfer_id")
    .pluck()
    .all();
  return held
    .filter((id) => {
      const terminal = shop.terminals.find((each) => id.startsWith(`${each.id}/`));
      // Who lost the newer part of a disk does not know what to take back: the hold ends by its own time.
      return terminal && !terminal.twisted && !terminal.renewed;
    })
    .map((id) => `${id}: still held, and nobody will ever confirm it or give it back`);
}

/** RM12: however many refunds there are of one sale. */
function refundsWithinOriginals({ database }: Evidence): string[] {
  return database
    .prepare<[], { id: string; refunded: bigint; minor: bigint }>(
      `SELECT o.terminal_id || ' ' || o.payment_id AS id, sum(r.minor) AS refunded, o.minor AS minor
       FROM authorisation__payment r JOIN authorisation__payment o ON o.number = r.original_number
       WHERE r.state = 'confirmed' GROUP BY o.number HAVING sum(r.minor) > o.minor`,
    )
    .safeIntegers()
    .all()
    .map(({ id, refunded, minor }) => `${id}: sold for ${minor}, refunded ${refunded}`);
}

/** An approval rests on what card and hub said, and takes the money of whose card it was. */
function judgeDecision(evidence: Evidence, record: SaleRecord): string[] {
  const entries = entriesOf(record.terminal, record.id);
  const decision = find(entries, "decision");
  if (decision?.outcome !== "approved") return [];
  const name = `${record.terminal.node.name} ${record.id}`;
  return [
    ...(decision.mode === "online" && isAsked(decision) && !evidence.shop.hubRestored && !hubApproved(evidence, record)
      ? [`${name}: approved online, and the hub never approved it`]
      : []),
    ...(decision.operation === "refund" ? [] : judgeCard(evidence, { record, decision, name })),
  ];
}

/** What a completion takes was approved with its pre-authorisation. */
const isAsked = ({ operation }: EntryOf<"decision">): boolean => operation !== "completion";

function hubApproved({ database }: Evidence, { id, terminal }: SaleRecord): boolean {
  const answers = database
    .prepare<[string, string], string>(
      `SELECT coalesce(answer, '') FROM authorisation__attempt JOIN authorisation__payment ON number = payment_number
       WHERE terminal_id = ? AND payment_id = ?`,
    )
    .pluck()
    .all(terminal.id, id);
  return answers.some((answer) => answer.includes('"outcome":"approved"'));
}

interface Judging {
  readonly record: SaleRecord;
  readonly decision: EntryOf<"decision">;
  readonly name: string;
}

function judgeCard(evidence: Evidence, { record, decision, name }: Judging): string[] {
  const { card, code, note, deferred } = decision;
  if (!card) return code || note ? [] : [`${name}: approved, and paid with nothing`];
  const { shop, database } = evidence;
  const number = shop.customers.findIndex(({ pan }) => pan.slice(-4) === card.maskedPan.slice(-4));
  const atc = counterIn(card.iccData);
  // A card that begins a dialogue and gets no further bears the counter of the one before.
  const agreed = shop.customers[number]?.dialogues.some(
    (each) => each.card.atc === atc && each.card.cryptograms.TC > 0,
  );
  const wrong: string[] = [];
  if (!deferred && !agreed) wrong.push(`${name}: approved, and card ${card.maskedPan} never agreed`);
  const debited = database
    .prepare<[string], string>(
      `SELECT DISTINCT debit_account FROM ledger__transfer
       WHERE kind IN ('single', 'post-pending') AND id GLOB ? AND debit_account LIKE 'customer:%'`,
    )
    .pluck()
    .all(`${keyOf(record.terminal.id, record.id)}/*`);
  const others = debited.filter((account) => account !== shop.accounts[number]);
  return [...wrong, ...others.map((account) => `${name}: paid by card ${card.maskedPan}, and ${account} was debited`)];
}

/** The card's application transaction counter. */
function counterIn(iccData: string): number | undefined {
  const counter = decodeTlv(fromHex(iccData)).find(({ tag }) => tag === 0x9f36);
  return counter && "value" in counter ? Number.parseInt(toHex(counter.value), 16) : undefined;
}
