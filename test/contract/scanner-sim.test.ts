/** `tillway sim scanner` as its own process, as people and demonstrations run it: environment, control socket, `--run`, clean end. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { control } from "../../sim/control.ts";
import { eventually, within } from "./card-reader-stand.ts";
import { openScanner, scannerOf } from "./scanner-stand.ts";

const PROGRAM = fileURLToPath(new URL("../../scripts/tillway.ts", import.meta.url));
const CLIENT = fileURLToPath(new URL("./code-scanner-client.ts", import.meta.url));

let folder: string;
let child: ChildProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tw-scan-"));
});
afterEach(async () => {
  if (child && child.exitCode === null) {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  child = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const socket = (): string => join(folder, "control");
const command = (...rest: readonly string[]): readonly string[] => [
  PROGRAM,
  "sim",
  "scanner",
  "--control",
  socket(),
  ...rest,
];

interface Ready {
  readonly uri: string;
  readonly environment: Readonly<Record<string, string>>;
}

async function start(...rest: readonly string[]): Promise<Ready> {
  const started = spawn(process.execPath, [...command(...rest)], { stdio: ["ignore", "pipe", "inherit"] });
  child = started;
  const [line] = (await once(createInterface(started.stdout), "line", { signal: within(20_000) })) as [string];
  return JSON.parse(line) as Ready;
}

test("its environment shows the scanner to a process, and its control socket makes it scan and go", async () => {
  const { uri, environment } = await start("--kind", "keyboard", "--vendor", "05e0", "--product", "1900");
  expect(uri).toBe("hid:05e0:1900");
  await using device = await openScanner({ uri, env: environment });
  const next = scannerOf(device).nextScan(within(10_000));
  expect(await control(socket(), { do: "scan", text: "hello", aim: "]C1" })).toMatchObject({ read: true });
  expect(await next).toEqual({ text: "hello", aim: "]C1" });
  await control(socket(), { do: "mute" });
  expect(await control(socket(), { do: "scan", text: "unheard" })).toMatchObject({ read: false });
  await control(socket(), { do: "mute", on: false });
  await control(socket(), { do: "unplug" });
  await eventually(() => device.lost.aborted, 2_000);
  await expect(control(socket(), { do: "scan", text: "hello" })).rejects.toThrow("the scanner is unplugged");
  await control(socket(), { do: "replug" });
  await using again = await openScanner({ uri, env: environment });
  expect(again.description).toContain("/dev/hidraw1");
});

test("it refuses a command it does not have, a text it cannot send, and goes on", async () => {
  await start("--kind", "keyboard");
  await expect(control(socket(), { do: "explode" })).rejects.toThrow("unknown command");
  await expect(control(socket(), { do: "scan" })).rejects.toThrow('"scan" needs "text"');
  await expect(control(socket(), { do: "scan", text: "最" })).rejects.toThrow("no key of the layout us");
  await expect(control(socket(), { do: "garbage", reports: 0 })).rejects.toThrow("from 1 to 1000");
  expect(await control(socket(), { do: "garbage", reports: 2 })).toMatchObject({ read: false });
});

test("it ends at a signal, and its testbed with it", async () => {
  const { environment } = await start();
  const testbed = environment["UMOCKDEV_DIR"] ?? "";
  const listed = async () => (await promisify(execFile)("ls", [join(testbed, "dev")])).stdout;
  expect(await listed()).toBe("hidraw0\n");
  child?.kill("SIGTERM");
  const [code] = (await once(child as ChildProcess, "exit", { signal: within(10_000) })) as [number | null];
  expect(code).toBe(0);
  await expect(listed()).rejects.toThrow("No such file");
});

test("--run starts a program that sees the scanner, and ends as it ends", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...command("--run", process.execPath, CLIENT, "hid:0c2e:0b62", "close"),
  ]);
  expect(stdout.trim().split("\n").at(-1)).toMatch(/^\d+$/);
  const failing = promisify(execFile)(process.execPath, [
    ...command("--run", "--", process.execPath, "-e", "process.exit(7)"),
  ]);
  await expect(failing).rejects.toMatchObject({ code: 7 });
});
