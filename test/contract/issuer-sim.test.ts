/** `tillway sim issuer` as its own process, as people and demonstrations run it: options, control socket, books that outlive it. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { deadline, systemClock } from "../../base/clock.ts";
import { control } from "../../sim/control.ts";
import { startIssuerSim } from "../../sim/issuer/issuer-sim.ts";
import { LIMIT_MS, PAN, startStand } from "./issuer-stand.ts";

const PROGRAM = fileURLToPath(new URL("../../scripts/tillway.ts", import.meta.url));
const START_LIMIT_MS = 60_000;

let folder: string;
let child: ChildProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tw-issuer-"));
});
afterEach(async () => {
  await ended("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const socket = () => join(folder, "control");
const command = (...rest: readonly string[]) => [PROGRAM, "sim", "issuer", "--control", socket(), ...rest];

async function start(...rest: readonly string[]): Promise<{ readonly port: number; readonly spec: string }> {
  const started = spawn(process.execPath, command("--port", "0", ...rest), { stdio: ["ignore", "pipe", "inherit"] });
  child = started;
  using limit = deadline(systemClock, START_LIMIT_MS);
  const [line] = (await once(createInterface(started.stdout), "line", { signal: limit.signal })) as [string];
  return JSON.parse(line) as { port: number; spec: string };
}

async function ended(signal: "SIGKILL" | "SIGTERM"): Promise<number | null> {
  const running = child;
  child = undefined;
  if (!running || running.exitCode !== null) return running?.exitCode ?? null;
  running.kill(signal);
  const [code] = (await once(running, "exit")) as [number | null];
  return code;
}

test("its books outlive it, killed between two purchases, and know the first one for a repeat", async () => {
  const books = join(folder, "books.jsonl");
  const first = await start("--books", books, "--account", `${PAN}:3012:5000:EUR`);
  await using stand = await startStand({ link: { address: { host: "127.0.0.1", port: first.port } } });
  expect(await stand.buy({ minor: 150n })).toMatchObject({ what: "answered", message: { fields: { 39: "00" } } });
  await ended("SIGKILL");
  await stand.counts.reach("links", { status: "down" });
  // What it had answered is on its disk, though nobody closed it.
  await using again = await startIssuerSim({ port: first.port, booksFile: books });
  expect(again.books.account(PAN)?.balanceMinor).toBe(4_850n);
  await stand.counts.reach("links", { status: "up" }, 2);
  expect(await stand.buy({ minor: 150n })).toMatchObject({ what: "answered", message: { fields: { 39: "00" } } });
  expect(again.books.account(PAN)?.balanceMinor).toBe(4_850n);
});

test("its control socket breaks it, mends it and reads its books, and it ends cleanly", async () => {
  const { spec } = await start("--spec", "1993-ascii");
  expect(spec).toBe("1993-ascii");
  await control(socket(), { do: "account", is: `${PAN}:3012:5000:EUR` });
  expect(await control(socket(), { do: "books" })).toMatchObject({
    accounts: [{ maskedPan: "476173******0119", balanceMinor: "5000", currency: "978" }],
    payments: [],
  });
  await control(socket(), { do: "garbage", perSec: 100, kind: "truncated" });
  await control(socket(), { do: "decline", code: "51" });
  await control(socket(), { do: "down", on: true });
  expect(await control(socket(), { do: "status" })).toMatchObject({
    connections: 0,
    faults: { down: true, decline: "51", garbage: { kinds: ["truncated"], perSec: 100 } },
  });
  await control(socket(), { do: "clear" });
  const { faults } = await control(socket(), { do: "status" });
  expect(faults).toEqual({
    ...{
      down: false,
      mute: false,
      lose: 0,
      slowMs: 0,
      lateMs: 0,
      double: false,
      partial: false,
      miscount: false,
      refuseCashback: false,
      signedOff: false,
    },
  });
  for (const [wrong, why] of [
    [{ do: "down", on: 1 }, '"on" as true or false'],
    [{ do: "late", ms: -1 }, "from 0 to 600000"],
    [{ do: "garbage", perSec: 10, kind: "mud" }, "one of truncated"],
    [{ do: "decline", code: "5" }, "two characters of DE 39"],
    [{ do: "account", is: `${PAN}:1` }, "PAN:YYMM:MINOR:CURRENCY"],
    [{ do: "vanish" }, "unknown command"],
  ] as const) {
    await expect(control(socket(), wrong)).rejects.toThrow(why);
  }
  expect(await ended("SIGTERM")).toBe(0);
});

test.each([
  [["--port", "70000"], "give a TCP port from 0 to 65535"],
  [["--port", "0", "--account", `${PAN}:3012`], "PAN:YYMM:MINOR:CURRENCY"],
])("wrong options %j are named, with exit code 2", async (options, why) => {
  using limit = deadline(systemClock, START_LIMIT_MS);
  const run = promisify(execFile)(process.execPath, command(...options), { signal: limit.signal });
  const failure = (await run.catch((error: unknown) => error)) as { code: number; stderr: string };
  expect(failure.code).toBe(2);
  expect(failure.stderr).toContain(why);
  expect(failure.stderr.trim().split("\n")).toHaveLength(1);
});

test("a port that is taken is named in one line", async () => {
  await using taken = await startIssuerSim({ port: 0 });
  using limit = deadline(systemClock, LIMIT_MS * 4);
  const run = promisify(execFile)(process.execPath, command("--port", String(taken.port)), { signal: limit.signal });
  const failure = (await run.catch((error: unknown) => error)) as { code: number; stderr: string };
  expect(failure.code).toBe(1);
  expect(failure.stderr).toMatch(/^tillway: .*EADDRINUSE[^\n]*\n$/);
});
