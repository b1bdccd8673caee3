/** Who a terminal is, over real TLS: every certificate that is not its own, in force and in good standing is refused. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SETTLED_MS, WATCH_MS } from "../../hub/clone-watch.ts";
import { ALARM_AT } from "../../hub/refusals.ts";
import { CERTIFICATE_PATH, ENROL_PATH, upTopic } from "../../wire/topics.ts";
import { IdentityHub, type Known, onlineOf, type Shown } from "./identity-hub.ts";
import { newAuthority } from "./uplink-hub.ts";

const DAY_MS = 86_400_000;

let hub: IdentityHub;
beforeAll(async () => {
  hub = await new IdentityHub().start();
});
afterAll(() => hub[Symbol.asyncDispose]());

const refused = (shown: Shown | undefined, clientId = "T1") =>
  hub.mqtt(clientId, shown).then(
    ({ client }) => {
      client.end(true);
      return "connected";
    },
    (error: Error) => error.message,
  );
/** Of an operation that may end with its connection. */
const statusOf = (answer: Promise<{ status: number }>) => answer.then(({ status }) => status).catch(() => "broken");
async function withSession<T>(known: Known, use: (session: Awaited<ReturnType<IdentityHub["mqtt"]>>) => Promise<T>) {
  const session = await (await hub.mqtt(known.terminal.terminalId, known.shown)).listen();
  try {
    return await use(session);
  } finally {
    session.client.end(true);
  }
}

test("a terminal with its certificate is heard both ways; with none it is refused both ways, and may see that the hub serves", async () => {
  const known = await hub.enrol("own");
  await withSession(known, async (session) => {
    await session.say(onlineOf(known));
    await expect.poll(() => session.heard.map(({ type }) => type)).toEqual(["lease"]);
  });
  expect(await known.terminal.tell(known.terminal.advice("own-1"))).toMatchObject([{ status: "processed" }]);
  expect(await refused(undefined, "own")).toMatch(/Not authorized/);
  expect(await hub.send(onlineOf(known))).toMatchObject({ status: 401, body: { code: "E_DENIED" } });
  expect((await hub.renew("own")).status).toBe(401);
  expect((await hub.post("/v1/health", {})).status).toBe(404);
});

test("with another terminal's certificate nobody is that other terminal: not over MQTT, not over HTTPS, not to renew", async () => {
  const [one, other] = [await hub.enrol("foreign-1"), await hub.enrol("foreign-2")];
  expect(await refused(other.shown, "foreign-1")).toMatch(/Identifier rejected/);
  const batch = one.terminal.batch([one.terminal.advice("sale-1")]);
  expect(await hub.send(batch, other.shown)).toMatchObject({ status: 403, body: { code: "E_DENIED" } });
  expect((await hub.renew("foreign-1", { shown: other.shown })).status).toBe(403);
  expect(hub.refusals("foreign")).toMatchObject([{ source: "foreign-2" }, { source: "foreign-2" }]);
});

test("a certificate of an authority of somebody's own is refused, even where it has the hub's name", async () => {
  const known = await hub.enrol("T1");
  for (const name of ["CN=Mallory", "CN=Tillway hub authority"]) {
    const { key, certificate } = await (await newAuthority(name)).issueTerminal();
    const shown = { key, cert: certificate };
    expect(await refused(shown, "till-1")).toMatch(/Not authorized|closed/i);
    expect(["broken", 401]).toContain(await statusOf(hub.send(onlineOf(known), shown)));
    expect(["broken", 401]).toContain(await statusOf(hub.renew("till-1", { shown })));
  }
  // One of the hub's own authority that is not for a terminal.
  const pem = readFileSync(join(hub.dataDir, "tls", "server.pem"), "utf8");
  const server = { key: pem, cert: pem.slice(pem.indexOf("-----BEGIN CERT")) };
  expect(await refused(server, "T1")).toMatch(/Not authorized/);
  expect(await hub.send(onlineOf(known), server)).toMatchObject({ status: 401 });
  expect(hub.refusals("certificate").length).toBeGreaterThan(0);
});

