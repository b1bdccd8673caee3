/** Requests of operators: strict, bounded, safe to repeat. */
import { beforeEach, describe, expect, test } from "vitest";
import type { TerminalId } from "../../base/ids.ts";
import { newSigningKeys, publicKeyText, signText } from "../../wire/signing.ts";
import { TEST_EXPIRY } from "./hub-fixture.ts";
import { BOOTSTRAP_TOKEN, type OperatorHub, operatorHub } from "./operators-fixture.ts";

let hub: OperatorHub;
beforeEach(async () => {
  hub = await operatorHub();
});

const bearer = BOOTSTRAP_TOKEN;
const account = (pan: string, minor = "5000") => ({ pan, expiry: TEST_EXPIRY, balance: { minor, currency: "EUR" } });
const open = (key: string | undefined, body: object) =>
  hub.ask("POST", "/v1/accounts", { bearer, body, ...(key === undefined ? {} : { key }) });
const accounts = async () => {
  const page = { after: "", limit: 100 };
  return (await hub.hub.store.read((reading) => hub.hub.authorisation.accounts(reading, page))).length;
};

describe("idempotency keys", () => {
  test("a POST that moves money is refused without one", async () => {
    expect(await open(undefined, account("9999990000000114"))).toMatchObject({
      status: 400,
      body: { code: "E_FORMAT", path: "idempotency-key" },
    });
    const accepted = await hub.ask("POST", "/v1/quarantine/1/accept", { bearer, body: { by: "ann", why: "x" } });
    expect(accepted).toMatchObject({ status: 400, body: { path: "idempotency-key" } });
  });

  test("a repeat gets the first answer and moves nothing", async () => {
    const first = await open("key-number-1", account("9999990000000114"));
    expect(first.status).toBe(201);
    const held = await accounts();
    const again = await open("key-number-1", account("9999990000000114"));
    expect({ status: again.status, body: again.body }).toEqual({ status: first.status, body: first.body });
    expect(await accounts()).toBe(held);
    expect(await hub.entries()).toHaveLength(1);
  });

  test("other content under the same key is a named conflict; another operator's key is another key", async () => {
    await open("key-number-1", account("9999990000000114"));
    expect(await open("key-number-1", account("9999990000000114", "6000"))).toMatchObject({
      status: 409,
      body: { code: "E_CONFLICT", path: "idempotency-key" },
    });
    const other = await hub.person("ada", "admin");
    const body = account("9999990000000213");
    expect(await hub.ask("POST", "/v1/accounts", { bearer: other, body, key: "key-number-1" })).toMatchObject({
      status: 201,
    });
  });

  test("a refused request leaves its key free, and a key is forgotten after a day", async () => {
    await open("key-number-1", account("9999990000000114"));
    expect((await open("key-number-2", account("9999990000000114"))).status).toBe(409);
    expect((await open("key-number-2", account("9999990000000213"))).status).toBe(201);
    await hub.clock.advance(24 * 3_600_000);
    expect(await open("key-number-1", account("9999990000000114"))).toMatchObject({
      status: 409,
      body: { path: "pan" },
    });
  });

  test("many at once under one key are one", async () => {
    const held = await accounts();
    const asked = Array.from({ length: 8 }, () => open("key-number-1", account("9999990000000114")));
    const answers = await Promise.all(asked);
    expect(new Set(answers.map(({ status, body }) => JSON.stringify({ status, body }))).size).toBe(1);
    expect(answers[0]?.status).toBe(201);
    expect(await accounts()).toBe(held + 1);
    expect(await hub.entries()).toHaveLength(1);
  });
});

