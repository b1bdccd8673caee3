/** From a sale on real interfaces to its replay: recorded by the agent, opened by the hub, decided again by the kernel (RM6). */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Counter } from "../../scripts/lib/counter.ts";
import { runTillway, until } from "../../scripts/lib/processes.ts";
import { cardProfile } from "../../sim/card/profiles.ts";

const folder = mkdtempSync(join(tmpdir(), "dialogue-"));
const SLOW_MS = 150;
const counter = new Counter({ folder });

beforeAll(async () => await counter.start(), 120_000);
afterAll(async () => {
  await counter[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

async function tillway(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runTillway(args);
  if (code !== 0) throw new Error(`tillway ${args.join(" ")} ended with ${code}: ${stderr}${stdout}`);
  return stdout;
}

/** The dialogue is written after the till has its answer. */
const dialogue = (id: string, ...more: readonly string[]): Promise<string> =>
  until(`the dialogue of ${id}`, async () => {
    const { code, stdout } = await runTillway(["dialogue", id, "--config", counter.agentConfig, ...more]);
    return code === 0 ? stdout : undefined;
  });

async function replayed(id: string): Promise<unknown> {
  const sealed = join(folder, `${id}.json`);
  const transcript = join(folder, `${id}.txt`);
  writeFileSync(sealed, await dialogue(id, "--sealed"));
  writeFileSync(transcript, await tillway("hub", "dialogue", sealed, "--config", counter.hubConfig));
  const keys = ["--capk", join(folder, "capk.json"), "--revoked", join(folder, "revoked.json")];
  return JSON.parse(await tillway("emv", "replay", transcript, ...keys, "--json"));
}

test("RM6 a dialogue that the agent recorded is opened by its hub alone and replays to the sale's decision", async () => {
  expect((await counter.sale("R-1", 1_250))?.body).toMatchObject({ status: "approved", mode: "online" });
  expect(await replayed("R-1")).toMatchObject({
    ran: true,
    oda: { method: "cda" },
    decision: { outcome: "approved", cryptogram: "TC", responseCode: "00" },
  });

  const shown = await dialogue("R-1");
  const { pan } = cardProfile("standard");
  expect(shown).toContain("> 80AE");
  expect(shown.replace(/\s/g, "")).not.toContain(pan);
});

test("RM6 a sale without the hub replays to its offline decision", async () => {
  await counter.program("hub").stop("SIGKILL");
  await counter.offline();
  expect((await counter.sale("R-2", 900))?.body).toMatchObject({ status: "approved", mode: "offline" });
  expect(await replayed("R-2")).toMatchObject({
    ran: true,
    decision: { outcome: "approved", cryptogram: "TC", responseCode: "Y3" },
  });
});

test("RM6 the dialogue of a sale that ends while the agent stops is kept", async () => {
  await counter.card({ do: "slow", ms: SLOW_MS });
  const sale = counter.sale("R-3", 500).catch(() => undefined);
  await until("the card's records", async () =>
    (await counter.payment("R-3")).stage === "records-read" ? true : undefined,
  );
  await counter.program("agent").stop("SIGTERM");
  await sale;
  await counter.startAgent();
  expect(await counter.payment("R-3")).toMatchObject({ status: "approved" });
  expect(await tillway("dialogue", "R-3", "--config", counter.agentConfig)).toContain("> 80AE");
}, 60_000);
