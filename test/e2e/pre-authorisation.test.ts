/** A hold on a card at a real counter: completed with the hub away, cancelled after the hub has it, and charged once whatever is killed. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { PaymentJson } from "../../agent/api/api-schemas.ts";
import { Counter } from "../../scripts/lib/counter.ts";

const folder = mkdtempSync(join(tmpdir(), "hold-"));
const counter = new Counter({ folder, balance: "100.00" });

beforeAll(async () => await counter.start(), 120_000);
afterAll(async () => {
  await counter[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

const eur = (minor: number) => ({ minor: String(minor), currency: "EUR" });
async function hold(id: string, minor: number): Promise<PaymentJson> {
  const posted = counter.call<PaymentJson>("POST", "/v1/pre-authorisations", { id, amount: eur(minor) });
  await counter.card({ do: "insert" });
  const { body } = await posted;
  await counter.card({ do: "pull" });
  return body;
}
const complete = (id: string, originalId: string, minor: number) =>
  counter.call<PaymentJson & { error?: { code: string } }>("POST", "/v1/completions", {
    ...{ id, originalId, amount: eur(minor) },
  });

interface Transaction {
  readonly paymentId: string;
  readonly status: string;
  readonly postedMinor: string;
  readonly postings: number;
}
async function atHub(paymentId: string): Promise<Transaction | undefined> {
  const path = `/v1/transactions?limit=10&cursor=0&paymentId=${paymentId}`;
  return (await counter.hubGet<{ transactions: readonly Transaction[] }>(path)).transactions[0];
}
const customer = async () => {
  const { accounts } = await counter.hubGet<{ accounts: readonly { id: string; availableMinor: string }[] }>(
    "/v1/accounts?limit=100",
  );
  return accounts.find(({ id }) => id.startsWith("customer:"))?.availableMinor;
};
const ticketWith = async (words: string) => (await counter.tickets()).filter((ticket) => ticket.includes(words));

test("it is held, completed for less with the hub killed, and posted once when the hub is back", async () => {
  expect(await hold("room", 6_000)).toMatchObject({
    status: "approved",
    mode: "online",
    heldUntil: expect.any(String),
  });
  await counter.ticketOf("room", "printed");
  expect(await ticketWith("NOT CHARGED")).toHaveLength(1);
  await counter.drained();
  expect(await customer()).toBe("4000");
  expect(await atHub("room")).toMatchObject({ status: "authorised", postedMinor: "0" });

  await counter.killHub();
  await counter.offline();
  expect((await complete("bill", "room", 4_500)).body).toMatchObject({ status: "approved", queue: "eligible" });
  await counter.ticketOf("bill", "printed");
  expect((await ticketWith("SALE")).some((ticket) => ticket.includes("room"))).toBe(true);
  expect(await complete("bill-2", "room", 1)).toMatchObject({ status: 409, body: { error: { code: "E_STATE" } } });
  const refused = await counter.call("POST", "/v1/pre-authorisations", { id: "late", amount: eur(100) });
  expect(refused.body).toMatchObject({ status: "aborted", reason: "E_UNAVAILABLE" });

  await counter.startHub();
  await counter.drained();
  expect(await atHub("bill")).toMatchObject({ status: "confirmed", postedMinor: "4500", postings: 1 });
  expect(await atHub("room")).toMatchObject({ status: "confirmed", postedMinor: "0" });
  expect(await customer()).toBe("5500");
}, 120_000);

test("it is charged once where the hub is killed right after its completion, and its agent as well", async () => {
  await counter.online();
  expect(await hold("room-2", 2_000)).toMatchObject({ status: "approved" });
  await complete("bill-of-2", "room-2", 1_500);
  await counter.killHub();
  await counter.program("agent").stop("SIGKILL");
  await counter.startAgent();
  await counter.startHub();
  await counter.drained();
  expect(await atHub("bill-of-2")).toMatchObject({ status: "confirmed", postedMinor: "1500", postings: 1 });
  expect((await complete("bill-of-2", "room-2", 1_500)).body).toMatchObject({ status: "approved", queue: "processed" });
  expect(await customer()).toBe("4000");
}, 120_000);

test("it is cancelled from the command line after the hub has it, and nothing of it stays held", async () => {
  await counter.online();
  await counter.card({ do: "insert" });
  const held = await counter.agentTool("pre-authorisation", "10.00", "--id", "room-3");
  await counter.card({ do: "pull" });
  expect(held).toMatch(/^pre-authorisation approved 10\.00 EUR, online, .*held until/);
  await counter.drained();
  expect(await customer()).toBe("3000");
  expect(await counter.agentTool("void", "room-3", "--reason", "guest left")).toContain("voided");
  await expect(counter.agentTool("completion", "room-3", "1.00")).rejects.toThrow("was cancelled");
  await counter.drained();
  expect(await atHub("room-3")).toMatchObject({ status: "voided", postedMinor: "0" });
  expect(await customer()).toBe("4000");
}, 120_000);
