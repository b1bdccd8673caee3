/** A real hub and what its operator does about terminals: what is denied reaches a connected one at once, and no number leaks. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import type { DownEnvelope } from "../../wire/envelope.ts";
import { type Lease, LeaseSchema } from "../../wire/lease.ts";
import { openSigned, readPublicKey } from "../../wire/signing.ts";
import { TEST_PAN } from "../rules/hub-fixture.ts";
import { type EnrolledTerminal, HubProcess, Session } from "./hub-process.ts";

const PROGRAM = join(import.meta.dirname, "../../scripts/tillway.ts");

let folder: string;
let hub: HubProcess;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tillway-hub-terminals-"));
  hub = new HubProcess(folder);
  await hub.start();
});
afterAll(async () => {
  await hub.stop("SIGKILL");
  rmSync(folder, { recursive: true });
});

const ended = async (child: ChildProcess) => {
  let [out, err] = ["", ""];
  child.stdout?.on("data", (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    err += chunk.toString();
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, out, err };
};
const operator = (...args: readonly string[]) => hub.command(...args, "--config", hub.configPath);
/** With card numbers on the standard input. */
function withInput(text: string, ...args: readonly string[]) {
  const child = spawn(process.execPath, [PROGRAM, "hub", ...args, "--config", hub.configPath]);
  child.stdin.end(text);
  return ended(child);
}
const leaseIn = (message: DownEnvelope, { identity }: EnrolledTerminal): Lease | undefined =>
  message.type === "lease" && message.body.lease
    ? openSigned("lease", message.body.lease, readPublicKey(identity.hubSigningKey), LeaseSchema)
    : undefined;
const online = ({ terminal }: EnrolledTerminal) =>
  ({
    ...terminal.head(),
    type: "presence",
    body: { status: "online", version: "1", clock: new Date().toISOString() },
  }) as const;

async function connected(id: string) {
  const enrolled = await hub.enrol(id);
  const session = await Session.open(hub, enrolled);
  onTestFinished(() => void session.client.end(true));
  await session.send(online(enrolled));
  await session.until((message) => leaseIn(message, enrolled)?.counter === 1);
  return { enrolled, session };
}

test("a denied card reaches a connected terminal at once, and its number is nowhere in clear", async () => {
  const { enrolled, session } = await connected("deny-1");
  const added = await withInput(`${TEST_PAN}\n`, "deny", "add", "--pan-file", "-", "--why", "stolen");
  expect(added).toEqual({ code: 0, out: "denied  card  999999******0015  version 1\n", err: "" });
  await session.until((message) => leaseIn(message, enrolled)?.denyList.version === 1);
  expect((await operator("deny", "list")).out).toMatch(
    / {2}card {2}999999\*{6}0015 {2}stolen\nversion 1, 1 entries\n$/,
  );
  const again = await withInput(TEST_PAN, "deny", "add", "--pan-file", "-");
  expect(again).toMatchObject({ code: 1, out: "" });
  expect(again.err).toMatch(/already/);
  const wrong = await withInput("12345x\n", "deny", "add", "--pan-file", "-");
  expect(wrong.err).toMatch(/line 1 is no card number/);
  const said = [added, again, wrong].map(({ out, err }) => out + err).join("");
  const { text } = await hub.call("GET", "/metrics");
  for (const of of [hub.errors, said, text]) expect(of).not.toContain(TEST_PAN);
  for (const name of readdirSync(hub.dataDir)) {
    const path = join(hub.dataDir, name);
    if (statSync(path).isFile()) expect(readFileSync(path).includes(TEST_PAN)).toBe(false);
  }
  expect((await withInput(TEST_PAN, "deny", "remove", "--pan-file", "-")).out).toMatch(/^removed {2}card .* version 2/);
  await session.until((message) => leaseIn(message, enrolled)?.denyList.version === 2);
});

test("a revoked terminal loses its lease at once, is refused by name, and is heard again when it is restored", async () => {
  const { enrolled, session } = await connected("revoke-1");
  const { terminal } = enrolled;
  expect((await operator("terminals", "revoke", "revoke-1", "--why", "lost")).code).not.toBe(0);
  const revoked = await operator("terminals", "revoke", "revoke-1", "--by", "ann", "--why", "lost in a taxi");
  expect(revoked).toMatchObject({ code: 0, err: "" });
  expect(revoked.out).toMatch(/revoked 20.*\n.*revoke by ann: lost in a taxi\n$/s);
  await session.until((message) => message.type === "lease" && message.body.lease === undefined);
  await expect.poll(() => session.client.connected).toBe(false);
  await expect(Session.open(hub, enrolled)).rejects.toThrow(/Not authorized/);
  await expect(terminal.tell(terminal.advice("sale-1"))).rejects.toThrow(/E_DENIED.*is revoked/);
  await operator("terminals", "restore", "revoke-1", "--by", "ann", "--why", "found");
  const again = await Session.open(hub, enrolled);
  onTestFinished(() => void again.client.end(true));
  await again.send(online(enrolled));
  await again.until((message) => (leaseIn(message, enrolled)?.counter ?? 0) >= 2);
  expect((await operator("exposure")).out).toMatch(
    /revoke-1 {2}500\.00 EUR {2}until .*\n.*at most \d+\.00 EUR in \d+ leases/s,
  );
});