test("a revoked terminal loses its session at once, is told that it has no lease, and can neither send nor renew", async () => {
  const known = await hub.enrol("revoked");
  const { terminal, shown } = known;
  await withSession(known, async (session) => {
    await session.say(onlineOf(known));
    await expect.poll(() => session.heard.length).toBe(1);
    expect((await hub.operate("revoke", "revoked")).status).toBe(200);
    await expect.poll(() => session.client.connected).toBe(false);
    expect(session.heard.at(-1)).toMatchObject({ type: "lease", body: { time: expect.anything() } });
    expect(session.heard.at(-1)?.body).not.toHaveProperty("lease");
  });
  expect(await refused(shown, "revoked")).toMatch(/Not authorized/);
  const [told] = hub.messages(await hub.send(onlineOf(known), shown));
  expect(told?.type === "lease" && told.body.lease).toBeUndefined();
  expect(await terminal.ask(terminal.request("sale-1"))).toMatchObject({ outcome: "declined", reason: "E_DENIED" });
  expect(await hub.send(terminal.batch([terminal.advice("sale-2")]), shown)).toMatchObject({ status: 403 });
  expect(await hub.renew("revoked", { shown })).toMatchObject({ status: 403, body: { code: "E_DENIED" } });
  await hub.operate("restore", "revoked");
  expect(await refused(shown, "revoked")).toBe("connected");
});

test("RM18 a certificate that has ended may send advices and be renewed, and nothing else; the renewed one may all", async () => {
  const known = await hub.enrol("late");
  const { terminal, shown } = known;
  await withSession(known, async (session) => {
    await session.say(onlineOf(known));
    hub.clock.setWall(hub.clock.now() + 91 * DAY_MS);
    session.client.publish(upTopic(session.terminalId, "health"), "{}", { qos: 1 });
    await expect.poll(() => session.client.connected).toBe(false);
  });
  expect(await refused(shown, "late")).toMatch(/Not authorized/);
  expect(await hub.send(onlineOf(known), shown)).toMatchObject({ status: 403, body: { code: "E_EXPIRED" } });
  expect(await hub.send(terminal.request("sale-1"), shown)).toMatchObject({ status: 403, body: { code: "E_EXPIRED" } });
  expect(await terminal.tell(terminal.advice("sale-2"))).toMatchObject([{ status: "processed" }]);
  const renewed = await hub.renew("late", { shown });
  expect(renewed.status).toBe(200);
  expect(await refused(renewed.shown, "late")).toBe("connected");
  expect(hub.messages(await hub.send(onlineOf(known), renewed.shown))).toMatchObject([{ type: "lease" }]);
});

test("a certificate whose successor is in use is refused, and whoever shows it is named as a clone", async () => {
  const known = await hub.enrol("copied");
  hub.messages(await hub.send(onlineOf(known), known.shown));
  const next = await hub.renew("copied", { shown: known.shown });
  // Nobody knows yet whether it arrived.
  hub.messages(await hub.send(onlineOf(known), known.shown));
  hub.messages(await hub.send(onlineOf(known), next.shown));
  expect(await hub.findings("copied")).toEqual([]);
  expect(await hub.send(onlineOf(known), known.shown)).toMatchObject({ status: 401 });
  expect(await refused(known.shown, "copied")).toMatch(/Not authorized/);
  expect((await hub.renew("copied", { shown: known.shown })).status).toBe(401);
  await hub.hub.core.idle();
  expect(await hub.findings("copied")).toMatchObject([{ kind: "clone", times: 3, epoch: known.terminal.epoch }]);
  expect(hub.messages(await hub.send(onlineOf(known), next.shown))).toMatchObject([{ type: "lease" }]);
});

test("a new enrolment closes the certificate before it, and a box that still shows that one is no clone", async () => {
  const known = await hub.enrol("again");
  hub.messages(await hub.send(onlineOf(known), known.shown));
  const anew = await hub.enrol("again");
  expect(await hub.send(onlineOf(known), known.shown)).toMatchObject({ status: 401 });
  expect(hub.messages(await hub.send(onlineOf(anew), anew.shown))).toMatchObject([{ type: "lease" }]);
  await hub.hub.core.idle();
  expect(await hub.findings("again")).toEqual([]);
});

