/**
 * A private pcscd with virtual readers, for tests and demonstrations: the real daemon, its own mount namespace, its own
 * socket, and no look at the machine's USB readers. The pcscd of the machine is never touched.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Clock, sleep, systemClock } from "../../base/clock.ts";
import { Fault, reasonOf } from "../../base/fault.ts";

export interface PcscdOptions {
  /** Holds the socket, the configuration and the log; made if absent. Its path must be short: see SOCKET_PATH_MAX. */
  readonly folder: string;
  /** Of the first slot; the second listens on the next one. A free pair is chosen when absent. */
  readonly port?: number;
  /** The reader's name as clients see it. nfc-pcsc chooses its reader class by it. */
  readonly friendlyName?: string;
  /** `none`: a pcscd to which nothing is plugged. */
  readonly readers?: "virtual" | "none";
  readonly clock?: Clock;
}

export interface Pcscd extends AsyncDisposable {
  /** For PCSCLITE_CSOCK_NAME, or `pcsc:*?socket=…`. */
  readonly socket: string;
  /** Where the card of the first slot connects. */
  readonly vpcdPort: number;
  /** Of pcscd itself. Another one after `restart`. */
  readonly pid: number;
  /** Resolves when the running process is gone, for whatever reason. */
  ended(): Promise<void>;
  /** Resolves when the process is gone. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** The same socket and port; ends a running one first. */
  restart(): Promise<void>;
}

/** sizeof(sockaddr_un.sun_path) without its end mark. */
const SOCKET_PATH_MAX = 107;
const READY_WITHIN_MS = 10_000;
const ENDS_WITHIN_MS = 3_000;
const POLL_MS = 20;
const PORT_PAIRS_TRIED_MAX = 20;
const LOG_TAIL_CHARACTERS = 600;
/** The programs of the system, whatever the caller's PATH says. */
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const VPCD_LIBRARIES = [
  "/usr/lib/pcsc/drivers/serial/libifdvpcd.so",
  "/usr/lib64/pcsc/drivers/serial/libifdvpcd.so",
  "/usr/local/lib/pcsc/drivers/serial/libifdvpcd.so",
];
const INSTALL_HINT = "apt-get install -y --no-install-recommends pcscd vsmartcard-vpcd gcc libc6-dev";

/**
 * Runs in the new mount namespace. /run becomes an empty file system there, so nothing is made on the machine; the bind
 * mount puts the socket into the private folder (the working directory). The driver folder is hidden because pcscd
 * would otherwise take the machine's USB readers away from its own pcscd.
 */
const IN_NAMESPACE = `set -e
mount -t tmpfs tmpfs /run
mkdir /run/pcscd
mount --no-canonicalize --bind . /run/pcscd
mount -t tmpfs tmpfs "$1"
exec env LD_PRELOAD="$2" pcscd --foreground --config "$3"`;

export async function startPcscd(options: PcscdOptions): Promise<Pcscd> {
  const folder = resolve(options.folder);
  const socket = join(folder, "pcscd.comm");
  if (Buffer.byteLength(socket) > SOCKET_PATH_MAX) {
    throw new Fault("config.invalid", `${socket} is too long for a socket: choose a shorter folder`);
  }
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const library = VPCD_LIBRARIES.find((path) => existsSync(path));
  if (!library) throw new Fault("package.missing", `the virtual reader (vpcd) is not installed: ${INSTALL_HINT}`);
  const driver = join(folder, "libifdvpcd.so");
  writeFileSync(driver, readFileSync(library));
  const setting: Setting = {
    folder,
    socket,
    driver,
    driverFolder: resolve(library, "../.."),
    shim: await compileShim(folder),
    port: options.port ?? (await freePortPair()),
    friendlyName: options.friendlyName ?? "Virtual PCD",
    readers: options.readers ?? "virtual",
    clock: options.clock ?? systemClock,
  };
  let running = await launch(setting);
  return {
    socket,
    vpcdPort: setting.port,
    get pid() {
      return running.pid;
    },
    ended: () => running.ended,
    kill: (signal) => end(running, signal, setting.clock),
    async restart() {
      await end(running, "SIGTERM", setting.clock);
      running = await launch(setting);
    },
    [Symbol.asyncDispose]: () => end(running, "SIGTERM", setting.clock),
  };
}

interface Setting {
  readonly folder: string;
  readonly socket: string;
  readonly driver: string;
  readonly driverFolder: string;
  readonly shim: string;
  readonly port: number;
  readonly friendlyName: string;
  readonly readers: "virtual" | "none";
  readonly clock: Clock;
}

interface Running {
  readonly pid: number;
  readonly ended: Promise<void>;
  readonly hasEnded: () => boolean;
}

