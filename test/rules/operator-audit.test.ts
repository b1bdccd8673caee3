/** The audit log of what operators do: whole, in one transaction with what it tells of, and free of secrets. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Operators } from "../../hub/core/operators/index.ts";
import { sql } from "../../hub/store/store.ts";
import { sweepForCardNumbers } from "../tidy/pan-sweep.ts";
import { TEST_EXPIRY, TEST_PAN } from "./hub-fixture.ts";
import { BOOTSTRAP_TOKEN, isRevoked, type OperatorHub, operatorHub, PASSWORD } from "./operators-fixture.ts";

let hub: OperatorHub;
beforeEach(async () => {
  hub = await operatorHub();
});

const oldest = (limit: number) => hub.hub.store.read((reading) => hub.operators.audit.after(reading, 0, limit));
/** As whoever can write the database would. */
const spoil = (text: string) => hub.hub.store.transaction((within) => within.run(sql<[]>(text), []));
const asAdmin = (url: string, body?: object) =>
  hub.ask("POST", url, { bearer: BOOTSTRAP_TOKEN, ...(body === undefined ? {} : { body }) });
const revoke = (why: string) => asAdmin("/v1/terminals/T1/revoke", { by: "ann", why });
const restore = () => asAdmin("/v1/terminals/T1/restore", { by: "ann", why: "found" });

describe("what is in it", () => {
  test("each change is there with who, how, from where, what it named and how it ended; looking is not", async () => {
    await hub.ask("GET", "/v1/terminals", { bearer: BOOTSTRAP_TOKEN });
    await revoke("lost");
    await asAdmin("/v1/findings/7/close", { by: "ann", why: "seen" });
    expect(await hub.entries()).toEqual([
      {
        at: new Date(hub.clock.now()).toISOString(),
        action: "POST /v1/terminals/:id/revoke",
        who: "bootstrap",
        role: "admin",
        by: "bootstrap",
        address: "127.0.0.1",
        named: { id: "T1", by: "ann", why: "lost" },
        outcome: "done",
        status: 200,
      },
      expect.objectContaining({
        action: "POST /v1/findings/:number/close",
        named: { number: "7" },
        outcome: "refused",
        status: 404,
      }),
    ]);
  });

  test("work in several steps is there before its first step, and its outcome after its last", async () => {
    await asAdmin("/v1/keys/sealing/prune");
    expect(await hub.entries()).toMatchObject([{ outcome: "begun" }, { outcome: "done", of: 1 }]);
  });

  test("what follows from a change, and goes wrong, leaves its success alone: it was made", async () => {
    hub.renewal.one = () => {
      throw new Error("planted");
    };
    expect((await revoke("lost")).status).toBe(500);
    expect(await hub.entries()).toMatchObject([{ outcome: "done" }]);
    expect(await isRevoked(hub)).toBe(true);
  });

  test("entries of many at once are one chain", async () => {
    await Promise.all(["one", "two", "three", "four"].flatMap((why) => [revoke(why), restore()]));
    const { body } = await hub.ask("GET", "/v1/audit/verify", { bearer: BOOTSTRAP_TOKEN });
    expect(body).toEqual({ entries: 8, head: { number: 8, hash: expect.any(String) } });
  });

  test("entries of several replicas of the hub at the same time are one chain, which each of them finds whole", async () => {
    const replicas = [hub.operators];
    for (const seed of ["second", "third"]) replicas.push(hub.operatorsOver(await hub.anotherStore(), seed));
    const append = ({ store, audit }: Operators, who: string) =>
      store.transaction((within) => audit.append(within, { action: "x", who, outcome: "done" }));
    const numbers = await Promise.all(
      ["one", "two", "three", "four", "five"].flatMap((who) => replicas.map((replica) => append(replica, who))),
    );
    expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 15 }, (_, at) => at + 1));
    for (const { audit } of replicas)
      expect(await audit.verify()).toEqual({ entries: 15, head: { number: 15, hash: expect.any(String) } });
  });

  test("no password, bearer or card number is in it, wherever a person put it", async () => {
    const bearer = await hub.person("ada", "admin");
    const body = { pan: TEST_PAN, expiry: TEST_EXPIRY, balance: { minor: "1", currency: "EUR" }, name: TEST_PAN };
    await hub.ask("POST", "/v1/accounts", { bearer, body, key: "a-key-of-mine" });
    await hub.ask("POST", "/v1/sessions", { body: { name: TEST_PAN, password: PASSWORD } });
    const made = await hub.ask("POST", "/v1/operators/ada/tokens", { bearer, body: { name: "ci", role: "viewer" } });
    await asAdmin("/v1/operators", { name: "ben", role: "viewer", password: PASSWORD });
    await asAdmin("/v1/deny", { subject: { kind: "card", id: TEST_PAN }, why: `it is ${TEST_PAN}` });
    await revoke(`card 9999 9900 0000 0015 was used; ${"x".repeat(100)}`);
    await asAdmin(`/v1/terminals/${TEST_PAN}/revoke`, { by: TEST_PAN, why: "x" });
    const text = JSON.stringify(await oldest(1_000));
    expect((await hub.entries()).length).toBeGreaterThan(6);
    for (const secret of [PASSWORD, bearer, String(made.body["token"]), BOOTSTRAP_TOKEN]) {
      expect(text).not.toContain(secret);
      expect(text).not.toContain(secret.split(".").at(-1));
    }
    expect(sweepForCardNumbers(Buffer.from(text), [TEST_PAN])).toEqual([]);
    expect(text).not.toContain("9999 9900 0000 0015");
    expect(text).toContain("999999******0015");
  });
});

