/** How the terminal is, put together from its parts, in words that the person beside it understands. */
import { z } from "zod";
import { type Clock, localTime } from "../../base/clock.ts";
import { type Money, toDecimal } from "../../base/money.ts";
import { MoneySchema, toWireMoney } from "../../wire/common.ts";
import type { Devices } from "../devices/devices.ts";
import type { Journal } from "../journal/journal.ts";
import type { LeaseKeeper } from "../lease/lease-keeper.ts";
import type { Payments } from "../payment/payments.ts";
import type { Forwarder } from "../saf/forwarder.ts";
import type { Hub, HubClock, LeaseRefusal, LeaseView } from "../uplink/hub.ts";

const DeviceStatusSchema = z.strictObject({
  id: z.string(),
  uri: z.string(),
  state: z.enum(["absent", "opening", "ready", "lost"]),
  detail: z.string(),
  since: z.string(),
});

/** The answer of `GET /v1/status`. */
export const StatusSchema = z.strictObject({
  /** `online`, `offline until …` or `stopped: …` with the reason and the mend. */
  selling: z.string(),
  version: z.string(),
  terminalId: z.string(),
  uptimeSec: z.int(),
  running: z.int(),
  /**
   * The state is `down` also when it is `silent`: connected, but the hub does not answer; and when it takes `advicesOnly`:
   * what is stored, as this terminal's certificate has ended.
   */
  hub: z.strictObject({
    state: z.enum(["up", "down"]),
    via: z.string(),
    silent: z.boolean(),
    advicesOnly: z.boolean(),
  }),
  /** What the hub knows this terminal by; it is renewed from `renewAfter` on. Absent until the hub has given one. */
  certificate: z.strictObject({ endsAt: z.string(), renewAfter: z.string() }).optional(),
  lease: z
    .strictObject({
      leaseId: z.string(),
      expiresAt: z.string(),
      perSale: MoneySchema,
      remaining: MoneySchema,
      remainingCount: z.int(),
    })
    .optional(),
  queue: z.strictObject({
    depth: z.int(),
    oldestAgeSec: z.int(),
    quarantined: z.int(),
    /** Approved offline and not yet receipted by the hub. */
    outstandingCount: z.int(),
    outstandingMinor: z.string(),
    /** Receipted lately, per second; and how long the rest takes at that rate. Absent while nothing moves. */
    ratePerSec: z.number().optional(),
    etaSec: z.int().optional(),
  }),
  journal: z.strictObject({ epoch: z.string(), sequence: z.int(), hash: z.string() }),
  devices: z.array(DeviceStatusSchema),
  /** `leftBytes`: until offline sales stop; `hoursLeft`: at the rate since the start, absent while nothing is written. */
  disk: z.strictObject({
    freeMb: z.int(),
    reserveMb: z.int(),
    leftBytes: z.int().optional(),
    hoursLeft: z.int().optional(),
  }),
  /** `aheadOfHubMs` is how much this box's clock is ahead of the hub's; absent while the hub's time is not known. */
  clock: z.strictObject({ now: z.string(), aheadOfHubMs: z.int().optional() }),
});
export type Status = z.infer<typeof StatusSchema>;

export interface HealthSources {
  readonly version: string;
  readonly timeZone: string;
  readonly clock: Clock;
  readonly devices: Pick<Devices, "list">;
  readonly payments: Pick<Payments, "running">;
  readonly journal: Pick<Journal, "terminalId" | "epoch" | "head" | "outstanding" | "backlog" | "queue">;
  /** Absent: how fast the queue drains is not told. */
  readonly forwarder?: Pick<Forwarder, "ratePerSec">;
  readonly hub: Pick<Hub, "state" | "via" | "silent" | "advicesOnly">;
  readonly hubClock: HubClock;
  readonly leases: Pick<LeaseKeeper, "view" | "refusesAll">;
  /** Milliseconds since 1970. */
  certificate?(): { readonly endsAt: number; readonly renewAfter: number } | undefined;
  readonly disk: { freeBytes(): number; readonly reserveBytes: number };
  /** The agent is stopping and takes no new payments. */
  draining?(): boolean;
}

