import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../base/clock.ts";
import type { PaymentId, TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { currencyOf, money } from "../../base/money.ts";
import { fail } from "../../base/result.ts";
import { cardPaymentsWithoutHub } from "../../test/rules/card-payments-without-hub.ts";
import type { DialogueFile } from "../../wire/card-dialogue.ts";
import type { StartRefusal } from "../payment/payments.ts";
import { CLOSE_LIMIT_MS, type RunningApi, startApi } from "./api.ts";
import { FakePayments, STATUS } from "./api-fixture.ts";
import { readApiToken } from "./api-token.ts";
import { CLIENTS_MAX } from "./event-stream.ts";

const DIALOGUE: DialogueFile = {
  v: 1,
  terminalId: STATUS.terminalId as TerminalId,
  paymentId: "p-1" as PaymentId,
  at: "2026-01-05T09:00:00.000Z",
  masked: "> 00a404\n< 9000\n",
  sealed: { keyId: "hub-2026-01", enc: "AAAA", ciphertext: "BBBB" },
};

let folder: string;
let payments: FakePayments;
let api: RunningApi;
let token: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tillway-api-"));
  payments = new FakePayments();
  api = await start(0);
  token = readApiToken(join(folder, "api-token"));
});
afterEach(async () => {
  await api[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

test("a client that never ends its request holds up the stop for a moment only", async () => {
  const stuck = connect(api.port, "127.0.0.1");
  stuck.on("error", () => undefined);
  stuck.write(`POST /v1/payments HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${token}\r\ncontent-length: 9\r\n\r\n{`);
  const answered = await fetch(`http://127.0.0.1:${api.port}/v1/health`, {
    headers: { authorization: `Bearer ${token}` },
  });
  await answered.text();
  const began = performance.now();
  await api[Symbol.asyncDispose]();
  expect(performance.now() - began).toBeLessThan(2 * CLOSE_LIMIT_MS);
  stuck.destroy();
}, 30_000);

let retries = 0;
function start(port: number) {
  return startApi({
    config: { dataDir: folder, api: { host: "127.0.0.1", port }, site: { currency: currencyOf("EUR") } },
    payments,
    cardPayments: cardPaymentsWithoutHub(),
    dialogues: { dialogueOf: (id) => (id === DIALOGUE.paymentId ? DIALOGUE : undefined) },
    devices: { lend: () => undefined, list: () => STATUS.devices, onChange: () => () => undefined },
    health: { status: () => STATUS },
    journal: {
      queue: (filter) => [
        {
          sequence: 3,
          forward: 1,
          paymentId: "p-1" as PaymentId,
          kind: "decision",
          state: filter?.state ?? "eligible",
          attempts: 0,
          at: "2026-01-05T09:00:00.000Z",
          amount: money(1_234n, "EUR"),
        },
      ],
      entriesOf: () => [],
      act: async () => fail("not-found" as const),
      appendVoid: async () => fail("not-found" as const),
    },
    forwarder: {
      stats: { depth: 1, inFlight: 0 },
      waitOf: () => ({ at: "behind" }),
      whyNot: () => ({ why: "link-down" }),
      force: () => fail({ why: "link-down" } as const),
      retry: () => {
        retries += 1;
      },
    },
    clock: systemClock,
    log: silentLog,
  });
}

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`http://127.0.0.1:${api.port}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = /json/.test(response.headers.get("content-type") ?? "") ? JSON.parse(text) : text;
  return { status: response.status, json };
}

const PAYMENT = { id: "p-1", amount: { minor: 1234, currency: "EUR" }, reference: "table 4" };

/** Resolves at the first stage of the next payment. */
const begun = () =>
  new Promise<void>((resolve) => {
    const stop = payments.onEvent(() => {
      stop();
      resolve();
    });
  });

test("a payment answers when it has ended, with amounts as text", async () => {
  const started = begun();
  const answer = call("POST", "/v1/payments", PAYMENT);
  await started;
  payments.end("p-1", { status: "approved", mode: "online", ticket: "pending" });
  expect(await answer).toMatchObject({
    status: 200,
    json: { id: "p-1", status: "approved", amount: { minor: "1234", currency: "EUR" }, reference: "table 4" },
  });
  expect(payments.requests[0]?.amount).toEqual(money(1_234n, "EUR"));
});

test("wait=0 answers 202 at once, and a repeat after the end gives the outcome", async () => {
  expect(await call("POST", "/v1/payments?wait=0", PAYMENT)).toMatchObject({
    status: 202,
    json: { status: "processing" },
  });
  payments.end("p-1", { status: "declined", reason: "E_LIMIT" });
  expect(await call("POST", "/v1/payments", { ...PAYMENT, amount: { minor: "1234", currency: "EUR" } })).toMatchObject({
    status: 200,
    json: { status: "declined", reason: "E_LIMIT" },
  });
  expect(await call("GET", "/v1/payments/p-1")).toMatchObject({ status: 200, json: { status: "declined" } });
  expect(await call("GET", "/v1/payments?limit=5")).toMatchObject({ json: { payments: [{ id: "p-1" }] } });
});

test("a till that goes away cancels nothing and is waited for no longer", async () => {
  const started = begun();
  const leaving = new AbortController();
  const left = fetch(`http://127.0.0.1:${api.port}/v1/payments`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(PAYMENT),
    signal: leaving.signal,
  }).catch(() => "gone");
  await started;
  leaving.abort();
  expect(await left).toBe("gone");
  payments.end("p-1", { status: "approved" });
  expect(await call("GET", "/v1/payments/p-1")).toMatchObject({ json: { status: "approved" } });
});

