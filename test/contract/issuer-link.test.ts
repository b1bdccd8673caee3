/** The link to an issuer against the simulated one, over TCP. */
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { concat } from "../../base/bytes.ts";
import { deadline, ManualClock, systemClock } from "../../base/clock.ts";
import { currencyOf } from "../../base/money.ts";
import { MESSAGE_WITHIN_MS } from "../../hub/core/issuers/connection.ts";
import {
  acknowledgementOf,
  adviceMessage,
  decisionOf,
  reconciliationAnswer,
  reconciliationMessage,
  reversalMessage,
} from "../../hub/core/issuers/index.ts";
import { MISSED_MAX } from "../../hub/core/issuers/link-machine.ts";
import { createIso8583Codec } from "../../protocols/iso8583/codec.ts";
import { answerTo } from "../../protocols/iso8583/exchange.ts";
import { encodeFrame } from "../../protocols/iso8583/frame.ts";
import type { Iso8583Message } from "../../protocols/iso8583/message.ts";
import { withPaymentReference } from "../../protocols/iso8583/payment-reference.ts";
import { SPEC_1987_ASCII, SPEC_1987_BCD, SPEC_1987_BINARY, SPEC_1993_ASCII } from "../../protocols/iso8583/specs.ts";
import { booksView } from "../../sim/issuer/views.ts";
import { BALANCE, LIMIT_MS, PAN, type Stand, startStand } from "./issuer-stand.ts";

const never = new AbortController().signal;
const waiting = { timeoutMs: LIMIT_MS, signal: never };
const balanceOf = ({ sim }: Stand) => sim.books.account(PAN)?.balanceMinor;

describe.each([SPEC_1987_ASCII, SPEC_1987_BINARY, SPEC_1987_BCD, SPEC_1993_ASCII])("in $name", (spec) => {
  test("RM14 it signs on, its purchase is answered and posted, and it signs off", async () => {
    const stand = await startStand({ spec });
    expect(stand.sim.status()).toMatchObject({ connections: 1, signedOn: 1 });
    const request = stand.purchase({ minor: 250n });
    const answer = await stand.link.request(request, waiting);
    if (answer.what !== "answered") expect.unreachable(answer.what);
    expect(decisionOf(request, answer.message)).toMatchObject({ outcome: "approved", responseCode: "00" });
    expect(balanceOf(stand)).toBe(BALANCE - 250n);
    await stand.link[Symbol.asyncDispose]();
    expect(stand.counts.of("exchanges", { what: "sign-off", result: "accepted" })).toBe(1);
    expect(stand.link.status).toBe("down");
    await stand[Symbol.asyncDispose]();
  });

  test("RM1 advice and reversal are taken, and what they leave is what was posted", async () => {
    await using stand = await startStand({ spec });
    const about = { version: spec.version, attempt: 1, repeat: false } as const;
    const { link } = stand;
    const advice = adviceMessage({
      ...about,
      trace: link.newTrace(),
      payment: stand.payment("p-stood-in"),
      of: "financial",
      decision: { approved: true, approvalCode: "S00001" },
      reason: "stand-in-timeout",
    });
    const reversal = reversalMessage({
      ...about,
      trace: link.newTrace(),
      payment: stand.payment("p-never-came"),
      original: { of: "financial", trace: link.newTrace() },
      reason: "timeout",
    });
    for (const [message, what] of [
      [advice, "taken"],
      [reversal, "nothing-to-reverse"],
    ] as const) {
      const answer = await link.request(message, waiting);
      if (answer.what !== "answered") expect.unreachable(answer.what);
      expect(acknowledgementOf(message, answer.message)).toEqual({ what });
    }
    expect(booksView(stand.sim.books).payments).toMatchObject([
      { paymentId: "p-stood-in", postedMinor: "100", advised: "stand-in-timeout" },
      { paymentId: "p-never-came", postedMinor: "0", attempts: { 1: "tombstone" } },
    ]);
    expect(balanceOf(stand)).toBe(BALANCE - 100n);
  });
});

