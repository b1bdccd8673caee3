/** The session with the hub over a ten-line uplink: deadlines, late answers, stale answers, leases, batches. */
import { expect, test } from "vitest";
import { z } from "zod";
import { Fault } from "../../base/fault.ts";
import type { Epoch, TerminalId } from "../../base/ids.ts";
import {
  answeredTime,
  EPOCH,
  NINE,
  signedLease,
  signedTime,
  strangerKeys,
  TERMINAL,
} from "../../test/rules/lease-fixture.ts";
import {
  answerTo,
  codeOf,
  forEver,
  head,
  leaseMessage,
  own,
  requestOf,
  world,
} from "../../test/rules/session-fixture.ts";
import { batchText } from "../../wire/advice.ts";
import type { DownEnvelope, UpEnvelope } from "../../wire/envelope.ts";
import { GENESIS_HASH } from "../../wire/journal-entry.ts";
import { openSigned, type Signed } from "../../wire/signing.ts";

const OTHER_EPOCH = "ffffffffffffffff" as Epoch;
const nonceOf = (envelope: UpEnvelope) => (envelope.type === "presence" ? envelope.body.nonce : undefined);
test("RM2 a request names its deadline in hub time, whatever the wall clock says, with room for the way back", async () => {
  const { uplink, hub } = world();
  uplink.reply = (envelope) => envelope.type === "authorisation.request" && uplink.deliver(answerTo(envelope.body));
  await hub.authorise(requestOf("p1"), 7, forEver);
  const [request] = uplink.requests();
  expect(request?.body.answerBy).toBe(new Date(NINE + 3_500).toISOString());
  expect(request?.sequence).toBe(7);
  expect(request?.epoch).toBe(EPOCH);
});

test("RM2 an online timeout under four seconds is refused", () => {
  expect(() => world({ onlineTimeoutMs: 3_999 })).toThrow(/under 4000 ms/);
});

test("RM1 the answer belongs to its attempt: another attempt's is dropped and counted", async () => {
  const { uplink, hub } = world();
  uplink.reply = (envelope) => {
    if (envelope.type !== "authorisation.request") return;
    uplink.deliver(answerTo({ ...envelope.body, attempt: 1 }, { outcome: "declined", responseCode: "05" }));
    uplink.deliver(answerTo(envelope.body));
  };
  expect((await hub.authorise(requestOf("p1", 2), 1, forEver)).outcome).toBe("approved");
  expect(hub.lateAnswers).toBe(1);
});

test("RM1 no answer within the limit leaves the outcome unknown, and the late answer changes nothing", async () => {
  const { clock, uplink, hub } = world();
  const asked = codeOf(hub.authorise(requestOf("p1"), 1, forEver));
  await clock.advance(4_999);
  expect(uplink.requests()).toHaveLength(1);
  await clock.advance(1);
  expect(await asked).toBe("uplink.timeout");
  uplink.deliver(answerTo(requestOf("p1")));
  expect(hub.lateAnswers).toBe(1);
});

test("with the link down nothing is sent", async () => {
  const { uplink, hub } = world();
  uplink.set("down", "cut");
  expect(await codeOf(hub.authorise(requestOf("p1"), 1, forEver))).toBe("uplink.down");
  expect(uplink.sent).toHaveLength(0);
});

test("what the uplink could not send counts as nothing sent, what it lost on the way as unknown", async () => {
  const { uplink, hub } = world();
  uplink.fault = new Fault("uplink.down", "no");
  expect(await codeOf(hub.authorise(requestOf("p1"), 1, forEver))).toBe("uplink.down");
  uplink.fault = new Fault("uplink.refused", "revoked");
  expect(await codeOf(hub.authorise(requestOf("p1"), 1, forEver))).toBe("uplink.down");
  uplink.fault = new Fault("uplink.timeout", "cut in the middle");
  expect(await codeOf(hub.authorise(requestOf("p1"), 1, forEver))).toBe("uplink.timeout");
});

test("the caller's own stop is told from a missing answer", async () => {
  const { hub } = world();
  const stop = new AbortController();
  const asked = codeOf(hub.authorise(requestOf("p1"), 1, stop.signal));
  stop.abort();
  expect(await asked).toBe("aborted");
});

test("RM2 a stale answer sets the clock and the request goes once more in a fresh envelope", async () => {
  const { uplink, hub } = world();
  uplink.reply = (envelope) => {
    if (envelope.type !== "authorisation.request") return;
    const stale = uplink.requests().length === 1;
    const late = { outcome: "stale", responseCode: "96", time: signedTime(NINE + 60_000) } as const;
    uplink.deliver(answerTo(envelope.body, stale ? late : { time: signedTime(NINE + 60_100) }));
  };
  expect((await hub.authorise(requestOf("p1"), 1, forEver)).outcome).toBe("approved");
  const [first, second] = uplink.requests();
  expect(second?.body).toMatchObject({ paymentId: "p1", attempt: 1 });
  expect(second?.id).not.toBe(first?.id);
  expect(second?.body.answerBy).toBe(new Date(NINE + 63_500).toISOString());
});

