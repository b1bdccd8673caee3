/** A customer's phone as a process, against a hub as a process: enrolment, codes, refusals over HTTPS, what lies on disk. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newEpoch, type PaymentId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { parseDecimal } from "../../base/money.ts";
import { parsePreAuthorisedCode } from "../../protocols/codes/own-codes.ts";
import { type ControlAnswer, control } from "../../sim/control.ts";
import { toWireMoney } from "../../wire/common.ts";
import { encodeChallenge, NONCE_BYTES } from "../../wire/offline-note.ts";
import { newSigningKeys, publicKeyText, readPrivateKey, signText } from "../../wire/signing.ts";
import { HubProcess } from "./hub-process.ts";

const folder = mkdtempSync(join(tmpdir(), "tw-phone-"));
const hub = new HubProcess(folder);
const READY_WITHIN_MS = 20_000;
let account: string;
const phones: ChildProcess[] = [];

beforeAll(async () => {
  await hub.start();
  const card = { pan: "9999990000000015", expiry: "3012", balance: { minor: "10000", currency: "EUR" } };
  const { body } = await hub.operator("POST", "/v1/accounts", card);
  account = (body as { id: string }).id;
});

afterAll(async () => {
  for (const phone of phones) {
    if (phone.exitCode !== null || phone.signalCode !== null) continue;
    phone.kill("SIGTERM");
    await once(phone, "exit");
  }
  await hub.stop("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

interface RunningPhone {
  readonly folder: string;
  readonly child: ChildProcess;
  /** Everything on its screen. */
  screen(): string;
  do(command: string, fields?: Readonly<Record<string, string | number>>): Promise<ControlAnswer>;
}

async function startPhone(name: string): Promise<RunningPhone> {
  const state = join(folder, name);
  const socket = join(folder, `${name}.sock`);
  const tillway = join(import.meta.dirname, "..", "..", "scripts", "tillway.ts");
  const child = spawn(process.execPath, [tillway, "sim", "phone", "--state", state, "--control", socket], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  phones.push(child);
  let text = "";
  await new Promise<void>((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error(`the phone is not ready: ${text}`)), READY_WITHIN_MS);
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (!text.includes('"ready":true')) return;
      clearTimeout(limit);
      resolve();
    });
    child.once("exit", (code) => reject(new Error(`the phone ended with ${code}`)));
  });
  return {
    folder: state,
    child,
    screen: () => text,
    do: (command, fields = {}) => control(socket, { ...fields, do: command }),
  };
}

async function claim(user: string): Promise<string> {
  const made = await hub.command("phones", "add", "--user", user, "--account", account, "--config", hub.configPath);
  expect(made.err).toContain(`for one phone of ${user} until`);
  return made.out.trim();
}

test("AC1.1 a phone enrols, registers a code, and pays with what it shows while it is offline, even after it died", async () => {
  const first = await startPhone("anna");
  expect(await first.do("status")).toMatchObject({ enrolled: false });
  await expect(first.do("register")).rejects.toThrow("not enrolled");
  const line = await claim("anna");
  expect(await first.do("enrol", { claim: line })).toMatchObject({ enrolled: true, userId: "anna" });
  await expect((await startPhone("thief")).do("enrol", { claim: line })).rejects.toThrow("E_USED");
  expect(await first.do("register", { cap: "50.00", ttl: 3600 })).toMatchObject({ status: "ISSUED", capMinor: "5000" });
  first.child.kill("SIGKILL");
  await once(first.child, "exit");

  const phone = await startPhone("anna");
  await phone.do("offline");
  await expect(phone.do("register")).rejects.toThrow("no network");
  const shown = await phone.do("show");
  expect(phone.screen()).toContain(shown["text"]);
  expect(readFileSync(String(shown["svg"]), "utf8")).toMatch(/^<svg /);
  const code = parsePreAuthorisedCode(String(shown["text"]));
  if (!code.ok) throw new Error(code.error.detail);
  const { userId, secureCode } = code.value;

  const { terminal } = await hub.enrol("T1");
  const amount = toWireMoney(parseDecimal("32.00", "EUR"));
  const paid = await terminal.ask(terminal.request("p1", { code: { userId, secureCode }, amount }));
  expect(paid).toMatchObject({ outcome: "approved", maskedAccount: `****${account.slice(-4)}` });
  expect(await phone.do("notices")).toMatchObject({ offline: true, fresh: [] });
  expect(await phone.do("online")).toMatchObject({ fresh: [{ txnId: "p1", status: "paid", amountMinor: "3200" }] });
  await expect(phone.do("show")).rejects.toThrow("no code of this phone can pay");

  const listed = await hub.command("codes", "--config", hub.configPath);
  expect(listed.out).toContain("anna  at most 50.00 EUR");
  expect(listed.out).toContain("USED  T1  p1");
  await hub.stop("SIGTERM");
  for (const name of readdirSync(hub.dataDir, { recursive: true, withFileTypes: true })) {
    if (!name.isFile()) continue;
    expect(readFileSync(join(name.parentPath, name.name)).includes(secureCode)).toBe(false);
  }
  expect(hub.errors).not.toContain(secureCode);
  await hub.start();
});