describe("a link", () => {
  test("RM1 an answer after the time-out is told, changes nothing, and the payment is posted once", async () => {
    await using stand = await startStand();
    await stand.sim.break({ lateMs: 150 });
    expect(await stand.buy({ timeoutMs: 20 })).toEqual({ what: "unanswered", why: "timeout" });
    await stand.counts.reach("dropped", { reason: "late" });
    expect(stand.late).toMatchObject([{ mti: "0210", fields: { 39: "00" } }]);
    await stand.sim.clear();
    expect((await stand.buy({ paymentId: "p-1" })).what).toBe("answered");
    expect(balanceOf(stand)).toBe(BALANCE - 100n);
    expect(stand.link.status).toBe("up");
  });

  test("the second of two answers is dropped and the first one stands", async () => {
    await using stand = await startStand();
    await stand.sim.break({ double: true });
    expect((await stand.buy()).what).toBe("answered");
    await stand.counts.reach("dropped", { reason: "double" });
    expect(stand.late).toEqual([]);
    expect((await stand.buy({ paymentId: "p-2" })).what).toBe("answered");
  });

  test("a hundred malformed a second are counted by reason, while he and another answer every request", async () => {
    await using noisy = await startStand({ name: "noisy" });
    await using quiet = await startStand({ name: "quiet" });
    await noisy.sim.break({
      garbage: { kinds: ["truncated", "over-long", "wrongly-packed", "unsolicited"], perSec: 100 },
    });
    let asked = 0;
    const done = noisy.counts.reach("dropped", {}, 100).then(() => "done" as const);
    for (let ended: string | undefined; ended !== "done"; ) {
      asked += 1;
      const both = Promise.all([noisy, quiet].map((stand) => stand.buy({ paymentId: `p-${asked}`, minor: 1n })));
      for (const answer of await both) {
        if (answer.what !== "answered") expect.unreachable(answer.what);
        // A human would not notice: the hub has 2.5 s for all of it (RM2).
        expect(answer.afterMs).toBeLessThan(2_000);
      }
      ended = await Promise.race([done, both.then(() => undefined)]);
    }
    for (const reason of ["truncated", "over-long", "wrongly-packed", "unsolicited"]) {
      expect(noisy.counts.of("dropped", { reason }), reason).toBeGreaterThan(10);
    }
    expect(quiet.counts.of("dropped")).toBe(0);
    expect(noisy.counts.of("connections")).toBe(0);
    expect(noisy.link.status).toBe("up");
    expect([noisy, quiet].map(balanceOf)).toEqual([BALANCE - BigInt(asked), BALANCE - BigInt(asked)]);
  });

  test("a message longer than any is passed over, and the link is kept", async () => {
    await using stand = await startStand();
    await stand.sim.break({ garbage: { kinds: ["oversized"], perSec: 50 } });
    await stand.counts.reach("dropped", { reason: "too-long" }, 3);
    expect((await stand.buy()).what).toBe("answered");
    expect(stand.counts.of("connections")).toBe(0);
  });

  test("where nobody knows where the next message begins, the connection ends and another is made", async () => {
    await using stand = await startStand();
    await stand.sim.break({ garbage: { kinds: ["misframed"], perSec: 100 } });
    await stand.counts.reach("connections", { end: "lost-frames" });
    await stand.sim.clear();
    await stand.counts.reach("links", { status: "up" }, stand.counts.of("links", { status: "down" }) + 1);
    expect((await stand.buy()).what).toBe("answered");
  });

  test("comes back when the host does, and says at once what was lost and what could not be sent", async () => {
    await using stand = await startStand();
    await stand.sim.break({ mute: true });
    const lost = stand.buy();
    await stand.sim.break({ mute: false, down: true });
    expect(await lost).toEqual({ what: "unanswered", why: "connection-lost" });
    await stand.counts.reach("links", { status: "down" });
    expect(await stand.buy()).toEqual({ what: "not-connected" });
    expect(await stand.link.probe(never)).toBeUndefined();
    await stand.counts.reach("connections", { end: "refused" }, 2);
    await stand.sim.break({ down: false });
    await stand.counts.reach("links", { status: "up" }, 2);
    expect((await stand.buy()).what).toBe("answered");
  });

  test("RM2 a host that says nothing costs its own requests their time, and another's none", async () => {
    await using silent = await startStand({ name: "silent", link: { inFlightMax: 3 } });
    await using other = await startStand({ name: "other" });
    await silent.sim.break({ mute: true });
    const held = ["p-1", "p-2", "p-3"].map((paymentId) => silent.buy({ paymentId, timeoutMs: 300 }));
    expect(silent.link.inFlight).toBe(3);
    expect(await silent.buy({ paymentId: "p-4" })).toEqual({ what: "link.busy" });
    expect((await other.buy()).what).toBe("answered");
    expect(silent.link.inFlight).toBe(3);
    expect(new Set((await Promise.all(held)).map(({ what }) => what))).toEqual(new Set(["unanswered"]));
    expect((await Promise.all(held))[0]).toEqual({ what: "unanswered", why: "timeout" });
  });

  test("a slow bank slows only itself", async () => {
    await using slow = await startStand({ name: "slow" });
    await using other = await startStand({ name: "other" });
    await slow.sim.break({ slowMs: 100 });
    const ids = ["p-1", "p-2", "p-3"];
    const slowly = ids.map((paymentId) => slow.buy({ paymentId }));
    const quickly = await Promise.all(ids.map((paymentId) => other.buy({ paymentId })));
    expect(quickly.map(({ what }) => what)).toEqual(["answered", "answered", "answered"]);
    const times = (await Promise.all(slowly)).map((answer) => (answer.what === "answered" ? answer.afterMs : 0));
    for (const [index, ms] of times.entries()) expect(ms).toBeGreaterThan((index + 1) * 95);
    expect(slow.counts.of("connections")).toBe(0);
  });

  test("a connection whose echoes nobody answers is given up, though TCP says nothing", async () => {
    await using stand = await startStand({ link: { echoEveryMs: 20, exchangeTimeoutMs: 50 } });
    await stand.counts.reach("exchanges", { what: "echo", result: "accepted" });
    await stand.sim.break({ mute: true });
    await stand.counts.reach("links", { status: "down" });
    expect(stand.counts.of("exchanges", { what: "echo", result: "unanswered" })).toBe(MISSED_MAX);
    await stand.sim.break({ mute: false });
    await stand.counts.reach("links", { status: "up" }, 2);
  });

  test("an issuer who signs off is asked for nothing but whether he is back", async () => {
    await using stand = await startStand({ link: { echoEveryMs: 20 } });
    await stand.sim.break({ signedOff: true });
    await stand.counts.reach("links", { status: "signed-off" });
    expect(await stand.buy()).toEqual({ what: "signed-off" });
    await stand.counts.reach("exchanges", { what: "sign-on", result: "refused" }, 2);
    expect(await stand.link.probe(never)).toBe("accepted");
    expect(stand.link.status).toBe("signed-off");
    await stand.sim.break({ signedOff: false });
    await stand.counts.reach("links", { status: "up" }, 2);
    expect((await stand.buy()).what).toBe("answered");
  });

  test("a probe says whether he answers", async () => {
    await using stand = await startStand({ link: { exchangeTimeoutMs: 50 } });
    expect(await stand.link.probe(never)).toBe("accepted");
    await stand.sim.break({ mute: true });
    expect(await stand.link.probe(never)).toBe("unanswered");
  });

  test("a request that is called off ends, and its answer is late", async () => {
    await using stand = await startStand();
    await stand.sim.break({ lateMs: 50 });
    const stop = new AbortController();
    const asked = stand.link.request(stand.purchase(), { timeoutMs: LIMIT_MS, signal: stop.signal });
    stop.abort();
    expect(await asked).toEqual({ what: "unanswered", why: "aborted" });
    await stand.counts.reach("dropped", { reason: "late" });
  });

  test("RM1 a repeated reversal is answered under its own sending, though the first one's answer was lost", async () => {
    await using stand = await startStand();
    const request = stand.purchase();
    await stand.link.request(request, waiting);
    const reversal = {
      version: "0",
      payment: stand.payment("p-1"),
      trace: stand.link.newTrace(),
      attempt: 1,
      original: { of: "financial", trace: stand.link.newTrace() },
      reason: "timeout",
    } as const;
    await stand.sim.break({ lose: 1 });
    const first = await stand.link.request(reversalMessage({ ...reversal, repeat: false }), {
      ...waiting,
      timeoutMs: 50,
    });
    expect(first).toEqual({ what: "unanswered", why: "timeout" });
    const again = await stand.link.request(reversalMessage({ ...reversal, repeat: true }), waiting);
    expect(again).toMatchObject({ what: "answered", message: { mti: "0430", fields: { 39: "00" } } });
    expect(balanceOf(stand)).toBe(BALANCE);
    expect(stand.sim.status().counts).toMatchObject({ reversals: 2, repeats: 1 });
  });

  test("RM14 totals are agreed, and one that is off by a unit is found", async () => {
    await using stand = await startStand();
    for (const paymentId of ["p-1", "p-2"]) await stand.buy({ paymentId, minor: 150n });
    const nothing = { count: 0, minor: 0n };
    const day = new Date(systemClock.now()).toISOString().slice(0, 10);
    const content = {
      version: "0",
      acquirerId: "12345678",
      settlementDate: day,
      currency: currencyOf("EUR"),
      as: "request",
    } as const;
    const agree = async (minor: bigint) => {
      const totals = {
        debits: { count: 2, minor },
        debitReversals: nothing,
        credits: nothing,
        creditReversals: nothing,
      };
      const sent: Iso8583Message = reconciliationMessage({ ...content, trace: stand.link.newTrace(), totals });
      const answer = await stand.link.request(sent, waiting);
      if (answer.what !== "answered") expect.unreachable(answer.what);
      return reconciliationAnswer(sent, answer.message);
    };
    expect(await agree(300n)).toEqual({ what: "in-balance" });
    expect(await agree(299n)).toMatchObject({ what: "out-of-balance", totals: { debits: { count: 2, minor: 300n } } });
  });

  test("is stopped while it connects, and nothing is left over", async () => {
    const stand = await startStand();
    await stand.sim.break({ down: true });
    await stand.counts.reach("links", { status: "down" });
    await stand.link[Symbol.asyncDispose]();
    expect(stand.link.status).toBe("down");
    await stand.sim.break({ down: false });
    expect(stand.sim.status().connections).toBe(0);
    await stand.sim[Symbol.asyncDispose]();
  });
});

