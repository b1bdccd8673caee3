import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Clock, systemClock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import type { TerminalId } from "../base/ids.ts";
import type { Device, OpenDevice, PrinterStatus } from "../drivers/capability.ts";
import { newAuthority } from "../test/e2e/uplink-hub.ts";
import { newSigningKeys, privateKeyText, publicKeyText } from "../wire/signing.ts";
import { STATUS } from "./api/api-fixture.ts";
import { examine, findingText } from "./doctor.ts";
import { loadIdentityFile, storeIdentity } from "./identity.ts";

let folder: string;
let dataDir: string;
let configPath: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tillway-doctor-"));
  dataDir = mkdtempSync(join(folder, "data-"));
  configPath = join(folder, "agent.yaml");
});
afterEach(() => rmSync(folder, { recursive: true }));

const DEVICES = "devices: [{id: reader, uri: 'pcsc:*'}, {id: printer, uri: 'serial:/dev/ttyUSB9'}]";
function configure(extra = DEVICES) {
  writeFileSync(
    configPath,
    `dataDir: ${dataDir}\napi: {port: 0}\nsite: {merchantName: A, timeZone: UTC, currency: EUR}\n${extra}\n`,
  );
}

/** An identity that names a port of this machine as its hub. */
function enrolAt(port: number) {
  const sealing = generateKeyPairSync("x25519");
  const keys = newSigningKeys();
  storeIdentity(dataDir, {
    v: 1,
    terminalId: "till-1" as TerminalId,
    bearer: "b".repeat(40),
    caCertificate: "-----BEGIN CERTIFICATE-----",
    mqttUrl: `mqtts://127.0.0.1:${port}`,
    httpsUrl: `https://127.0.0.1:${port}`,
    hubSigningKey: publicKeyText(keys.publicKey),
    sealingKey: { keyId: "k1", publicKey: publicKeyText(sealing.publicKey) },
    cardTokenKey: Buffer.alloc(32, 7).toString("base64"),
    signingPrivateKey: privateKeyText(keys.privateKey),
  });
}

const HEALTHY: PrinterStatus = { online: true, paper: "ok", coverOpen: false };
function device(id: string, status: PrinterStatus = HEALTHY): Device {
  const printer = { status: () => Promise.resolve(status), print: () => Promise.reject(new Error("never printed on")) };
  return {
    id,
    lost: new AbortController().signal,
    description: `the ${id}`,
    capability: (name) => (id === "printer" && name === "receipt-printer" ? (printer as never) : undefined),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
const good: OpenDevice = ({ id }) => Promise.resolve(device(id));

async function lines(open: OpenDevice = good, env = {}, clock: Clock = systemClock): Promise<string[]> {
  const found: string[] = [];
  for await (const finding of examine({ configPath, env, clock, open })) found.push(findingText(finding));
  return found;
}

/** A port on which nothing listens any more. */
async function deadPort(): Promise<number> {
  const server = createServer();
  const port = await new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port)),
  );
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("a bad configuration is the first and last thing said", async () => {
  writeFileSync(configPath, "site: {}\nzebra: 1");
  const found = await lines();
  expect(found).toHaveLength(1);
  expect(found[0]).toMatch(/^FAIL config: .*agent\.yaml: key /);
});

test("planted: a missing reader is explained, the printer is fine", async () => {
  configure();
  const found = await lines((spec) =>
    spec.id === "reader"
      ? Promise.reject(
          new Fault("device.absent", "no card reader is connected: plug one in, and see that pcscd has its driver"),
        )
      : good(spec, AbortSignal.abort()),
  );
  expect(found).toContain("FAIL reader: no card reader is connected: plug one in, and see that pcscd has its driver");
  expect(found).toContain("ok   printer: the printer");
});

test("planted: a missing printer is explained, the reader is fine", async () => {
  configure();
  const found = await lines((spec) =>
    spec.id === "printer"
      ? Promise.reject(new Fault("device.absent", "/dev/ttyUSB9: no such port; is the printer plugged in?"))
      : good(spec, AbortSignal.abort()),
  );
  expect(found).toContain("FAIL printer: /dev/ttyUSB9: no such port; is the printer plugged in?");
  expect(found).toContain("ok   reader: the reader");
});

test("planted: a missing code scanner is explained with what is there instead", async () => {
  configure("devices: [{id: scanner, uri: 'hid:0c2e:0b62'}]");
  const why = "no code scanner 0c2e:0b62 is connected: plug it in; there are 046d:c077 Mouse";
  const found = await lines(() => Promise.reject(new Fault("device.absent", why)));
  expect(found).toContain(`FAIL scanner: ${why}`);
});

test.each<[Partial<PrinterStatus>, string]>([
  [{ paper: "out" }, "warn printer: the paper is out; put in a new roll"],
  [{ coverOpen: true }, "warn printer: the cover is open; close it"],
  [{ online: false }, "warn printer: the printer is offline; press its feed button"],
  [{ paper: "near-end" }, "warn printer: the paper is near its end; have a new roll ready"],
])("a printer with %j is told with its mend", async (status, line) => {
  configure();
  expect(await lines(({ id }) => Promise.resolve(device(id, { ...HEALTHY, ...status })))).toContain(line);
});

