/** The agent's link to the hub over real TLS, MQTT and HTTPS: cut, half open, blocked, refused, and back. */
import { createSecretKey } from "node:crypto";
import { beforeAll, expect, test } from "vitest";
import type { Identity, TlsIdentity } from "../../agent/identity.ts";
import { Credential } from "../../agent/uplink/credential.ts";
import { createHubLink, type HubLinkSettings } from "../../agent/uplink/hub-link.ts";
import { untilState } from "../../agent/uplink/link-events.ts";
import { MqttUplink } from "../../agent/uplink/mqtt-uplink.ts";
import { systemClock } from "../../base/clock.ts";
import { isFault, reasonOf } from "../../base/fault.ts";
import { type PaymentId, systemRandom } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { money } from "../../base/money.ts";
import { toWireMoney } from "../../wire/common.ts";
import type { DownEnvelope, UpEnvelope } from "../../wire/envelope.ts";
import { newSigningKeys } from "../../wire/signing.ts";
import {
  answeredTime,
  EPOCH,
  HandBoot,
  hubKeys,
  MemoryJournal,
  sealingKeys,
  signedLease,
  TERMINAL,
} from "../rules/lease-fixture.ts";
import { type Authority, LOOPBACK, newAuthority, TcpProxy, TestHub } from "./uplink-hub.ts";

/** For every wait of a test. */
const LIMIT_MS = 30_000;

let authority: Authority;
let certificate: { cert: string; key: string };
let terminal: TlsIdentity;
beforeAll(async () => {
  authority = await newAuthority();
  certificate = await authority.issue(LOOPBACK);
  terminal = await authority.issueTerminal();
});

let counter = 0;
/** Presence is answered by lease and time, a request by an approval, a batch by a receipt. */
function replyOf(envelope: UpEnvelope): readonly DownEnvelope[] {
  const { terminalId, epoch } = envelope;
  const head = { v: 1 as const, id: "0".repeat(24), terminalId, epoch, sequence: 0, sentAt: new Date(0).toISOString() };
  const nonce = envelope.type === "presence" ? envelope.body.nonce : undefined;
  const time = answeredTime(Date.now(), nonce);
  if (envelope.type === "presence") {
    counter += 1;
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    return [{ ...head, type: "lease", body: { lease: signedLease({ counter, expiresAt }), time } }];
  }
  if (envelope.type === "authorisation.request") {
    const { paymentId, attempt } = envelope.body;
    const body = { paymentId, attempt, outcome: "approved" as const, responseCode: "00", approvalCode: "A1B2C3", time };
    return [{ ...head, type: "authorisation.response", body }];
  }
  if (envelope.type !== "advice.batch") return [];
  const results = envelope.body.entries.map(({ sequence, hash }) => ({ sequence, hash, status: "processed" as const }));
  return [{ ...head, type: "receipt", body: { epoch, results, hubEpoch: epoch, watermark: 1, time } }];
}

const requestOf = (id: string) => ({
  paymentId: id as PaymentId,
  attempt: 1,
  kind: "purchase" as const,
  amount: toWireMoney(money(1_000n, "EUR")),
});
const entry = { sequence: 1, forward: 1, previousHash: "0".repeat(64), hash: "e".repeat(64), text: "{}" };
const batch = { epoch: EPOCH, entries: [entry], chainHead: entry.hash };

interface WorldOptions {
  readonly prefer?: HubLinkSettings["prefer"];
  readonly tls?: TlsIdentity;
  readonly trust?: string;
}

