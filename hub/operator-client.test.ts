import type { ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { ManualClock } from "../base/clock.ts";
import { systemRandom } from "../base/ids.ts";
import { LOOPBACK, newAuthority } from "../test/e2e/uplink-hub.ts";
import { operatorClient, pages } from "./operator-client.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A hub's door that answers as told, and a client before it whose time the test tells. */
async function door(answer: (url: string, response: ServerResponse, clock: ManualClock) => Promise<void> | void) {
  const authority = await newAuthority();
  const clock = new ManualClock();
  const server = createServer(await authority.issue(LOOPBACK), (request, response) => {
    request.resume();
    request.on("end", () => void answer(request.url ?? "", response, clock));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return operatorClient({ url, bearer: "b", ca: authority.certificate, random: systemRandom, clock });
}

test("a listing lasts for as long as its pages take: each has its time, and so has who reads them", async () => {
  const seconds: number[] = [];
  const client = await door(async (url, response, clock) => {
    await clock.advance(9_000);
    seconds.push(clock.monotonic() / 1_000);
    const next = seconds.length < 4 ? { cursor: `c${seconds.length}` } : {};
    response.end(JSON.stringify({ terminals: [{ url }], ...next }));
  });
  const urls: unknown[] = [];
  for await (const { url } of pages(client, "/v1/terminals?only=open", "terminals")) urls.push(url);
  expect(urls).toEqual(
    ["", "&cursor=c1", "&cursor=c2", "&cursor=c3"].map((cursor) => `/v1/terminals?only=open&limit=100${cursor}`),
  );
  expect(seconds).toEqual([9, 18, 27, 36]);
});

test("a hub that does not answer is named after ten seconds, later where it has much to look at", async () => {
  let asked = Promise.withResolvers<ManualClock>();
  const client = await door((_url, _response, clock) => asked.resolve(clock));
  const listing = expect(client.get("/v1/terminals")).rejects.toMatchObject({
    code: "uplink.timeout",
    message: expect.stringMatching(/^the hub at \S+ did not answer within 10 s$/),
  });
  await (await asked.promise).advance(10_000);
  await listing;

  asked = Promise.withResolvers();
  const verifying = expect(client.get("/v1/audit/verify", 60_000)).rejects.toThrow("within 60 s");
  const clock = await asked.promise;
  await clock.advance(59_000);
  expect(clock.monotonic()).toBe(69_000);
  await clock.advance(1_000);
  await verifying;

  asked = Promise.withResolvers();
  const settling = expect(client.post("/v1/settlement", {})).rejects.toThrow(
    /within 10 s; it may have been done: look before you do it again$/,
  );
  await (await asked.promise).advance(10_000);
  await settling;
});

const LOOK = "it may have been done: look before you do it again";

test.each([
  ["in the middle of its answer", (response: ServerResponse) => response.write('{"settled":')],
  ["before its answer", () => undefined],
])("a hub that is gone %s leaves nobody waiting, and says that a request may have been done", async (_when, begin) => {
  const client = await door((_url, response) => {
    response.setHeader("content-length", 100);
    begin(response);
    setImmediate(() => response.destroy());
  });
  const told = /^the hub at \S+ ended before it had answered \([^)]+\)/;
  await expect(client.post("/v1/settlement", {})).rejects.toMatchObject({
    code: "uplink.down",
    message: expect.stringMatching(new RegExp(`${told.source}; ${LOOK}$`)),
  });
  await expect(client.get("/v1/terminals")).rejects.toThrow(new RegExp(`${told.source}$`));
});

test("an answer without an end is refused as such", async () => {
  const client = await door((_url, response) => void response.end(Buffer.alloc(9_000_000, " ")));
  await expect(client.get("/v1/terminals")).rejects.toThrow("an answer of more than 8388608 bytes");
});

test("a hub that is not there is told as such", async () => {
  const { certificate: ca } = await newAuthority();
  const client = operatorClient({ url: "https://127.0.0.1:1", ca, random: systemRandom, clock: new ManualClock() });
  await expect(client.post("/v1/settlement", {})).rejects.toThrow(
    /^the hub at https:\/\/127\.0\.0\.1:1 cannot be reached: [^;]+; start it first$/,
  );
});
