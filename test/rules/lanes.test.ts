import { describe, expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { Till } from "./till.ts";

describe("a lane of the agent", () => {
  test("is idle with nothing to do, so that a quiet shop feeds the watchdog", async () => {
    await using till = new Till();
    expect(till.desk.lane.idle).toBe(true);
    expect(till.tickets.lane.idle).toBe(true);
  });

  test("shows a payment that moves no further by the time of its last stage", async () => {
    await using till = new Till();
    till.cardComes = false;
    const sale = till.sell("P-1");
    await till.clock.advance(10);
    const moved = till.desk.lane.lastProgressMs;
    await till.clock.advance(30_000);
    expect(till.desk.lane).toMatchObject({ idle: false, lastProgressMs: moved });
    expect(till.desk.lane.limitMs).toBeGreaterThan(60_000);
    till.desk.cancel("P-1" as PaymentId);
    await sale;
    expect(till.desk.lane.idle).toBe(true);
  });

  test("shows a ticket that neither ends nor fails by the time it was begun", async () => {
    await using till = new Till();
    let release = () => {};
    till.paper.hold = new Promise<void>((resolve) => {
      release = resolve;
    });
    await till.sell("P-1");
    await till.clock.advance(10);
    const begun = till.tickets.lane.lastProgressMs;
    await till.clock.advance(5_000);
    expect(till.tickets.lane).toMatchObject({ idle: false, lastProgressMs: begun });
    release();
    await till.printed("P-1");
    expect(till.tickets.lane.idle).toBe(true);
  });
});
