import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { type Clock, systemClock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import { systemRandom, type TerminalId } from "../base/ids.ts";
import { takeLock } from "../base/lock-file.ts";
import { silentLog } from "../base/log.ts";
import type { Device, OpenDevice, PrinterStatus } from "../drivers/capability.ts";
import { enrolInto } from "../test/e2e/test-terminal.ts";
import { LOOPBACK, newAuthority, TestHub } from "../test/e2e/uplink-hub.ts";
import { newSigningKeys, privateKeyText, publicKeyText } from "../wire/signing.ts";
import { STATUS } from "./api/api-fixture.ts";
import { examine, findingText } from "./doctor.ts";
import { loadIdentity, loadIdentityFile, storeIdentity } from "./identity.ts";
import { intent } from "./journal/journal-fixture.ts";
import { openJournal } from "./journal/sqlite-journal.ts";

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

const WITH_TOKEN = { TILLWAY_TOKEN: "t".repeat(32) };

/** What is taken for the running agent. */
async function answering(status: number, body: string): Promise<void> {
  const agent = createHttpServer((_request, response) => response.writeHead(status).end(body));
  await new Promise<void>((resolve) => agent.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void agent.close());
  writeFileSync(join(dataDir, "api-address"), `http://127.0.0.1:${(agent.address() as AddressInfo).port}`);
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
  const hub = { state: "down", via: "mqtt", silent: false, advicesOnly: false, ...trouble };
  await answering(200, JSON.stringify({ ...STATUS, hub }));
  const found = await lines(good, WITH_TOKEN);
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

const DENIED = JSON.stringify({ error: { code: "E_DENIED", message: "the bearer token is wrong" } });
const { queue: _, ...OTHER_STATUS } = STATUS;

test.each<[string, () => Promise<void> | void, RegExp]>([
  [
    "refuses the token",
    () => answering(401, DENIED),
    /^FAIL agent: does not tell its status: the bearer token is wrong$/,
  ],
  [
    "is of another version",
    () => answering(200, JSON.stringify(OTHER_STATUS)),
    /^FAIL agent: the agent that runs is of another version: restart it \(its answer: queue: /,
  ],
  [
    "is no agent at all",
    () => answering(200, "<html>"),
    /^FAIL agent: what answers on .* is not an agent; see api\.port$/,
  ],
  [
    "has its folder and does not answer",
    () => {
      const lock = takeLock({ folder: dataDir, what: "agent" });
      onTestFinished(() => lock[Symbol.dispose]());
    },
    /^FAIL agent: runs on .* and does not answer: it is starting/,
  ],
])("an agent that %s keeps its devices, and the hub is not told that it is away", async (_case, begin, line) => {
  const authority = await newAuthority();
  await using hub = await new TestHub().start(await authority.issue(LOOPBACK));
  dataDir = join(folder, "till");
  configure();
  await enrolInto(dataDir, { authority, hub });
  await begin();
  const opened: string[] = [];
  const found = await lines((spec) => {
    opened.push(spec.id);
    return good(spec, AbortSignal.abort());
  }, WITH_TOKEN);
  expect(found.find((one) => one.includes(" agent: "))).toMatch(line);
  expect(found).toContain("warn devices: are not looked at, for the agent may hold them");
  expect(found.find((one) => one.includes("hub https"))).toMatch(/^ok /);
  expect([opened, hub.received]).toEqual([[], []]);
});

/** What is left of an agent that has sold here. */
async function journalOf(terminalId: string, payments = ["p-1"]): Promise<string> {
  const path = join(dataDir, "journal.db");
  const common = { clock: systemClock, random: systemRandom, log: silentLog };
  const { signingKey } = loadIdentity(dataDir);
  await using journal = openJournal({ path, terminalId: terminalId as TerminalId, signingKey, ...common });
  for (const payment of payments) await journal.append([{ body: intent(payment) }]);
  return path;
}

test("an agent that has run here and runs no more is wrong, whatever else is well", async () => {
  configure();
  enrolAt(await deadPort());
  await journalOf("till-1");
  const found = await lines();
  expect(found.find((line) => line.includes(" agent: "))).toMatch(
    /^FAIL agent: is not running; start it with: .* its log says why$/,
  );
  expect(found).toContain("ok   journal: 1 entries hold");
});

test.each([[[]], [["p-1", "p-2"]]])(
  "a journal of %j that another key signed is named with the command that takes it over",
  async (payments) => {
    configure();
    enrolAt(await deadPort());
    await journalOf("till-1", payments);
    enrolAt(await deadPort());
    expect((await lines()).find((line) => line.includes(" journal: "))).toMatch(
      /^FAIL journal: .* another key signed: if this terminal was enrolled again, run tillway journal adopt/,
    );
  },
);

test("what keeps an agent from starting is named: its journal, and the keys of the card schemes", async () => {
  configure("emv: {caKeysFile: /no/capk.json}");
  enrolAt(await deadPort());
  const path = await journalOf("till-2");
  const found = await lines();
  expect(found).toContain(`FAIL journal: ${path} is of till-2, not of till-1; give this terminal a folder of its own`);
  expect(found.find((line) => line.includes("card keys"))).toMatch(
    /^FAIL card keys: emv\.caKeysFile: cannot read \/no\/capk\.json/,
  );
  writeFileSync(path, "not a database".repeat(100));
  expect((await lines()).find((line) => line.includes(" journal: "))).toMatch(/^FAIL journal: .*not a database/);
  rmSync(path);
  expect((await lines()).find((line) => line.includes(" journal: "))).toMatch(/^FAIL journal: .*is empty or gone/);
});
