/** What a hub and an issuer moved on a business day is compared after its end, and a difference is named (RM14). */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import type { ReconciliationTotals } from "../../hub/core/issuers/index.ts";
import { adviceStore } from "../../hub/core/switch/advice-store.ts";
import {
  ANNA,
  advicesOf,
  endDay,
  euros,
  OTHERS,
  reconciliationsOf,
  restarted,
  type SwitchStand,
  switchStand,
  toMidnight,
  until,
} from "./switch-stand.ts";

let stand: SwitchStand;
beforeEach(async () => {
  stand = await switchStand();
});
afterEach(() => stand[Symbol.asyncDispose]());

const [BEN, CARA] = OTHERS;
const NONE = { count: 0, minor: 0n };
const totals = (some: Partial<ReconciliationTotals>): ReconciliationTotals => ({
  ...{ debits: NONE, debitReversals: NONE, credits: NONE, creditReversals: NONE },
  ...some,
});
/** Between two looks at an entry that is repeated every minute. */
const LINE_CUT_SEC = 610;
const asked = () => stand.issuer.status().counts["reconciliations"] ?? 0;
const drained = () => until(stand, async () => (await advicesOf(stand)).every(({ state }) => state.at === "delivered"));
const confirm = (paymentId: string, minor: number) => {
  const { terminal } = stand.fixture;
  return terminal.tell(terminal.advice(paymentId, { ...euros(minor), mode: "online" }));
};
const refund = (paymentId: string, original: string, minor: number) =>
  stand.buy(paymentId, { kind: "refund", originalPaymentId: original as PaymentId, ...euros(minor) });

describe("the totals of a day", () => {
  test("RM14 are what the issuer posted: neither what he declined nor what was never asked counts", async () => {
    await stand.buy("p-1", euros(5_000));
    await stand.buy("p-2", { pan: BEN, ...euros(2_500) });
    await stand.issuer.break({ decline: "51" });
    await stand.buy("declined", { pan: CARA });
    await stand.issuer.clear();
    const { terminal } = stand.fixture;
    await confirm("p-1", 5_000);
    await refund("r-1", "p-1", 1_500);
    await terminal.tell(terminal.entry(terminal.reversal("p-2")));
    await drained();
    expect(asked()).toBe(0);
    expect(await endDay(stand)).toMatchObject([
      {
        ...{ day: "2026-01-05", currency: "EUR", state: "in-balance", sends: 1 },
        ours: totals({
          debits: { count: 2, minor: 7_500n },
          debitReversals: { count: 1, minor: 2_500n },
          credits: { count: 1, minor: 1_500n },
        }),
      },
    ]);
    expect(asked()).toBe(1);
    expect(stand.counts.of("reconciliations", { issuer: "bank-1", end: "in-balance" })).toBe(1);
  });

  test("RM14 have what was decided in his name once he took it, and nothing of what he never had", async () => {
    await stand.issuer.break({ mute: true });
    const { terminal } = stand.fixture;
    await stand.buyInTime("lost-approved", euros(700));
    await stand.buyInTime("lost-declined", { pan: BEN, ...euros(11_000) });
    await stand.buyInTime("lost-and-down", { pan: CARA, ...euros(900) });
    await stand.buyInTime("stood-in", { pan: ANNA, ...euros(50) });
    await stand.comeBack();
    await drained();
    await terminal.tell(
      terminal.entry(terminal.decision("offline", euros(30)), { sealed: terminal.seal("offline", BEN) }),
    );
    await drained();
    expect(await endDay(stand)).toMatchObject([
      { state: "in-balance", ours: totals({ debits: { count: 4, minor: 1_680n } }) },
    ]);
  });

  test("RM14 have a question whose answer was lost, and its reversal, which say that he had posted it", async () => {
    await stand.issuer.break({ lose: 1 });
    await stand.buyInTime("lost", euros(11_000));
    await drained();
    const moved = { count: 1, minor: 11_000n };
    expect(await endDay(stand)).toMatchObject([
      { state: "in-balance", ours: totals({ debits: moved, debitReversals: moved }) },
    ]);
  });
});