export interface Health {
  status(): Status;
}

/** More than this many quarantined entries are told as this many. */
const QUARANTINED_MAX = 1_000;
const MB = 1_048_576;
/** What an entry takes on disk with its sealed card data: the most of any kind, as measured over 50,000 sales. */
const ENTRY_BYTES = 1_400;
/** An average over less than this says nothing. */
const RATE_AFTER_MS = 60_000;
const HOUR_MS = 3_600_000;

export function createHealth(sources: HealthSources): Health {
  const started: Started = { ms: sources.clock.monotonic(), sequence: sources.journal.head.sequence };
  return {
    status: () => ({
      selling: selling(sources),
      version: sources.version,
      terminalId: sources.journal.terminalId,
      uptimeSec: seconds(sources.clock.monotonic() - started.ms),
      running: sources.payments.running,
      hub: hubStatus(sources.hub),
      ...certificateStatus(sources.certificate?.()),
      ...leaseStatus(sources.leases.view()),
      queue: queueStatus(sources),
      journal: {
        epoch: sources.journal.epoch,
        sequence: sources.journal.head.sequence,
        hash: sources.journal.head.hash,
      },
      devices: sources.devices.list().map((device) => ({ ...device })),
      disk: diskStatus(sources, started),
      clock: clockStatus(sources),
    }),
  };
}

const hubStatus = ({ state, via, silent, advicesOnly }: HealthSources["hub"]): Status["hub"] => ({
  state,
  via,
  silent,
  advicesOnly,
});
const seconds = (milliseconds: number): number => Math.max(0, Math.floor(milliseconds / 1_000));
const megabytes = (bytes: number): number => Math.floor(bytes / MB);

/** Whether a sale would go through now, and how; else the first thing that stops it, with its mend. */
export function selling(sources: HealthSources): string {
  if (sources.draining?.()) return "stopped: the agent is shutting down";
  const reader = readerTrouble(sources.devices.list());
  if (reader !== undefined) return `stopped: ${reader}`;
  if (sources.hub.state === "up") return "online";
  const refusal = sources.leases.refusesAll();
  const view = sources.leases.view();
  if (refusal !== undefined || view === undefined) {
    return `stopped: the hub is away and ${stoppedBy(refusal ?? "no-lease", sources)}`;
  }
  const left: Money = { minor: view.remainingMinor, currency: view.lease.currency };
  return `offline until ${when(view.lease.expiresAt, sources.timeZone)}, ${view.remainingCount} sales or ${toDecimal(left)} ${left.currency} left`;
}

const LINK_MEND = "bring the link to the hub back";

function stoppedBy(refusal: LeaseRefusal, { leases, disk, timeZone }: HealthSources): string {
  switch (refusal) {
    case "no-lease":
      return `gave no offline lease; ${LINK_MEND}`;
    case "expired":
      return `the offline lease ended${endOf(leases.view(), timeZone)}; ${LINK_MEND}`;
    case "time-unproven":
      return `the time cannot be proven after a restart of the machine; ${LINK_MEND}`;
    case "age":
      return `the oldest offline sale has waited too long for it; ${LINK_MEND}`;
    case "count":
    case "sum":
      return `the offline lease is used up; ${LINK_MEND}`;
    case "disk-reserve":
      return `only ${megabytes(disk.freeBytes())} MB of disk are free, ${megabytes(disk.reserveBytes)} are kept; free some`;
    default:
      return `the offline lease allows no sale (${refusal}); ${LINK_MEND}`;
  }
}

const endOf = (view: LeaseView | undefined, timeZone: string): string =>
  view === undefined ? "" : ` at ${when(view.lease.expiresAt, timeZone)}`;