describe("whether it is whole", () => {
  const verify = (known = "") => hub.ask("GET", `/v1/audit/verify${known}`, { bearer: BOOTSTRAP_TOKEN });
  const HEAD = sql<[], { signature: string }>("SELECT signature FROM operators__audit_head");
  const headNow = async () => (await hub.hub.store.read((reading) => reading.get(HEAD, []))) ?? { signature: "" };
  const brokenBy = async (...texts: readonly string[]) => {
    for (const text of texts) await spoil(text);
    return (await verify()).body["firstBroken"];
  };
  beforeEach(async () => {
    for (const why of ["one", "two", "three"]) {
      await revoke(why);
      await restore();
    }
  });

  test("a log that nobody touched is whole, and names its head", async () => {
    const { body } = await verify();
    const [last] = await hub.hub.store.read((reading) => hub.operators.audit.before(reading, 100, 1));
    expect(body).toEqual({ entries: 6, head: { number: 6, hash: last?.hash } });
  });

  test("a changed entry is found", async () => {
    expect(
      await brokenBy(`UPDATE operators__audit SET text = replace(text, 'bootstrap', 'nobody') WHERE number = 3`),
    ).toMatchObject({ number: 3, why: expect.stringContaining("changed") });
  });

  test("an entry taken out is found, in the middle and at the end, also with the head set back", async () => {
    const [, , , , fifth] = await oldest(10);
    expect(await brokenBy("DELETE FROM operators__audit WHERE number = 6")).toMatchObject({ number: 6 });
    expect(await brokenBy(`UPDATE operators__audit_head SET number = 5, hash = '${fifth?.hash}'`)).toMatchObject({
      why: expect.stringContaining("signature"),
    });
    expect(await brokenBy("DELETE FROM operators__audit WHERE number = 2")).toBeDefined();
  });

  test("entries in another order are found", async () => {
    expect(
      await brokenBy(
        "UPDATE operators__audit SET number = -2 WHERE number = 2",
        "UPDATE operators__audit SET number = 2 WHERE number = 4",
        "UPDATE operators__audit SET number = 4 WHERE number = -2",
      ),
    ).toMatchObject({ number: 2 });
  });

  test("an entry put behind the head is found", async () => {
    expect(await brokenBy("INSERT INTO operators__audit VALUES (7, '{}', 'x')")).toMatchObject({ number: 7 });
  });

  test("a log set back as a whole is found by who noted its head", async () => {
    const { body } = await verify();
    const { number, hash } = body["head"] as { number: number; hash: string };
    const { signature } = await headNow();
    await revoke("four");
    expect((await verify(`?known=${number}:${hash}`)).body["firstBroken"]).toBeUndefined();
    expect((await verify(`?known=${number}:${"0".repeat(64)}`)).body["firstBroken"]).toMatchObject({ number });
    const { body: later } = await verify();
    const newer = later["head"] as { number: number; hash: string };
    await spoil("DELETE FROM operators__audit WHERE number > 6");
    await spoil(`UPDATE operators__audit_head SET number = ${number}, hash = '${hash}', signature = '${signature}'`);
    expect((await verify()).body["firstBroken"]).toBeUndefined();
    expect((await verify(`?known=${newer.number}:${newer.hash}`)).body["firstBroken"]).toMatchObject({ number: 7 });
  });

  test("only an admin reads it", async () => {
    const bearer = await hub.person("otto", "operator");
    expect((await hub.ask("GET", "/v1/audit", { bearer })).status).toBe(403);
    const { body } = await hub.ask("GET", "/v1/audit?limit=2&order=oldest-first", { bearer: BOOTSTRAP_TOKEN });
    expect(body).toMatchObject({ entries: [{ number: 1 }, { number: 2 }], cursor: "2" });
  });
});
