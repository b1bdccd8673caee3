/** A pseudo terminal whose other end a simulator holds: what a driver opens by its path like any serial port. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { closeSync, constants, lstatSync, openSync, rmSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { abortable, deadline, sleep, systemClock } from "../base/clock.ts";
import { Fault, reasonOf } from "../base/fault.ts";

export interface Pty extends AsyncDisposable {
  /** The path that a driver opens. */
  readonly link: string;
  onReceived(listener: (chunk: Uint8Array) => void): () => void;
  /** Towards the driver. Lost while the port is gone, as on a pulled plug. */
  write(bytes: Uint8Array): void;
  /** The plug is pulled: the path is no more, and an open port hangs up. */
  gone(): Promise<void>;
  /** The plug is in again, under the same path. */
  back(): Promise<void>;
  /** Stops and resumes taking bytes, which the driver feels as back-pressure. */
  pause(): void;
  resume(): void;
}

export const PTY_READY_WITHIN_MS = 5_000;
const LOOK_EVERY_MS = 5;

export async function openPty(options: { readonly link: string }): Promise<Pty> {
  const pty = new SocatPty(options.link);
  await pty.back();
  return pty;
}

interface Plug {
  readonly process: ChildProcessByStdio<Writable, Readable, null>;
  /** Keeps the terminal from hanging up on our side whenever the driver closes it. */
  readonly holder: number;
}

/** Node cannot make a pty by itself; `socat` can, and the bytes come by plain pipes that block no thread. */
class SocatPty implements Pty {
  readonly link: string;
  readonly #listeners = new Set<(chunk: Uint8Array) => void>();
  #plug: Plug | undefined;
  #paused = false;

  constructor(link: string) {
    this.link = link;
  }

  onReceived(listener: (chunk: Uint8Array) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  write(bytes: Uint8Array): void {
    const stdin = this.#plug?.process.stdin;
    if (stdin?.writable) stdin.write(bytes);
  }

  async back(): Promise<void> {
    if (this.#plug) return;
    removeLink(this.link);
    const process = spawn("socat", [`PTY,link=${this.link},rawer`, "STDIO"], { stdio: ["pipe", "pipe", "inherit"] });
    const failed = new Promise<never>((_resolve, reject) => {
      process.once("error", (error) => reject(new Fault("transport.failed", spawnFailure(error), { cause: error })));
      process.once("exit", () => reject(new Fault("transport.failed", `socat ended; is ${this.link} writable?`)));
    });
    // Writing to a plug that was just pulled is a lost byte, not an error.
    process.stdin.on("error", () => undefined);
    try {
      await Promise.race([this.#linked(), failed]);
    } catch (error) {
      process.kill("SIGKILL");
      throw error;
    }
    failed.catch(() => undefined);
    const holder = openSync(this.link, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
    this.#plug = { process, holder };
    process.stdout.on("data", (chunk: Uint8Array) => {
      for (const listener of this.#listeners) listener(chunk);
    });
    if (this.#paused) process.stdout.pause();
  }

  async gone(): Promise<void> {
    const plug = this.#plug;
    if (!plug) return;
    this.#plug = undefined;
    closeSync(plug.holder);
    if (plug.process.exitCode === null && plug.process.signalCode === null) {
      const exited = new Promise((resolve) => plug.process.once("exit", resolve));
      plug.process.kill("SIGKILL");
      await exited;
    }
    removeLink(this.link);
  }

  pause(): void {
    this.#paused = true;
    this.#plug?.process.stdout.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#plug?.process.stdout.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gone();
    this.#listeners.clear();
  }

  async #linked(): Promise<void> {
    using limit = deadline(systemClock, PTY_READY_WITHIN_MS);
    while (!isLink(this.link)) await abortable(sleep(systemClock, LOOK_EVERY_MS, limit.signal), limit.signal);
  }
}

const isLink = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;

/** Only a link, as an earlier simulator that was killed leaves it: never somebody's file. */
function removeLink(path: string): void {
  if (isLink(path)) rmSync(path, { force: true });
}

const spawnFailure = (error: Error): string =>
  `cannot start socat (${reasonOf(error)}); install it with apt-get install socat`;
