/** The real agent with no hub and no devices, looked at by the real commands, and stopped as systemd stops it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { StatusSchema } from "../../agent/health/health.ts";
import { enrolInto } from "./test-terminal.ts";
import { type Authority, LOOPBACK, newAuthority, TestHub } from "./uplink-hub.ts";

const PROGRAM = join(import.meta.dirname, "../../scripts/tillway.ts");

let folder: string;
let config: string;
let agent: ChildProcess;
let hub: TestHub;
let authority: Authority;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tillway-cli-agent-"));
  config = join(folder, "agent.yaml");
  authority = await newAuthority();
  hub = await new TestHub().start(await authority.issue(LOOPBACK));
  // The hub is there and refuses this terminal.
  hub.knowsNobody = true;
  const dataDir = join(folder, "data");
  await enrolInto(dataDir, { authority, hub });
  writeFileSync(
    config,
    `dataDir: ${dataDir}\napi: {port: 0}\nsite: {merchantName: A, timeZone: UTC, currency: EUR}\nlog: {level: silent}\n` +
      "devices: [{id: printer, uri: 'serial:/dev/tillway-none'}]\n",
  );
  agent = spawn(process.execPath, [PROGRAM, "agent", "--config", config], { stdio: ["ignore", "pipe", "inherit"] });
  if (agent.stdout) await once(agent.stdout, "data");
});
afterAll(async () => {
  agent.kill("SIGKILL");
  await hub[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function tillway(...args: string[]) {
  const child = spawn(process.execPath, [PROGRAM, ...args, "--config", config], { stdio: ["ignore", "pipe", "pipe"] });
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

test("status, devices and the queue are told in words and as JSON", async () => {
  const status = await tillway("status");
  expect(status).toMatchObject({ code: 0, err: "" });
  expect(status.out).toMatch(
    /^selling {3}stopped: no card reader or scanner is configured; add one to devices\nterminal {2}till-1, version /,
  );
  StatusSchema.parse(JSON.parse((await tillway("status", "--json")).out));
  expect((await tillway("devices")).out).toMatch(/^printer {2}(?:absent|opening) {2}serial:\/dev\/tillway-none {2}/);
  expect((await tillway("queue", "list")).out).toBe("queue: empty\n");
  expect((await tillway("queue", "retry")).out).toBe("trying now, 0 waiting\n");
});

test("what is not known is refused in one line", async () => {
  for (const args of [
    ["void", "p-0"],
    ["cancel", "p-0"],
    ["receipt", "p-0"],
  ]) {
    const { code, err } = await tillway(...args);
    expect(code).toBe(1);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
    expect(err).toMatch(/^tillway: /);
  }
  const { code, err } = await tillway("refund", "p-0");
  expect(code).toBe(1);
  expect(err).toMatch(/^payment refund-\S+\ntillway: [^\n]+\n$/);
});

test("a refund that the hub cannot be asked about ends with 3 and one line", async () => {
  const { code, out } = await tillway("refund", "p-0", "1.00", "--id", "r-1");
  expect(code).toBe(3);
  expect(out).toMatch(/^refund (?:declined|aborted) 1\.00 EUR, .*id r-1\n$/);
});

test("the doctor says that the hub does not know this terminal, and what the printer lacks", async () => {
  const { code, out } = await tillway("doctor");
  expect(code).toBe(1);
  expect(out).toMatch(/^ok {3}config: /);
  expect(out).toContain(`ok   hub https: 127.0.0.1:${hub.httpsPort} answers with the certificate of its authority`);
  expect(out).toContain(
    "FAIL hub identity: the hub does not take the certificate of till-1; if the running agent does not renew it, ask for a claim, stop the agent and run: tillway agent enrol CLAIM --force",
  );
  expect(out).toMatch(/^ok {3}clock: agrees with the hub's$/m);
  expect(out).toMatch(/^FAIL printer: .*no such port/m);
  expect(out).toMatch(/^FAIL agent: running, selling stopped: no card reader or scanner is configured/m);
});

test("SIGTERM drains, gives everything back and ends with 0", async () => {
  expect(statSync(join(folder, "data/api-token")).mode & 0o777).toBe(0o600);
  const exited = once(agent, "exit");
  agent.kill("SIGTERM");
  expect(await exited).toEqual([0, null]);
  for (const name of ["api-address", "pid"]) expect(existsSync(join(folder, "data", name))).toBe(false);
  expect((await tillway("status")).err).toMatch(/^tillway: the agent is not running \(there is no /);
});