describe("at the end of a day", () => {
  test("RM14 what he may have posted is counted on that day, which is closed only when he has told", async () => {
    const lost = () => stand.issuer.status().counts["answers-lost"] ?? 0;
    await stand.issuer.break({ lose: 6 });
    await stand.buyInTime("late", euros(700));
    await until(stand, async () => lost() === 2);
    toMidnight(stand);
    await until(stand, async () => lost() === 6);
    expect(await advicesOf(stand)).toMatchObject([{ day: "2026-01-05" }]);
    expect(await reconciliationsOf(stand)).toEqual([]);
    await stand.buy("early", { pan: BEN, ...euros(40) });
    await until(stand, async () => (await reconciliationsOf(stand)).length === 1);
    expect(await advicesOf(stand)).toMatchObject([{ state: { at: "delivered" } }]);
    expect(await endDay(stand)).toMatchObject([
      { day: "2026-01-06", state: "in-balance", ours: totals({ debits: { count: 1, minor: 40n } }) },
      { day: "2026-01-05", state: "in-balance", ours: totals({ debits: { count: 1, minor: 700n } }) },
    ]);
  });

  test("RM14 what waits for an issuer who is away is counted on the day on which he takes it; nobody at a counter waits", async () => {
    await stand.goDown();
    await stand.buyInTime("waiting", euros(5_000));
    toMidnight(stand);
    const { answer, afterMs } = await stand.buyInTime("next-day", euros(60));
    expect([answer.outcome, afterMs]).toEqual(["approved", 0]);
    await stand.comeBack();
    await drained();
    expect(await endDay(stand)).toMatchObject([
      { day: "2026-01-06", state: "in-balance", ours: totals({ debits: { count: 2, minor: 5_060n } }) },
      { day: "2026-01-05", state: "in-balance", ours: totals({ debits: { count: 3, minor: 3n } }) },
    ]);
  });

  test("RM14 what could not leave while his line was cut keeps its day open however long that was", async () => {
    const { clock, hub } = stand.fixture;
    await stand.buy("answered", { pan: BEN, ...euros(40) });
    await stand.issuer.break({ mute: true });
    await stand.buyInTime("late", euros(700));
    await stand.issuer.break({ mute: false, down: true });
    await stand.counts.reach("links", { status: "down" });
    toMidnight(stand);
    for (let second = 0; second < LINE_CUT_SEC; second += 1) {
      await clock.advance(1_000);
      await hub.idle();
    }
    expect(await advicesOf(stand)).toMatchObject([{ day: "2026-01-05", state: { at: "waiting" } }]);
    await stand.issuer.clear();
    await until(stand, async () => (await reconciliationsOf(stand)).length === 1);
    expect(await advicesOf(stand)).toMatchObject([{ day: "2026-01-05", state: { at: "delivered" } }]);
    await until(stand, async () => (await reconciliationsOf(stand)).every(({ endedAt }) => endedAt !== undefined));
    expect(await reconciliationsOf(stand)).toMatchObject([
      { day: "2026-01-05", state: "in-balance", ours: totals({ debits: { count: 2, minor: 740n } }) },
    ]);
  });

  test("RM14 what he does not answer is waited for within limits, and counted on a later day", async () => {
    const { clock, hub } = stand.fixture;
    await stand.buy("answered", { pan: BEN, ...euros(40) });
    await stand.issuer.break({ mute: true });
    await stand.buyInTime("late", euros(700));
    const [advice] = await advicesOf(stand);
    toMidnight(stand);
    const state = { at: "waiting", sends: 10, refusals: 0, dueAt: clock.now() + 30_000 } as const;
    await hub.store.transaction(async (within) => advice && (await adviceStore.move(within, { ...advice, state })));
    await stand.issuer.clear();
    await until(stand, async () => (await reconciliationsOf(stand)).length === 1);
    expect(await advicesOf(stand)).toMatchObject([{ day: "2026-01-05", state: { at: "waiting" } }]);
    await drained();
    expect(await advicesOf(stand)).toMatchObject([{ day: "2026-01-06" }]);
    expect(await endDay(stand)).toMatchObject([
      { day: "2026-01-06", state: "in-balance", ours: totals({ debits: { count: 1, minor: 700n } }) },
      { day: "2026-01-05", state: "in-balance", ours: totals({ debits: { count: 1, minor: 40n } }) },
    ]);
  });

  test("a clock that is set back opens no day a second time", async () => {
    const { clock } = stand.fixture;
    await stand.buy("p-1");
    await endDay(stand);
    clock.setWall(clock.now() - 3_600_000);
    await stand.buy("p-2", { pan: BEN });
    clock.setWall(clock.now() + 3_600_000);
    expect(await endDay(stand)).toMatchObject([
      { day: "2026-01-06", state: "in-balance", ours: { debits: { count: 1 } } },
      { day: "2026-01-05", ours: { debits: { count: 1 } } },
    ]);
  });
});

describe("an issuer", () => {
  test("RM14 whose answer is lost is told the same totals once more, by whatever process the hub is by then", async () => {
    await stand.buy("p-1", euros(5_000));
    await stand.issuer.break({ lose: 1 });
    toMidnight(stand);
    await until(stand, async () => asked() === 1);
    const again = await restarted(stand);
    await until(again, async () => (await reconciliationsOf(again)).some(({ endedAt }) => endedAt !== undefined));
    expect(asked()).toBe(2);
    expect(await reconciliationsOf(again)).toMatchObject([
      { state: "in-balance", sends: 2, ours: totals({ debits: { count: 1, minor: 5_000n } }) },
    ]);
    await again.fixture.hub.switch[Symbol.asyncDispose]();
  });

  test("RM14 who counts otherwise is named, with his figures beside ours", async () => {
    await stand.buy("p-1", euros(5_000));
    await stand.issuer.break({ miscount: true });
    expect(await endDay(stand)).toMatchObject([
      {
        ...{ state: "out-of-balance", sends: 1 },
        ours: totals({ debits: { count: 1, minor: 5_000n } }),
        theirs: totals({ debits: { count: 2, minor: 5_000n } }),
      },
    ]);
    expect(stand.counts.of("reconciliations", { issuer: "bank-1", end: "out-of-balance" })).toBe(1);
  });

  test("RM14 who posted what the hub does not know of is found on a day on which it knows of nothing", async () => {
    await stand.buy("p-1", euros(5_000));
    await endDay(stand);
    await stand.issuer.break({ decline: "51" });
    await stand.buy("p-2");
    await stand.issuer.break({ miscount: true });
    expect(await endDay(stand)).toMatchObject([
      { day: "2026-01-06", state: "out-of-balance", ours: totals({}) },
      { day: "2026-01-05", state: "in-balance" },
    ]);
  });
});
