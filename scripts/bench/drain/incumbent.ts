/**
 * What one would otherwise write: mqtt.js with a store of its own that is durable for each message, over TLS to a broker,
 * and a subscriber that commits each message before it acknowledges it. Publisher, broker and subscriber are processes of
 * their own, as in the product.
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connectAsync } from "mqtt";
import { openSqlite } from "../../../base/sqlite.ts";

export interface IncumbentOptions {
  readonly folder: string;
  readonly inFlight: number;
}

const MESSAGES = 2_000;
const MESSAGE_BYTES = 1_200;
const WITHIN_MS = 120_000;
const PEER = fileURLToPath(
  new URL(
    import.meta.url.endsWith(".ts") ? "./incumbent-peer.ts" : "../scripts/bench/drain/incumbent-peer.ts",
    import.meta.url,
  ),
);

export async function incumbentRate({ folder, inFlight }: IncumbentOptions): Promise<number> {
  mkdirSync(folder, { recursive: true });
  const broker = await peer(["broker", folder]);
  const port = String(broker.said);
  const subscriber = await peer(["subscriber", folder, port]);
  const client = await connectAsync(`mqtts://127.0.0.1:${port}`, {
    ca: readFileSync(join(folder, "tls", "ca-certificate.pem")),
    clientId: "publisher",
    clean: false,
  });
  const store = openSqlite(join(folder, "outgoing.db"), {
    migrations: [{ id: "bench-1", sql: "CREATE TABLE bench__out (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT" }],
  });
  const put = store.prepare("INSERT INTO bench__out (id, text) VALUES (?, ?)");
  const take = store.prepare("DELETE FROM bench__out WHERE id = ?");
  const payload = "x".repeat(MESSAGE_BYTES);
  try {
    const began = performance.now();
    let next = 0;
    const lane = async () => {
      while (next < MESSAGES) {
        const id = next;
        next += 1;
        put.run(id, payload);
        await client.publishAsync("sales", `${id} ${payload}`, { qos: 1 });
        take.run(id);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, lane));
    await untilSaid(subscriber.child, String(MESSAGES));
    return (MESSAGES / (performance.now() - began)) * 1_000;
  } finally {
    await client.endAsync(true);
    store.close();
    subscriber.child.kill("SIGKILL");
    broker.child.kill("SIGKILL");
  }
}

async function peer(args: readonly string[]): Promise<{ child: ChildProcess; said: unknown }> {
  const child = fork(PEER, [...args], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const said = await new Promise<unknown>((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", (code) => reject(new Error(`${args[0]} ended with ${code}`)));
  });
  return { child, said };
}

function untilSaid(child: ChildProcess, wanted: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the subscriber never had all messages")), WITHIN_MS);
    child.on("message", (said: unknown) => {
      if (said !== wanted) return;
      clearTimeout(timer);
      resolve();
    });
    child.send("how many");
  });
}