test("two boxes that are connected at once are named, both sell on, and a terminal that only came back is not named", async () => {
  const known = await hub.enrol("twins");
  await withSession(known, async (first) => {
    await first.say(onlineOf(known));
    await withSession(known, async (second) => {
      await second.say(onlineOf(known));
      await hub.clock.advance(SETTLED_MS);
      await hub.hub.core.idle();
      expect(await hub.findings("twins")).toEqual([]);
      expect([first.client.connected, second.client.connected]).toEqual([true, true]);
      // Its connection is closed before it is answered.
      void first.say(onlineOf(known)).catch(() => undefined);
      await expect.poll(() => hub.findings("twins")).toMatchObject([{ kind: "clone", times: 1 }]);
      await expect.poll(() => first.client.connected).toBe(false);
      expect(second.client.connected).toBe(true);
      expect((await hub.view("twins"))?.presence?.status).toBe("online");
    });
  });
  const back = await hub.enrol("back");
  await withSession(back, async (lost) => {
    await withSession(back, async (anew) => {
      await hub.clock.advance(WATCH_MS);
      await expect.poll(() => lost.client.connected).toBe(false);
      expect(anew.client.connected).toBe(true);
    });
  });
  await hub.hub.core.idle();
  expect(await hub.findings("back")).toEqual([]);
});

test("a claim works once and for its time: each refusal is logged once, and one that is tried again and again is an alarm", async () => {
  const [used, expired] = [await hub.claim("claims"), await hub.claim("claims")];
  expect((await hub.post(ENROL_PATH, used)).status).toBe(200);
  for (let times = 0; times < ALARM_AT; times += 1)
    expect(await hub.post(ENROL_PATH, used)).toMatchObject({ status: 409, body: { code: "E_USED" } });
  expect(hub.refusals("claim")).toHaveLength(1);
  hub.clock.setWall(hub.clock.now() + 60_000);
  expect(await hub.post(ENROL_PATH, expired)).toMatchObject({ status: 410, body: { code: "E_EXPIRED" } });
  expect(await hub.post(ENROL_PATH, { ...expired, secret: "x".repeat(43) })).toMatchObject({ status: 401 });
  expect(hub.refusals("claim", "error")).toMatchObject([{ times: ALARM_AT }]);
});

test("a terminal that tries the topics of others is refused each time, logged once, and an alarm when it goes on", async () => {
  const [one, victim] = [await hub.enrol("nosy"), await hub.enrol("victim")];
  await withSession(one, async (session) => {
    for (const filter of ["tillway/v1/victim/down/+", "tillway/v1/+/down/+", "#"])
      await expect(session.client.subscribeAsync(filter, { qos: 1 })).rejects.toThrow();
    for (let times = 0; times < ALARM_AT; times += 1)
      await session.say(onlineOf(victim), upTopic(victim.terminal.terminalId, "presence"));
    // In the victim's name on its own topic.
    await session.say(onlineOf(victim), upTopic(session.terminalId, "presence"));
    expect(session.client.connected).toBe(true);
    expect(session.heard).toEqual([]);
  });
  expect((await hub.view("victim"))?.lastSeenAt).toBeUndefined();
  expect(hub.refusals("topic")).toHaveLength(1);
  expect(hub.refusals("topic", "error")).toMatchObject([{ source: "nosy", times: ALARM_AT }]);
});

test("the same key gets the same certificate until it is used, and a request with a wrong signature gets none", async () => {
  const known = await hub.enrol("renewing");
  const { csr } = await hub.claim("renewing");
  const ask = () => hub.post(CERTIFICATE_PATH, { terminalId: "renewing", csr }, { shown: known.shown });
  const first = await ask();
  expect(first.status).toBe(200);
  expect((await ask()).body).toEqual(first.body);
  const forged = `${csr.slice(0, -8)}AAAAAA==`;
  const answer = await hub.post(CERTIFICATE_PATH, { terminalId: "renewing", csr: forged }, { shown: known.shown });
  expect(answer).toMatchObject({ status: 400, body: { code: "E_FORMAT", path: "csr" } });
});
