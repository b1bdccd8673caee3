import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ManualClock } from "../../../base/clock.ts";
import type { Iso8583Message } from "../../../protocols/iso8583/message.ts";
import { InFlight, matchKey, REMEMBERED_MAX } from "./in-flight.ts";

const message = (mti: string, stan: string, more: Record<number, string> = {}): Iso8583Message => ({
  mti,
  fields: { 7: "0105090000", 11: stan, 32: "987654", 41: "TERM0001", ...more },
});

const never = new AbortController().signal;

function sent(requests: InFlight, request: Iso8583Message, { timeoutMs = 2_000, signal = never } = {}) {
  return requests.wait(request, matchKey(request) ?? "", { timeoutMs, signal });
}

describe("requests in flight", () => {
  test("an answer finds its request by class, STAN, transmission time, acquirer and terminal", async () => {
    const requests = new InFlight(new ManualClock());
    const answered = sent(requests, message("0200", "000007"));
    for (const other of [
      message("0110", "000007"),
      message("1210", "000007"),
      message("0210", "000008"),
      message("0210", "000007", { 7: "0105090001" }),
      message("0210", "000007", { 32: "987655" }),
      message("0210", "000007", { 41: "TERM0002" }),
    ]) {
      expect(requests.answer(other)).toBe("unsolicited");
    }
    expect(requests.answer(message("0210", "000007"))).toBe("matched");
    expect(await answered).toMatchObject({ mti: "0210" });
    expect(requests.size).toBe(0);
  });

  test("answers come in any order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray([1, 2, 3, 4, 5, 6], { minLength: 6 }), async (order) => {
        const requests = new InFlight(new ManualClock());
        const waiting = [1, 2, 3, 4, 5, 6].map((n) => sent(requests, message("0200", `00000${n}`)));
        for (const n of order) expect(requests.answer(message("0210", `00000${n}`, { 39: `0${n}` }))).toBe("matched");
        const answers = await Promise.all(waiting);
        expect(answers.map((answer) => (typeof answer === "string" ? answer : answer.fields[39]))).toEqual(
          [1, 2, 3, 4, 5, 6].map((n) => `0${n}`),
        );
      }),
    );
  });

  test("RM1 an answer after the time-out is late, once, and the next one double", async () => {
    const clock = new ManualClock();
    const requests = new InFlight(clock);
    const answered = sent(requests, message("0200", "000007"), { timeoutMs: 2_000 });
    await clock.advance(1_999);
    expect(requests.size).toBe(1);
    await clock.advance(1);
    expect(await answered).toBe("timeout");
    expect(requests.answer(message("0210", "000007"))).toBe("late");
    expect(requests.answer(message("0210", "000007"))).toBe("double");
  });

  test("a second answer is double and the first one stands", async () => {
    const requests = new InFlight(new ManualClock());
    const answered = sent(requests, message("0200", "000007"));
    requests.answer(message("0210", "000007", { 39: "00" }));
    expect(requests.answer(message("0210", "000007", { 39: "05" }))).toBe("double");
    expect(await answered).toMatchObject({ fields: { 39: "00" } });
  });

  test("a repeat under the key of a request that timed out gets its own answer", async () => {
    const clock = new ManualClock();
    const requests = new InFlight(clock);
    const first = sent(requests, message("0420", "000007"), { timeoutMs: 10 });
    await clock.advance(10);
    expect(await first).toBe("timeout");
    const repeated = sent(requests, message("0421", "000007"));
    expect(requests.answer(message("0430", "000007"))).toBe("matched");
    expect(await repeated).toMatchObject({ mti: "0430" });
  });

  test("an abort ends the wait, and so does an abort before it", async () => {
    const requests = new InFlight(new ManualClock());
    const stop = new AbortController();
    const answered = sent(requests, message("0200", "000007"), { signal: stop.signal });
    stop.abort();
    expect(await answered).toBe("aborted");
    expect(await sent(requests, message("0200", "000008"), { signal: stop.signal })).toBe("aborted");
    expect(requests.size).toBe(0);
  });

  test("a lost connection ends every wait, and its answers are late on the next one", async () => {
    const requests = new InFlight(new ManualClock());
    const waiting = ["000001", "000002"].map((stan) => sent(requests, message("0200", stan)));
    requests.lose();
    expect(await Promise.all(waiting)).toEqual(["connection-lost", "connection-lost"]);
    expect(requests.answer(message("0210", "000002"))).toBe("late");
  });

  test("a STAN is taken for as long as anything under it is in flight", () => {
    const requests = new InFlight(new ManualClock());
    void sent(requests, message("0200", "000007"));
    void sent(requests, message("0800", "000007"));
    requests.answer(message("0210", "000007"));
    expect(requests.hasStan("000007")).toBe(true);
    requests.answer(message("0810", "000007"));
    expect(requests.hasStan("000007")).toBe(false);
  });

  test("an answer without a STAN is nobody's", () => {
    const requests = new InFlight(new ManualClock());
    expect(requests.answer({ mti: "0210", fields: { 39: "00" } })).toBe("unsolicited");
  });

  test("it remembers so many ended requests and no more", () => {
    const requests = new InFlight(new ManualClock());
    for (let n = 0; n <= REMEMBERED_MAX; n += 1) {
      void sent(requests, message("0200", String(n).padStart(6, "0")));
      requests.answer(message("0210", String(n).padStart(6, "0")));
    }
    expect(requests.answer(message("0210", "000000"))).toBe("unsolicited");
    expect(requests.answer(message("0210", "000001"))).toBe("double");
  });
});