test("a message that is begun and never ended ends the connection", async () => {
  const clock = new ManualClock();
  const codec = createIso8583Codec(withPaymentReference(SPEC_1987_ASCII));
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      const answer = answerTo(codec.unpack(new Uint8Array(chunk.subarray(2))), "0", "00");
      // Its answer, a frame of nothing, and the first byte of a length.
      socket.write(concat(encodeFrame(codec.pack(answer)), Uint8Array.of(0, 0, 0)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  {
    await using stand = await startStand({ link: { clock, address: { host: "127.0.0.1", port } } });
    await stand.counts.reach("dropped", { reason: "empty" });
    await clock.advance(MESSAGE_WITHIN_MS - 1);
    expect(stand.counts.of("connections")).toBe(0);
    await clock.advance(1);
    expect(stand.counts.of("connections", { end: "stalled" })).toBe(1);
    expect(stand.link.status).toBe("down");
  }
  await new Promise<void>((resolve) => server.close(() => resolve()));
});

test("the host does not serve who has not signed on", async () => {
  await using stand = await startStand();
  const socket = connect(stand.sim.port, "127.0.0.1");
  await once(socket, "connect");
  const codec = createIso8583Codec(withPaymentReference(SPEC_1987_ASCII));
  socket.write(encodeFrame(codec.pack(stand.purchase())));
  using limit = deadline(systemClock, LIMIT_MS);
  const [chunk] = (await once(socket, "data", { signal: limit.signal })) as [Uint8Array];
  expect(codec.unpack(new Uint8Array(chunk.subarray(2)))).toMatchObject({ mti: "0210", fields: { 39: "91" } });
  socket.destroy();
});
