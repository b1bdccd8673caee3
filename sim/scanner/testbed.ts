/** The umockdev testbed as a child process: a device on hidraw that only processes with its environment see. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { abortable, deadline, systemClock } from "../../base/clock.ts";
import { Fault, reasonOf } from "../../base/fault.ts";

export interface HidDevice {
  readonly vendor: number;
  readonly product: number;
  readonly serial: string;
  readonly manufacturer: string;
  readonly name: string;
  /** Hex. */
  readonly descriptor: string;
}

export interface Testbed extends AsyncDisposable {
  /** With this a process sees the device. */
  readonly environment: Readonly<Record<string, string>>;
  /** How many of the reports were read; what nobody reads within a second is lost. */
  reports(reports: readonly Uint8Array[]): Promise<number>;
  /** Open readers feel the end of the device. */
  unplug(): Promise<void>;
  /** The device is back, under the next free node. */
  plug(): Promise<void>;
}

/** The system's own: Debian installs the bindings of umockdev for it, and for no other Python. */
const PYTHON = "/usr/bin/python3";
const PRELOAD = "libumockdev-preload.so.0";
const INSTALL_HINT = "apt-get install -y --no-install-recommends umockdev gir1.2-umockdev-1.0 python3-gi";
const ANSWER_WITHIN_MS = 20_000;
const ENDS_WITHIN_MS = 2_000;
const STDERR_CHARACTERS_MAX = 2_000;

const program = (): string => fileURLToPath(new URL("./testbed.py", import.meta.url));

export async function startTestbed(device: HidDevice): Promise<Testbed> {
  if (!existsSync(PYTHON)) throw new Fault("package.missing", `${PYTHON} is not installed: ${INSTALL_HINT}`);
  // The testbed makes its own folder in it, and leaves that behind when it is killed.
  const folder = mkdtempSync(join(tmpdir(), "tw-hid-"));
  const child = spawn(PYTHON, [program(), JSON.stringify(device), folder], {
    env: { PATH: "/usr/bin:/bin", TMPDIR: folder },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const bench = new PythonTestbed(child, folder);
  try {
    await bench.start();
  } catch (error) {
    await bench[Symbol.asyncDispose]();
    throw error;
  }
  return bench;
}

interface Answer {
  readonly ok: boolean;
  readonly error?: string;
  readonly root?: string;
  readonly read?: number;
}

class PythonTestbed implements Testbed {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #folder: string;
  readonly #exited: Promise<void>;
  readonly #ended = new AbortController();
  readonly #askers: ((answer: Answer) => void)[] = [];
  #stderr = "";
  #root = "";

  constructor(child: ChildProcessByStdio<Writable, Readable, Readable>, folder: string) {
    this.#child = child;
    this.#folder = folder;
    this.#exited = new Promise((resolve) => {
      child.once("exit", () => resolve());
      child.once("error", () => resolve());
    });
    child.once("error", (error) => this.#end(error.message));
    child.once("exit", () => this.#end(this.#stderr.trim().split("\n").at(-1) ?? ""));
    child.stdin.on("error", () => undefined);
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = `${this.#stderr}${text}`.slice(-STDERR_CHARACTERS_MAX);
    });
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => this.#askers.shift()?.(JSON.parse(line) as Answer));
  }

  get environment(): Readonly<Record<string, string>> {
    return { LD_PRELOAD: PRELOAD, UMOCKDEV_DIR: this.#root };
  }

  async start(): Promise<void> {
    const { root } = await this.#answer();
    this.#root = root ?? "";
  }

  async reports(reports: readonly Uint8Array[]): Promise<number> {
    const hex = reports.map((report) => Buffer.from(report).toString("hex"));
    const { read } = await this.#ask({ do: "reports", hex });
    return read ?? 0;
  }

  async unplug(): Promise<void> {
    await this.#ask({ do: "unplug" });
  }

  async plug(): Promise<void> {
    await this.#ask({ do: "plug" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    const cancel = systemClock.after(ENDS_WITHIN_MS, () => this.#child.kill("SIGKILL"));
    await this.#exited;
    cancel();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #ask(command: Readonly<Record<string, unknown>>): Promise<Answer> {
    const answer = this.#answer();
    if (!this.#ended.signal.aborted) this.#child.stdin.write(`${JSON.stringify(command)}\n`);
    return answer;
  }

  /** The next line that nobody else waits for; answers come in the order of the questions. */
  async #answer(): Promise<Answer> {
    using limit = deadline(systemClock, ANSWER_WITHIN_MS, this.#ended.signal);
    const line = new Promise<Answer>((resolve) => this.#askers.push(resolve));
    const answer = await abortable(line, limit.signal);
    if (!answer.ok) throw new Fault("transport.failed", `the simulated scanner: ${answer.error ?? "refused"}`);
    return answer;
  }

  #end(why: string): void {
    const mend = /No module|Namespace|ENOENT/.test(why) ? `; ${INSTALL_HINT}` : "";
    this.#ended.abort(new Fault("transport.failed", `the testbed ended (${reasonOf(why)})${mend}`));
  }
}