test("stopping answers who waits with the payment as it is", async () => {
  const started = begun();
  const answer = call("POST", "/v1/payments", PAYMENT);
  await started;
  await api[Symbol.asyncDispose]();
  expect(await answer).toMatchObject({ status: 202, json: { status: "processing" } });
});

test.each<[string, unknown, string]>([
  ["not JSON", "{", ""],
  ["a list", [], ""],
  ["no id", { amount: PAYMENT.amount }, "id"],
  ["an id with a slash", { ...PAYMENT, id: "a/b" }, "id"],
  ["zero", { ...PAYMENT, amount: { minor: 0, currency: "EUR" } }, "amount.minor"],
  ["zero as text", { ...PAYMENT, amount: { minor: "0", currency: "EUR" } }, "amount.minor"],
  ["a negative amount", { ...PAYMENT, amount: { minor: -5, currency: "EUR" } }, "amount.minor"],
  ["a fraction", { ...PAYMENT, amount: { minor: 12.5, currency: "EUR" } }, "amount.minor"],
  ["thirteen digits", { ...PAYMENT, amount: { minor: "1000000000000", currency: "EUR" } }, "amount.minor"],
  ["no currency", { ...PAYMENT, amount: { minor: 1 } }, "amount.currency"],
  ["a currency that is none", { ...PAYMENT, amount: { minor: 1, currency: "XXY" } }, "amount.currency"],
  ["an unknown field", { ...PAYMENT, tip: 1 }, "tip"],
  ["an unknown inner field", { ...PAYMENT, amount: { ...PAYMENT.amount, vat: 1 } }, "amount.vat"],
  ["a long reference", { ...PAYMENT, reference: "x".repeat(65) }, "reference"],
  ["a reference with a line break", { ...PAYMENT, reference: "a\nb" }, "reference"],
])("RM4 a body with %s is refused with the path of the field", async (_what, body, path) => {
  const answer = await call("POST", "/v1/payments", body);
  expect(answer).toMatchObject({ status: 400, json: { error: { code: "E_FORMAT", path } } });
  expect(answer.json.error.message.length).toBeGreaterThan(3);
  expect(payments.requests).toEqual([]);
});

test("RM4 a known payment in another currency is a conflict that names the field", async () => {
  await call("POST", "/v1/payments?wait=0", PAYMENT);
  payments.refusal = { why: "conflict", field: "amount.currency" };
  const again = { ...PAYMENT, amount: { minor: 1, currency: "USD" } };
  expect(await call("POST", "/v1/payments?wait=0", again)).toMatchObject({
    status: 409,
    json: { error: { code: "E_CONFLICT", path: "amount.currency" } },
  });
});

test("a currency that the shop does not take, a big body, a wrong type and a wrong query are refused", async () => {
  expect(await call("POST", "/v1/payments", { ...PAYMENT, amount: { minor: 1, currency: "USD" } })).toMatchObject({
    status: 422,
    json: { error: { path: "amount.currency", message: "this terminal takes EUR only" } },
  });
  expect((await call("POST", "/v1/payments", { ...PAYMENT, reference: "x".repeat(20_000) })).status).toBe(413);
  expect((await call("POST", "/v1/payments", "id=1", { "content-type": "text/csv" })).status).toBe(415);
  expect(await call("POST", "/v1/payments?wait=soon", PAYMENT)).toMatchObject({
    status: 400,
    json: { error: { path: "wait" } },
  });
  expect(await call("GET", "/v1/queue?state=lost")).toMatchObject({ status: 400, json: { error: { path: "state" } } });
});

