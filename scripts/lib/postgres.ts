/** A PostgreSQL server of one's own on loopback, from the system's package: made empty, and ended and removed with its owner. */
import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
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
  /** One statement on its own. */
  sql(text: string): void;
  /** On what a kill left, at the same port. */
  restart(): Promise<void>;
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

/**
 * `settings` as in postgresql.conf; `follows` makes it a standby of the server at that port. Throws Fault `package.missing`
 * where the system has no PostgreSQL.
 */
export async function startPostgres(
  settings: Readonly<Record<string, string>> = {},
  follows?: Pick<PostgresServer, "port">,
): Promise<PostgresServer> {
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
  if (follows)
    run("pg_basebackup", ["-h", "127.0.0.1", "-p", String(follows.port), "-U", USER, "-D", data, "-R", "-c", "fast"]);
  else run("initdb", ["-D", data, "-U", USER, "--auth=trust", "--locale=C", "--encoding=UTF8"]);
  const port = await freePort();
  const all = { listen_addresses: "127.0.0.1", port: String(port), unix_socket_directories: "", ...settings };
  const args = Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const launch = () =>
    launchServer(
      () =>
        spawn(join(bin, "postgres"), ["-D", data, ...args], {
          ...owner,
          cwd: folder,
          stdio: ["ignore", "ignore", "pipe"],
        }),
      port,
    );
  let running = await launch();
  return {
    port,
    folder: data,
    get pid() {
      return running.child.pid ?? 0;
    },
    newDatabase: () => newDatabase(port),
    sql: (text) => psql(port, text),
    async kill() {
      running.child.kill("SIGKILL");
      await running.ended;
    },
    async restart() {
      running = await launch();
    },
    async [Symbol.asyncDispose]() {
      // Immediate shutdown: what is thrown away with its folder needs no checkpoint.
      running.child.kill("SIGQUIT");
      await running.ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

type ServerProcess = ChildProcessByStdio<null, null, Readable>;

interface Launched {
  readonly child: ServerProcess;
  readonly ended: Promise<void>;
}

/** What a killed server left, its own processes among it, may hold up the next start for a moment. */
const LAUNCHES_MAX = 20;

async function launchServer(start: () => ServerProcess, port: number): Promise<Launched> {
  let words = "";
  for (let launch = 0; launch < LAUNCHES_MAX; launch += 1) {
    const child = start();
    words = "";
    child.stderr.on("data", (chunk: Buffer) => {
      words = `${words}${chunk.toString()}`.slice(-WORDS_MAX);
    });
    const ended = new Promise<void>((resolve) =>
      child.once("exit", () => {
        child.stderr.destroy();
        resolve();
      }),
    );
    if (await isReady(child, port)) return { child, ended };
    child.kill("SIGKILL");
    await ended;
    await delay(POLL_MS);
  }
  throw new Fault("store.failed", `PostgreSQL did not start: ${words.trim().split("\n").at(-1) ?? "no word from it"}`);
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

/** False when it ended, or was not ready in time. */
async function isReady(child: ServerProcess, port: number): Promise<boolean> {
  const deadline = performance.now() + READY_WITHIN_MS;
  while (child.exitCode === null && performance.now() < deadline) {
    try {
      psql(port, "SELECT 1");
      return true;
    } catch {
      await delay(POLL_MS);
    }
  }
  return false;
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

/** Of loopback, and free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
