/** A PostgreSQL server of one's own on loopback, from the system's package: made empty, and ended and removed with its owner. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Fault } from "../../base/fault.ts";

export interface PostgresServer extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  readonly folder: string;
  /** A new, empty database. */
  newDatabase(): string;
  /** As a power cut would: nothing is written any more. */
  kill(): Promise<void>;
}

const PACKAGES = "/usr/lib/postgresql";
const USER = "tillway";
const READY_WITHIN_MS = 20_000;
const POLL_MS = 50;

/** The newest that is installed, or undefined. */
export function postgresBin(): string | undefined {
  if (!existsSync(PACKAGES)) return undefined;
  const versions = readdirSync(PACKAGES).toSorted((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(PACKAGES, version, "bin")).find((bin) => existsSync(join(bin, "initdb")));
}

/** `settings` as in postgresql.conf. Throws Fault `package.missing` where the system has no PostgreSQL. */
export async function startPostgres(settings: Readonly<Record<string, string>> = {}): Promise<PostgresServer> {
  const bin = postgresBin();
  if (bin === undefined)
    throw new Fault("package.missing", "PostgreSQL is not installed: apt-get install postgresql, or run scripts/setup");
  const folder = mkdtempSync(join(tmpdir(), "tillway-postgres-"));
  const owner = notRoot(folder);
  const data = join(folder, "data");
  mkdirSync(data, { mode: 0o700 });
  if ("uid" in owner) chownSync(data, owner.uid, owner.gid);
  const run = (program: string, args: readonly string[]) =>
    execFileSync(join(bin, program), args, { ...owner, cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  run("initdb", ["-D", data, "-U", USER, "--auth=trust", "--locale=C", "--encoding=UTF8"]);
  const port = await freePort();
  const all = { listen_addresses: "127.0.0.1", port: String(port), unix_socket_directories: "", ...settings };
  const args = Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const child = spawn(join(bin, "postgres"), ["-D", data, ...args], {
    ...owner,
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words = `${words}${chunk.toString()}`.slice(-WORDS_MAX);
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const ask = (text: string) => psql(port, text);
  const server: PostgresServer = {
    port,
    pid: child.pid ?? 0,
    folder: data,
    newDatabase: () => newDatabase(port),
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
    async [Symbol.asyncDispose]() {
      // Fast shutdown: sessions are ended, and nothing waits for them.
      child.kill("SIGINT");
      await ended;
      child.stderr.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await ready({ child, ask, words: () => words });
  return server;
}

const WORDS_MAX = 4_096;

function psql(port: number, text: string): void {
  const args = ["-h", "127.0.0.1", "-p", String(port), "-U", USER, "-d", "postgres", "-Atc", text];
  execFileSync(join(postgresBin() ?? "", "psql"), args, { stdio: ["ignore", "pipe", "pipe"] });
}

let made = 0;
/** The address of a new database on a server of `startPostgres`: empty, or a copy of the one that `like` is the address of. */
export function newDatabase(port: number, like?: string): string {
  made += 1;
  const name = `d${process.pid}_${made}`;
  const template = like === undefined ? "" : ` TEMPLATE ${new URL(like).pathname.slice(1)}`;
  psql(port, `CREATE DATABASE ${name}${template}`);
  return `postgres://${USER}@127.0.0.1:${port}/${name}`;
}

interface Starting {
  readonly child: ChildProcess;
  readonly ask: (text: string) => unknown;
  readonly words: () => string;
}

async function ready({ child, ask, words }: Starting): Promise<void> {
  const deadline = performance.now() + READY_WITHIN_MS;
  while (child.exitCode === null && performance.now() < deadline) {
    try {
      ask("SELECT 1");
      return;
    } catch {
      await delay(POLL_MS);
    }
  }
  child.kill("SIGKILL");
  throw new Fault(
    "store.failed",
    `PostgreSQL did not start: ${words().trim().split("\n").at(-1) ?? "no word from it"}`,
  );
}

type Owner = { readonly uid: number; readonly gid: number } | Record<never, never>;

/** PostgreSQL refuses to run as root: then it is the user that its package made. */
function notRoot(folder: string): Owner {
  if (process.getuid?.() !== 0) return {};
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((text) => text.startsWith("postgres:"));
  const [, , uid, gid] = line?.split(":") ?? [];
  if (uid === undefined || gid === undefined)
    throw new Fault("package.missing", "there is no user postgres to run PostgreSQL as; run this as another than root");
  const owner = { uid: Number(uid), gid: Number(gid) };
  chownSync(folder, owner.uid, owner.gid);
  return owner;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