describe("bounds", () => {
  test("an operator who asks without end is told when to come again, and others are not touched by it", async () => {
    const greedy = await hub.person("otto", "operator");
    let last = await hub.ask("GET", "/v1/operators/me", { bearer: greedy });
    for (let n = 0; n < 1_000 && last.status === 200; n += 1)
      last = await hub.ask("GET", "/v1/operators/me", { bearer: greedy });
    expect(last).toMatchObject({ status: 429, body: { code: "E_LIMIT" }, headers: { "retry-after": "1" } });
    expect((await hub.ask("GET", "/v1/operators/me", { bearer })).status).toBe(200);
    await hub.clock.advance(1_000);
    expect((await hub.ask("GET", "/v1/operators/me", { bearer: greedy })).status).toBe(200);
  });

  test("a stranger who tries bearers is slowed down by his address", async () => {
    const strange = (address: string) => hub.ask("GET", "/v1/terminals", { bearer: "x".repeat(30), address });
    for (let n = 0; n < 60; n += 1) expect((await strange("10.0.0.9")).status).toBe(401);
    expect((await strange("10.0.0.9")).status).toBe(429);
    expect((await strange("10.0.0.8")).status).toBe(401);
  });

  test("a phone is bounded wherever it is, and only by what it signed itself", async () => {
    const keys = newSigningKeys();
    const enrolled = await hub.hub.store.transaction(async (within) => {
      const asked = { userId: "anna", accountId: hub.customer, validMs: 60_000 };
      const claim = await hub.hub.payers.createClaim(within, asked);
      return await hub.hub.payers.enrol(within, { ...claim, publicKey: publicKeyText(keys.publicKey) });
    });
    if (!enrolled.ok) throw new Error(enrolled.error.detail);
    const { deviceId } = enrolled.value;
    const at = new Date(hub.clock.now()).toISOString();
    const say = (n: number, key = keys.privateKey) => {
      const id = n.toString(16).padStart(24, "0");
      const message = { v: 1, deviceId, id, at, type: "notices", body: { since: 0 } };
      const body = signText("phone", JSON.stringify(message), key);
      return hub.ask("POST", "/v1/phone", { body, address: `10.1.0.${n}` });
    };
    for (let n = 1; n <= 40; n += 1) expect((await say(n, newSigningKeys().privateKey)).status).toBe(401);
    for (let n = 1; n <= 30; n += 1) expect((await say(n)).status).toBe(200);
    expect(await say(31)).toMatchObject({ status: 429, headers: { "retry-after": "1" } });
    await hub.clock.advance(1_000);
    expect((await say(31)).status).toBe(200);
  });

  test("a terminal is bounded by itself", async () => {
    const enrol = async (terminalId: TerminalId) => {
      const signingKey = publicKeyText(newSigningKeys().publicKey);
      const enrolled = await hub.hub.store.transaction(async (within) => {
        const claim = await hub.hub.terminals.createClaim(within, { terminalId, validMs: 60_000 });
        return await hub.hub.terminals.enrol(within, { ...claim, signingKey });
      });
      if (!enrolled.ok) throw new Error(enrolled.error.detail);
    };
    const [T7, T8] = ["T7" as TerminalId, "T8" as TerminalId];
    await enrol(T7);
    await enrol(T8);
    const tell = (terminalId: TerminalId) => {
      hub.shown.terminalId = terminalId;
      const body = { status: "offline", version: "1", clock: new Date(hub.clock.now()).toISOString() };
      const head = { ...hub.terminal.head(), terminalId, type: "presence" };
      return hub.ask("POST", "/v1/uplink", { body: { ...head, body } });
    };
    const answers: number[] = [];
    for (let n = 0; n <= 1_000; n += 1) answers.push((await tell(T7)).status);
    expect(answers.filter((status) => status === 200)).toHaveLength(1_000);
    expect(answers.at(-1)).toBe(429);
    expect((await tell(T8)).status).toBe(200);
  });

  test("a body above the limit of its route is refused", async () => {
    const body = { by: "ann", why: "x".repeat(70_000) };
    expect((await hub.ask("POST", "/v1/terminals/T1/revoke", { bearer, body })).status).toBe(413);
    const imported = await hub.ask("POST", "/v1/imports/0123456789abcdef/check", {
      bearer,
      body: { lines: ["x".repeat(100_000)] },
    });
    expect(imported.status).not.toBe(413);
    const logIn = await hub.ask("POST", "/v1/sessions", { body: { name: "ann", password: "x".repeat(5_000) } });
    expect(logIn.status).toBe(413);
  });

  test.each([
    ["POST", "/v1/terminals/T1/revoke", { by: "ann", why: "x", extra: 1 }, "extra"],
    ["POST", "/v1/keys/sealing/rotate", { extra: 1 }, "body"],
    ["GET", "/v1/terminals?extra=1", undefined, "extra"],
    ["GET", "/v1/exposure?extra=1", undefined, "query"],
  ] as const)("%s %s refuses what it does not know", async (method, url, body, path) => {
    const asked = { bearer, ...(body === undefined ? {} : { body }) };
    expect(await hub.ask(method, url, asked)).toMatchObject({ status: 400, body: { code: "E_FORMAT", path } });
  });
});