async function launch(setting: Setting): Promise<Running> {
  for (const stale of ["pcscd.comm", "pcscd.pid"]) rmSync(join(setting.folder, stale), { force: true });
  const configuration = join(setting.folder, "reader.conf.d");
  mkdirSync(configuration, { recursive: true });
  writeFileSync(join(configuration, "vpcd"), setting.readers === "none" ? "" : readerEntry(setting));
  const running = await spawnPcscd(setting, configuration);
  try {
    await ready(setting, running);
  } catch (error) {
    await end(running, "SIGKILL", setting.clock);
    throw error;
  }
  return running;
}

function readerEntry({ friendlyName, port, driver }: Setting): string {
  const hex = `0x${port.toString(16).toUpperCase()}`;
  return `FRIENDLYNAME "${friendlyName}"\nDEVICENAME /dev/null:${hex}\nLIBPATH ${driver}\nCHANNELID ${hex}\n`;
}

async function spawnPcscd(setting: Setting, configuration: string): Promise<Running> {
  const log = openSync(join(setting.folder, "pcscd.log"), "w");
  // unshare, sh and env each replace themselves by the next program, so the child's pid is pcscd's own.
  const namespace = process.getuid?.() === 0 ? ["--mount"] : ["--map-root-user", "--mount"];
  const script = ["sh", "-c", IN_NAMESPACE, "sh", setting.driverFolder, setting.shim, configuration];
  const child = spawn("unshare", [...namespace, ...script], {
    cwd: setting.folder,
    env: { PATH: SYSTEM_PATH },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  await spawned(child);
  return {
    pid: child.pid ?? 0,
    ended,
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
  };
}

function spawned(child: ChildProcess): Promise<void> {
  return new Promise((done, reject) => {
    child.once("spawn", () => done());
    child.once("error", (error) =>
      reject(new Fault("package.missing", `unshare (util-linux) cannot be started: ${error.message}`)),
    );
  });
}

async function ready(setting: Setting, running: Running): Promise<void> {
  const until = setting.clock.monotonic() + READY_WITHIN_MS;
  const never = new AbortController().signal;
  while (setting.clock.monotonic() < until) {
    if (running.hasEnded()) break;
    const slots = setting.readers === "none" ? [] : [setting.port, setting.port + 1];
    const listening = slots.every(loopbackListens);
    if (listening && (await answers(setting.socket))) return;
    await sleep(setting.clock, POLL_MS, never);
  }
  const log = readFileSync(join(setting.folder, "pcscd.log"), "utf8").slice(-LOG_TAIL_CHARACTERS);
  const what = running.hasEnded() ? "ended at once" : `was not ready within ${READY_WITHIN_MS} ms`;
  throw new Fault("transport.failed", `the private pcscd ${what}: ${log.trim() || "it wrote nothing"}`);
}

const TCP_LISTEN = "0A";

/** Looks without connecting, because a connection would count as a card. */
function loopbackListens(port: number): boolean {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .some((line) => {
      const [, address, , state] = line.trim().split(/\s+/);
      return address === local && state === TCP_LISTEN;
    });
}

function answers(socket: string): Promise<boolean> {
  return new Promise((done) => {
    const probe = connect(socket);
    probe.once("connect", () => {
      probe.destroy();
      done(true);
    });
    probe.once("error", () => done(false));
  });
}

async function end(running: Running, signal: NodeJS.Signals, clock: Clock): Promise<void> {
  if (running.hasEnded()) return;
  process.kill(running.pid, signal);
  // A reader waiting for a mute card keeps pcscd from ending by itself.
  const cancel = clock.after(ENDS_WITHIN_MS, () => {
    if (!running.hasEnded()) process.kill(running.pid, "SIGKILL");
  });
  await running.ended;
  cancel();
}

/** Compiled into the private folder: a library that root preloads must not lie where others can write. */
async function compileShim(folder: string): Promise<string> {
  const source = fileURLToPath(new URL("./vpcd-shim.c", import.meta.url));
  const hash = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const library = join(folder, `vpcd-shim-${hash}.so`);
  if (existsSync(library)) return library;
  try {
    const flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Werror"];
    await promisify(execFile)("gcc", [...flags, "-o", library, source, "-ldl"], { env: { PATH: SYSTEM_PATH } });
  } catch (error) {
    throw new Fault("package.missing", `gcc cannot compile ${source}: ${reasonOf(error)}. Mend: ${INSTALL_HINT}`);
  }
  return library;
}

async function freePortPair(): Promise<number> {
  for (let attempt = 0; attempt < PORT_PAIRS_TRIED_MAX; attempt += 1) {
    const first = await reserve(0);
    const second = first && first.port < 0xffff ? await reserve(first.port + 1) : undefined;
    await first?.free();
    await second?.free();
    if (first && second) return first.port;
  }
  throw new Fault("transport.failed", "no two neighbouring TCP ports are free on 127.0.0.1");
}

function reserve(port: number): Promise<{ port: number; free(): Promise<void> } | undefined> {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", () => done(undefined));
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") return done(undefined);
      done({ port: address.port, free: () => new Promise((closed) => server.close(() => closed())) });
    });
  });
}
