/** What a seed does to its world: which faults may come, how often, and what the customers want. All drawn at the start. */
import type { ChanceStream } from "../../sim/world/chance.ts";
import type { LinkQuality } from "../../sim/world/network.ts";
import { FAULT_CLASSES, type FaultClass } from "./fault-classes.ts";

/** So likely each class is part of a seed: few enough that what one does alone is seen, many enough that they meet. */
const CLASS_PROBABILITY = 0.35;
/** What explains so much that it would hide other faults must not be in every third seed. */
const RARE: Partial<Readonly<Record<FaultClass, number>>> = {
  "old-copy": 0.07,
  "hub-old-copy": 0.07,
  "cloned-terminal": 0.07,
  "cloned-phone": 0.1,
  "new-disk": 0.07,
};

export interface PlannedSale {
  readonly id: string;
  readonly terminal: number;
  /** Milliseconds since the world began. */
  readonly at: number;
  readonly minor: bigint;
  readonly customer: number;
  /** What the customer would like to pay with. */
  readonly means: "card" | "code" | "note";
  /** After so many commands the customer pulls the card. */
  readonly pulledAfter?: number;
  /** The cashier takes it back right after it was approved. */
  readonly voided: boolean;
  /** The cashier gives it up so long after it began, if that is still possible then. */
  readonly cancelledAfterMs?: number;
  /** The cashier presses the button twice. */
  readonly twice: boolean;
  /** The customer wants the ticket once more. */
  readonly reprinted: boolean;
  /** It is given back so much later, in one part or more; together they may ask for more than it was. */
  readonly refunds: readonly PlannedRefund[];
  /** The hub breaks where it posts this sale's advice. */
  readonly bad: boolean;
  /** The amount is only held at first. */
  readonly hold?: PlannedHold;
}

/** So much later it is completed with so much, or cancelled where no amount is said. */
export interface PlannedHold {
  readonly afterMs: number;
  readonly minor?: bigint;
}

export interface PlannedRefund {
  readonly afterMs: number;
  readonly minor: bigint;
}

/** What each terminal may sell with no hub in reach. */
export interface PlannedLease {
  readonly perSaleMinor: bigint;
  readonly sumMinor: bigint;
  readonly countMax: number;
  readonly hours: number;
}

export interface Plan {
  readonly classes: ReadonlySet<FaultClass>;
  readonly terminals: number;
  readonly customers: number;
  readonly openMs: number;
  readonly sales: readonly PlannedSale[];
  readonly link: LinkQuality;
  readonly lease: PlannedLease;
}

export interface PlanOptions {
  readonly chance: ChanceStream;
  /** Of what is held at first, so that it shifts nothing else. */
  readonly holds: ChanceStream;
  readonly sales: number;
  /** Classes that must not come: how a failing seed is made smaller. */
  readonly without: ReadonlySet<FaultClass>;
  /** All classes that are not left out, in place of some. */
  readonly every?: boolean;
  /** In place of what would be drawn. */
  readonly shape?: { readonly terminals: number; readonly openMs: number };
}

const MINUTE_MS = 60_000;
/** The shop opens after everything has started. */
const OPENS_MS = 60_000;

export function makePlan({ chance, holds, sales, without, every = false, shape }: PlanOptions): Plan {
  // Every draw is made whatever is left out, so that leaving one out shifts no other.
  const drawn = FAULT_CLASSES.filter((name) => chance.happens(RARE[name] ?? CLASS_PROBABILITY));
  const classes = new Set((every ? FAULT_CLASSES : drawn).filter((name) => !without.has(name)));
  const drawnTerminals = chance.between(1, 3);
  const customers = chance.between(3, 12);
  const drawnOpenMs = chance.between(20, 60) * MINUTE_MS;
  const { terminals, openMs } = shape ?? { terminals: drawnTerminals, openMs: drawnOpenMs };
  const link = makeLink(chance, classes);
  const lease = chance.happens(0.5) ? TIGHT_LEASE : WIDE_LEASE;
  /** Each terminal numbers its own sales, as real ones do: the same number at two of them is not the same sale. */
  const numbers = new Map<number, number>();
  const planned = Array.from({ length: sales }, () =>
    makeSale(chance, { numbers, terminals, customers, openMs, classes }),
  );
  const held = planned.map((sale) => ({ ...sale, ...makeHold(holds, sale) }));
  return { classes, terminals, customers, openMs, link, lease, sales: held.sort((a, b) => a.at - b.at) };
}

