/** Tips and cash at a real counter: a tip on a sale until its day is closed, and cash on top of one with a card that allows it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { PaymentJson } from "../../agent/api/api-schemas.ts";
import { Counter } from "../../scripts/lib/counter.ts";
import { cardProfile } from "../../sim/card/profiles.ts";

const folder = mkdtempSync(join(tmpdir(), "tip-"));
const counter = new Counter({ folder, balance: "100.00", agent: { cashbackMaxMinor: 5_000 } });

beforeAll(async () => await counter.start(), 120_000);
afterAll(async () => {
  await counter[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

const eur = (minor: number) => ({ minor: String(minor), currency: "EUR" });
const tip = async (id: string, originalId: string, minor: number): Promise<PaymentJson> =>
  (await counter.call<PaymentJson>("POST", "/v1/tips", { id, originalId, amount: eur(minor) })).body;

interface Transaction {
  readonly status: string;
  readonly operation?: string;
  readonly originalPaymentId?: string;
  readonly postedMinor: string;
}
async function atHub(paymentId: string): Promise<Transaction | undefined> {
  const path = `/v1/transactions?limit=10&cursor=0&paymentId=${paymentId}`;
  return (await counter.hubGet<{ transactions: readonly Transaction[] }>(path)).transactions[0];
}
async function has(id: Promise<string>): Promise<string | undefined> {
  const { accounts } = await counter.hubGet<{ accounts: readonly { id: string; availableMinor: string }[] }>(
    "/v1/accounts?limit=100",
  );
  const known = await id;
  return accounts.find((account) => account.id === known)?.availableMinor;
}
const customer = () => has(counter.accountOf("Test customer"));
const ticketsWith = async (...words: string[]) =>
  (await counter.tickets()).filter((ticket) => words.every((word) => ticket.includes(word)));

async function sold(id: string, minor: number): Promise<void> {
  expect((await counter.sale(id, minor))?.body).toMatchObject({ status: "approved" });
  await counter.drained();
}

test("a tip is paid by the card of the sale, has a ticket that names it, and can be given back", async () => {
  await sold("meal", 2_000);
  expect(await counter.agentTool("tip", "meal", "4.00", "--id", "tip-1")).toMatch(
    /^tip approved 4\.00 EUR, online, code [0-9A-Z]{6}, .*id tip-1\n$/,
  );
  await counter.ticketOf("tip-1", "printed");
  expect(await ticketsWith("TIP", "meal", "4.00 EUR")).toHaveLength(1);
  await counter.drained();
  expect(await customer()).toBe("7600");
  expect(await atHub("tip-1")).toMatchObject({
    ...{ status: "confirmed", operation: "tip", originalPaymentId: "meal", postedMinor: "400" },
  });
  expect(await tip("tip-2", "meal", 1)).toMatchObject({ status: "declined", reason: "E_LIMIT" });
  await expect(counter.agentTool("tip", "meal", "0.01")).rejects.toThrow("ended with 3");
  expect(await counter.agentTool("refund", "tip-1", "--id", "back")).toMatch(/^refund approved 4\.00 EUR/);
  await counter.drained();
  expect(await customer()).toBe("8000");
}, 120_000);

test("a tip is refused above the limit, on what was not sold, in another currency and with the hub away", async () => {
  await sold("bar", 1_000);
  expect(await tip("tip-3", "bar", 201)).toMatchObject({ status: "declined", reason: "E_LIMIT" });
  expect(await tip("tip-4", "never-sold", 1)).toMatchObject({ status: "declined", reason: "E_UNKNOWN" });
  const usd = { id: "tip-5", originalId: "bar", amount: { minor: "100", currency: "USD" } };
  expect(await counter.call("POST", "/v1/tips", usd)).toMatchObject({ status: 422 });
  await counter.killHub();
  await counter.offline();
  expect(await tip("tip-6", "bar", 100)).toMatchObject({ status: "aborted", reason: "E_UNAVAILABLE", ticket: "none" });
  await counter.startHub();
  await counter.online();
  expect(await tip("tip-6", "bar", 100)).toMatchObject({ status: "aborted" });
  expect(await atHub("tip-6")).toBeUndefined();
  expect(await tip("tip-7", "bar", 100)).toMatchObject({ status: "approved" });
}, 120_000);

test("RM3 where the agent is killed after it has asked, the tip is taken back and may be asked for again", async () => {
  await sold("cake", 1_000);
  await counter.program("agent").stop("SIGKILL");
  await counter.startAgent({ killAt: "online-answered:tip-8" });
  await counter.online();
  await tip("tip-8", "cake", 100).catch(() => undefined);
  expect(await counter.program("agent").ended).toBe("SIGKILL");
  await counter.startAgent();
  await counter.online();
  await counter.drained();
  expect(await counter.payment("tip-8")).toMatchObject({ status: "aborted" });
  expect(await atHub("tip-8")).toMatchObject({ status: "reversed", postedMinor: "0" });
  expect(await tip("tip-9", "cake", 200)).toMatchObject({ status: "approved" });
}, 120_000);

test("once its day is closed a sale has no tip any more; tips before are in its batch as sales", async () => {
  await sold("late", 1_000);
  await counter.hubTool("cutover", "shop");
  expect(await tip("tip-10", "late", 100)).toMatchObject({ status: "declined", reason: "E_STATE" });
  await counter.drained();
  const shown = await counter.hubTool("batches", "show", "1");
  // 20 + 10 + 10 + 10 of sales, 4 + 1 + 2 of tips.
  expect(shown).toContain("7 sales 57.00 EUR, 1 refunds 4.00 EUR");
}, 120_000);

test("cash comes on top of a sale where card, shop and merchant allow it, and the goods alone go back", async () => {
  const { pan, expiry } = cardProfile("cashback");
  const account = await counter.openAccount({ pan, expiry, balance: "100.00", name: "Cash customer" });
  const sale = async (id: string) => {
    const asked = { id, amount: eur(3_000), cashback: eur(2_000) };
    const posted = counter.call<PaymentJson>("POST", "/v1/payments", asked);
    await counter.card({ do: "insert", profile: "cashback" });
    const { body } = await posted;
    await counter.card({ do: "pull" });
    return body;
  };
  expect(await sale("cash-1")).toMatchObject({ status: "declined", mode: "online", responseCode: "58" });
  await counter.hubTool("merchants", "set", "shop", "--name", "Shop", "--cashback-max", "2000");
  expect(await sale("cash-2")).toMatchObject({ status: "approved", mode: "online", cashback: eur(2_000) });
  await counter.ticketOf("cash-2", "printed");
  expect(await ticketsWith("Goods", "10.00 EUR", "Cash", "20.00 EUR", "30.00 EUR")).toHaveLength(1);
  await counter.drained();
  expect(await has(Promise.resolve(account))).toBe("7000");
  expect(await counter.agentTool("refund", "cash-2", "--id", "back-2")).toMatch(/^refund approved 10\.00 EUR/);
  await counter.drained();
  expect(await has(Promise.resolve(account))).toBe("8000");
  expect(await tip("tip-11", "cash-2", 1)).toMatchObject({ status: "declined", reason: "E_LIMIT" });
}, 120_000);