test.each<[StartRefusal, number, object]>([
  [{ why: "conflict", field: "amount.minor" }, 409, { code: "E_CONFLICT", path: "amount.minor" }],
  [{ why: "draining", detail: "stopping" }, 503, { code: "E_UNAVAILABLE", message: "stopping" }],
  [{ why: "busy", detail: "busy" }, 409, { message: "busy" }],
  [{ why: "not-allowed", detail: "no" }, 422, { message: "no" }],
])("RM4 the refusal $why has its own status", async (refusal, status, error) => {
  payments.refusal = refusal;
  expect(await call("POST", "/v1/payments", PAYMENT)).toMatchObject({ status, json: { error } });
});

test("what cannot be done any more says so", async () => {
  expect(await call("GET", "/v1/payments/none")).toMatchObject({ status: 404, json: { error: { code: "E_UNKNOWN" } } });
  expect(await call("POST", "/v1/payments/p-1/cancel")).toMatchObject({
    status: 409,
    json: { error: { code: "E_STATE" } },
  });
  expect(await call("POST", "/v1/payments/p-1/void", { reason: "wrong amount" })).toMatchObject({ status: 409 });
  expect(await call("POST", "/v1/payments/p-1/void", "", { "content-type": "application/json" })).toMatchObject({
    status: 409,
  });
  expect(await call("POST", "/v1/payments/p-1/void", { why: 1 })).toMatchObject({ status: 400 });
  expect(await call("POST", "/v1/payments/p-1/reprint")).toMatchObject({ status: 409 });
  expect(await call("POST", "/v1/refunds", { id: "r-1", originalId: "p-0" })).toMatchObject({ status: 404 });
});

test("a pre-authorisation is begun as one, and a completion that is too much has its own status", async () => {
  const held = { id: "h-1", amount: { minor: 500, currency: "EUR" } };
  expect(await call("POST", "/v1/pre-authorisations?wait=0", held)).toMatchObject({
    ...{ status: 202, json: { operation: "pre-authorisation" } },
  });
  expect(payments.requests.at(-1)).toMatchObject({ id: "h-1", operation: "pre-authorisation" });
  const completion = { id: "c-1", originalId: "h-1", amount: { minor: 501, currency: "EUR" } };
  expect(await call("POST", "/v1/completions", completion)).toMatchObject({
    ...{ status: 422, json: { error: { code: "E_LIMIT", message: "a completion never exceeds what was authorised" } } },
  });
  const free = { ...completion, amount: { minor: 0, currency: "EUR" } };
  expect(await call("POST", "/v1/completions", free)).toMatchObject({ status: 400 });
  const { amount: _amount, ...without } = completion;
  expect(await call("POST", "/v1/completions", without)).toMatchObject({ json: { error: { path: "amount" } } });
});

test("a tip names its sale and its amount, and the desk says whether there can be one", async () => {
  const tip = { id: "t-1", originalId: "p-1", amount: { minor: 100, currency: "EUR" } };
  expect(await call("POST", "/v1/tips", tip)).toMatchObject({ status: 422, json: { error: { code: "E_DENIED" } } });
  expect(payments.tips).toEqual([{ ...tip, amount: money(100n, "EUR") }]);
  const usd = { ...tip, amount: { minor: 100, currency: "USD" } };
  expect(await call("POST", "/v1/tips", usd)).toMatchObject({ json: { error: { path: "amount.currency" } } });
  for (const [path, value] of Object.entries({ amount: undefined, originalId: undefined, cashback: tip.amount }))
    expect(await call("POST", "/v1/tips", { ...tip, [path]: value })).toMatchObject({ json: { error: { path } } });
  expect(payments.tips).toHaveLength(1);
});

test("RM13 the cashier's word on a signature reaches the desk, and its refusals the till", async () => {
  const path = "/v1/payments/p-1/signature";
  for (const accepted of [true, false]) {
    expect(await call("POST", path, { accepted })).toMatchObject({
      status: 409,
      json: { error: { code: "E_STATE", message: "no signature is asked for" } },
    });
  }
  expect(payments.checks).toEqual([
    { id: "p-1", accepted: true },
    { id: "p-1", accepted: false },
  ]);
  payments.begin({ id: "p-1" as PaymentId, amount: money(1n, "EUR") });
  payments.signatures = "taken";
  expect(await call("POST", path, { accepted: true })).toMatchObject({ status: 200, json: { id: "p-1" } });
  payments.signatures = "answered";
  expect(await call("POST", path, { accepted: false })).toMatchObject({ status: 409 });
});

test.each([
  ["nothing", undefined, ""],
  ["no word", {}, "accepted"],
  ["another kind of word", { accepted: "yes" }, "accepted"],
  ["a word too many", { accepted: true, by: "me" }, "by"],
])("a signature's body with %s is refused with the path, and the desk is not asked", async (_what, body, path) => {
  expect(await call("POST", "/v1/payments/p-1/signature", body)).toMatchObject({
    status: 400,
    json: { error: { code: "E_FORMAT", path } },
  });
  expect(payments.checks).toEqual([]);
});

