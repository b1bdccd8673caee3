/** What one purchase needs of the rest of the agent. */
import type { Clock } from "../../base/clock.ts";
import type { PaymentId, RandomBytes } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { Result } from "../../base/result.ts";
import type { CardSession } from "../../drivers/capability.ts";
import type { Journal } from "../journal/journal.ts";
import type { OfflineSale, Reservation, SealingKey } from "../lease/lease-keeper.ts";
import type { Hub, LeaseRefusal } from "../uplink/hub.ts";
import type { CardRecord } from "./card-dialogue.ts";
import type { NoteDesk } from "./code-purchase.ts";
import type { EmvCard, EmvTerminal } from "./emv-session.ts";
import type { PaymentStage, SaleTimings } from "./payments.ts";
import type { ReaderLane } from "./reader-lane.ts";
import type { ScannerLane } from "./scanner-lane.ts";

export interface Leases {
  readonly sealingKey: SealingKey;
  reserve(sale: OfflineSale): Result<Reservation, LeaseRefusal>;
  /** Whether a sale of this kind would be taken now, by a payer who bought nothing here yet. */
  hasRoom(sale: Pick<OfflineSale, "amount" | "means">): boolean;
  /** Minor units that this card already owes here offline. */
  spentBy(payerToken: string): bigint;
  /** Whether the hub's deny list names this card. */
  denies(payerToken: string): boolean;
}

export interface PurchaseDeps {
  readonly journal: Journal;
  readonly hub: Hub;
  readonly leases: Leases;
  readonly lane: ReaderLane;
  readonly scanner: ScannerLane;
  /** Undefined while this terminal takes no notes. */
  readonly notes?: NoteDesk | undefined;
  readonly readCard: (session: CardSession, terminal: EmvTerminal, signal: AbortSignal) => Promise<EmvCard>;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  /** Milliseconds since 1970 as well as they are known. */
  readonly now: () => number;
  readonly terminal: Pick<EmvTerminal, "timeZone" | "settings" | "cardTokenKey">;
  /** Minor units: below it a sale need not go online although the hub is in reach. */
  readonly floorLimitMinor: bigint;
  /** Minor units of cash in one sale; absent where none is given. */
  readonly cashbackMaxMinor?: bigint | undefined;
  /** What was said to the card; called once, when the decision is on disk, and only if there was a card. */
  readonly onRecord: (id: PaymentId, record: CardRecord) => void;
  readonly cardTimeoutMs: number;
  readonly businessDate: (atMs: number) => string;
  readonly onStage: (id: PaymentId, stage: PaymentStage) => void;
  /** What a cashier should know while the payment goes on, in one sentence. */
  readonly onHint: (id: PaymentId, detail: string) => void;
  /** Where the time of a sale went, once it is decided. */
  readonly onTimings: (id: PaymentId, timings: SaleTimings) => void;
}
