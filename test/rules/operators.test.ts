/** Who may ask the hub for what: roles, log-ins, sessions, API tokens. */
import { beforeEach, describe, expect, test } from "vitest";
import { BOOTSTRAP_TOKEN, isRevoked, type OperatorHub, operatorHub, PASSWORD } from "./operators-fixture.ts";

let hub: OperatorHub;
beforeEach(async () => {
  hub = await operatorHub();
});

describe("roles", () => {
  test("an operator without the role is refused with the role that is needed, and that is in the audit log", async () => {
    const bearer = await hub.person("vera", "viewer");
    const refused = await hub.ask("POST", "/v1/terminals/T1/revoke", { bearer, body: { by: "vera", why: "try" } });
    expect(refused).toMatchObject({
      status: 403,
      body: { code: "E_DENIED", message: "this needs the role operator; you have the role viewer" },
    });
    expect(await isRevoked(hub)).toBe(false);
    expect((await hub.entries()).at(-1)).toMatchObject({
      action: "POST /v1/terminals/:id/revoke",
      who: "vera",
      role: "viewer",
      by: "session",
      named: { id: "T1" },
      outcome: "refused",
      status: 403,
      address: "127.0.0.1",
    });
  });

  test("each role may what the one before it may: a viewer looks, an operator revokes, an admin opens accounts", async () => {
    const of = { vera: "viewer", otto: "operator", ada: "admin" } as const;
    const seen: Record<string, number[]> = {};
    for (const [name, role] of Object.entries(of)) {
      const bearer = await hub.person(name, role);
      const looks = await hub.ask("GET", "/v1/terminals", { bearer });
      const body = { by: name, why: "test" };
      const revokes = await hub.ask("POST", "/v1/terminals/T1/revoke", { bearer, body });
      const manages = await hub.ask("GET", "/v1/operators", { bearer });
      seen[name] = [looks, revokes, manages].map(({ status }) => status);
    }
    expect(seen).toEqual({ vera: [200, 403, 403], otto: [200, 200, 403], ada: [200, 200, 200] });
  });

  test("whoever shows nothing, or what is not known, is told to log in", async () => {
    for (const asked of [{}, { bearer: "x".repeat(20) }, { bearer: `tws.${"0".repeat(16)}.${"A".repeat(43)}` }])
      expect(await hub.ask("GET", "/v1/terminals", asked)).toMatchObject({ status: 401, body: { code: "E_DENIED" } });
  });

  test("the token of the data folder is the first admin, until the configuration turns it off", async () => {
    const asked = { bearer: BOOTSTRAP_TOKEN };
    expect(await hub.ask("GET", "/v1/operators/me", asked)).toMatchObject({
      body: { name: "bootstrap", role: "admin" },
    });
    const without = await operatorHub({ withoutBootstrap: true });
    expect((await without.ask("GET", "/v1/operators/me", asked)).status).toBe(401);
  });
});

