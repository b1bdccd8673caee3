/** The other processes of the incumbent: an MQTT broker with TLS, or the subscriber behind it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createServer } from "node:tls";
import { Aedes } from "aedes";
import { connectAsync } from "mqtt";
import { systemClock } from "../../../base/clock.ts";
import { systemRandom } from "../../../base/ids.ts";
import { openSqlite } from "../../../base/sqlite.ts";
import { loadHubTls } from "../../../hub/tls.ts";

const [role, folder = ".", port = "0"] = process.argv.slice(2);
process.on("disconnect", () => process.exit(0));
if (role === "broker") await broker();
else await subscriber();

async function broker(): Promise<void> {
  const tls = await loadHubTls({
    folder: join(folder, "tls"),
    names: [],
    now: systemClock.now(),
    random: systemRandom,
  });
  const aedes = await Aedes.createBroker();
  const server = createServer({ key: tls.key, cert: tls.chain }, aedes.handle);
  server.listen(0, "127.0.0.1", () => process.send?.((server.address() as { port: number }).port));
}

/** Each message is committed before its acknowledgement leaves. */
async function subscriber(): Promise<void> {
  const database = openSqlite(join(folder, "incoming.db"), {
    migrations: [{ id: "bench-1", sql: "CREATE TABLE bench__in (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT" }],
  });
  const insert = database.prepare("INSERT OR IGNORE INTO bench__in VALUES (?, ?)");
  let count = 0;
  let asked = false;
  const client = await connectAsync(`mqtts://127.0.0.1:${port}`, {
    ca: readFileSync(join(folder, "tls", "ca-certificate.pem")),
    clientId: "subscriber",
  });
  // mqtt.js acknowledges when this calls back.
  client.handleMessage = (packet, acknowledge) => {
    const text = packet.payload.toString("utf8");
    insert.run(Number(text.slice(0, text.indexOf(" "))), text);
    count += 1;
    acknowledge();
    if (asked) process.send?.(String(count));
  };
  process.on("message", () => {
    asked = true;
    process.send?.(String(count));
  });
  await client.subscribeAsync("sales", { qos: 1 });
  process.send?.("ready");
}
