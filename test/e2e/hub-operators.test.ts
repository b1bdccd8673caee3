/** A real hub and the people who run it, each with a command line of his own. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HubProcess } from "./hub-process.ts";

const PROGRAM = join(import.meta.dirname, "../../scripts/tillway.ts");
const PASSWORD = "correct horse battery";

let folder: string;
let hub: HubProcess;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tillway-hub-operators-"));
  hub = new HubProcess(folder);
  await hub.start();
});
afterAll(async () => {
  await hub.stop("SIGKILL");
  rmSync(folder, { recursive: true });
});

/** `tillway hub …` of somebody with a home of his own, and what he gives on the standard input. */
async function as(person: string, args: readonly string[], input = "") {
  const child = spawn(process.execPath, [PROGRAM, "hub", ...args, "--config", hub.configPath], {
    env: { ...process.env, XDG_STATE_HOME: join(folder, person) },
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    err += chunk.toString();
  });
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, out, err };
}

const root = (...args: readonly string[]) => as("root", args);
const addUser = (name: string, role: string) =>
  as("root", ["users", "add", name, "--role", role, "--password-file", "-"], `${PASSWORD}\n`);
const logIn = (name: string) => as(name, ["login", name, "--password-file", "-"], `${PASSWORD}\n`);

test("the hub's own user makes the first admin; people log in, do what their role allows, and log out", async () => {
  expect(await root("users", "me")).toMatchObject({ code: 0, out: "bootstrap  admin  by bootstrap\n" });
  expect(await addUser("ada", "admin")).toEqual({ code: 0, out: "ada  admin\n", err: "" });
  expect(await addUser("vera", "viewer")).toMatchObject({ code: 0 });
  expect((await as("root", ["users", "add", "x", "--role", "admin", "--password-file", "-"], "short\n")).err).toBe(
    "tillway: the hub says no (400): password: at least 12 characters\n",
  );

  expect(await logIn("vera")).toMatchObject({ code: 0, out: expect.stringMatching(/^vera, viewer, until 20/) });
  const session = join(folder, "vera", "tillway", "hub-sessions.json");
  expect(statSync(session).mode & 0o777).toBe(0o600);
  expect(readFileSync(session, "utf8")).not.toContain(PASSWORD);

  await hub.enrol("till-1");
  expect((await as("vera", ["terminals"])).out).toMatch(/^till-1 /);
  const refused = await as("vera", ["revoke", "till-1", "--by", "vera", "--why", "try"]);
  expect(refused).toEqual({
    code: 1,
    out: "",
    err: "tillway: the hub says no (403): this needs the role operator; you have the role viewer\n",
  });
  await root("users", "role", "vera", "operator");
  expect((await as("vera", ["terminals"])).err).toMatch(/\(401\): log in/);
  await logIn("vera");
  expect(await as("vera", ["revoke", "till-1", "--by", "vera", "--why", "lost"])).toMatchObject({ code: 0 });
  expect(await as("vera", ["rotate", "sealing"])).toMatchObject({ code: 1, err: expect.stringContaining("admin") });

  expect((await as("vera", ["logout"])).out).toBe("vera: logged out\n");
  expect((await as("vera", ["users", "me"])).out).toMatch(/^bootstrap/);
});

test("a program asks with a token from a file, and only for as much as the token's role", async () => {
  await logIn("ada");
  const made = await as("ada", ["users", "tokens", "add", "ci", "--role", "viewer", "--days", "7"]);
  expect(made.out).toMatch(/^twt\.[0-9a-f]{16}\.\S{43}\n$/);
  const file = join(folder, "token");
  writeFileSync(file, made.out, { mode: 0o600 });
  const withToken = (...args: readonly string[]) => as("ci", [...args, "--token-file", file]);
  expect((await withToken("users", "me")).out).toBe("ada  viewer  by token\n");
  expect(await withToken("claim", "till-2")).toMatchObject({ code: 1, err: expect.stringContaining("role operator") });
  expect((await as("ada", ["users", "tokens"])).out).toMatch(/^ci {2}twt\.[0-9a-f]{16}\.… {2}viewer {2}until .* used /);
  await as("ada", ["users", "tokens", "revoke", "ci"]);
  expect((await withToken("users", "me")).err).toMatch(/\(401\)/);
  writeFileSync(file, made.out, { mode: 0o644 });
  rmSync(file);
  writeFileSync(file, made.out, { mode: 0o644 });
  expect((await withToken("users", "me")).err).toMatch(/chmod 600/);
});

