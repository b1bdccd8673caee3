/** System 2 with everything real but the card: agent and hub as processes, the link between them, the command line. */
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Counter } from "../../scripts/lib/counter.ts";
import { runTillway, until } from "../../scripts/lib/processes.ts";
import { type CardSim, startCardSim } from "../../sim/card/card-sim.ts";
import { readPersonalisedCard, VerificationApp } from "../../sim/card/verification-app.ts";

const PAYEE = "merchant:shop:EUR";
const folder = mkdtempSync(join(tmpdir(), "verify-"));
const cardFile = join(folder, "card.json");
const counter = new Counter({ folder });
let customer: string;
let sim: CardSim;

beforeAll(async () => {
  await counter.start();
  const accounts = (await counter.hubGet<{ accounts: { id: string }[] }>("/v1/accounts")).accounts;
  customer = accounts.find(({ id }) => id.startsWith("customer:"))?.id ?? "";
  const made = await hubCards("add", customer, "--out", cardFile);
  expect(made).toMatchObject({ code: 0 });
  await counter.program("card").stop();
  const application = new VerificationApp(readPersonalisedCard(cardFile));
  sim = await startCardSim({ port: vpcdPort(), extraApplications: [{ aid: application.aid, application }] });
}, 120_000);
afterAll(async () => {
  await stopSim();
  await counter[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

/** The start may have failed before there was one. */
async function stopSim(): Promise<void> {
  const started: CardSim | undefined = sim;
  await started?.[Symbol.asyncDispose]();
}

const hubCards = (...args: readonly string[]) => runTillway(["hub", "cards", ...args, "--config", counter.hubConfig]);

function vpcdPort(): number {
  const ready = readFileSync(join(folder, "pcscd.log"), "utf8")
    .split("\n")
    .findLast((line) => line.startsWith("{"));
  return Number((JSON.parse(ready ?? "{}") as { port?: number }).port);
}

interface CardPayment {
  readonly status: string;
  readonly reason?: string;
  readonly authCode?: string;
}

const post = (id: string, minor: number) => {
  const body = { id, amount: { minor, currency: "EUR" }, payeeAccount: PAYEE };
  return counter.call<CardPayment>("POST", "/v1/card-payments", body);
};

async function pay(id: string, minor: number): Promise<CardPayment> {
  const posted = post(id, minor);
  await sim.insert();
  const { body } = await posted;
  await sim.pull();
  return body;
}

async function balance(id: string): Promise<number> {
  const { accounts } = await counter.hubGet<{ accounts: { id: string; balanceMinor: string }[] }>("/v1/accounts");
  return Number(accounts.find((account) => account.id === id)?.balanceMinor ?? 0);
}

async function traceOf(txnId: string): Promise<readonly string[] | undefined> {
  const path = "/v1/card-verification/transactions";
  const { transactions } = await counter.hubGet<{ transactions: { txnId: string; trace: string[] }[] }>(path);
  return transactions.find((one) => one.txnId === txnId)?.trace;
}

test("personalisation gives one file that its owner alone can read, overwrites none, and names a wrong account", async () => {
  expect(statSync(cardFile).mode & 0o777).toBe(0o600);
  const again = await hubCards("add", customer, "--out", cardFile);
  expect(again.code).not.toBe(0);
  expect(again.stderr).toContain(`--out ${cardFile}`);
  const wrong = await hubCards("add", "customer:nobody", "--out", join(folder, "other.json"));
  expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining("there is no account customer:nobody") });
  const { dataKey, macKey } = readPersonalisedCard(cardFile);
  const listed = await hubCards("list", "--json");
  expect(listed.stdout).toContain(customer);
  for (const key of [dataKey, macKey])
    expect(listed.stdout + counter.log("hub") + counter.log("agent")).not.toContain(key);
});

test("AC2.1 a genuine card pays 12.50 from the till's request to the hub's ledger, and once only", async () => {
  const [payer, payee] = [await balance(customer), await balance(PAYEE)];
  expect(await pay("CP-1", 1250)).toMatchObject({ status: "approved" });
  expect(await traceOf("CP-1")).toEqual(["P0", "P1", "P2", "P3"]);
  expect((await post("CP-1", 1250)).body).toMatchObject({ status: "approved" });
  expect(await post("CP-1", 1251)).toMatchObject({ status: 409, body: { error: { path: "amount.minor" } } });
  expect((await counter.call("GET", "/v1/card-payments/CP-1")).body).toMatchObject({ status: "approved" });
  expect([await balance(customer), await balance(PAYEE)]).toEqual([payer - 1250, payee + 1250]);
});

test("AC2.6 the reader vanishes in mid-exchange: a clean E_TIMEOUT, the same agent stays up, and the next card works", async () => {
  const payer = await balance(customer);
  const agent = counter.program("agent").pid;
  const before = sim.status().apdus;
  sim.slow(1_500);
  const posted = post("CP-2", 1250);
  await sim.insert();
  await until("the dialogue to begin", () => (sim.status().apdus > before ? true : undefined));
  await counter.program("pcscd").stop("SIGKILL");
  expect((await posted).body).toMatchObject({ status: "failed", reason: "E_TIMEOUT" });
  sim.slow(0);
  await stopSim();
  await counter.startPcscd();
  const application = new VerificationApp(readPersonalisedCard(cardFile));
  sim = await startCardSim({ port: vpcdPort(), extraApplications: [{ aid: application.aid, application }] });
  expect(await pay("CP-3", 1250)).toMatchObject({ status: "approved" });
  expect(counter.program("agent").pid).toBe(agent);
  expect(counter.program("agent").hasEnded).toBe(false);
  expect(await balance(customer)).toBe(payer - 1250);
});

test("a hub that was killed and started again gives the outcome of before, and takes the next card", async () => {
  await counter.program("hub").stop("SIGKILL");
  expect((await post("CP-3", 1250)).body).toMatchObject({ status: "unknown", reason: "E_UNAVAILABLE" });
  await counter.startHub();
  await counter.linked();
  expect((await post("CP-3", 1250)).body).toMatchObject({ status: "approved" });
  expect(await pay("CP-4", 100)).toMatchObject({ status: "approved" });
});

test("tillway verify-sale takes a payment, and ends with 3 and the reason where it is not approved", async () => {
  await sim.insert();
  const args = ["--payee", PAYEE, "--config", counter.agentConfig];
  const sale = await runTillway(["verify-sale", "2.50", "--id", "CP-5", ...args]);
  expect(sale).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^approved 2\.50 EUR to merchant:shop:EUR, code \w{6}\n$/),
  });
  // The same card counts as the next customer's once it has been out.
  await sim.pull();
  await sim.insert();
  const tooMuch = await runTillway(["verify-sale", "99999.00", "--id", "CP-6", ...args]);
  expect(tooMuch).toMatchObject({ code: 3, stdout: expect.stringContaining("E_LIMIT") });
  await sim.pull();
  const wrong = await runTillway(["verify-sale", "1.00", "--payee", "a b", "--config", counter.agentConfig]);
  expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining("payeeAccount") });
});