test("a printer that does not answer is told to be switched on", async () => {
  configure("devices: [{id: printer, uri: 'serial:/dev/ttyUSB9'}]");
  const found = await lines(() => Promise.reject(new Fault("device.hung", "no answer within 1000 ms")));
  expect(found).toContain(
    "FAIL printer: does not answer (no answer within 1000 ms); switch it on, and check its cable and its speed",
  );
});

test("planted: an unreachable hub is explained by what is wrong with the way to it", async () => {
  configure();
  const port = await deadPort();
  enrolAt(port);
  const found = await lines();
  expect(found).toContain("ok   identity: enrolled as till-1");
  for (const name of ["hub mqtt", "hub https"]) {
    expect(found).toContain(`FAIL ${name}: nothing listens on 127.0.0.1:${port}; start the hub, or check the port`);
  }
});

test("the certificate's end is told, and when it was not renewed in time or there is none yet, by what mends itself", async () => {
  configure("devices: []");
  const port = await deadPort();
  enrolAt(port);
  const told = async (now: number) =>
    (await lines(good, {}, { ...systemClock, now: () => now })).find((line) => line.includes("certificate:"));
  expect(await told(0)).toMatch(/^warn certificate: there is none yet/);
  const { key, certificate } = await (await newAuthority()).issueTerminal();
  const endsAt = Date.parse(new X509Certificate(certificate).validTo);
  const renewAfter = new Date(endsAt - 3_600_000).toISOString();
  const privateKey = createPrivateKey(key).export({ type: "pkcs8", format: "der" }).toString("base64");
  const { bearer: _, ...file } = loadIdentityFile(dataDir);
  storeIdentity(dataDir, { ...file, tls: { privateKey, certificate, renewAfter } });
  expect(await told(endsAt - 3_600_001)).toBe(
    `ok   certificate: good until ${new Date(endsAt).toISOString()}, renewed from ${renewAfter} on`,
  );
  expect(await told(endsAt - 3_600_000)).toMatch(/^warn certificate: to be renewed since/);
  expect(await told(endsAt)).toMatch(/^FAIL certificate: has ended/);
});

test("a hub whose name is not found points to the network", async () => {
  configure(`${DEVICES}\nuplink: {mqttUrl: 'mqtts://hub.invalid:8883'}`);
  enrolAt(await deadPort());
  const found = await lines();
  expect(found.find((line) => line.includes("hub mqtt"))).toMatch(
    /^FAIL hub mqtt: the name hub\.invalid is not found; check the network/,
  );
});

test("no devices, no enrolment, an open folder and a full disk are each one line with the mend", async () => {
  configure("reserve: {diskMb: 1000000}");
  chmodSync(dataDir, 0o755);
  const found = await lines();
  expect(found).toContain(`warn data: ${dataDir} is open to others (mode 755); run: chmod 700 ${dataDir}`);
  expect(found.find((line) => line.startsWith("FAIL disk"))).toMatch(/under the reserve of 1000000 MB/);
  expect(found.find((line) => line.startsWith("FAIL identity"))).toMatch(/run tillway agent enrol CLAIM/);
  expect(found.find((line) => line.startsWith("FAIL devices"))).toMatch(/none are configured/);
  expect(found.find((line) => line.startsWith("warn agent"))).toMatch(/is not running; start it with/);
});

test.each([
  [
    "a hub that does not answer on a link that stands",
    { silent: true },
    /^FAIL hub: connected by mqtt, but the hub does not answer, so sales go offline; see whether a replica of it runs and reaches its brokers$/,
  ],
  [
    "a hub that takes only what is stored",
    { advicesOnly: true },
    /^FAIL hub: takes only what is stored, as this terminal's certificate has ended, so sales go offline/,
  ],
])("%s is told as that, and then what is wrong with the way to it", async (_what, trouble, words) => {
  configure("devices: []");
  enrolAt(await deadPort());
  const agent = createHttpServer((_request, response) => response.end(JSON.stringify(told)));
  await new Promise<void>((resolve) => agent.listen(0, "127.0.0.1", resolve));
  writeFileSync(join(dataDir, "api-address"), `http://127.0.0.1:${(agent.address() as AddressInfo).port}`);
  const told = { ...STATUS, hub: { state: "down", via: "mqtt", silent: false, advicesOnly: false, ...trouble } };
  const found = await lines(good, { TILLWAY_TOKEN: "t".repeat(32) });
  agent.close();
  expect(found.find((line) => line.includes(" hub:"))).toMatch(words);
  expect(found.find((line) => line.includes("hub https"))).toMatch(/^FAIL hub https: nothing listens/);
});

test("an identity that root left in the agent's folder is told, also to root who can read it", async () => {
  configure("devices: []");
  enrolAt(await deadPort());
  const path = join(dataDir, "identity.json");
  // Nobody else can leave one there.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(dataDir, 1234, 1235);
  expect((await lines()).find((line) => line.includes(" identity: "))).toBe(
    isRoot
      ? `FAIL identity: ${path} is another user's than its folder, so the agent may not read it; run: chown --reference=${dataDir} ${path}`
      : "ok   identity: enrolled as till-1",
  );
});
