import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { abortable, deadline, eitherOf, localTime, ManualClock, sleep } from "./clock.ts";
import { Fault } from "./fault.ts";

describe("a clock that tests advance", () => {
  test("fires timers in the order of their time, each at its own", async () => {
    const clock = new ManualClock(0);
    const fired: string[] = [];
    clock.after(20, () => fired.push(`b@${clock.monotonic()}`));
    clock.after(10, () => fired.push(`a@${clock.monotonic()}`));
    clock.after(30, () => fired.push("never"));
    await clock.advance(25);
    expect(fired).toEqual(["a@10", "b@20"]);
    expect(clock.monotonic()).toBe(25);
  });

  test("moves its wall clock alone when it is set, as a person or NTP would", async () => {
    const clock = new ManualClock(1_000);
    clock.setWall(50);
    await clock.advance(5);
    expect([clock.now(), clock.monotonic()]).toEqual([55, 5]);
  });
});

describe("a wait", () => {
  test("ends at its time, or at once with the signal's Fault, and leaves no timer behind", async () => {
    const clock = new ManualClock(0);
    const stop = new AbortController();
    const long = sleep(clock, 1_000, stop.signal);
    stop.abort(new Fault("device.absent", "gone"));
    await expect(long).rejects.toMatchObject({ code: "device.absent" });
    await expect(sleep(clock, 10, stop.signal)).rejects.toMatchObject({ code: "device.absent" });
  });

  test("that cannot be cancelled is left behind when its signal aborts", async () => {
    const stop = new AbortController();
    const never = abortable(new Promise(() => {}), stop.signal);
    stop.abort();
    await expect(never).rejects.toMatchObject({ code: "aborted" });
  });
});

describe("a deadline", () => {
  test("aborts by its time with transport.timeout", async () => {
    const clock = new ManualClock(0);
    using limit = deadline(clock, 100);
    await clock.advance(99);
    expect(limit.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(limit.signal.reason).toMatchObject({ code: "transport.timeout" });
  });

  test("aborts with its parent's reason, and no more once it is disposed of", async () => {
    const clock = new ManualClock(0);
    const parent = new AbortController();
    const first = deadline(clock, 100, parent.signal);
    const second = deadline(clock, 100, parent.signal);
    second[Symbol.dispose]();
    parent.abort(new Fault("card.removed", "pulled"));
    await clock.advance(200);
    expect(first.signal.reason).toMatchObject({ code: "card.removed" });
    expect(second.signal.aborted).toBe(false);
  });
});

describe("either of some signals", () => {
  const faultOf = (text: string) => new Fault("aborted", text);

  test("aborts with the first that does, for its reason", () => {
    const [one, two] = [new AbortController(), new AbortController()];
    using either = eitherOf(one.signal, two.signal);
    expect(either.signal.aborted).toBe(false);
    two.abort(faultOf("two"));
    one.abort(faultOf("one"));
    expect(either.signal.reason).toMatchObject({ message: "two" });
  });

  test("is aborted already when one of them is", () => {
    using either = eitherOf(new AbortController().signal, AbortSignal.abort(faultOf("before")));
    expect(either.signal.reason).toMatchObject({ message: "before" });
  });

  test("has let go of them once it is disposed of", () => {
    const one = new AbortController();
    const either = eitherOf(one.signal);
    either[Symbol.dispose]();
    one.abort(faultOf("late"));
    expect(either.signal.aborted).toBe(false);
  });
});

describe("the clocks of a place", () => {
  const asked = (atMs: number, timeZone: string) =>
    new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" }).format(atMs);

  test("show what a calendar says, whatever was asked before", () => {
    const zones = ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"];
    fc.assert(
      fc.property(
        fc.integer({ min: Date.UTC(1970, 0, 1), max: Date.UTC(2090, 0, 1) }),
        fc.constantFrom(...zones),
        fc.array(fc.integer({ min: 0, max: 3_600_000 }), { minLength: 1, maxLength: 4 }),
        (from, zone, later) => {
          for (const by of later) expect(localTime(from + by, zone)).toBe(asked(from + by, zone));
        },
      ),
      { numRuns: 60 },
    );
  });

  test.each([
    ["forward", "Europe/Berlin", "2026-03-29T01:00:00Z"],
    ["back", "Europe/Berlin", "2026-10-25T01:00:00Z"],
    ["by half an hour", "Australia/Lord_Howe", "2026-04-04T15:00:00Z"],
    ["over a day that never was", "Pacific/Apia", "2011-12-30T10:00:00Z"],
    ["within a quarter of an hour", "Africa/Monrovia", "1972-01-07T00:44:30Z"],
  ])("are set %s without a second that is wrong", (_, zone, instant) => {
    const at = Date.parse(instant);
    for (const by of [-900_000, -30_000, -1_000, -1, 0, 1, 29_999, 900_000])
      expect(localTime(at + by, zone)).toBe(asked(at + by, zone));
  });

  test("are not known for a zone that is none, nor for no time", () => {
    expect(() => localTime(0, "Atlantis/Harbour")).toThrow(RangeError);
    expect(() => localTime(Number.NaN, "UTC")).toThrow(RangeError);
  });
});
