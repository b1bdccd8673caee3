/** The real hub as a process: enrolment, its two ways in, bad input, and death by SIGKILL under load. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { certificateRequest, newTlsKey } from "../../agent/uplink/certificate-request.ts";
import type { DownEnvelope, UpEnvelope } from "../../wire/envelope.ts";
import { newSigningKeys, publicKeyText } from "../../wire/signing.ts";
import { downTopic, ENROL_PATH, UPLINK_PATH, upTopic } from "../../wire/topics.ts";
import { TEST_EXPIRY, TEST_PAN } from "../rules/hub-fixture.ts";
import { HubProcess, Session } from "./hub-process.ts";

const folder = mkdtempSync(join(tmpdir(), "tillway-hub-"));
const hub = new HubProcess(folder);

beforeAll(async () => {
  await hub.start();
  const added = await hub.operator("POST", "/v1/accounts", {
    pan: TEST_PAN,
    expiry: TEST_EXPIRY,
    balance: { minor: "100000000", currency: "EUR" },
  });
  expect(added.status).toBe(201);
});
afterAll(async () => {
  await hub.stop("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

const presenceOf = (head: Omit<UpEnvelope, "type" | "body">): UpEnvelope =>
  ({
    ...head,
    type: "presence",
    body: { status: "online", version: "test", clock: head.sentAt },
  }) as UpEnvelope;
const isReceiptOf =
  (hash: string | undefined) =>
  (message: DownEnvelope): boolean =>
    message.type === "receipt" && message.body.results.some((result) => result.hash === hash);

interface Listed {
  readonly paymentId: string;
  readonly status: string;
  readonly postings: number;
  readonly postedMinor: string;
}
async function transactionsOf(terminalId: string): Promise<readonly Listed[]> {
  const all: Listed[] = [];
  let cursor = "";
  do {
    const answer = await hub.operator("GET", `/v1/transactions?terminalId=${terminalId}&limit=500${cursor}`);
    const page = answer.body as { transactions: Listed[]; cursor?: string };
    all.push(...page.transactions);
    cursor = page.cursor === undefined ? "" : `&cursor=${page.cursor}`;
  } while (cursor !== "");
  return all;
}

test("a claim enrols once, and only with its secret", async () => {
  const claim = await hub.claim("E1");
  const signingKey = publicKeyText(newSigningKeys().publicKey);
  const csr = await certificateRequest(newTlsKey(), claim.terminalId);
  const body = { claimId: claim.claimId, secret: claim.secret, signingKey, csr };
  const strange = await hub.call("POST", ENROL_PATH, { body: { ...body, csr: "AAAA" } });
  expect(strange).toMatchObject({ status: 400, body: { code: "E_FORMAT" } });
  const wrong = await hub.call("POST", ENROL_PATH, { body: { ...body, secret: "x".repeat(43) } });
  expect(wrong).toMatchObject({ status: 401, body: { code: "E_UNKNOWN" } });
  expect(await hub.call("POST", ENROL_PATH, { body })).toMatchObject({ status: 200, body: { terminalId: "E1" } });
  expect(await hub.call("POST", ENROL_PATH, { body })).toMatchObject({ status: 409, body: { code: "E_USED" } });
});

test("a terminal is given hub time and a lease when it says that it is there", async () => {
  const enrolled = await hub.enrol("L1");
  const session = await Session.open(hub, enrolled);
  await session.send(presenceOf(enrolled.terminal.head()));
  const message = await session.until((one) => one.type === "lease");
  expect(message.type === "lease" && message.body.lease?.text).toContain('"terminalId":"L1"');
  const { body } = await hub.operator("GET", "/v1/terminals");
  expect(body).toMatchObject({
    terminals: expect.arrayContaining([expect.objectContaining({ terminalId: "L1", connected: true })]),
  });
  await session.client.endAsync();
});

test("without its certificate a terminal opens no session, and under another's name it is no other", async () => {
  const { tls } = await hub.enrol("W1");
  await hub.enrol("W2");
  await expect(hub.connect("W1")).rejects.toThrow(/Not authorized/);
  await expect(hub.connect("W2", tls)).rejects.toThrow(/Identifier rejected/);
});

test("an online sale over MQTT is approved, and posted by its advice, whose receipt comes after the commit", async () => {
  const enrolled = await hub.enrol("M1");
  const { terminal } = enrolled;
  const session = await Session.open(hub, enrolled);
  const request = terminal.request("sale-1");
  await session.send(request);
  const answer = await session.until((one) => one.type === "authorisation.response");
  expect(answer.body).toMatchObject({ outcome: "approved", responseCode: "00" });

  await session.send(request);
  await session.until(() => session.received.filter((one) => one.type === "authorisation.response").length === 2);
  const codes = session.received.map((one) => one.type === "authorisation.response" && one.body.approvalCode);
  expect(codes[1]).toBe(codes[0]);

  const advice = terminal.advice("sale-1", { mode: "online", attempts: [1] });
  await session.send(terminal.batch([advice]));
  const receipt = await session.until(isReceiptOf(advice.hash));
  expect(receipt.body).toMatchObject({ results: [{ status: "processed", paymentId: "sale-1" }], watermark: 1 });
  expect(await transactionsOf("M1")).toMatchObject([
    { paymentId: "sale-1", status: "confirmed", postings: 1, postedMinor: "1000" },
  ]);
  await session.client.endAsync();
});

test("a terminal hears and speaks on its own topics only, and keeps its connection when it tries others", async () => {
  const enrolled = await hub.enrol("F1");
  const victim = await hub.enrol("F2");
  const session = await Session.open(hub, enrolled);
  const other = await Session.open(hub, victim);
  for (const filter of ["tillway/v1/F2/down/+", "tillway/v1/+/down/+", "#", "$SYS/#"]) {
    const granted = await session.client.subscribeAsync(filter, { qos: 1 }).catch(() => "refused");
    expect(granted === "refused" || (Array.isArray(granted) && granted.every(({ qos }) => qos === 128))).toBe(true);
  }
  let heard = 0;
  other.client.on("message", () => {
    heard += 1;
  });
  await session.client.publishAsync(downTopic(victim.identity.terminalId, "lease"), "{}", { qos: 1, retain: true });
  await session.client.publishAsync(upTopic(victim.identity.terminalId, "presence"), "{}", { qos: 1 });
  // The victim's own round trip comes after anything that could have been forwarded to it.
  await other.send(presenceOf(victim.terminal.head()));
  await other.until((one) => one.type === "lease");
  expect(heard).toBe(1);
  expect(session.client.connected).toBe(true);
  await Promise.all([session.client.endAsync(), other.client.endAsync()]);
});

test("malformed and unsigned messages are refused and counted, and the connection is kept", async () => {
  const enrolled = await hub.enrol("G1");
  const { terminal } = enrolled;
  const session = await Session.open(hub, enrolled);
  const topic = upTopic(enrolled.identity.terminalId, "advice");
  const unsigned = terminal.batch([terminal.advice("never")]);
  if (unsigned.type !== "advice.batch") throw new Error("not a batch");
  const forged = { ...unsigned, body: { ...unsigned.body, signature: Buffer.alloc(64).toString("base64") } };
  for (const payload of [
    "",
    "garbage",
    Buffer.from([0xff, 0x00, 0x80]),
    "{}",
    "[]",
    "x".repeat(1_050_000),
    JSON.stringify(forged),
  ]) {
    await session.client.publishAsync(topic, payload, { qos: 1 });
  }
  await session.send(presenceOf(terminal.head()));
  await session.until((one) => one.type === "lease");
  expect(session.client.connected).toBe(true);
  expect(await transactionsOf("G1")).toEqual([]);
  const { text } = await hub.call("GET", "/metrics");
  expect(text).toMatch(/messages_refused_total\{reason="signature"\} [1-9]/);
  expect(text).toMatch(/messages_refused_total\{reason="malformed"\} [1-9]/);
  // One line for each reason.
  const lines = hub.errors.split("\n").filter((line) => line.includes('"source":"G1"'));
  expect(lines.filter((line) => line.includes('"reason":"malformed"'))).toHaveLength(1);
  expect(lines).toHaveLength(new Set(lines.map((line) => /"reason":"[^"]*"/.exec(line)?.[0])).size);
  await session.client.endAsync();
});

test("bytes that are not MQTT or not TLS end their connection and nothing else", async () => {
  const { connect } = await import("node:net");
  const tls = await import("node:tls");
  const port = Number(new URL(hub.mqttUrl).port);
  const closed = (socket: import("node:stream").Duplex) =>
    new Promise((resolve) => socket.on("error", () => {}).once("close", resolve));
  const plain = connect(port, "127.0.0.1");
  plain.write("GET / HTTP/1.1\r\n\r\n".repeat(20));
  await closed(plain);
  const garbled = tls.connect({ port, host: "127.0.0.1", ca: hub.ca });
  garbled.write(Buffer.alloc(4_096, 0xff));
  await closed(garbled);
  const endless = tls.connect({ port, host: "127.0.0.1", ca: hub.ca });
  // A CONNECT that announces 256 MB.
  endless.write(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]));
  await closed(endless);
  const large = tls.connect({ port, host: "127.0.0.1", ca: hub.ca });
  // A CONNECT that announces 512 KB: a terminal's message may be as long, a stranger's may not.
  large.write(Buffer.from([0x10, 0x80, 0x80, 0x20]));
  const before = performance.now();
  await closed(large);
  expect(performance.now() - before).toBeLessThan(5_000);
  expect((await hub.call("GET", "/v1/health")).status).toBe(200);
});

test("HTTPS carries the same envelopes, and names the path of a wrong field", async () => {
  const { terminal, tls } = await hub.enrol("H1");
  expect((await terminal.ask(terminal.request("sale-1"))).outcome).toBe("approved");
  const [receipt] = await terminal.tell(terminal.advice("sale-1", { mode: "online", attempts: [1] }));
  expect(receipt?.status).toBe("processed");
  const envelope = { ...terminal.request("sale-2"), sequence: "one" };
  const bad = await hub.call("POST", UPLINK_PATH, { tls, body: envelope });
  expect(bad).toMatchObject({ status: 400, body: { code: "E_FORMAT", path: "sequence" } });
  expect(await hub.call("POST", UPLINK_PATH, { tls, body: "{" })).toMatchObject({ status: 400 });
  const foreign = await hub.call("POST", UPLINK_PATH, {
    tls: (await hub.enrol("H2")).tls,
    body: terminal.request("sale-3"),
  });
  expect(foreign).toMatchObject({ status: 403, body: { code: "E_DENIED" } });
  expect(await hub.call("POST", UPLINK_PATH, { body: terminal.request("sale-3") })).toMatchObject({ status: 401 });
});

test("the operator's API wants its token, and answers unknown paths in JSON", async () => {
  for (const path of ["/v1/transactions", "/v1/accounts", "/v1/terminals"]) {
    expect(await hub.call("GET", path)).toMatchObject({ status: 401, body: { code: "E_DENIED" } });
    expect((await hub.operator("GET", path)).status).toBe(200);
  }
  expect(await hub.operator("GET", "/v1/nothing")).toMatchObject({ status: 404, body: { code: "E_UNKNOWN" } });
  expect(await hub.operator("GET", "/v1/transactions?from=yesterday")).toMatchObject({
    status: 400,
    body: { path: "from" },
  });
  const docs = await hub.call("GET", "/docs/json");
  expect(Object.keys((docs.body as { paths: object }).paths)).toContain("/v1/transactions");
});

test("the command line makes claims and lists against the running hub, and refuses a second hub in one line", async () => {
  const config = ["--config", hub.configPath];
  const made = await hub.command("claim", "C1", ...config);
  expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^tw1\.\S+\n$/) });
  expect((await hub.command("accounts", ...config)).out).toContain("EUR");
  const second = await hub.command("run", ...config);
  expect(second.code).toBe(1);
  expect(second.err).toMatch(/^tillway: another hub \(pid \d+\) runs on .+; stop it first\n$/);
  const wrong = await hub.command("run", "--config", join(folder, "none.yaml"));
  expect(wrong.code).toBe(2);
  expect(wrong.err.split("\n")).toHaveLength(2);
});

test("SIGKILL under a load of advices loses none and doubles none after they are sent again", async () => {
  const enrolled = await hub.enrol("K1");
  const { terminal } = enrolled;
  const batches = Array.from({ length: 100 }, (_, batch) =>
    terminal.batch(Array.from({ length: 10 }, (_, n) => terminal.advice(`load-${batch}-${n}`))),
  );
  const receipted = new Set<string>();
  const note = (messages: readonly DownEnvelope[]) => {
    for (const message of messages)
      if (message.type === "receipt")
        for (const { paymentId } of message.body.results) if (paymentId) receipted.add(paymentId);
  };
  const session = await Session.open(hub, enrolled);
  const sending = batches.map((batch) => session.send(batch).catch(() => {}));
  await session.until(() => session.received.length >= 3);
  await hub.stop("SIGKILL");
  note(session.received);
  await session.client.endAsync(true);
  void sending;
  expect(receipted.size).toBeGreaterThan(0);
  expect(receipted.size).toBeLessThan(1_000);
  const before = new Set(receipted);

  await hub.start();
  const listed = await transactionsOf("K1");
  for (const paymentId of before) expect(listed.find((one) => one.paymentId === paymentId)?.status).toBe("confirmed");
  const again = await Session.open(hub, enrolled);
  for (const batch of batches) await again.send(batch);
  await again.until(() => again.received.length === batches.length, 30_000);
  note(again.received);
  expect(receipted.size).toBe(1_000);
  const statuses = again.received.flatMap((one) =>
    one.type === "receipt" ? one.body.results.map((r) => r.status) : [],
  );
  expect(statuses.filter((status) => status === "duplicate").length).toBeGreaterThanOrEqual(before.size);
  expect(statuses.filter((status) => status !== "duplicate" && status !== "processed")).toEqual([]);
  const after = await transactionsOf("K1");
  expect(after).toHaveLength(1_000);
  expect(after.every((one) => one.status === "confirmed" && one.postings === 1 && one.postedMinor === "1000")).toBe(
    true,
  );
  await again.client.endAsync();
});

test("SIGTERM drains and ends with exit code 0", async () => {
  expect(await hub.stop("SIGTERM")).toBe(0);
  await hub.start();
});