test("from another machine one logs in with the hub's address and its authority alone", async () => {
  const ca = join(hub.dataDir, "tls", "ca-certificate.pem");
  const { httpsPort } = JSON.parse(readFileSync(join(hub.dataDir, "endpoints.json"), "utf8")) as { httpsPort: number };
  const away = (...args: readonly string[]) =>
    as("away", [...args, "--config", join(folder, "none.yaml")], `${PASSWORD}\n`);
  const url = `https://127.0.0.1:${httpsPort}`;
  expect((await away("login", "ada", "--url", url)).err).toMatch(/go together/);
  expect((await away("login", "ada", "--password-file", "-", "--url", url, "--ca", ca)).code).toBe(0);
  // Nothing of the hub's data folder is read: the configuration is none.
  expect((await away("users", "me")).out).toBe("ada  admin  by session\n");
});

test("the audit log lists what was done, and its check names the first entry that was touched", async () => {
  const listed = await root("audit", "list", "--last", "200");
  expect(listed.out).toMatch(
    /vera\/operator\/session .*POST \/v1\/terminals\/:id\/revoke {2}id=till-1 by=vera why=lost {2}done 200/,
  );
  expect(listed.out).toMatch(/vera\/viewer\/session .*refused 403 .*role operator/);
  expect(listed.out).not.toContain(PASSWORD);
  const whole = await root("audit", "verify");
  expect(whole).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^\d+ entries are whole; head \d+:[0-9a-f]{64}\n$/),
  });
  await hub.stop("SIGTERM");
  const database = new Database(join(hub.dataDir, "hub.db"));
  database.exec("UPDATE operators__audit SET text = replace(text, 'viewer', 'nobody') WHERE number = 2");
  database.close();
  // Without a hub the command works on its files, and is audited all the same.
  expect((await root("import", join(folder, "none.jsonl"))).code).not.toBe(0);
  await hub.start();
  const [failed, begun] = (await root("audit", "list", "--last", "2")).out.split("\n");
  expect(begun).toMatch(/\/machine {2}hub import {2}file=none\.jsonl {2}begun$/);
  expect(failed).toMatch(/\/machine {2}hub import {2}failed {2}of \d+ {2}.*none\.jsonl/);
  expect(await root("audit", "verify")).toMatchObject({ code: 1, out: expect.stringMatching(/^entry 2 was changed/) });
});

test("wrong arguments are one line and exit code 2", async () => {
  for (const args of [
    ["login"],
    ["audit", "list", "--last", "all"],
    ["users", "tokens", "add", "x", "--role", "viewer", "--days", "soon"],
    ["users", "add", "x", "--role", "viewer"],
  ])
    expect(await root(...args)).toMatchObject({ code: 2, out: "", err: expect.stringMatching(/^tillway: .*\n$/) });
});

test("the token in the data folder cannot be turned off before an admin has an account", async () => {
  const off = { TILLWAY_HUB_OPERATORS_BOOTSTRAP_TOKEN: "false" };
  const empty = join(folder, "empty.yaml");
  writeFileSync(empty, `dataDir: ${join(folder, "empty")}\nlisten: {httpsPort: 0, mqttPort: 0}\n`);
  const child = spawn(process.execPath, [PROGRAM, "hub", "run", "--config", empty], {
    env: { ...process.env, ...off },
  });
  let err = "";
  child.stderr.on("data", (chunk: Buffer) => {
    err += chunk.toString();
  });
  expect((await once(child, "close"))[0]).toBe(2);
  expect(err).toMatch(/no admin has an account/);
});
