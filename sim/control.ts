/** The control socket of every simulator: a Unix socket, one JSON object per line each way, for tests, demos and people. */
import { chmodSync, rmSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { createInterface } from "node:readline";
import { Fault, reasonOf } from "../base/fault.ts";

export type ControlValue = string | number | boolean;
export type ControlCommand = { readonly do: string } & Readonly<Record<string, ControlValue>>;
export type ControlAnswer = Readonly<Record<string, unknown>>;
/** What each command does; the answer's fields are sent back beside `ok: true`. */
export type ControlHandlers = Readonly<
  Record<string, (command: ControlCommand) => ControlAnswer | Promise<ControlAnswer>>
>;

const LINE_BYTES_MAX = 65_536;

export async function serveControl(path: string, handlers: ControlHandlers): Promise<AsyncDisposable> {
  rmSync(path, { force: true });
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    const lines = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY });
    lines.on("line", (line) => {
      void answer(line, handlers).then((text) => {
        if (socket.writable) socket.write(`${text}\n`);
      });
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(new Fault("transport.failed", `no control socket: ${reasonOf(error)}`)));
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  return {
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => server.close(() => resolve()));
      rmSync(path, { force: true });
    },
  };
}

async function answer(line: string, handlers: ControlHandlers): Promise<string> {
  try {
    if (line.length > LINE_BYTES_MAX) throw new Fault("codec.too-long", "a control line is at most 64 KiB");
    const command = JSON.parse(line) as ControlCommand;
    const handler = Object.hasOwn(handlers, command.do) ? handlers[command.do] : undefined;
    if (!handler)
      throw new Fault("codec.invalid", `unknown command "${command.do}"; one of ${Object.keys(handlers).join(", ")}`);
    return JSON.stringify({ ok: true, ...(await handler(command)) });
  } catch (error) {
    return JSON.stringify({ ok: false, error: reasonOf(error) });
  }
}

const ANSWER_WITHIN_MS = 10_000;

/** Sends one command and gives its answer; a refusal by the simulator is a Fault. */
export function control(path: string, command: ControlCommand): Promise<ControlAnswer> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    let text = "";
    const fault = (why: string) => new Fault("transport.failed", `simulator at ${path}: ${why}`);
    socket.setTimeout(ANSWER_WITHIN_MS, () => socket.destroy(fault("no answer within 10 s")));
    socket.on("error", (error) => reject(fault(error.message)));
    socket.on("data", (chunk) => {
      text += chunk.toString("utf8");
      if (!text.includes("\n")) return;
      socket.end();
      const parsed = JSON.parse(text) as { ok: boolean; error?: string } & ControlAnswer;
      if (parsed.ok) resolve(parsed);
      else reject(fault(parsed.error ?? "refused"));
    });
    socket.on("close", () => reject(fault("closed without an answer")));
    socket.write(`${JSON.stringify(command)}\n`);
  });
}