describe("log-ins", () => {
  test("a wrong password, an unknown name and a disabled account get the same answer", async () => {
    await hub.add("ann", "viewer");
    await hub.add("dora", "viewer");
    await hub.operators.store.transaction((within) => hub.operators.accounts.disable(within, "dora"));
    const answers = await Promise.all(
      [
        { name: "ann", password: "not the password" },
        { name: "nobody", password: PASSWORD },
        { name: "dora", password: PASSWORD },
      ].map((body) => hub.ask("POST", "/v1/sessions", { body })),
    );
    expect(new Set(answers.map(({ status, body }) => JSON.stringify({ status, body }))).size).toBe(1);
    expect(answers[0]).toMatchObject({ status: 401, body: { code: "E_DENIED" } });
    const told = (await hub.entries()).filter(({ outcome }) => outcome === "refused");
    expect(told.map(({ who }) => who).toSorted()).toEqual(["(unknown)", "ann", "dora"]);
  });

  test("a password typed where the name belongs is not written down", async () => {
    await hub.ask("POST", "/v1/sessions", { body: { name: PASSWORD, password: "ann" } });
    expect(await hub.entries()).toHaveLength(1);
    expect(await hub.dump()).not.toContain(PASSWORD);
  });

  test("guessing is slowed down for the name, more with each guess, and the right password has to wait too", async () => {
    await hub.add("ann", "viewer");
    const guess = () => hub.ask("POST", "/v1/sessions", { body: { name: "ann", password: "wrong, wrong, wrong" } });
    for (let n = 0; n < 5; n += 1) expect((await guess()).status).toBe(401);
    const right = () => hub.ask("POST", "/v1/sessions", { body: { name: "ann", password: PASSWORD } });
    expect(await right()).toMatchObject({ status: 429, headers: { "retry-after": "1" } });
    await hub.clock.advance(1_000);
    expect((await guess()).status).toBe(401);
    expect(await right()).toMatchObject({ status: 429, headers: { "retry-after": "2" } });
    await hub.clock.advance(2_000);
    expect((await right()).status).toBe(201);
    expect((await guess()).status).toBe(401);
  });

  test("a password that was changed while it was tried opens nothing", async () => {
    await hub.add("ann", "viewer");
    const { accounts, passwords, store } = hub.operators;
    const asked = { name: "ann", password: PASSWORD, address: "10.0.0.1" };
    const proven = await accounts.prove(asked);
    if (!proven.ok) throw new Error(proven.error.why);
    const still = () => store.read((reading) => accounts.stillProven(reading, proven.value));
    expect(await still()).toMatchObject({ ok: true });
    const kept = await passwords.hash("another long password");
    await store.transaction((within) => accounts.setPassword(within, "ann", kept));
    expect(await still()).toMatchObject({ ok: false, error: { why: "denied" } });
  });

  test("many failed log-ins are counted, and do not fill the audit log", async () => {
    for (let n = 0; n < 25; n += 1) {
      await hub.ask("POST", "/v1/sessions", { body: { name: "mallory", password: "x" } });
      await hub.clock.advance(60_000);
    }
    const refused = async () => (await hub.entries()).filter(({ outcome }) => outcome === "refused");
    expect(await refused()).toHaveLength(5);
    await hub.clock.advance(3_600_000);
    await hub.operators.refused.sweep();
    expect((await refused()).at(-1)).toMatchObject({ who: "(several)", counted: 20 });
  });
});

describe("sessions", () => {
  const me = (bearer: string) => hub.ask("GET", "/v1/operators/me", { bearer });

  test("a session ends when nobody uses it, after its life, and when its owner logs out", async () => {
    const bearer = await hub.person("ann", "viewer");
    for (let n = 0; n < 25; n += 1) {
      await hub.clock.advance(28 * 60_000);
      expect((await me(bearer)).status).toBe(200);
    }
    await hub.clock.advance(21 * 60_000);
    expect((await me(bearer)).status).toBe(401);

    const idle = await hub.logIn("ann");
    await hub.clock.advance(31 * 60_000);
    expect((await me(idle)).status).toBe(401);

    const left = await hub.logIn("ann");
    expect((await hub.ask("POST", "/v1/sessions/end", { bearer: left })).status).toBe(200);
    expect((await me(left)).status).toBe(401);
  });

  test.each([
    ["password", { password: "another long password" }],
    ["role", { role: "operator" }],
    ["disable", undefined],
  ])("all sessions of an account end with a change by %s", async (verb, body) => {
    const bearer = await hub.person("ann", "viewer");
    const admin = { bearer: BOOTSTRAP_TOKEN, ...(body === undefined ? {} : { body }) };
    expect((await hub.ask("POST", `/v1/operators/ann/${verb}`, admin)).status).toBe(200);
    expect((await me(bearer)).status).toBe(401);
  });

  test("of the secret of a session, a token and a password only a hash is stored", async () => {
    const bearer = await hub.person("ann", "operator");
    const body = { name: "ci", role: "viewer" };
    const made = await hub.ask("POST", "/v1/operators/ann/tokens", { bearer, body });
    const secrets = [bearer, String(made.body["token"])].map((text) => text.split(".").at(-1) ?? "");
    for (const secret of [...secrets, PASSWORD]) {
      expect(secret.length).toBeGreaterThan(12);
      expect(await hub.dump()).not.toContain(secret);
    }
    expect(await hub.dump()).toContain("$argon2id$v=19$m=19456,t=2,p=1$");
  });
});

