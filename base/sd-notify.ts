/** Tells systemd how the process is, through its own program: Node cannot send on Unix datagram sockets. */
import { execFile } from "node:child_process";
import type { Environment } from "./config-file.ts";
import { reasonOf } from "./fault.ts";
import type { Log } from "./log.ts";

/** `READY=1`, `STOPPING=1`, `WATCHDOG=1`, `STATUS=words`. */
export type Notification = "READY=1" | "STOPPING=1" | "WATCHDOG=1" | `STATUS=${string}`;

export interface SdNotify {
  /** Sends in order; never throws. Resolves when it was handed over, or failed. */
  notify(...notifications: readonly Notification[]): Promise<void>;
  /** How often systemd wants to hear `WATCHDOG=1`; undefined when it does not. */
  readonly watchdogMs: number | undefined;
}

const SEND_LIMIT_MS = 5_000;

/** Does nothing where systemd did not start the process. */
export function sdNotify(env: Environment, log: Log): SdNotify {
  if (!env["NOTIFY_SOCKET"]) return { notify: () => Promise.resolve(), watchdogMs: undefined };
  const microseconds = Number(env["WATCHDOG_USEC"] ?? "");
  let last = Promise.resolve();
  let complained = false;
  const complain = (error: unknown) => {
    if (complained) return;
    complained = true;
    log.error("systemd cannot be told how this process is; install the program systemd-notify", {
      reason: reasonOf(error),
    });
  };
  return {
    notify(...notifications) {
      last = last.then(() => send(notifications, env)).catch(complain);
      return last;
    },
    watchdogMs: microseconds > 0 ? microseconds / 1_000 : undefined,
  };
}

function send(notifications: readonly string[], env: Environment): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { env: { ...env }, timeout: SEND_LIMIT_MS };
    execFile("systemd-notify", [...notifications], options, (error) => (error ? reject(error) : resolve()));
  });
}
