/** A device host that hangs in native code when its agent is killed. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { eventually, isAlive, startStand } from "./card-reader-stand.ts";

const AGENT = fileURLToPath(new URL("./card-reader-client.ts", import.meta.url));
const ENDS_WITHIN_MS = 2_000;

test("a host that hears of nothing ends with its agent all the same", async () => {
  await using stand = await startStand();
  const agent = spawn(process.execPath, [AGENT, stand.uri, "stay"], { stdio: ["ignore", "pipe", "inherit"] });
  const [said] = (await once(agent.stdout, "data", { signal: AbortSignal.timeout(20_000) })) as [Buffer];
  const host = Number(said.toString());
  expect(isAlive(host)).toBe(true);
  // As hung as a process can be.
  process.kill(host, "SIGSTOP");
  agent.kill("SIGKILL");
  await eventually(() => !isAlive(host), ENDS_WITHIN_MS);
  expect(isAlive(host)).toBe(false);
});