test("RM6 the dialogue with a card is given as it is kept: masked for people, sealed for the hub", async () => {
  expect(await call("GET", "/v1/payments/p-1/dialogue")).toMatchObject({ status: 200, json: DIALOGUE });
  expect(await call("GET", "/v1/payments/p-2/dialogue")).toMatchObject({
    status: 404,
    json: { error: { code: "E_UNKNOWN", message: "no dialogue with a card is kept for payment p-2" } },
  });
  expect(await call("GET", "/v1/payments/p-1/dialogue", undefined, { authorization: "" })).toMatchObject({
    status: 401,
  });
});

test("nothing is told without the token, which only its owner can read", async () => {
  expect(statSync(join(folder, "api-token")).mode & 0o777).toBe(0o600);
  for (const authorization of ["", "Bearer wrong", token]) {
    const answer = await call("GET", "/v1/status", undefined, { authorization });
    expect(answer).toMatchObject({ status: 401, json: { error: { code: "E_DENIED" } } });
  }
  expect((await call("GET", "/v1/nothing")).status).toBe(404);
});

test("a second start keeps the token, and a port in use is a Fault that names it", async () => {
  await expect(start(api.port)).rejects.toThrow(
    `127.0.0.1:${api.port} is in use; stop what listens there or change api.port`,
  );
  expect(readApiToken(join(folder, "api-token"))).toBe(token);
});

test("status, devices, queue, metrics and the API's description can be read", async () => {
  expect((await call("GET", "/v1/health")).json).toEqual({ ok: true });
  expect((await call("GET", "/v1/status")).json).toEqual(STATUS);
  expect((await call("GET", "/v1/devices")).json).toEqual({ devices: STATUS.devices });
  expect((await call("GET", "/v1/queue?state=quarantined")).json.entries).toMatchObject([
    { state: "quarantined", amount: { minor: "1234", currency: "EUR" } },
  ]);
  expect((await call("POST", "/v1/queue/retry")).status).toBe(202);
  expect(retries).toBe(1);
  expect(readFileSync(join(folder, "api-address"), "utf8")).toBe(`http://127.0.0.1:${api.port}\n`);
  const { json } = await call("GET", "/v1/openapi.json");
  expect(Object.keys(json.paths)).toContain("/v1/payments/{id}/void");
  expect(json.components.schemas.PaymentRequest.required).toEqual(["id", "amount"]);
  payments.begin({ id: "p-9" as PaymentId, amount: money(1n, "EUR") });
  payments.end("p-9", { status: "approved", mode: "offline" });
  const metrics = (await call("GET", "/metrics")).json as string;
  expect(metrics).toContain('tillway_payments_ended_total{operation="purchase",status="approved",mode="offline"} 1');
  expect(metrics).toContain('tillway_device_ready{device="reader"} 1');
  for (const line of metrics.trimEnd().split("\n")) {
    expect(line).toMatch(/^(?:# (?:HELP|TYPE) \w+ .+|\w+(?:\{(?:\w+="[^"]*",?)+\})? [\d.-]+)$/);
  }
});

async function listenToEvents() {
  const request = httpRequest({
    port: api.port,
    path: "/v1/events",
    headers: { authorization: `Bearer ${token}` },
  }).end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return { request, response };
}

test("events come as they happen", async () => {
  const { request, response } = await listenToEvents();
  let text = "";
  const complete = new Promise<void>((resolve) => {
    response.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("payment.ended") && text.endsWith("\n\n")) resolve();
    });
  });
  await call("POST", "/v1/payments?wait=0", PAYMENT);
  payments.emit({ type: "payment.hint", id: "p-1" as PaymentId, detail: "a product code" });
  payments.end("p-1", { status: "approved" });
  await complete;
  expect(text).toContain('event: payment.hint\ndata: {"id":"p-1","detail":"a product code"}\n\n');
  expect(response.headers["content-type"]).toBe("text/event-stream");
  expect(text).toContain('event: payment.stage\ndata: {"id":"p-1","stage":"accepted"}\n\n');
  expect(text).toContain('"amount":{"minor":"1234","currency":"EUR"}');
  request.destroy();
});

test("listeners are limited in number", async () => {
  const open = await Promise.all(Array.from({ length: CLIENTS_MAX }, listenToEvents));
  expect((await call("GET", "/v1/events")).status).toBe(503);
  for (const { request } of open) request.destroy();
});

test("an unrelated server on the port is named too", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as { port: number };
  await expect(start(port)).rejects.toThrow(/is in use/);
  other.close();
});