test("RM2 a second stale answer is the caller's; there is no third request", async () => {
  const { uplink, hub } = world();
  uplink.reply = (envelope) => {
    if (envelope.type !== "authorisation.request") return;
    const time = signedTime(NINE + 60_000 * uplink.requests().length);
    uplink.deliver(answerTo(envelope.body, { outcome: "stale", responseCode: "96", time }));
  };
  expect((await hub.authorise(requestOf("p1"), 1, forEver)).outcome).toBe("stale");
  expect(uplink.requests()).toHaveLength(2);
});

test("RM2 the first stale answer delivered twice does not end the second request", async () => {
  const { clock, uplink, hub } = world();
  const stale = answerTo(requestOf("p1"), { outcome: "stale", responseCode: "96", time: signedTime(NINE + 60_000) });
  uplink.reply = (envelope) => {
    if (envelope.type === "authorisation.request") uplink.deliver(stale);
  };
  const asked = codeOf(hub.authorise(requestOf("p1"), 1, forEver));
  await clock.advance(0);
  expect(uplink.requests()).toHaveLength(2);
  await clock.advance(5_000);
  expect(await asked).toBe("uplink.timeout");
});

test("RM2 a stale answer that leaves too little time is not tried again", async () => {
  const { clock, uplink, hub } = world();
  const asked = hub.authorise(requestOf("p1"), 1, forEver);
  await clock.advance(1_100);
  uplink.deliver(answerTo(requestOf("p1"), { outcome: "stale", responseCode: "96" }));
  expect((await asked).outcome).toBe("stale");
  expect(uplink.requests()).toHaveLength(1);
});

test("RM8 after a reboot the hub's time is asked for before a request leaves", async () => {
  const { uplink, hub } = world({ heard: false });
  uplink.reply = (envelope) =>
    uplink.deliver(
      envelope.type === "authorisation.request"
        ? answerTo(envelope.body)
        : leaseMessage(answeredTime(NINE, nonceOf(envelope))),
    );
  expect((await hub.authorise(requestOf("p1"), 1, forEver)).outcome).toBe("approved");
  expect(uplink.sent.map((envelope) => envelope.type)).toEqual(["presence", "authorisation.request"]);
});

test("RM8 a hub that does not tell its time is treated as out of reach", async () => {
  const { clock, uplink, hub } = world({ heard: false });
  const asked = codeOf(hub.authorise(requestOf("p1"), 1, forEver));
  await clock.advance(1_500);
  expect(await asked).toBe("uplink.down");
  expect(uplink.requests()).toHaveLength(0);
});

test("answers with a time that the hub did not sign, and messages for others, are dropped and counted", async () => {
  const { clock, uplink, hub } = world();
  const asked = codeOf(hub.authorise(requestOf("p1"), 1, forEver));
  uplink.deliver(answerTo(requestOf("p1"), { time: signedTime(NINE + 1, TERMINAL, strangerKeys) }));
  uplink.deliver({ ...answerTo(requestOf("p1")), terminalId: "till-2" as TerminalId });
  await clock.advance(5_000);
  expect(await asked).toBe("uplink.timeout");
  expect(hub.strangeMessages).toBe(2);
});

test("RM8 a lease message brings a lease, a fresh one without takes it away, an old one without does not", () => {
  const { uplink, leases } = world();
  uplink.deliver(leaseMessage(signedTime(NINE + 5_000), signedLease()));
  expect(leases.counter).toBe(1);
  uplink.deliver(leaseMessage(signedTime(NINE + 4_000)));
  expect(leases.view()?.lease.counter).toBe(1);
  uplink.deliver(leaseMessage(signedTime(NINE + 6_000)));
  expect(leases.view()).toBeUndefined();
});

test("presence goes out when the link comes up, when another way takes over, and every minute", async () => {
  const { clock, journal, uplink, hub } = world();
  journal.unreceipted.push(500n);
  const stop = new AbortController();
  uplink.set("down", "cut");
  const running = hub.run(stop.signal);
  await clock.advance(120_000);
  expect(uplink.sent).toHaveLength(0);
  uplink.set("up", "back");
  await clock.advance(0);
  expect(uplink.sent).toMatchObject([
    { type: "presence", body: { status: "online", outstanding: { minor: "500" }, head: { sequence: 0, forward: 0 } } },
  ]);
  uplink.announce("up", "another way");
  await clock.advance(0);
  expect(uplink.sent).toHaveLength(2);
  await clock.advance(60_000);
  expect(uplink.sent).toHaveLength(3);
  stop.abort();
  await running;
});

