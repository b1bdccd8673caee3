/** Looks at every offline approval in the moment in which it is told: was there room in the lease, and time? */
import type { PaymentId } from "../../base/ids.ts";
import { HUB } from "./hub-node.ts";
import type { Shop, Terminal } from "./shop.ts";

/** From the moment in which room was taken to the answer: a card's dialogue, and what a clock may drift in a day. */
const SLACK_MS = 120_000;

export class LeaseWatch {
  readonly violations: string[] = [];
  readonly #shop: Shop;

  constructor(shop: Shop) {
    this.#shop = shop;
  }

  approved(terminal: Terminal, id: PaymentId): void {
    const { core } = terminal;
    if (!core) return;
    const name = `${terminal.node.name} ${id}`;
    const { lease } = this.#shop.plan;
    const sold = unreceipted(terminal);
    const sum = sold.reduce((total, minor) => total + minor, 0n);
    const passed = [
      ...(sum > lease.sumMinor ? [`${sum} of ${lease.sumMinor} sold offline with no receipt`] : []),
      ...(sold.length > lease.countMax ? [`${sold.length} of ${lease.countMax} sales offline with no receipt`] : []),
      ...(sold.some((minor) => minor > lease.perSaleMinor) ? ["a sale above the limit for one sale"] : []),
    ];
    this.violations.push(...passed.map((what) => `${name}: beyond the lease: ${what}`));
    const held = core.link.leases.view()?.lease;
    const lateMs = held === undefined ? 0 : this.#shop.world.node(HUB).clock.now() - Date.parse(held.expiresAt);
    if (lateMs > SLACK_MS) this.violations.push(`${name}: approved ${lateMs} ms after the end of the lease`);
  }
}

/** The amounts that count against the lease, out of the entries themselves and not of any counter. */
function unreceipted({ core }: Terminal): bigint[] {
  if (!core) return [];
  const open = [...core.journal.queue({ state: "eligible" }), ...core.journal.queue({ state: "forwarding" })];
  return open.flatMap(({ kind, sequence, paymentId, amount }) => {
    if (kind !== "decision" || amount === undefined) return [];
    const entry = core.journal.entriesOf(paymentId).find((each) => each.sequence === sequence)?.body;
    return entry?.kind === "decision" && entry.mode === "offline" && entry.operation === "purchase"
      ? [amount.minor]
      : [];
  });
}
