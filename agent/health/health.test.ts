import { expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import type { Epoch, TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { currencyOf } from "../../base/money.ts";
import {
  HOUR,
  hubKeys,
  MemoryJournal,
  NINE,
  sealingKeys,
  signedLease,
  TERMINAL,
} from "../../test/rules/lease-fixture.ts";
import type { DeviceView } from "../devices/devices.ts";
import { LeaseKeeper } from "../lease/lease-keeper.ts";
import type { LeaseRefusal, LeaseView } from "../uplink/hub.ts";
import { createHealth, type HealthSources, StatusSchema, selling } from "./health.ts";

const READER: DeviceView = {
  id: "reader",
  uri: "pcsc:*",
  state: "ready",
  detail: "a reader",
  since: "2026-01-05T09:00:00.000Z",
};
const LEASE = {
  lease: { leaseId: "l-1", expiresAt: "2026-01-05T13:30:00.000Z", perSaleMinor: "5000", currency: currencyOf("EUR") },
  remainingMinor: 34_000n,
  remainingCount: 12,
} as LeaseView;

function sources(over: Partial<HealthSources> = {}): HealthSources {
  const clock = new ManualClock();
  return {
    version: "0.1.0",
    timeZone: "Europe/Berlin",
    clock,
    devices: { list: () => [READER] },
    payments: { running: 1 },
    journal: {
      terminalId: "shop-1" as TerminalId,
      epoch: "0011223344556677" as Epoch,
      head: { sequence: 7, forward: 3, hash: "ab" },
      outstanding: () => ({ count: 2, minor: 3_000n }),
      backlog: () => ({ depth: 2, oldestAt: new Date(clock.now() - 61_000).toISOString() }),
      queue: () => [],
    },
    hub: { state: "up", via: "mqtt", silent: false, advicesOnly: false },
    hubClock: { now: () => ({ at: clock.now() - 1_500, proven: true }) },
    leases: { view: () => LEASE, refusesAll: () => undefined },
    disk: { freeBytes: () => 2_147_483_648, reserveBytes: 67_108_864 },
    ...over,
  };
}
const DOWN = { hub: { state: "down", via: "mqtt", silent: false, advicesOnly: false } } as const;
const refusing = (refusal: LeaseRefusal) => ({ ...DOWN, leases: { view: () => LEASE, refusesAll: () => refusal } });

test("the whole status fits its schema", () => {
  const status = createHealth(sources()).status();
  expect(StatusSchema.parse(status)).toEqual(status);
  expect(status).toMatchObject({
    selling: "online",
    queue: { depth: 2, oldestAgeSec: 61, outstandingMinor: "3000" },
    lease: { remaining: { minor: "34000", currency: "EUR" }, remainingCount: 12 },
    disk: { freeMb: 2_048, reserveMb: 64 },
    clock: { aheadOfHubMs: 1_500 },
  });
});

test.each<[string, Partial<HealthSources>]>([
  ["online", {}],
  ["offline until 2026-01-05 14:30, 12 sales or 340.00 EUR left", DOWN],
  ["stopped: the agent is shutting down", { draining: () => true }],
  ["stopped: no card reader or scanner is configured; add one to devices", { devices: { list: () => [] } }],
  ["online", { devices: { list: () => [{ ...READER, id: "scanner", uri: "hid:0c2e:0b61", state: "ready" }] } }],
  [
    "stopped: card reader reader is absent: no reader; plug one in",
    { devices: { list: () => [{ ...READER, state: "absent", detail: "no reader; plug one in" }] } },
  ],
  [
    "stopped: the hub is away and gave no offline lease; bring the link to the hub back",
    { ...DOWN, leases: { view: () => undefined, refusesAll: () => "no-lease" } },
  ],
  [
    "stopped: the hub is away and the offline lease ended at 2026-01-05 14:30; bring the link to the hub back",
    refusing("expired"),
  ],
  [
    "stopped: the hub is away and the time cannot be proven after a restart of the machine; bring the link to the hub back",
    refusing("time-unproven"),
  ],
  [
    "stopped: the hub is away and the oldest offline sale has waited too long for it; bring the link to the hub back",
    refusing("age"),
  ],
  ["stopped: the hub is away and the offline lease is used up; bring the link to the hub back", refusing("count")],
  ["stopped: the hub is away and the offline lease is used up; bring the link to the hub back", refusing("sum")],
  [
    "stopped: the hub is away and the offline lease allows no sale (means); bring the link to the hub back",
    refusing("means"),
  ],
  [
    "stopped: the hub is away and only 1 MB of disk are free, 64 are kept; free some",
    { ...refusing("disk-reserve"), disk: { freeBytes: () => 1_100_000, reserveBytes: 67_108_864 } },
  ],
])("RM8 says %s", (words, over) => {
  expect(selling(sources(over))).toBe(words);
});

test("RM8 a lease with room that refuses every sale is no lease to sell by", () => {
  const journal = new MemoryJournal();
  const hubClock = { now: () => ({ at: NINE + HOUR, proven: true }) };
  const { disk } = sources();
  const leases = new LeaseKeeper({
    terminalId: TERMINAL,
    hubSigningKey: hubKeys.publicKey,
    sealingKey: { keyId: "k1", publicKey: sealingKeys.publicKey },
    ...{ journal, hubClock, disk, log: silentLog },
  });
  leases.offer(signedLease({ ageMaxSec: 3_599 }));
  expect(selling(sources({ ...DOWN, leases, hubClock }))).toMatch(/^offline until /);
  journal.unreceipted.push(100n);
  journal.oldestAt = new Date(NINE).toISOString();
  expect(selling(sources({ ...DOWN, leases, hubClock }))).toMatch(/^stopped: .*has waited too long/);
});

test("the queue's rate tells how long the rest takes, and the disk's reserve how long it lasts", async () => {
  const clock = new ManualClock();
  const base = sources();
  const head = { sequence: 1_000, forward: 3, hash: "ab" };
  const journal = { ...base.journal, head, backlog: () => ({ depth: 500 }) };
  const disk = { freeBytes: () => 100_000_000, reserveBytes: 16_000_000 };
  const health = createHealth({ ...base, clock, journal, disk, forwarder: { ratePerSec: 41.66 } });
  expect(health.status()).toMatchObject({
    queue: { ratePerSec: 41.7, etaSec: 13 },
    disk: { leftBytes: 84_000_000 },
  });
  expect(health.status().disk.hoursLeft).toBeUndefined();
  await clock.advance(3_600_000);
  head.sequence += 5_000;
  // 5,000 entries an hour of 1,400 bytes.
  expect(health.status().disk.hoursLeft).toBe(12);
  expect(createHealth({ ...base, forwarder: { ratePerSec: 0 } }).status().queue.etaSec).toBeUndefined();
});