const HOLD_PROBABILITY = 0.12;
const CANCELLED_HOLD_PROBABILITY = 0.3;
/** Long enough that links and machines fail in between. */
const HELD_SEC = { least: 1, most: 900 };

/** Only a card holds an amount. */
function makeHold(chance: ChanceStream, { means, minor }: PlannedSale): { readonly hold?: PlannedHold } {
  const happens = chance.happens(HOLD_PROBABILITY);
  const afterMs = chance.between(HELD_SEC.least, HELD_SEC.most) * 1_000;
  const completed = BigInt(chance.between(1, Number(minor)));
  const cancelled = chance.happens(CANCELLED_HOLD_PROBABILITY);
  if (!happens || means !== "card") return {};
  return { hold: { afterMs, ...(cancelled ? {} : { minor: completed }) } };
}

const WIDE_LEASE: PlannedLease = { perSaleMinor: 5_000n, sumMinor: 60_000n, countMax: 40, hours: 24 };
/** Used up and over within any outage. */
const TIGHT_LEASE: PlannedLease = { perSaleMinor: 5_000n, sumMinor: 12_000n, countMax: 6, hours: 0.2 };

function makeLink(chance: ChanceStream, classes: ReadonlySet<FaultClass>): LinkQuality {
  const rate = (name: FaultClass, most: number) => {
    const drawn = chance.fraction() * most;
    return classes.has(name) ? drawn : 0;
  };
  return {
    latencyMs: { least: 5, most: 40 },
    loss: rate("loss", 0.3),
    delay: { probability: rate("delay", 0.2), mostMs: 8_000 },
    repeat: { probability: rate("repeat", 0.3), withinMs: chance.pick([20_000, 900_000]) },
    reorder: { probability: rate("reorder", 0.3), withinMs: 5_000 },
    corruption: rate("corruption", 0.05),
  };
}

interface SaleParts {
  readonly numbers: Map<number, number>;
  readonly terminals: number;
  readonly customers: number;
  readonly openMs: number;
  readonly classes: ReadonlySet<FaultClass>;
}

const SALE_MINOR_MAX = 6_000;
/** What most customers buy, again and again. */
const COFFEE_MINOR = 250;
/** About as long as a sale takes at its longest. */
const CANCELLED_WITHIN_MS = 7_000;
/** How often a sale is given back. */
const REFUNDS = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3] as const;
const MEANS = ["card", "card", "card", "card", "code", "note"] as const;
/** More than the commands of one dialogue. */
const COMMANDS_MAX = 12;

function makeSale(chance: ChanceStream, parts: SaleParts): PlannedSale {
  const at = OPENS_MS + chance.between(0, parts.openMs);
  const drawn = chance.between(1, SALE_MINOR_MAX);
  const minor = chance.happens(0.25) ? COFFEE_MINOR : drawn;
  const means = chance.pick(MEANS);
  const pulled = chance.happens(0.1);
  const pulledAfter = chance.between(0, COMMANDS_MAX);
  const refunded = chance.pick(REFUNDS);
  const refunds = Array.from({ length: refunded }, () => ({
    afterMs: chance.between(10, 600) * 1_000,
    minor: BigInt(chance.between(1, minor)),
  }));
  const cancelled = chance.happens(0.1);
  const cancelledAfterMs = chance.between(0, CANCELLED_WITHIN_MS);
  const bad = chance.happens(0.05);
  const terminal = chance.below(parts.terminals);
  const number = parts.numbers.get(terminal) ?? 0;
  parts.numbers.set(terminal, number + 1);
  return {
    id: `sale-${number}`,
    terminal,
    customer: chance.below(parts.customers),
    at,
    minor: BigInt(minor),
    means,
    voided: chance.happens(0.05),
    ...(cancelled ? { cancelledAfterMs } : {}),
    ...(pulled && parts.classes.has("pulled-card") ? { pulledAfter } : {}),
    twice: chance.happens(0.1),
    reprinted: chance.happens(0.1),
    refunds,
    bad: bad && parts.classes.has("bad-entry"),
  };
}