test("RM11 a phone holds an allowance, answers a challenge while it is offline, and gives the rest back", async () => {
  const phone = await startPhone("cleo");
  await phone.do("enrol", { claim: await claim("cleo") });
  expect(await phone.do("allowance", { amount: "20.00" })).toMatchObject({ amountMinor: "2000", currency: "EUR" });
  await expect(phone.do("allowance", { amount: "99999.00" })).rejects.toThrow("E_LIMIT");
  await phone.do("offline");
  const challenge = encodeChallenge({
    terminalId: "T1" as TerminalId,
    epoch: newEpoch(systemRandom),
    paymentId: "n1" as PaymentId,
    nonce: systemRandom(NONCE_BYTES),
    amount: parseDecimal("7.50", "EUR"),
    payee: "shop",
  });
  const paid = await phone.do("pay", { challenge });
  expect(paid).toMatchObject({ amount: "7.50", currency: "EUR", payee: "shop", terminalId: "T1", leftMinor: "1250" });
  expect(paid["text"]).toMatch(/^OA1:/);
  expect(phone.screen()).toContain(paid["text"]);
  expect(await phone.do("pay", { challenge })).toMatchObject({ text: paid["text"], leftMinor: "1250" });
  await phone.do("online");
  expect(await phone.do("give-back")).toMatchObject({ returnedMinor: "1250" });
  expect(await phone.do("status")).toMatchObject({ notesMinor: "0" });
});

test("whatever a phone keeps, its owner alone can read", () => {
  const files = readdirSync(join(folder, "anna"));
  expect(files.sort()).toEqual(["identity.json", "screen.svg", "state.json"]);
  for (const file of files) expect(statSync(join(folder, "anna", file)).mode & 0o777).toBe(0o600);
});

test("AC1.4 over HTTPS a forged message is E_SIG, an unknown phone E_UNKNOWN, and signed nonsense E_FORMAT", async () => {
  const phone = await startPhone("ben");
  const { deviceId } = await phone.do("enrol", { claim: await claim("ben") });
  const at = new Date().toISOString();
  const text = JSON.stringify({ v: 1, deviceId, id: "0".repeat(24), at, type: "notices", body: { since: 0 } });
  const forger = newSigningKeys();
  const say = (body: unknown) => hub.call("POST", "/v1/phone", { body });
  expect(await say(signText("phone", text, forger.privateKey))).toMatchObject({ status: 401, body: { code: "E_SIG" } });
  const unknown = text.replace(String(deviceId), "0".repeat(16));
  const refused = await say(signText("phone", unknown, forger.privateKey));
  expect(refused).toMatchObject({ status: 401, body: { code: "E_UNKNOWN" } });
  expect(await say({ text })).toMatchObject({ status: 400, body: { code: "E_FORMAT", path: "signature" } });
  const { privateKey } = JSON.parse(readFileSync(join(phone.folder, "identity.json"), "utf8")) as {
    privateKey: string;
  };
  const nonsense = signText("phone", JSON.stringify({ deviceId, type: "nonsense" }), readPrivateKey(privateKey));
  expect(await say(nonsense)).toMatchObject({ status: 400, body: { code: "E_FORMAT", path: "text" } });
  expect((await say({ text: "x".repeat(40_000), signature: "AAAA" })).status).toBe(413);
  const enrol = { claimId: "0".repeat(16), secret: "x".repeat(43), publicKey: publicKeyText(forger.publicKey) };
  const claimed = await hub.call("POST", "/v1/phone/enrol", { body: enrol });
  expect(claimed).toMatchObject({ status: 401, body: { code: "E_UNKNOWN" } });
});

test("a blocked phone is refused, and served again when the block is gone", async () => {
  const listed = await hub.command("phones", "list", "--json", "--config", hub.configPath);
  const lines = listed.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { deviceId: string; userId: string });
  const device = lines.find(({ userId }) => userId === "anna")?.deviceId ?? "";
  const block = await hub.command("phones", "block", device, "--config", hub.configPath);
  expect(block.out.trim()).toBe(`${device}: blocked`);
  const socket = join(folder, "anna.sock");
  await expect(control(socket, { do: "register" })).rejects.toThrow(/E_UNKNOWN.*blocked/);
  await hub.command("phones", "unblock", device, "--config", hub.configPath);
  expect(await control(socket, { do: "register" })).toMatchObject({ status: "ISSUED" });
});

test("an account that is no customer's gets no phone, and one who asks without end has to wait", async () => {
  const claimed = await hub.operator("POST", "/v1/phones/claims", { userId: "eve", accountId: "merchant:shop:EUR" });
  expect(claimed).toMatchObject({ status: 404, body: { code: "E_UNKNOWN", path: "accountId" } });
  const statuses = new Set<number>();
  for (let times = 0; times < 80; times += 1) statuses.add((await hub.call("POST", "/v1/phone", { body: {} })).status);
  expect([...statuses].sort()).toEqual([400, 429]);
});
