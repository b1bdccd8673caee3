import { expect, onTestFinished, test } from "vitest";
import { Credential } from "../../agent/uplink/credential.ts";
import { HttpsUplink } from "../../agent/uplink/https-uplink.ts";
import { untilState } from "../../agent/uplink/link-events.ts";
import { systemClock } from "../../base/clock.ts";
import { silentLog } from "../../base/log.ts";
import type { UpEnvelope } from "../../wire/envelope.ts";
import { EPOCH, TERMINAL } from "../rules/lease-fixture.ts";
import { LOOPBACK, newAuthority, TestHub } from "./uplink-hub.ts";

const presence: UpEnvelope = {
  v: 1,
  id: "0".repeat(24),
  terminalId: TERMINAL,
  epoch: EPOCH,
  sequence: 0,
  sentAt: new Date(0).toISOString(),
  type: "presence",
  body: { status: "online", version: "test", clock: new Date(0).toISOString() },
};

async function world() {
  const authority = await newAuthority();
  const server = await new TestHub().start(await authority.issue(LOOPBACK));
  onTestFinished(() => server[Symbol.asyncDispose]());
  const uplink = new HttpsUplink({
    caCertificate: authority.certificate,
    credential: new Credential(await authority.issueTerminal()),
    clock: systemClock,
    chance: () => 0,
    log: silentLog,
    url: `https://127.0.0.1:${server.httpsPort}`,
    probe: () => presence,
  });
  onTestFinished(() => uplink[Symbol.asyncDispose]());
  return { server, uplink };
}

test("an answer over HTTPS that comes after this way was given up does not show it as up", async () => {
  const { server, uplink } = await world();
  const ending = new AbortController();
  const limit = AbortSignal.timeout(10_000);
  const run = uplink.run(ending.signal);
  await untilState(uplink, "up", limit);
  server.reply = () => {
    ending.abort();
    return [];
  };
  await uplink.send(presence, limit);
  await run;
  expect(uplink.state).toBe("down");
});

test.each([
  [429, "uplink.timeout"],
  [503, "uplink.timeout"],
  [400, "message.invalid"],
])("an answer %i means %s: a message is set aside only for what is wrong with it", async (status, code) => {
  const { server, uplink } = await world();
  server.refusing = status;
  await expect(uplink.send(presence, AbortSignal.timeout(10_000))).rejects.toMatchObject({ code });
});

test("a message that the hub has no time for is sent again when the hub says, and the link stays up", async () => {
  const { server, uplink } = await world();
  const limit = AbortSignal.timeout(10_000);
  await uplink.send(presence, limit);
  const states: string[] = [];
  uplink.onState((state) => states.push(state));
  server.busy = 1;
  await uplink.send(presence, limit);
  expect(server.received).toHaveLength(2);
  server.busy = 2;
  await expect(uplink.send(presence, limit)).rejects.toMatchObject({ code: "uplink.timeout" });
  expect(server).toMatchObject({ busy: 0, received: { length: 2 } });
  expect([uplink.state, states]).toEqual(["up", []]);
});

test("a message that waited for a connection and was cut off behind its last byte may have reached the hub", async () => {
  const { server, uplink } = await world();
  const CONNECTIONS = 8;
  server.reply = ({ sequence }) => {
    if (sequence === CONNECTIONS) for (const socket of server.sockets) socket.destroy();
    return [];
  };
  const limit = AbortSignal.timeout(10_000);
  const sent = Array.from({ length: CONNECTIONS + 1 }, (_, sequence) => uplink.send({ ...presence, sequence }, limit));
  const [last] = (await Promise.allSettled(sent)).slice(CONNECTIONS);
  expect(last).toMatchObject({ status: "rejected", reason: { code: "uplink.timeout" } });
});