/** What takes money: a reader of cards, or a scanner of codes. */
const TAKES_MONEY = /^(?:pcsc|hid):/;
/** Devices say by their URI what they are until they are open; without one of these among them nothing can be sold. */
function readerTrouble(devices: ReturnType<Devices["list"]>): string | undefined {
  const takers = devices.filter(({ uri }) => TAKES_MONEY.test(uri));
  const first = takers[0];
  if (first === undefined) return "no card reader or scanner is configured; add one to devices";
  if (takers.some(({ state }) => state === "ready")) return undefined;
  const what = first.uri.startsWith("pcsc:") ? "card reader" : "scanner";
  return `${what} ${first.id} is ${first.state === "opening" ? "still opening" : first.state}: ${first.detail}`;
}

/** "2026-01-05 14:30" on the shop's clock. */
const when = (time: string, timeZone: string): string =>
  localTime(Date.parse(time), timeZone).slice(0, "2026-01-05 14:30".length);

function leaseStatus(view: LeaseView | undefined): Pick<Status, "lease"> {
  if (view === undefined) return {};
  const { lease, remainingMinor, remainingCount } = view;
  return {
    lease: {
      leaseId: lease.leaseId,
      expiresAt: lease.expiresAt,
      perSale: { minor: lease.perSaleMinor, currency: lease.currency },
      remaining: toWireMoney({ minor: remainingMinor, currency: lease.currency }),
      remainingCount,
    },
  };
}

interface Started {
  /** On the monotonic clock. */
  readonly ms: number;
  readonly sequence: number;
}

function certificateStatus(tls: ReturnType<NonNullable<HealthSources["certificate"]>>): Pick<Status, "certificate"> {
  if (!tls) return {};
  const { endsAt, renewAfter } = tls;
  return {
    certificate: { endsAt: new Date(endsAt).toISOString(), renewAfter: new Date(renewAfter).toISOString() },
  };
}

function diskStatus({ disk, journal, clock }: HealthSources, started: Started): Status["disk"] {
  const free = disk.freeBytes();
  const leftBytes = Math.max(0, free - disk.reserveBytes);
  const sinceMs = clock.monotonic() - started.ms;
  const bytesPerHour = ((journal.head.sequence - started.sequence) * ENTRY_BYTES * HOUR_MS) / Math.max(sinceMs, 1);
  return {
    freeMb: megabytes(free),
    reserveMb: megabytes(disk.reserveBytes),
    leftBytes,
    ...(sinceMs < RATE_AFTER_MS || bytesPerHour === 0 ? {} : { hoursLeft: Math.floor(leftBytes / bytesPerHour) }),
  };
}

function rateStatus(depth: number, ratePerSec: number): Pick<Status["queue"], "ratePerSec" | "etaSec"> {
  if (ratePerSec <= 0) return {};
  return { ratePerSec: Math.round(ratePerSec * 10) / 10, etaSec: Math.ceil(depth / ratePerSec) };
}

function queueStatus({ journal, clock, forwarder }: HealthSources): Status["queue"] {
  const { depth, oldestAt } = journal.backlog();
  const outstanding = journal.outstanding();
  return {
    depth,
    oldestAgeSec: oldestAt === undefined ? 0 : seconds(clock.now() - Date.parse(oldestAt)),
    quarantined: journal.queue({ state: "quarantined", limit: QUARANTINED_MAX }).length,
    outstandingCount: outstanding.count,
    outstandingMinor: outstanding.minor.toString(),
    ...rateStatus(depth, forwarder?.ratePerSec ?? 0),
  };
}

function clockStatus({ clock, hubClock }: HealthSources): Status["clock"] {
  const now = clock.now();
  const hub = hubClock.now();
  return {
    now: new Date(now).toISOString(),
    ...(hub.proven ? { aheadOfHubMs: Math.round(now - hub.at) } : {}),
  };
}
