/** The real program with wrong input: one line that names the key, file or port, the exit code that says whose fault it is, no stack trace. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { storeIdentity } from "../../agent/identity.ts";
import type { TerminalId } from "../../base/ids.ts";
import { takeLock } from "../../base/lock-file.ts";
import { newSigningKeys, privateKeyText, publicKeyText } from "../../wire/signing.ts";
import { hubKeys, sealingKeys } from "../rules/lease-fixture.ts";
import { newAuthority } from "./uplink-hub.ts";

const PROGRAM = join(import.meta.dirname, "../../scripts/tillway.ts");

async function tillway(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    err += chunk.toString();
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, out, err };
}

let folder: string;
let dataDir: string;
let config: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tillway-cli-"));
  dataDir = join(folder, "data");
  config = join(folder, "agent.yaml");
});
afterEach(() => rmSync(folder, { recursive: true }));

function configure(extra = "", port = 0): void {
  writeFileSync(
    config,
    `dataDir: ${dataDir}\napi: {port: ${port}}\nsite: {merchantName: A, timeZone: UTC, currency: EUR}\n${extra}\n`,
  );
}

async function enrol(): Promise<void> {
  mkdirSync(dataDir, { mode: 0o700 });
  storeIdentity(dataDir, {
    v: 1,
    terminalId: "till-1" as TerminalId,
    bearer: "b".repeat(40),
    caCertificate: (await newAuthority()).certificate,
    mqttUrl: "mqtts://127.0.0.1:1",
    httpsUrl: "https://127.0.0.1:1",
    hubSigningKey: publicKeyText(hubKeys.publicKey),
    sealingKey: { keyId: "k1", publicKey: publicKeyText(sealingKeys.publicKey) },
    cardTokenKey: Buffer.alloc(32, 7).toString("base64"),
    signingPrivateKey: privateKeyText(newSigningKeys().privateKey),
  });
}

/** One line, and it is the reason. */
function line(err: string): string {
  expect(err.trimEnd().split("\n")).toHaveLength(1);
  expect(err).not.toMatch(/\n\s+at /);
  return err.trimEnd().replaceAll(folder, "");
}

test("an unknown key, a wrong type and a missing file stop the agent with 2", async () => {
  configure("devices: [{id: reader, urii: 'pcsc:*'}]");
  const unknown = await tillway(["agent", "--config", config]);
  expect(unknown.code).toBe(2);
  expect(line(unknown.err)).toBe('tillway: /agent.yaml: key "devices[0].urii" is not known; did you mean "uri"?');

  configure("payment: {cardTimeoutSec: soon}");
  const wrong = await tillway(["agent", "--config", config, "--check"]);
  expect(wrong.code).toBe(2);
  expect(line(wrong.err)).toBe(
    'tillway: /agent.yaml: key "payment.cardTimeoutSec" must be a number, found the text "soon"',
  );

  configure("emv: {caKeysFile: /no/capk.json}");
  const keyless = await tillway(["agent", "--config", config, "--check"]);
  expect(keyless.code).toBe(2);
  expect(line(keyless.err)).toMatch(/^tillway: emv\.caKeysFile: cannot read \/no\/capk\.json: ENOENT/);

  const missing = await tillway(["agent", "--config", join(folder, "none.yaml")]);
  expect(missing.code).toBe(2);
  expect(line(missing.err)).toMatch(/^tillway: \/none\.yaml: there is no such file; /);
});

test("a variable of the environment overrides a key, and a wrong one is named", async () => {
  configure();
  expect(await tillway(["agent", "--config", config, "--check"])).toMatchObject({ code: 0, out: `${config}: ok\n` });
  const wrong = await tillway(["agent", "--config", config, "--check"], { TILLWAY_API_PORT: "many" });
  expect(wrong.code).toBe(2);
  expect(line(wrong.err)).toBe('tillway: TILLWAY_API_PORT: key "api.port" must be a number, found the text "many"');
});

test("a terminal that is not enrolled says how to enrol it", async () => {
  configure();
  const { code, err } = await tillway(["agent", "--config", config]);
  expect(code).toBe(1);
  expect(line(err)).toMatch(/^tillway: not enrolled: run tillway agent enrol CLAIM/);
});

test("a port in use is named, with 1", async () => {
  await enrol();
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  configure("log: {level: silent}", port);
  const { code, err } = await tillway(["agent", "--config", config]);
  other.close();
  expect(code).toBe(1);
  expect(line(err)).toBe(`tillway: 127.0.0.1:${port} is in use; stop what listens there or change api.port`);
});

test("a data folder in use names the process that has it, with 1", async () => {
  await enrol();
  configure();
  using _ = takeLock({ folder: dataDir, what: "agent" });
  const { code, err } = await tillway(["agent", "--config", config]);
  expect(code).toBe(1);
  expect(line(err)).toBe(`tillway: another agent (pid ${process.pid}) runs on /data; stop it first`);
});

test("commands for a running agent say how to start one", async () => {
  configure();
  const noToken = await tillway(["status", "--config", config]);
  expect(noToken.code).not.toBe(0);
  line(noToken.err);
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  await new Promise((resolve) => other.close(resolve));
  const nobody = await tillway(["sale", "12.34", "--currency", "EUR", "--api", String(port), "--token", "x"]);
  expect(nobody.code).toBe(1);
  expect(line(nobody.err)).toBe(
    `tillway: the agent is not running (nothing listens on http://127.0.0.1:${port}); start it with: tillway agent --config FILE`,
  );
});

interface Asked {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly body: string;
}