test("a box that was stolen is heard no more once another is enrolled in its place, which ends the revocation", async () => {
  const { enrolled: stolen, session: held } = await connected("stolen-1");
  const again = await hub.enrol("stolen-1");
  held.received.length = 0;
  await held.send(online(stolen)).catch(() => undefined);
  await expect.poll(() => held.client.connected).toBe(false);
  expect(held.received).toEqual([]);
  await expect(Session.open(hub, stolen)).rejects.toThrow(/Not authorized/);

  await operator("terminals", "revoke", "stolen-1", "--by", "ann", "--why", "stolen");
  const third = await hub.enrol("stolen-1");
  await expect(Session.open(hub, again)).rejects.toThrow(/Not authorized/);
  const session = await Session.open(hub, third);
  onTestFinished(() => void session.client.end(true));
  await session.send(online(third));
  await session.until((message) => leaseIn(message, third) !== undefined);
  const { out } = await operator("terminals", "show", "stolen-1");
  expect(out).toMatch(/restore by claim \w+: enrolled again\n.*revoke by ann: stolen\n/s);
  expect(out).not.toMatch(/^ *revoked 20/m);
});

test("sealing keys turn while the hub runs, over a restart too, and go only when no terminal needs them", async () => {
  const { enrolled, session } = await connected("keys-1");
  const first = enrolled.identity.sealingKey.keyId;
  const rotated = await operator("keys", "rotate", "sealing");
  expect(rotated).toMatchObject({ code: 0, err: "" });
  expect(rotated.out).toMatch(new RegExp(`^sealing 1 {2}${first} .* may be needed\n`));
  await session.until((message) => {
    const keyId = leaseIn(message, enrolled)?.sealingKey.keyId;
    return keyId !== undefined && keyId !== first;
  });
  expect((await operator("keys", "rotate", "signing")).code).toBe(2);
  await hub.stop("SIGTERM");
  await hub.start();
  const kept = await operator("keys", "prune");
  expect(kept.out).toMatch(/^sealing 1 .*may be needed\n(?: {2}\S+: .*\n)+sealing 2 .*present\n$/);
  const terminals = (await operator("terminals")).out
    .trim()
    .split("\n")
    .map((line) => line.split(" ")[0] ?? "");
  const given = await operator("keys", "prune", "--by", "ann", "--why", "all are new", "--give-up", ...terminals);
  expect(given.out).toMatch(new RegExp(`^removed {2}${first}\nsealing 2 .*present\n$`));
  // What it had sealed before can never be opened now, and says so.
  const [receipt] = await enrolled.terminal.tell(enrolled.terminal.advice("late"));
  expect(receipt).toMatchObject({
    status: "quarantined",
    detail: expect.stringContaining("a key that this hub has not"),
  });
});

test("a real agent agrees with the hub on its day, and the hub keeps what it said", async () => {
  const dataDir = join(folder, "agent");
  const config = join(folder, "agent.yaml");
  const site = "site: {merchantName: A, timeZone: Europe/Berlin, currency: EUR}";
  writeFileSync(config, `dataDir: ${dataDir}\napi: {port: 0}\n${site}\nlog: {level: silent}\n`);
  const tillway = (...args: readonly string[]) =>
    ended(spawn(process.execPath, [PROGRAM, ...args, "--config", config]));
  const claim = (await operator("claim", "till-9")).out.trim();
  expect((await tillway("agent", "enrol", claim)).code).toBe(0);
  const agent = spawn(process.execPath, [PROGRAM, "agent", "--config", config], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void agent.kill("SIGKILL"));
  await once(agent.stdout, "data");
  await expect.poll(async () => (await tillway("status")).out, { timeout: 20_000 }).toMatch(/hub {7}up/);
  expect(await tillway("reconcile", "--day", "2026-01-05")).toEqual({
    code: 0,
    out: "2026-01-05: the hub agrees with all 0 entries\n",
    err: "",
  });
  expect((await tillway("reconcile", "--day", "yesterday")).err).toMatch(/must be a day/);
  const day = (of: string) => operator("reconcile", "--terminal", "till-9", "--day", of);
  expect(await day("2026-01-05")).toMatchObject({ code: 0, out: expect.stringContaining("listed 0 entries") });
  expect(await day("2026-01-06")).toMatchObject({ code: 1, out: expect.stringContaining("nothing is agreed") });
});
