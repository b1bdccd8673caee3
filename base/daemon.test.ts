import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ManualClock } from "./clock.ts";
import { type Lane, watchLanes } from "./daemon.ts";
import { silentLog } from "./log.ts";
import { sdNotify } from "./sd-notify.ts";

/** systemd's end: a real datagram socket, one line out per datagram. */
const LISTENER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("listening", flush=True)
while True:
    print(s.recv(4096).decode().strip().replace("\\n", "|"), flush=True)
`;

const children: ChildProcess[] = [];
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tillway-daemon-"));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

/** Collects lines of output; `until` waits for one that matches. */
function linesOf(stream: NodeJS.ReadableStream) {
  const lines: string[] = [];
  let rest = "";
  const waiters = new Set<() => void>();
  stream.on("data", (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
    for (const wake of waiters) wake();
  });
  const until = (text: string) =>
    new Promise<void>((resolve) => {
      const check = () => {
        if (!lines.some((line) => line.includes(text))) return;
        waiters.delete(check);
        resolve();
      };
      waiters.add(check);
      check();
    });
  return { lines, until };
}

async function listener(socket: string) {
  const child = spawn("python3", ["-c", LISTENER, socket], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  const heard = linesOf(child.stdout);
  await heard.until("listening");
  return heard;
}

function daemon(body: string, env: Record<string, string> = {}) {
  const source = `
import { runDaemon } from ${JSON.stringify(join(import.meta.dirname, "daemon.ts"))};
import { createLog } from ${JSON.stringify(join(import.meta.dirname, "log.ts"))};
import { Fault } from ${JSON.stringify(join(import.meta.dirname, "fault.ts"))};
const log = createLog("info");
const keep = setInterval(() => {}, 1000);
${body}`;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", source], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  children.push(child);
  const exited = once(child, "exit").then(([code]) => code as number | null);
  return { child, exited, err: linesOf(child.stderr), out: linesOf(child.stdout) };
}

const RUNNING = `{ log, lanes: () => [], drain: async () => { console.log("drained"); } }`;

test("a signal drains and ends with 0", async () => {
  const { child, exited, out } = daemon(`
    void runDaemon({ start: async () => ({ ...${RUNNING}, get status() { console.log("up"); return "up"; } }) });`);
  await out.until("up");
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
  expect(out.lines).toContain("drained");
});

test("a second signal ends a drain that hangs; so does its limit", async () => {
  const hung = `{ log, lanes: () => [], drain: () => new Promise(() => console.log("hung")), status: (console.log("up"), "up") }`;
  const twice = daemon(`void runDaemon({ start: async () => (${hung}) });`);
  await twice.out.until("up");
  twice.child.kill("SIGINT");
  await twice.out.until("hung");
  twice.child.kill("SIGTERM");
  expect(await twice.exited).toBe(1);

  const limited = daemon(`void runDaemon({ drainLimitMs: 50, start: async () => (${hung}) });`);
  await limited.out.until("up");
  limited.child.kill("SIGTERM");
  expect(await limited.exited).toBe(1);
  expect(limited.err.lines.join()).toContain("the drain did not finish");
});

test.each([
  ["config.invalid", 2],
  ["journal.busy", 1],
])("a Fault %s at the start is one line and exit code %i", async (code, exit) => {
  const { exited, err } = daemon(
    `void runDaemon({ start: async () => { throw new Fault("${code}", "the file is\\n  wrong; mend it"); } });`,
  );
  expect(await exited).toBe(exit);
  expect(err.lines).toEqual(["tillway: the file is wrong; mend it"]);
});

test("a bug ends the process with 70 and its reason in the log", async () => {
  for (const bug of ["setImmediate(() => { throw new Error('broken') })", "void Promise.reject(new Error('broken'))"]) {
    const { exited, err } = daemon(
      `void runDaemon({ start: async () => (${RUNNING}) }); setImmediate(() => { ${bug} });`,
    );
    expect(await exited).toBe(70);
    expect(err.lines.join("\n")).toContain("broken");
  }
});

test("systemd hears READY, then WATCHDOG until a lane stands still, then STOPPING", async () => {
  const socket = join(folder, "notify");
  const heard = await listener(socket);
  const { child, exited, err } = daemon(
    `
    const lane = { name: "journal", lastProgressMs: performance.now(), limitMs: 400 };
    void runDaemon({ start: async () => ({ ...${RUNNING}, lanes: () => [lane], status: "on port 1" }) });`,
    { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "200000" },
  );
  await heard.until("WATCHDOG=1");
  await err.until("a lane stands still");
  const fed = heard.lines.filter((line) => line === "WATCHDOG=1").length;
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
  await heard.until("STOPPING=1");
  expect(heard.lines[1]).toBe("READY=1|STATUS=on port 1");
  expect(heard.lines.filter((line) => line === "WATCHDOG=1").length).toBe(fed);
});

test("the watchdog is fed again when the lane moves, and an idle lane may stand still", async () => {
  const clock = new ManualClock();
  const told: string[] = [];
  let lane: Lane = { name: "uplink", lastProgressMs: 0 };
  const stop = watchLanes({
    lanes: () => [lane, { name: "journal", lastProgressMs: 0, idle: true }],
    clock,
    log: silentLog,
    systemd: { watchdogMs: 20_000, notify: async (...words) => void told.push(...words) },
  });
  await clock.advance(30_000);
  expect(told).toHaveLength(3);
  await clock.advance(60_000);
  expect(told).toHaveLength(3);
  lane = { name: "uplink", lastProgressMs: clock.monotonic() };
  await clock.advance(10_000);
  expect(told).toHaveLength(4);
  stop();
  await clock.advance(60_000);
  expect(told).toHaveLength(4);
});

test("a missing systemd-notify is told once and harms nothing", async () => {
  const errors: string[] = [];
  const log = { ...silentLog, error: (message: string) => void errors.push(message) };
  const systemd = sdNotify({ NOTIFY_SOCKET: join(folder, "none"), PATH: folder }, log);
  await systemd.notify("READY=1");
  await systemd.notify("WATCHDOG=1");
  expect(errors).toHaveLength(1);
  await expect(sdNotify({}, log).notify("READY=1")).resolves.toBeUndefined();
});