/** An API that answers everything but its event stream with what `answer` makes of it; undefined ends it in the middle. */
async function standIn(answer: (asked: Asked) => unknown) {
  const server = createServer((request, response) => {
    if (request.url === "/v1/events") return void response.writeHead(200).write(": tillway events\n\n");
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on("end", () => {
      const json = answer({ method: request.method, url: request.url, body });
      if (json === undefined) server.closeAllConnections();
      else response.end(JSON.stringify(json));
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    target: ["--api", String(port), "--token", "x"],
    [Symbol.dispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

const PAYMENT = {
  id: "p-1",
  operation: "purchase",
  status: "approved",
  amount: { minor: "1234", currency: "EUR" },
  mode: "online",
  ticket: "printed",
  startedAt: "2026-01-05T09:00:00.000Z",
};
const PAYMENT_LINE = "approved 12.34 EUR, online, receipt printed, id p-1";

test("RM4 a sale without an id tells the one it makes, and asks again under it when the agent ends", async () => {
  const asked: Asked[] = [];
  using api = await standIn((one) => (asked.push(one) < 3 ? undefined : PAYMENT));
  const { code, out, err } = await tillway(["sale", "12.34", "--currency", "EUR", ...api.target]);
  const [{ id }] = asked.map(({ body }) => JSON.parse(body) as { id: string }) as [{ id: string }];
  expect(id).toMatch(/^sale-/);
  expect(err).toBe(`payment ${id}\nthe agent ended; waiting for it to come back\n`);
  expect(new Set(asked.map(({ body }) => body)).size).toBe(1);
  expect(asked).toHaveLength(3);
  expect({ code, out }).toEqual({ code: 0, out: `${PAYMENT_LINE}\n` });
});

test("payments are listed with their ids, and one is shown", async () => {
  using api = await standIn(({ url }) =>
    url === "/v1/payments/p-1" ? PAYMENT : { payments: url === "/v1/payments?limit=5" ? [PAYMENT, PAYMENT] : [] },
  );
  const line = `${PAYMENT.startedAt}  ${PAYMENT_LINE}\n`;
  expect(await tillway(["payments", "p-1", ...api.target])).toMatchObject({ code: 0, out: line });
  expect(await tillway(["payments", "--limit", "5", ...api.target])).toMatchObject({ code: 0, out: line + line });
  expect(await tillway(["payments", ...api.target])).toMatchObject({ code: 0, out: "no payments yet\n" });
  const json = await tillway(["payments", "p-1", "--json", ...api.target]);
  expect(JSON.parse(json.out)).toEqual(PAYMENT);
});

test.each([
  [["status"], { selling: "online" }],
  [["queue"], { entries: [] }],
  [["queue", "force", "7", "--by", "ann", "--why", "closing"], { sequence: 7 }],
  [["dialogue", "p-1"], { v: 1, paymentId: "p-1" }],
  [["reconcile"], { businessDate: "2026-01-05" }],
  [["void", "p-1"], {}],
])("what an agent of another version answers to %j is one line that says so", async (args, answer) => {
  using api = await standIn(() => answer);
  const { code, err } = await tillway([...args, ...api.target]);
  expect(line(err)).toMatch(/^tillway: the agent that runs is of another version: restart it \(its answer: /);
  expect(code).toBe(1);
});

test("a payment at an agent of another version ends with what every version says of it", async () => {
  let payment: unknown = { ...PAYMENT, amount: undefined };
  using api = await standIn(() => payment);
  const tell = (...args: string[]) => tillway([...args, "--currency", "EUR", ...api.target]);
  const rest = "the rest is of another version: restart the agent";
  const short = await tell("sale", "12.34", "--id", "p-1");
  expect(short).toEqual({ code: 0, out: `approved, id p-1; ${rest}\n`, err: "payment p-1\n" });
  expect(JSON.parse((await tell("sale", "12.34", "--json")).out)).toEqual({ ...PAYMENT, amount: undefined });
  payment = { ...PAYMENT, status: "declined", news: "of a later version" };
  const known = `declined 12.34 EUR, online, receipt printed, id p-1\n`;
  expect(await tell("sale", "12.34", "--id", "p-1")).toMatchObject({ code: 3, out: known });
  payment = {};
  expect((await tell("sale", "12.34", "--id", "p-1")).err).toMatch(
    /^payment p-1\ntillway: the agent that runs is of another version: .*run it again with --id p-1, or see tillway payments p-1\n$/,
  );
  payment = { id: "p-1", status: "approved", authCode: 7 };
  const verified = await tell("verify-sale", "12.34", "--id", "p-1", "--payee", "merchant:shop:EUR");
  expect(verified).toMatchObject({ code: 0, out: `approved, id p-1; ${rest}\n` });
});

test.each([
  [["stauts"], /^tillway: unknown command 'stauts' \(Did you mean status\?\); see tillway --help$/],
  [["sale"], /^tillway: missing required argument 'amount'; see tillway sale --help$/],
  [["sale", "1", "--tip", "2"], /^tillway: unknown option '--tip'/],
  [["agent", "enroll", "x"], /^tillway: .*; see tillway agent --help$/],
])("usage: %j is one line and 2", async (args, expected) => {
  const { code, err } = await tillway(args);
  expect(line(err)).toMatch(expected);
  expect(code).toBe(2);
});

test("an amount that is none is refused before anything is asked", async () => {
  const { code, err } = await tillway(["sale", "12.345", "--currency", "EUR", "--api", "1", "--token", "x"]);
  expect(code).toBe(1);
  expect(line(err)).toBe('tillway: "12.345" is not an amount in EUR, which has 2 decimal places');
});

test("--version is that of the package, and the schema is JSON Schema", async () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as {
    version: string;
  };
  expect((await tillway(["--version"])).out).toBe(`${version}\n`);
  expect(JSON.parse((await tillway(["agent", "schema"])).out)).toMatchObject({
    type: "object",
    additionalProperties: false,
  });
});