test("presence is renewed at half of a short lease's life", async () => {
  const { clock, uplink, hub } = world();
  const expiresAt = new Date(NINE + 30_000).toISOString();
  uplink.reply = () => uplink.deliver(leaseMessage(signedTime(NINE + clock.monotonic()), signedLease({ expiresAt })));
  const stop = new AbortController();
  const running = hub.run(stop.signal);
  await clock.advance(0);
  expect(uplink.sent).toHaveLength(1);
  await clock.advance(15_000);
  expect(uplink.sent).toHaveLength(2);
  stop.abort();
  await running;
});

test("a batch is signed by the terminal's own key over its terminal, epoch, head and hashes", async () => {
  const { uplink, hub } = world();
  const entry = { sequence: 9, forward: 3, previousHash: GENESIS_HASH, hash: "e".repeat(64), text: "{}" };
  const batch = { epoch: EPOCH, entries: [entry], chainHead: "e".repeat(64) };
  await hub.forward(batch, forEver);
  const sent = uplink.sent[0];
  if (sent?.type !== "advice.batch") throw new Error("no batch was sent");
  expect(sent.sequence).toBe(9);
  const text = batchText(TERMINAL, sent.body);
  const open = () => openSigned("batch", { text, signature: sent.body.signature }, own.publicKey, z.unknown());
  // The text is no JSON; reaching its parsing means that the signature held.
  expect(open).toThrow(/not JSON/);
});

test("receipts reach every listener, and their signed time the clock", () => {
  const { uplink, hub, hubClock } = world();
  const heard: string[] = [];
  const stop = hub.onReceipt((receipt) => heard.push(receipt.epoch));
  const results = [{ sequence: 1, hash: "e".repeat(64), status: "processed" as const }];
  const body = { epoch: EPOCH, results, hubEpoch: EPOCH, watermark: 1, time: signedTime(NINE + 9_000) };
  uplink.deliver({ ...head(), type: "receipt", body });
  stop();
  uplink.deliver({ ...head(), type: "receipt", body });
  expect(heard).toEqual([EPOCH]);
  expect(hubClock.now().at).toBe(NINE + 9_000);
});

test("RM2 no more than 64 requests wait for the hub; the next is told that nothing was sent", async () => {
  const { clock, hub } = world();
  const asked = Array.from({ length: 64 }, (_, index) => codeOf(hub.authorise(requestOf(`p${index}`), 1, forEver)));
  expect(await codeOf(hub.authorise(requestOf("one-more"), 1, forEver))).toBe("uplink.down");
  await clock.advance(5_000);
  expect(new Set(await Promise.all(asked))).toEqual(new Set(["uplink.timeout"]));
});

test("RM18 what the hub says it holds is told with whether it is news; of another journal it says nothing", () => {
  const { hub, uplink } = world();
  const heard: unknown[] = [];
  hub.onHeld((held) => heard.push(held));
  const held = (watermark: number, time: Signed): DownEnvelope => ({
    ...head(),
    type: "lease",
    body: { time, held: { hubEpoch: OTHER_EPOCH, watermark } },
  });
  uplink.deliver(held(7, signedTime(NINE + 10_000)));
  uplink.deliver(held(5, signedTime(NINE + 9_000)));
  uplink.deliver({ ...held(9, signedTime(NINE + 11_000)), epoch: OTHER_EPOCH });
  const receipt = { epoch: EPOCH, results: [], hubEpoch: OTHER_EPOCH, watermark: 8, time: signedTime(NINE + 12_000) };
  uplink.deliver({ ...head(), type: "receipt", body: receipt });
  expect(heard).toEqual([
    { hubEpoch: OTHER_EPOCH, watermark: 7, fresh: true, saidAt: NINE + 10_000 },
    { hubEpoch: OTHER_EPOCH, watermark: 5, fresh: false, saidAt: NINE + 9_000 },
    { hubEpoch: OTHER_EPOCH, watermark: 8, fresh: true, saidAt: NINE + 12_000 },
  ]);
});

test("a receipt whose time the hub did not sign for this terminal is dropped, one that comes late is told with its time", () => {
  const { hub, uplink } = world();
  const heard: unknown[] = [];
  hub.onReceipt((receipt) => heard.push(receipt));
  const receipt = (time: Signed): DownEnvelope => ({
    ...head(),
    type: "receipt",
    body: { epoch: EPOCH, results: [], hubEpoch: OTHER_EPOCH, watermark: 8, time },
  });
  uplink.deliver(receipt(signedTime(NINE + 12_000)));
  uplink.deliver(receipt(signedTime(NINE + 11_000)));
  uplink.deliver(receipt({ ...signedTime(NINE + 13_000), text: signedTime(NINE + 14_000).text }));
  expect(heard).toEqual([
    { epoch: EPOCH, results: [], fresh: true, saidAt: NINE + 12_000 },
    { epoch: EPOCH, results: [], fresh: false, saidAt: NINE + 11_000 },
  ]);
  expect(hub.strangeMessages).toBe(1);
});
