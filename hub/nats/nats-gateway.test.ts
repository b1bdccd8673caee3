import { expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import type { Epoch, TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { type DownEnvelope, encodeEnvelope, type UpEnvelope } from "../../wire/envelope.ts";
import { createMetrics } from "../metrics.ts";
import { createRefusals } from "../refusals.ts";
import { openNatsGateway } from "./nats-gateway.ts";
import type { BrokerLink, Delivery } from "./nats-link.ts";

const EPOCH = "00000000000000aa" as Epoch;
const clock = "2026-01-05T09:00:00.000Z";
const headOf = (terminalId: string, id: string) =>
  ({ v: 1, id, terminalId: terminalId as TerminalId, epoch: EPOCH, sequence: 0, sentAt: clock }) as const;
const presenceOf = (terminalId: string, status: "online" | "offline" = "online"): UpEnvelope => ({
  ...headOf(terminalId, "0".repeat(24)),
  ...{ type: "presence", body: { status, version: "1", clock } },
});
const leaseOf = (terminalId: string): DownEnvelope => ({
  ...headOf(terminalId, "1".repeat(24)),
  ...{ type: "lease", body: { time: { text: "{}", signature: "AA==" } } },
});

class FakeLink implements BrokerLink {
  readonly said: string[] = [];
  readonly heard = new Map<string, (bytes: Uint8Array) => void>();
  readonly pulls = new Map<string, (delivery: Delivery) => void>();
  readonly acts: string[] = [];

  publish(subject: string): void {
    this.said.push(subject);
    this.acts.push("answered");
  }
  hear(subject: string, take: (bytes: Uint8Array) => void): void {
    this.heard.set(subject, take);
  }
  request(): Promise<string> {
    return Promise.resolve("{}");
  }
  pull(pull: { consumer: string }, take: (delivery: Delivery) => void, signal: AbortSignal): Promise<void> {
    this.pulls.set(pull.consumer, take);
    return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  }
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  give(subject: string, bytes: string): void {
    this.pulls.get("tillway-presence")?.({
      subject: `$MQTT.msgs.${subject}`,
      bytes: Buffer.from(bytes),
      ack: () => void this.acts.push("acknowledged"),
      again: (afterMs) => void this.acts.push(`again in ${afterMs} ms`),
    });
  }
}

async function stand(receive: (envelope: UpEnvelope) => Promise<readonly DownEnvelope[]>) {
  const link = new FakeLink();
  const metrics = createMetrics();
  const manual = new ManualClock();
  const gateway = await openNatsGateway({
    hub: { receive, metrics },
    link,
    accounts: { wake: () => void link.acts.push("account looked at"), run: () => Promise.resolve() },
    refusals: createRefusals({ clock: manual, log: silentLog, metrics }),
    host: "hub.test",
    port: 8883,
    replicas: 1,
    clock: manual,
    chance: () => 0,
  });
  return { link, gateway, clock: manual };
}
const up = (terminalId: string, stream = "presence") => `tillway.v1.${terminalId}.up.${stream}`;

test("a message is acknowledged after the hub has committed it and its answer has left", async () => {
  let commit = () => {};
  const committed = new Promise<void>((resolve) => {
    commit = resolve;
  });
  const { link, gateway, clock } = await stand(() => committed.then(() => [leaseOf("T1")]));
  link.give(up("T1"), encodeEnvelope(presenceOf("T1")));
  await clock.advance(0);
  expect(link.acts).toEqual([]);
  commit();
  await clock.advance(0);
  expect(link.acts).toEqual(["answered", "acknowledged"]);
  expect(link.said).toEqual(["tillway.v1.T1.down.lease"]);
  await gateway[Symbol.asyncDispose]();
});

test("what the hub cannot store is not acknowledged, and asked for again", async () => {
  const { link, gateway, clock } = await stand(() => Promise.reject(new Fault("store.failed", "the disk is full")));
  link.give(up("T1"), encodeEnvelope(presenceOf("T1")));
  await clock.advance(0);
  expect(link.acts).toEqual(["again in 1000 ms"]);
  await gateway[Symbol.asyncDispose]();
});

test.each([
  ["of another terminal", up("T2"), encodeEnvelope(presenceOf("T1"))],
  ["of another stream", up("T1", "health"), encodeEnvelope(presenceOf("T1"))],
  ["no envelope", up("T1"), "{}"],
  ["too long", up("T1"), " ".repeat(1_048_577)],
  ["on a topic that no terminal publishes on", "tillway.v1.T1.down.lease", encodeEnvelope(presenceOf("T1"))],
])("what is %s never reaches the hub and is never given again", async (_what, subject, text) => {
  const received: UpEnvelope[] = [];
  const { link, gateway, clock } = await stand((envelope) => {
    received.push(envelope);
    return Promise.resolve([]);
  });
  link.give(subject, text);
  await clock.advance(0);
  expect(link.acts).toEqual(["acknowledged"]);
  expect(received).toEqual([]);
  await gateway[Symbol.asyncDispose]();
});

test("a terminal is connected from its presence to its Last Will, or to two and a half minutes of silence", async () => {
  const { link, gateway, clock } = await stand(() => Promise.resolve([]));
  const hear = (envelope: UpEnvelope) =>
    link.heard.get("tillway.v1.*.up.presence")?.(Buffer.from(encodeEnvelope(envelope)));
  hear(presenceOf("T1"));
  await clock.advance(60_000);
  hear(presenceOf("T2"));
  hear(presenceOf("T3"));
  hear(presenceOf("T3", "offline"));
  expect(gateway.connected()).toEqual(["T1", "T2"]);
  await clock.advance(90_001);
  expect(gateway.isConnected("T1" as TerminalId)).toBe(false);
  expect(gateway.isConnected("T2" as TerminalId)).toBe(true);
  await gateway[Symbol.asyncDispose]();
});

test("a revocation goes to the brokers when what was said before has had its time", async () => {
  const { link, gateway, clock } = await stand(() => Promise.resolve([]));
  gateway.end("T1" as TerminalId);
  await clock.advance(999);
  expect(link.acts).toEqual([]);
  await clock.advance(1);
  expect(link.acts).toEqual(["account looked at"]);
  await gateway[Symbol.asyncDispose]();
});
