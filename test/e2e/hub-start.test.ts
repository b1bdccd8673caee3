/** The hub's start where its machine is not as usual: another address, a data folder that cannot be used. */
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Clock, ManualClock, systemClock } from "../../base/clock.ts";
import { systemRandom } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { HubConfigSchema } from "../../hub/config.ts";
import { hubPaths, startHub } from "../../hub/main.ts";
import { localUrl, operatorClient } from "../../hub/operator-client.ts";

const DAY_MS = 86_400_000;
let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "tillway-start-"));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const start = (host: string, clock: Clock = systemClock) =>
  startHub({
    clock,
    config: HubConfigSchema.parse({ dataDir, listen: { host, httpsPort: 0, mqttPort: 0 } }),
    log: silentLog,
  });

test.each(["127.0.0.2", "0.0.0.0", "127.0.0.1"])(
  "the operator's commands reach a hub that listens on %s, which its certificate need not name",
  async (host) => {
    const hub = await start(host);
    const { operatorToken, caCertificate } = hubPaths(dataDir);
    const [bearer, ca] = [readFileSync(operatorToken, "utf8"), readFileSync(caCertificate, "utf8")];
    const url = localUrl(host, hub.endpoints.httpsPort);
    const client = operatorClient({ url, bearer, ca, random: systemRandom, clock: systemClock });
    try {
      expect(await client.get("/v1/terminals")).toEqual({ terminals: [] });
    } finally {
      await hub.drain(AbortSignal.timeout(10_000));
    }
  },
);

test("a data folder that cannot be used is one refusal that names it, and its lock is given back", async () => {
  writeFileSync(join(dataDir, "tls"), "a file where a folder should be");
  const refusal = { code: "store.failed", message: expect.stringContaining(dataDir) };
  await expect(start("127.0.0.1")).rejects.toMatchObject(refusal);
  await expect(start("127.0.0.1")).rejects.toMatchObject(refusal);
  rmSync(join(dataDir, "tls"));
  mkdirSync(join(dataDir, "pid"), { recursive: true });
  await expect(start("127.0.0.1")).rejects.toMatchObject(refusal);
});

async function servedUntil(port: number): Promise<number> {
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { valid_to: until } = socket.getPeerCertificate();
  socket.destroy();
  return Date.parse(until);
}

test("a hub that runs for longer than its certificate serves a new one in time, without a restart", async () => {
  const clock = new ManualClock();
  const hub = await start("127.0.0.1", clock);
  const { httpsPort, mqttPort } = hub.endpoints;
  try {
    const first = await servedUntil(httpsPort);
    expect(await servedUntil(mqttPort)).toBe(first);
    clock.setWall(first - 20 * DAY_MS);
    await clock.advance(DAY_MS);
    for (const port of [httpsPort, mqttPort]) {
      await expect.poll(() => servedUntil(port), { timeout: 10_000 }).toBeGreaterThan(first + 300 * DAY_MS);
    }
  } finally {
    await hub.drain(AbortSignal.timeout(10_000));
  }
});

test.each(["token.key", "signing.key"])(
  "books that were restored without their %s are not gone on with under a new one, but with the old one again",
  async (name) => {
    const stop = async (hub: Awaited<ReturnType<typeof start>>) => await hub.drain(AbortSignal.timeout(10_000));
    await stop(await start("127.0.0.1"));
    const path = join(hubPaths(dataDir).keys, name);
    const kept = readFileSync(path);
    rmSync(path);
    const refusal = { code: "identity.invalid", message: expect.stringContaining(`restore keys/${name}`) };
    await expect(start("127.0.0.1")).rejects.toMatchObject(refusal);
    await expect(start("127.0.0.1")).rejects.toMatchObject(refusal);
    writeFileSync(path, kept);
    await stop(await start("127.0.0.1"));
  },
);
