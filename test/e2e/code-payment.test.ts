/**
 * System 1 through real processes: a phone without a network shows its code, a scanner on hidraw reads it, the agent asks the
 * hub, the printer prints. Told from the hub's ledger, the state of the grants and what is on paper.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type PreAuthorisedCode,
  parsePreAuthorisedCode,
  preAuthorisedCodeText,
} from "../../protocols/codes/own-codes.ts";
import { countTickets } from "../../scripts/lib/account.ts";
import { Counter } from "../../scripts/lib/counter.ts";
import type { Phone } from "../../scripts/lib/phone.ts";
import { until } from "../../scripts/lib/processes.ts";
import { Link } from "../../scripts/processes/link.ts";
import { readPrivateKey, signText } from "../../wire/signing.ts";

const ALTERED_BYTES = 24;
/** The shortest that a code can be registered for; its end is waited for by the last test of the file. */
const TTL_SEC = 60;

const folder = mkdtempSync(join(tmpdir(), "code-"));
const link = new Link();
const counter = new Counter({ folder, devices: ["printer", "scanner"], between: (hub) => link.open(hub) });
let anna: Phone;
let ben: Phone;
let cara: Phone;
let late: string;

beforeAll(async () => {
  await counter.start();
  anna = await counter.startPhone("anna");
  ben = await counter.startPhone("ben");
  cara = await counter.startPhone("cara");
}, 120_000);
afterAll(async () => {
  await counter[Symbol.asyncDispose]();
  await link[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

interface Grant {
  readonly userId: string;
  readonly accountId: string;
  readonly status: string;
  readonly txnId?: string;
  readonly wrongCodes: number;
}
interface Transaction {
  readonly paymentId: string;
  readonly status: string;
  readonly postedMinor: string;
  readonly approvalCode?: string;
  readonly transfers: readonly { readonly id: string; readonly kind: string; readonly debitAccount: string }[];
}

async function grantsOf(userId: string): Promise<readonly Grant[]> {
  const { grants } = await counter.hubGet<{ grants: readonly Grant[] }>("/v1/pre-authorised-code/grants?limit=100");
  return grants.filter((grant) => grant.userId === userId);
}
const statusesOf = async (user: string) => (await grantsOf(user)).map(({ status }) => status);
const grantOf = async (txnId: string) => (await grantsOf("anna")).find((grant) => grant.txnId === txnId);

async function transaction(id: string): Promise<Transaction | undefined> {
  const path = "/v1/transactions?limit=100&cursor=0";
  const { transactions } = await counter.hubGet<{ transactions: readonly Transaction[] }>(path);
  return transactions.find(({ paymentId }) => paymentId === id);
}

interface Balance {
  readonly balanceMinor: string;
  readonly debitsPendingMinor: string;
}
async function customer(): Promise<Balance> {
  const { accounts } = await counter.hubGet<{ accounts: readonly (Balance & { name?: string })[] }>(
    "/v1/accounts?limit=100",
  );
  const found = accounts.find(({ name }) => name === "Test customer");
  if (!found) throw new Error("the customer has an account");
  const { balanceMinor, debitsPendingMinor } = found;
  return { balanceMinor, debitsPendingMinor };
}

/** What a phone without a network shows, of a code that it registered while it had one. */
async function codeOf(phone: Phone, terms: Readonly<Record<string, string | number>> = {}): Promise<string> {
  await phone.do("online");
  await phone.do("register", { cap: "50.00", ...terms });
  await phone.do("offline");
  return await phone.shown();
}

function parsed(text: string): PreAuthorisedCode {
  const code = parsePreAuthorisedCode(text);
  if (!code.ok) throw new Error(code.error.detail);
  return code.value;
}

/** All that the counter's agent has written, and its log and tickets. */
function writtenByAgent(): string {
  const files = ["agent", "tickets"].flatMap((name) =>
    readdirSync(join(folder, name), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  return [...files, join(folder, "agent.log")].map((path) => readFileSync(path, "latin1")).join("\n");
}

test("AC1.6 before its end a code pays", async () => {
  const early = await codeOf(cara, { ttl: TTL_SEC });
  expect(await counter.scannedSale("C-0", 100, early)).toMatchObject({ status: "approved" });
  await cara.do("online");
  late = await codeOf(cara, { ttl: TTL_SEC });
  expect(late).not.toBe(early);
});

test("AC1.1 a code with a cap of 50.00 pays 32.00 while the phone has no network; the ledger moves 32.00, the grant is used, the receipt shows the masked account only", async () => {
  const text = await codeOf(anna);
  const balance = await customer();
  await expect(anna.do("register")).rejects.toThrow("no network");
  const sold = await counter.scannedSale("C-1", 3_200, text);
  expect(sold).toMatchObject({ status: "approved", mode: "online" });
  const account = await counter.accountOf("Test customer");
  expect(sold.maskedAccount).toBe(`****${account.slice(-4)}`);
  await counter.ticketOf("C-1", "printed");
  await counter.drained();
  expect(await transaction("C-1")).toMatchObject({ status: "confirmed", postedMinor: "3200" });
  expect(await customer()).toEqual({
    balanceMinor: String(Number(balance.balanceMinor) - 3_200),
    debitsPendingMinor: "0",
  });
  expect(await grantOf("C-1")).toMatchObject({ status: "USED", accountId: account });

  const [ticket = ""] = (await counter.tickets()).filter((one) => one.includes("C-1"));
  expect(ticket).toContain(sold.maskedAccount);
  expect(ticket).toContain("32.00 EUR");
  const { secureCode, userId } = parsed(text);
  for (const hidden of [account, account.split(":").at(-1) ?? account, secureCode, userId])
    expect(ticket).not.toContain(hidden);
  const written = writtenByAgent();
  for (const hidden of [account.split(":").at(-1) ?? account, secureCode]) expect(written).not.toContain(hidden);

  expect(await anna.do("notices")).toMatchObject({ offline: true, fresh: [] });
  expect(await anna.do("online")).toMatchObject({ fresh: [{ txnId: "C-1", status: "paid", amountMinor: "3200" }] });
});

test("AC1.2 the same code in another transaction is E_USED, and nothing moves", async () => {
  const text = await codeOf(anna);
  expect(await counter.scannedSale("C-2", 1_000, text)).toMatchObject({ status: "approved" });
  await counter.drained();
  const balance = await customer();
  expect(await counter.scannedSale("C-2-again", 1_000, text)).toMatchObject({ status: "declined", reason: "E_USED" });
  expect(await transaction("C-2-again")).toMatchObject({ postedMinor: "0", transfers: [] });
  expect(await customer()).toEqual(balance);
  expect(countTickets("C-2-again", await counter.tickets()).all).toBe(0);
});

test("AC1.3 the right code under another user's id is E_UNKNOWN, counts for that user, and the fifth revokes all his codes", async () => {
  const text = await codeOf(anna);
  const bens = await codeOf(ben);
  await codeOf(ben);
  const balance = await customer();
  const stolen = preAuthorisedCodeText({ ...parsed(text), userId: "ben" });
  for (let wrong = 1; wrong <= 5; wrong += 1) {
    const id = `C-3-${wrong}`;
    expect(await counter.scannedSale(id, 1_000, stolen)).toMatchObject({ status: "declined", reason: "E_UNKNOWN" });
    expect(await statusesOf("ben")).toEqual(wrong < 5 ? ["ISSUED", "ISSUED"] : ["REVOKED", "REVOKED"]);
    if (wrong < 5) expect((await grantsOf("ben")).map(({ wrongCodes }) => wrongCodes)).toEqual([wrong, wrong]);
  }
  expect(await counter.scannedSale("C-3-own", 1_000, bens)).toMatchObject({ status: "declined", reason: "E_DENIED" });
  expect(await customer()).toEqual(balance);
  expect(await counter.scannedSale("C-3", 1_000, text)).toMatchObject({ status: "approved" });
});

test("AC1.4 with one byte of the registration altered after signing there is no approval and no stored row", async () => {
  const identity = JSON.parse(readFileSync(join(folder, "anna-phone", "identity.json"), "utf8")) as Record<
    string,
    string
  >;
  const { deviceId = "", userId = "", accountRef = "", privateKey = "" } = identity;
  const body = { userId, deviceId, accountRef, secureCode: `${"B".repeat(25)}A`, currency: "EUR", capMinor: "5000" };
  const head = { v: 1, deviceId, id: "0".repeat(24), at: new Date().toISOString() };
  const text = JSON.stringify({ ...head, type: "authorisation-request", body });
  const { signature } = signText("phone", text, readPrivateKey(privateKey));
  const grants = await grantsOf("anna");
  for (let place = 0; place < ALTERED_BYTES; place += 1) {
    const at = Math.floor((place * text.length) / ALTERED_BYTES);
    const altered = `${text.slice(0, at)}${String.fromCharCode(text.charCodeAt(at) ^ 1)}${text.slice(at + 1)}`;
    const answer = await counter.hubPost<{ code?: string; type?: string }>("/v1/phone", { text: altered, signature });
    expect(["E_SIG", "E_FORMAT", "E_UNKNOWN"]).toContain(answer.code);
    expect(answer.type).toBeUndefined();
  }
  expect(await grantsOf("anna")).toEqual(grants);
  expect(await counter.hubPost("/v1/phone", { text, signature })).toMatchObject({ type: "first-approval" });
  expect(await grantsOf("anna")).toHaveLength(grants.length + 1);
});

test("AC1.5 when the approval is lost with its link, the repeat of the same transaction gets it, and one debit stands", async () => {
  const text = await codeOf(anna, { cap: "49.00" });
  const balance = await customer();
  link.set("deaf");
  const selling = counter.scannedSale("C-5", 3_200, text);
  await until("the hub's debit", async () => ((await grantOf("C-5"))?.status === "USED" ? true : undefined));
  await until("the approval to be lost", () => (link.lostBytes > 0 ? true : undefined));
  link.set("up");
  const sold = await selling;
  expect(sold).toMatchObject({ status: "approved", mode: "online" });
  await counter.drained();
  expect((await transaction("C-5"))?.transfers.map(({ kind }) => kind)).toEqual(["pending", "post-pending"]);
  expect(await transaction("C-5")).toMatchObject({ postedMinor: "3200", approvalCode: sold.approvalCode });
  expect(await grantOf("C-5")).toMatchObject({ status: "USED" });

  const repeat = { id: "C-5", amount: { minor: "3200", currency: "EUR" } };
  const { status, body } = await counter.call<typeof sold>("POST", "/v1/payments", repeat);
  expect({ status, approvalCode: body.approvalCode, state: body.status }).toEqual({
    status: 200,
    approvalCode: sold.approvalCode,
    state: "approved",
  });
  expect(await customer()).toEqual({
    balanceMinor: String(Number(balance.balanceMinor) - 3_200),
    debitsPendingMinor: "0",
  });
  expect(countTickets("C-5", await counter.tickets()).unmarked).toBe(1);
});

test("AC1.5 when the hub itself goes with the approval, the sale is declined, nothing is debited, and the code pays afterwards", async () => {
  const text = await codeOf(anna, { cap: "48.00" });
  const balance = await customer();
  link.set("deaf");
  const selling = counter.scannedSale("C-6", 2_000, text);
  await until("the hub's debit", async () => ((await grantOf("C-6"))?.status === "USED" ? true : undefined));
  await counter.program("hub").stop("SIGKILL");
  link.set("up");
  expect(await selling).toMatchObject({ status: "declined", reason: "E_TIMEOUT" });
  await counter.startHub();
  await counter.online();
  await counter.drained();
  expect(await customer()).toEqual(balance);
  expect(await transaction("C-6")).toMatchObject({ postedMinor: "0" });
  expect(await grantOf("C-6")).toMatchObject({ status: "ISSUED" });
  expect(await counter.scannedSale("C-6-again", 2_000, text)).toMatchObject({ status: "approved" });
});

test("RM10 with no hub in reach a code is refused as unavailable, nothing is queued, and nothing is posted later", async () => {
  const text = await codeOf(anna, { cap: "45.00" });
  await counter.drained();
  const balance = await customer();
  await counter.program("hub").stop("SIGKILL");
  await counter.offline();
  expect(await counter.scannedSale("C-9", 1_000, text)).toMatchObject({ status: "declined", reason: "E_UNAVAILABLE" });
  const { body } = await counter.call<{ entries: readonly unknown[] }>("GET", "/v1/queue?paymentId=C-9");
  expect(body.entries).toEqual([]);
  await counter.startHub();
  await counter.online();
  await counter.drained();
  expect(await transaction("C-9")).toBeUndefined();
  expect(await customer()).toEqual(balance);
  expect(await counter.scannedSale("C-9-again", 1_000, text)).toMatchObject({ status: "approved" });
});

test("a code that is read in halves, torn or mixed with noise pays nothing, and the whole one after it does", async () => {
  const text = await codeOf(anna, { cap: "44.00" });
  const sold = await counter.scannedSale("C-10", 700, async () => {
    await counter.scanner({ do: "half", text });
    await counter.scanner({ do: "garbage", reports: 20 });
    await counter.scanner({ do: "torn", text });
    expect(await counter.payment("C-10")).toMatchObject({ status: "processing" });
    return text;
  });
  expect(sold).toMatchObject({ status: "approved" });
  await counter.drained();
  expect(await transaction("C-10")).toMatchObject({ postedMinor: "700" });
});

test("AC1.6 after its end a code is E_EXPIRED", async () => {
  const { expiresAt } = parsed(late);
  await until("the end of the code", () => (Date.now() > expiresAt ? true : undefined), (TTL_SEC + 2) * 1_000);
  const { balanceMinor } = await customer();
  expect(await counter.scannedSale("C-99", 100, late)).toMatchObject({ status: "declined", reason: "E_EXPIRED" });
  expect(await transaction("C-99")).toMatchObject({ postedMinor: "0", transfers: [] });
  expect((await customer()).balanceMinor).toBe(balanceMinor);
  expect(await statusesOf("cara")).toEqual(["USED", "EXPIRED"]);
});
