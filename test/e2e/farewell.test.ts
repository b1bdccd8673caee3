/** An agent that is stopped in order says goodbye to its hub, which else would learn of it by a lease that runs out. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { enrolInto } from "./test-terminal.ts";
import { LOOPBACK, newAuthority, TestHub } from "./uplink-hub.ts";

const PROGRAM = join(import.meta.dirname, "../../scripts/tillway.ts");
const folder = mkdtempSync(join(tmpdir(), "tillway-farewell-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("an agent that is stopped tells its hub that it goes", async () => {
  const authority = await newAuthority();
  await using hub = await new TestHub().start(await authority.issue(LOOPBACK));
  const dataDir = join(folder, "data");
  await enrolInto(dataDir, { authority, hub });
  const config = join(folder, "agent.yaml");
  const site = "site: {merchantName: A, timeZone: UTC, currency: EUR}";
  writeFileSync(config, `dataDir: ${dataDir}\napi: {port: 0}\n${site}\nlog: {level: silent}\n`);
  const agent = spawn(process.execPath, [PROGRAM, "agent", "--config", config], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const hello = await hub.heard(({ envelope }) => envelope.type === "presence");
    const exited = once(agent, "exit");
    agent.kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
    // The last will says the same, but was written when the connection was made, and is not for those who leave in order.
    const goodbyes = hub.received.filter(
      ({ envelope: { type, body } }) => type === "presence" && body.status === "offline",
    );
    expect(goodbyes.map(({ envelope }) => envelope.sentAt >= hello.envelope.sentAt)).toEqual([true]);
  } finally {
    agent.kill("SIGKILL");
  }
});