async function world({ prefer = "mqtt", tls = terminal, trust = authority.certificate }: WorldOptions = {}) {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await new TestHub().start(certificate));
  server.reply = replyOf;
  const mqtt = stack.use(await new TcpProxy(() => server.mqttPort).start());
  const https = stack.use(await new TcpProxy(() => server.httpsPort).start());
  const identity: Identity = {
    terminalId: TERMINAL,
    tls,
    caCertificate: trust,
    mqttUrl: `mqtts://127.0.0.1:${mqtt.port}`,
    httpsUrl: `https://127.0.0.1:${https.port}`,
    hubSigningKey: hubKeys.publicKey,
    sealingKey: { keyId: "enrolled", publicKey: sealingKeys.publicKey },
    cardTokenKey: createSecretKey(new Uint8Array(32)),
    signingKey: newSigningKeys().privateKey,
  };
  const link = createHubLink({
    identity,
    journal: new MemoryJournal(),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    boot: new HandBoot(),
    options: { version: "1.0.0", prefer, disk: { freeBytes: () => 1, reserveBytes: 0 } },
  });
  // Disposed of before the servers, as the agent stops before its hub.
  stack.use(link);
  const states: string[] = [];
  link.hub.onState((state) => states.push(`${state} ${link.hub.via}`));
  const stop = new AbortController();
  stack.defer(() => stop.abort());
  void link.start(stop.signal);
  const up = () => untilState(link.hub, "up", AbortSignal.timeout(LIMIT_MS));
  const down = () => untilState(link.hub, "down", AbortSignal.timeout(LIMIT_MS));
  return { server, mqtt, https, identity, ...link, hub: link.hub, leases: link.leases, states, up, down, stack };
}
/** The MQTT uplink alone, up, with a keep-alive of two seconds. */
async function bareMqtt(proxy: TcpProxy) {
  const stop = new AbortController();
  const sentAt = new Date().toISOString();
  const uplink = new MqttUplink({
    url: `mqtts://127.0.0.1:${proxy.port}`,
    caCertificate: authority.certificate,
    terminalId: TERMINAL,
    credential: new Credential(terminal),
    lastWill: () => ({
      v: 1,
      id: "a".repeat(24),
      terminalId: TERMINAL,
      epoch: EPOCH,
      sequence: 0,
      sentAt,
      type: "presence",
      body: { status: "offline", version: "will", clock: sentAt },
    }),
    keepaliveSec: 2,
    clock: systemClock,
    chance: () => 0,
    log: silentLog,
  });
  const running = uplink.run(stop.signal);
  await untilState(uplink, "up", AbortSignal.timeout(LIMIT_MS));
  return {
    uplink,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

const forEver = new AbortController().signal;
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "fulfilled",
    (error: unknown) => (isFault(error) ? error.code : reasonOf(error)),
  );
const until = async (condition: () => boolean) => {
  const end = performance.now() + LIMIT_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error("the condition did not come true in time");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

test("over MQTT: connects, hears lease and time, is answered, forwards and gets its receipt", async () => {
  const { server, hub, leases, clock, up, stack } = await world();
  await using _ = stack;
  await up();
  expect(hub.via).toBe("mqtt");
  await until(() => leases.counter > 0);
  expect(clock.now().proven).toBe(true);
  expect(await hub.authorise(requestOf("p1"), 1, forEver)).toMatchObject({
    outcome: "approved",
    approvalCode: "A1B2C3",
  });
  const receipt = new Promise((resolve) => hub.onReceipt(resolve));
  await hub.forward(batch, forEver);
  expect(await receipt).toMatchObject({ results: [{ sequence: 1, status: "processed" }] });
  expect(server.received.every(({ via }) => via === "mqtt")).toBe(true);
});

test("RM1 cut in mid-publish: the outcome is unknown, nothing is sent a second time, and the link comes back", async () => {
  const { server, mqtt, hub, up, down, stack } = await world({ prefer: "mqtt-only" });
  await using _ = stack;
  await up();
  await server.heard(({ envelope }) => envelope.type === "presence");
  server.holding = true;
  const asked = codeOf(hub.authorise(requestOf("p1"), 1, forEver));
  await server.heard(({ envelope }) => envelope.type === "authorisation.request");
  mqtt.cut();
  expect(await asked).toBe("uplink.timeout");
  await down();
  server.holding = false;
  await up();
  expect((await hub.authorise(requestOf("p2"), 2, forEver)).outcome).toBe("approved");
  const asks = server.received.flatMap(({ envelope }) =>
    envelope.type === "authorisation.request" ? [envelope.body.paymentId] : [],
  );
  expect(asks).toEqual(["p1", "p2"]);
});

test("half open: a request without acknowledgement ends the link, which is then made anew", async () => {
  const { mqtt, hub, up, down, stack } = await world({ prefer: "mqtt-only" });
  await using _ = stack;
  await up();
  mqtt.freeze();
  expect(await codeOf(hub.authorise(requestOf("p1"), 1, forEver))).toMatch(/^uplink\.(?:timeout|down)$/);
  await down();
  mqtt.open();
  await up();
  expect((await hub.authorise(requestOf("p2"), 2, forEver)).outcome).toBe("approved");
});

test("half open and idle: the missing ping answer ends the link", async () => {
  await using server = await new TestHub().start(certificate);
  await using proxy = await new TcpProxy(() => server.mqttPort).start();
  await using bare = await bareMqtt(proxy);
  proxy.freeze();
  await untilState(bare.uplink, "down", AbortSignal.timeout(LIMIT_MS));
});

test("MQTT blocked: HTTPS takes over, and MQTT takes back", async () => {
  const { server, mqtt, hub, up, stack } = await world();
  await using _ = stack;
  mqtt.block();
  await up();
  await until(() => hub.via === "https" && hub.state === "up");
  expect((await hub.authorise(requestOf("p1"), 1, forEver)).outcome).toBe("approved");
  expect(server.received.find(({ envelope }) => envelope.type === "authorisation.request")?.via).toBe("https");
  const receipt = new Promise((resolve) => hub.onReceipt(resolve));
  await hub.forward(batch, forEver);
  await receipt;
  mqtt.open();
  await until(() => hub.via === "mqtt");
  expect(hub.state).toBe("up");
  await server.heard(({ via, envelope }) => via === "mqtt" && envelope.type === "presence");
});

test("a broker with no hub behind it: one sale waits, the next are told at once, and the hub is found again by itself", async () => {
  const { server, hub, states, up, stack } = await world({ prefer: "mqtt-only" });
  await using _ = stack;
  await up();
  expect((await hub.authorise(requestOf("p0"), 0, forEver)).outcome).toBe("approved");
  server.reply = () => [];
  expect(await codeOf(hub.authorise(requestOf("p1"), 1, forEver))).toBe("uplink.timeout");
  const asked = performance.now();
  expect(await codeOf(hub.authorise(requestOf("p2"), 2, forEver))).toBe("uplink.down");
  expect(performance.now() - asked).toBeLessThan(1_000);
  expect(hub).toMatchObject({ state: "down", silent: true });
  server.reply = replyOf;
  await up();
  expect((await hub.authorise(requestOf("p3"), 3, forEver)).outcome).toBe("approved");
  expect(states).toEqual(["up mqtt", "down mqtt", "up mqtt"]);
});

test("over HTTPS: a hub that is gone is down, one that is back is found without a message of ours", async () => {
  const { https, hub, up, down, stack } = await world({ prefer: "https-only" });
  await using _ = stack;
  await up();
  https.block();
  expect(await codeOf(hub.authorise(requestOf("p1"), 1, forEver))).toMatch(/^uplink\.(?:timeout|down)$/);
  await down();
  https.open();
  await up();
  expect((await hub.authorise(requestOf("p2"), 2, forEver)).outcome).toBe("approved");
});

test("another authority's certificate is refused in words over both ways, and nothing is taken", async () => {
  const strange = await (await newAuthority("CN=Another authority")).issueTerminal();
  for (const prefer of ["mqtt-only", "https-only"] as const) {
    const { server, hub, stack } = await world({ prefer, tls: strange });
    await using _ = stack;
    await until(() => server.sockets.size > 0);
    let words = "";
    while (!words.includes("refuses this terminal's certificate")) {
      words = await hub.forward(batch, forEver).then(() => "taken", reasonOf);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(hub.state).toBe("down");
    expect(await codeOf(hub.forward(batch, forEver))).toBe("uplink.refused");
    expect(server.received).toEqual([]);
  }
});

test("a hub of another authority is not spoken to over either way", async () => {
  const trust = (await newAuthority()).certificate;
  for (const prefer of ["mqtt-only", "https-only"] as const) {
    const { server, hub, stack } = await world({ prefer, trust });
    await using _ = stack;
    let words = "";
    while (!words.includes("its certificate is not one of the hub")) {
      words = await hub.forward(batch, forEver).then(() => "taken", reasonOf);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(hub.state).toBe("down");
    expect(server.received).toEqual([]);
  }
});

test("a vanished terminal's last will says offline", async () => {
  await using server = await new TestHub().start(certificate);
  await using proxy = await new TcpProxy(() => server.mqttPort).start();
  await using _bare = await bareMqtt(proxy);
  proxy.cut();
  const { envelope } = await server.heard(({ envelope: one }) => one.type === "presence");
  expect(envelope.body).toMatchObject({ status: "offline", version: "will" });
});

test("disposing of the link says goodbye and ends everything", async () => {
  const { server, up, stack } = await world();
  await up();
  await server.heard(({ envelope }) => envelope.type === "presence");
  const received = server.received;
  await stack.disposeAsync();
  expect(received.at(-1)?.envelope).toMatchObject({ type: "presence", body: { status: "offline" } });
});