describe("API tokens", () => {
  const tokenOf = async (owner: string, bearer: string, role: string) =>
    hub.ask("POST", `/v1/operators/${owner}/tokens`, { bearer, body: { name: "ci", role, days: 10 } });

  test("a token does what its role allows, no more than its owner's, and for as long as it was made for", async () => {
    const bearer = await hub.person("otto", "operator");
    expect(await tokenOf("otto", bearer, "admin")).toMatchObject({ status: 403, body: { path: "role" } });
    const made = await tokenOf("otto", bearer, "operator");
    const token = String(made.body["token"]);
    const unblock = () =>
      hub.ask("POST", "/v1/pre-authorised-code/revoke", { bearer: token, body: { userId: "nobody" } });
    expect((await unblock()).status).toBe(404);
    await hub.operators.store.transaction((within) => hub.operators.accounts.setRole(within, "otto", "viewer"));
    expect((await unblock()).status).toBe(403);
    expect((await hub.ask("GET", "/v1/terminals", { bearer: token })).status).toBe(200);
    await hub.clock.advance(10 * 24 * 3_600_000);
    expect((await hub.ask("GET", "/v1/terminals", { bearer: token })).status).toBe(401);
  });

  test("a token makes no token, no account and no password, even an admin's", async () => {
    const bearer = await hub.person("ada", "admin");
    const token = String((await tokenOf("ada", bearer, "admin")).body["token"]);
    const tries: readonly [string, object][] = [
      ["/v1/operators/ada/tokens", { name: "more", role: "viewer" }],
      ["/v1/operators", { name: "eve", role: "admin", password: PASSWORD }],
      ["/v1/operators/ada/password", { password: PASSWORD, current: PASSWORD }],
      ["/v1/operators/ada/disable", {}],
    ];
    for (const [url, body] of tries)
      expect(await hub.ask("POST", url, { bearer: token, body })).toMatchObject({
        status: 403,
        body: { message: expect.stringContaining("a person") },
      });
  });

  test("a revoked token and one of a disabled owner are refused; the list shows what a token begins with", async () => {
    const bearer = await hub.person("ada", "admin");
    await hub.add("ben", "viewer");
    const first = String((await tokenOf("ada", bearer, "viewer")).body["token"]);
    const { body } = await hub.ask("GET", "/v1/operators/ada/tokens", { bearer });
    expect(body["tokens"]).toMatchObject([{ name: "ci", role: "viewer", shownId: first.slice(0, 20) }]);
    await hub.ask("POST", "/v1/operators/ada/tokens/ci/revoke", { bearer });
    expect((await hub.ask("GET", "/v1/terminals", { bearer: first })).status).toBe(401);
    const second = String((await tokenOf("ben", bearer, "viewer")).body["token"]);
    expect((await hub.ask("GET", "/v1/terminals", { bearer: second })).status).toBe(200);
    await hub.ask("POST", "/v1/operators/ben/disable", { bearer });
    await hub.ask("POST", "/v1/operators/ben/enable", { bearer });
    expect((await hub.ask("GET", "/v1/terminals", { bearer: second })).status).toBe(401);
  });

  test("nobody but an admin sees or makes another's", async () => {
    const bearer = await hub.person("otto", "operator");
    await hub.add("ada", "admin");
    expect((await hub.ask("GET", "/v1/operators/ada/tokens", { bearer })).status).toBe(403);
    expect((await tokenOf("ada", bearer, "viewer")).status).toBe(403);
  });
});

describe("accounts", () => {
  test("the last admin who can log in stays one", async () => {
    const bearer = await hub.person("ada", "admin");
    for (const [verb, body] of [
      ["disable", undefined],
      ["role", { role: "viewer" }],
    ] as const)
      expect(
        await hub.ask("POST", `/v1/operators/ada/${verb}`, { bearer, ...(body === undefined ? {} : { body }) }),
      ).toMatchObject({ status: 409, body: { code: "E_STATE" } });
    await hub.add("second", "admin");
    expect((await hub.ask("POST", "/v1/operators/ada/disable", { bearer })).status).toBe(200);
  });

  test.each([
    ["short", "at least 12 characters"],
    ["annabelle-marie", "not the name"],
  ])("the password %s is refused by name, and not repeated", async (password, why) => {
    const body = { name: "annabelle-marie", role: "viewer", password };
    const refused = await hub.ask("POST", "/v1/operators", { bearer: BOOTSTRAP_TOKEN, body });
    expect(refused).toMatchObject({ status: 400, body: { path: "password", message: `password: ${why}` } });
  });

  test("one's own password changes only with the present one", async () => {
    const bearer = await hub.person("ann", "viewer");
    const set = (current: string) =>
      hub.ask("POST", "/v1/operators/ann/password", { bearer, body: { password: "another long password", current } });
    expect(await set("a guess of the password")).toMatchObject({ status: 403, body: { path: "current" } });
    expect((await set(PASSWORD)).status).toBe(200);
    await expect(hub.logIn("ann")).rejects.toThrow(/E_DENIED/);
    expect(await hub.logIn("ann", "another long password")).toMatch(/^tws\./);
  });
});
