/** RM8: the lease keeper against a plain model, under every interleaving of sales, receipts and renewals. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { LeaseKeeper, type Reservation } from "../../agent/lease/lease-keeper.ts";
import { silentLog } from "../../base/log.ts";
import { hubKeys, MemoryJournal, NINE, saleOf, sealingKeys, signedLease, TERMINAL } from "./lease-fixture.ts";

interface Held {
  readonly minor: bigint;
  readonly reservation: Reservation;
}

/** All that RM8 says, in numbers: what is sold and unreceipted, what is being decided, and the caps in force. */
class World {
  readonly journal = new MemoryJournal();
  readonly leases = new LeaseKeeper({
    terminalId: TERMINAL,
    hubSigningKey: hubKeys.publicKey,
    sealingKey: { keyId: "enrolled", publicKey: sealingKeys.publicKey },
    journal: this.journal,
    hubClock: { now: () => ({ at: NINE, proven: true }) },
    log: silentLog,
    disk: { freeBytes: () => 1, reserveBytes: 0 },
  });
  readonly deciding: Held[] = [];
  counter = 0;
  cap = { sum: 0n, count: 0 };

  reserve(minor: bigint): void {
    const stopped = this.leases.refusesAll();
    const granted = this.leases.reserve(saleOf(minor));
    const used = [...this.deciding.map((held) => held.minor), ...this.journal.unreceipted];
    const sum = used.reduce((total, one) => total + one, 0n);
    const grants = (one: bigint) => this.counter > 0 && sum + one <= this.cap.sum && used.length + 1 <= this.cap.count;
    expect(granted.ok).toBe(grants(minor));
    expect(stopped === undefined).toBe(grants(1n));
    if (granted.ok) this.deciding.push({ minor, reservation: granted.value });
  }
  /** Durable in the journal first, then told to the keeper; `between` sales come in between. */
  commit(which: number, between: bigint): void {
    const held = this.deciding[which % Math.max(1, this.deciding.length)];
    if (!held) return;
    this.journal.unreceipted.push(held.minor);
    const during = this.leases.reserve(saleOf(between));
    held.reservation.commit();
    this.deciding.splice(this.deciding.indexOf(held), 1);
    if (during.ok) this.deciding.push({ minor: between, reservation: during.value });
  }
  release(which: number): void {
    const held = this.deciding[which % Math.max(1, this.deciding.length)];
    held?.reservation.release();
    if (held) this.deciding.splice(this.deciding.indexOf(held), 1);
  }
  receipt(count: number): void {
    this.journal.unreceipted.splice(0, count);
  }
  renew(sum: number, count: number): void {
    this.counter += 1;
    this.cap = { sum: BigInt(sum), count };
    this.leases.offer(signedLease({ counter: this.counter, sumMinor: `${sum}`, countMax: count }));
  }
}

const small = fc.integer({ min: 0, max: 9 });
const amount = fc.bigInt({ min: 1n, max: 400n });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("reserve" as const), minor: amount }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("commit" as const), which: small, minor: amount }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("release" as const), which: small }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("receipt" as const), which: small }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("renew" as const), sum: fc.integer({ min: 0, max: 2_000 }), which: small }),
  },
);

test("RM8 whatever the interleaving of reserve, commit, release, receipt and renewal, the keeper grants as the model does", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const world = new World();
      world.renew(1_000, 6);
      for (const one of steps) {
        if (one.do === "reserve") world.reserve(one.minor);
        else if (one.do === "commit") world.commit(one.which, one.minor);
        else if (one.do === "release") world.release(one.which);
        else if (one.do === "receipt") world.receipt(one.which);
        else world.renew(one.sum, one.which);
      }
    }),
    { numRuns: 300 },
  );
});

test("RM8 what is sold under one cap and not receipted never exceeds it, whatever the renewals with that cap", () => {
  const CAP = { sum: 1_000, count: 6 };
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const world = new World();
      world.renew(CAP.sum, CAP.count);
      for (const one of steps) {
        if (one.do === "reserve") world.reserve(one.minor);
        else if (one.do === "commit") world.commit(one.which, one.minor);
        else if (one.do === "release") world.release(one.which);
        else if (one.do === "receipt") world.receipt(one.which);
        else world.renew(CAP.sum, CAP.count);
        const sold = [...world.journal.unreceipted, ...world.deciding.map((held) => held.minor)];
        expect(sold.length).toBeLessThanOrEqual(CAP.count);
        expect(sold.reduce((sum, minor) => sum + minor, 0n)).toBeLessThanOrEqual(BigInt(CAP.sum));
      }
    }),
    { numRuns: 300 },
  );
});
