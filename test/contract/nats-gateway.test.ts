/** Terminals behind a real nats-server: what they may, what comes back, and what a hub that was away finds. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import type { PaymentId } from "../../base/ids.ts";
import { money } from "../../base/money.ts";
import { shownUntil } from "../../hub/nats/shown-certificate.ts";
import { natsMissing } from "../../scripts/lib/nats.ts";
import { toWireMoney } from "../../wire/common.ts";
import { downFilter, upTopic } from "../../wire/topics.ts";
import { newAuthority } from "../e2e/uplink-hub.ts";
import { TERMINAL } from "../rules/lease-fixture.ts";
import { type Known, type Line, NatsStand } from "./nats-stand.ts";

const missing = natsMissing();
let stand: NatsStand;

beforeAll(async () => {
  if (missing !== undefined) return;
  stand = new NatsStand();
  await stand.start();
});
afterAll(async () => {
  await stand?.[Symbol.asyncDispose]();
});
beforeEach(({ skip }) => skip(missing !== undefined, `not run: ${missing}`));

const online = (known: Known) => {
  const head = known.terminal.head();
  return { ...head, type: "presence" as const, body: { status: "online" as const, version: "1", clock: head.sentAt } };
};
const eventually = async (what: string, holds: () => Promise<boolean> | boolean): Promise<void> => {
  await expect.poll(holds, { timeout: 20_000, message: what }).toBe(true);
};
const granted = async (line: Line, filter: string, qos: 0 | 1 = 0): Promise<boolean> =>
  await line.client.subscribeAsync(filter, { qos }).then(
    ([grant]) => grant?.qos === qos,
    () => false,
  );

describe("a terminal that is enrolled", () => {
  test("hears its lease, the answer to its request and the receipt of its batch, and is shown as connected", async () => {
    const known = await stand.enrol("N1");
    const line = await stand.online(known);
    await line.say(online(known));
    expect((await line.first("lease")).terminalId).toBe("N1");
    await line.say(known.terminal.request("n1-online"));
    expect((await line.first("authorisation.response")).body).toMatchObject({ paymentId: "n1-online", attempt: 1 });
    await line.say(known.terminal.batch([known.terminal.advice("n1-offline")]));
    expect((await line.first("receipt")).body.results).toMatchObject([{ status: "processed" }]);
    const { store, terminals } = stand.hub.core;
    const view = await store.read((reading) => terminals.get(reading, "N1"));
    expect(view?.presence?.status).toBe("online");
    expect(await stand.connected()).toBe(1);
    await line.client.endAsync();
  });

  test("is known by certificate and login together: one without the other is refused", async () => {
    const known = await stand.enrol("N2");
    const { key, cert, login } = known.credentials;
    if (!login) throw new Error("no login was given");
    await expect(stand.connect(known, { login })).rejects.toThrow();
    await expect(stand.connect(known, { key, cert })).rejects.toThrow(/Not authorized/);
    const forged = { ...login, password: `${login.password.slice(0, -4)}AAAA` };
    await expect(stand.connect(known, { key, cert, login: forged })).rejects.toThrow(/Not authorized/);
  });

  test("is refused with a certificate of another authority, though its login is good", async () => {
    const known = await stand.enrol("N11");
    const { key, certificate: cert } = await (await newAuthority()).issueTerminal();
    await expect(stand.connect(known, { ...known.credentials, key, cert })).rejects.toThrow();
  });

  test("speaks with another's login as that other alone, books nothing in his name, and is thrown out when he is revoked", async () => {
    const [thief, other] = [await stand.enrol("N12"), await stand.enrol("N13")];
    const line = await stand.connect(other, { ...thief.credentials, login: other.credentials.login });
    expect(await granted(line, downFilter(thief.terminal.terminalId))).toBe(false);
    expect(await granted(line, downFilter(other.terminal.terminalId))).toBe(true);
    const forged = thief.terminal.batch([thief.terminal.advice("n12-stolen")]);
    if (forged.type !== "advice.batch") throw new Error("it tells");
    const unsigned = await stand.refused("signature");
    await line.say({ ...forged, terminalId: other.terminal.terminalId });
    await eventually("a refusal", async () => (await stand.refused("signature")) === unsigned + 1);
    expect(line.heard).toEqual([]);
    await stand.operate("revoke", "N13");
    await line.closed;
    await expect(stand.connect(other, { ...thief.credentials, login: other.credentials.login })).rejects.toThrow(
      /Not authorized/,
    );
  });

  test("hears no other's topics, nor what the brokers say among themselves", async () => {
    const line = await stand.online(await stand.enrol("N3"));
    const foreign = [downFilter("N1" as Known["terminal"]["terminalId"]), "#", "tillway/v1/+/down/+", "$MQTT/#"];
    for (const filter of [...foreign, "$MQTT/sub/#", "$MQTT/msgs/#", "$JS/#", "$SYS/#", "_INBOX/#"])
      expect(await granted(line, filter), filter).toBe(false);
    expect(await granted(line, downFilter(line.terminalId))).toBe(true);
    await line.client.endAsync();
  });

  test("is not heard in another's name, on his topic or on its own", async () => {
    const [thief, other] = [await stand.enrol("N4"), await stand.enrol("N5")];
    const line = await stand.online(thief);
    const malformed = await stand.refused("malformed");
    await line.say(online(other), upTopic(other.terminal.terminalId, "presence"));
    await line.say(online(other), upTopic(thief.terminal.terminalId, "presence"));
    await line.say(online(thief), upTopic(thief.terminal.terminalId, "health"));
    await eventually("two refusals", async () => (await stand.refused("malformed")) === malformed + 2);
    const view = (id: string) => stand.hub.core.store.read((reading) => stand.hub.core.terminals.get(reading, id));
    expect((await view("N4"))?.lastSeenAt).toBeUndefined();
    expect((await view("N5"))?.lastSeenAt).toBeUndefined();
    await line.client.endAsync();
  });

  test("what is no envelope is refused once and not given again", async () => {
    const known = await stand.enrol("N6");
    const line = await stand.online(known);
    const malformed = await stand.refused("malformed");
    await line.client.publishAsync(upTopic(known.terminal.terminalId, "advice"), "no envelope", { qos: 1 });
    await line.say(known.terminal.batch([known.terminal.advice("n6-offline")]));
    expect((await line.first("receipt")).body.results).toMatchObject([{ status: "processed" }]);
    expect(await stand.refused("malformed")).toBe(malformed + 1);
    await line.client.endAsync();
  });

  test("has no login where MQTT topics there cannot hold its id", async () => {
    expect((await stand.enrol("N.7")).credentials.login).toBeUndefined();
  });
});

test("until when the certificate is good that a server shows terminals can be seen without one of one's own", async () => {
  const look = {
    host: "127.0.0.1",
    port: stand.broker.mqttPort,
    clock: systemClock,
    signal: AbortSignal.timeout(20_000),
  };
  const left = (await shownUntil(look)) - systemClock.now();
  expect(Math.ceil(left / 86_400_000)).toBe(397);
});

test("a terminal that is revoked is thrown out at once and not let in again until it is restored", async () => {
  const known = await stand.enrol("N8");
  const line = await stand.online(known);
  await stand.operate("revoke", "N8");
  await line.closed;
  await expect(stand.connect(known, known.credentials)).rejects.toThrow(/Not authorized/);
  await stand.operate("restore", "N8");
  await eventually("to be let in again", () =>
    stand.connect(known, known.credentials).then(
      ({ client }) => client.endAsync().then(() => true),
      () => false,
    ),
  );
});

test("the login of a box that was stolen is refused again once the restored terminal is enrolled on another box", async () => {
  const stolen = await stand.enrol("N8b");
  const isLetIn = () =>
    stand.connect(stolen, stolen.credentials).then(
      ({ client }) => client.endAsync().then(() => true),
      () => false,
    );
  await stand.operate("revoke", "N8b");
  await eventually("to be refused", async () => !(await isLetIn()));
  await stand.operate("restore", "N8b");
  await eventually("to be let in again", isLetIn);
  const line = await stand.online(await stand.enrol("N8b"));
  await eventually("to be refused for good", async () => !(await isLetIn()));
  expect(line.client.connected).toBe(true);
  await line.client.endAsync();
});

test("what came while no hub was there is taken by the next one, and a repeat of it is known", async () => {
  const known = await stand.enrol("N9");
  const line = await stand.online(known);
  const batch = known.terminal.batch([known.terminal.advice("n9-while-away")]);
  await stand.stopHub();
  await line.say(batch);
  await stand.startHub();
  expect((await line.first("receipt")).body.results).toMatchObject([{ status: "processed" }]);
  line.heard.length = 0;
  await line.say(batch);
  expect((await line.first("receipt")).body.results).toMatchObject([{ status: "duplicate" }]);
  await line.client.endAsync();
});

test("an agent whose hub is gone behind a broker that lives: one request waits, the next do not, and the hub is found again", async () => {
  await using stack = new AsyncDisposableStack();
  const { hub } = stack.use(await stand.agentLink(TERMINAL));
  const ask = (id: string) =>
    hub.authorise(refundOf(id), 1, new AbortController().signal).then(
      ({ outcome }) => outcome,
      (error: unknown) => (isFault(error) ? error.code : error),
    );
  await eventually("an answer", async () => (await ask("n14-first")) === "declined");
  await stand.stopHub();
  expect(await ask("n14-lost")).toBe("uplink.timeout");
  const from = performance.now();
  expect(await ask("n14-next")).toBe("uplink.down");
  expect(performance.now() - from).toBeLessThan(1_000);
  expect(hub).toMatchObject({ state: "down", silent: true });
  await stand.startHub();
  await eventually("the hub to be heard", () => hub.state === "up");
  expect(await ask("n14-again")).toBe("declined");
});
const refundOf = (id: string) => ({
  paymentId: id as PaymentId,
  attempt: 1,
  kind: "refund" as const,
  amount: toWireMoney(money(500n, "EUR")),
  originalPaymentId: "never-sold" as PaymentId,
});

test("a hub whose broker was killed and came back takes messages again", async () => {
  const known = await stand.enrol("N10");
  await stand.broker.kill();
  await stand.broker.restart();
  await eventually("a receipt", async () => {
    const line = await stand.online(known).catch(() => undefined);
    if (!line) return false;
    await line.say(known.terminal.batch([known.terminal.advice("n10-after")]));
    const { body } = await line.first("receipt");
    await line.client.endAsync();
    return body.results.length === 1;
  });
});
