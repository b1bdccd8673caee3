/**
 * Both sides offline, through real processes: the till shows its challenge, a phone answers, a scanner on hidraw reads the
 * note, the agent takes it with no network. Then what copies can do: of a phone, and of a terminal's whole disk.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { countTickets } from "../../scripts/lib/account.ts";
import { Counter, type CounterOptions, type Payment } from "../../scripts/lib/counter.ts";
import type { Phone } from "../../scripts/lib/phone.ts";

const ALLOWANCE = 5_000;
const LEASE_SUM = 6_000;
const LEASE = {
  perSaleMinor: 5_000,
  sumMinor: LEASE_SUM,
  countMax: 50,
  means: ["chip", "note"],
  perPayer: { countMax: 20, sumMinor: 20_000 },
} as const;

const root = mkdtempSync(join(tmpdir(), "note-"));
const counters: Counter[] = [];
function counterIn(name: string, options: Omit<CounterOptions, "folder">): Counter {
  const counter = new Counter({ devices: ["printer", "scanner"], ...options, folder: join(root, name) });
  counters.push(counter);
  return counter;
}
const first = counterIn("a", { lease: LEASE });
const second = counterIn("b", { joins: first, terminal: "till-2" });
let anna: Phone;

beforeAll(async () => {
  await first.start();
  await second.start();
  anna = await first.startPhone("anna");
}, 120_000);
afterAll(async () => {
  for (const counter of counters.reverse()) await counter[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
}, 60_000);

interface Transfer {
  readonly debitAccount: string;
  readonly creditAccount: string;
  readonly minor: string;
}
interface Transaction {
  readonly terminalId: string;
  readonly paymentId: string;
  readonly status: string;
  readonly postedMinor: string;
  readonly transfers: readonly Transfer[];
}

async function transactions(): Promise<readonly Transaction[]> {
  const path = "/v1/transactions?limit=100&cursor=0";
  return (await first.hubGet<{ transactions: readonly Transaction[] }>(path)).transactions;
}
const transaction = async (id: string) => (await transactions()).find(({ paymentId }) => paymentId === id);

async function balances(): Promise<ReadonlyMap<string, number>> {
  const { accounts } = await first.hubGet<{ accounts: readonly { id: string; balanceMinor: string }[] }>(
    "/v1/accounts?limit=100",
  );
  return new Map(accounts.map(({ id, balanceMinor }) => [id, Number(balanceMinor)]));
}
/** What the party bears: an exposure account is debited with it. */
const borne = async (party: string): Promise<number> => -((await balances()).get(`exposure:${party}:EUR`) ?? 0);

const payWith = (phone: Phone) => async (payment: Payment) => {
  expect(payment.challenge).toMatch(/^OC1:/);
  return await phone.pay(payment.challenge);
};

async function hubGoes(...at: readonly Counter[]): Promise<void> {
  await first.program("hub").stop("SIGKILL");
  for (const counter of at) await counter.offline();
}
async function hubReturns(...at: readonly Counter[]): Promise<void> {
  await first.startHub();
  for (const counter of at) {
    await counter.online();
    await counter.drained();
  }
}

test("RM11 with the hub away a phone's note pays, the till prints, and the hub posts it from the staged value", async () => {
  const { allowanceId } = await anna.do("allowance", { amount: "50.00" });
  await anna.do("offline");
  await hubGoes(first);
  const sold = await first.scannedSale("N-1", 1_000, payWith(anna));
  expect(sold).toMatchObject({
    status: "approved",
    mode: "offline",
    payingDevice: (await anna.do("status"))["deviceId"],
  });
  await first.ticketOf("N-1", "printed");
  const [ticket = ""] = (await first.tickets()).filter((one) => one.includes("N-1"));
  expect(ticket).toContain("ACCEPTED OFFLINE");
  expect(ticket).not.toContain("anna");
  await hubReturns(first);
  const staged = `staged:${String(allowanceId)}`;
  expect(await transaction("N-1")).toMatchObject({
    status: "confirmed",
    postedMinor: "1000",
    transfers: [{ debitAccount: staged, creditAccount: "merchant:shop:EUR", minor: "1000" }],
  });
  expect((await balances()).get(staged)).toBe(ALLOWANCE - 1_000);
});

test("RM11 the printed challenge is what the phone reads, and a note for it pays", async () => {
  await hubGoes(first);
  const sold = await first.scannedSale("N-2", 500, async ({ challenge }) => {
    const { status } = await first.call("POST", "/v1/payments/N-2/challenge");
    expect(status).toBe(200);
    const printed = (await first.tickets()).map((text) => /\[QR (OC1:[^\]]*)\]/.exec(text.replaceAll("\n", ""))?.[1]);
    expect(printed).toContain(challenge);
    return await anna.pay(printed.find((text) => text !== undefined));
  });
  expect(sold).toMatchObject({ status: "approved", mode: "offline" });
  await hubReturns(first);
  expect(await transaction("N-2")).toMatchObject({ status: "confirmed", postedMinor: "500" });
});

test("RM11 a note of another sale, or one shown again, is refused with its reason, and nothing is posted", async () => {
  await hubGoes(first);
  let note = "";
  const sold = await first.scannedSale("N-3", 500, async (payment) => {
    note = await payWith(anna)(payment);
    return note;
  });
  expect(sold).toMatchObject({ status: "approved" });
  const again = await first.scannedSale("N-3-again", 500, note);
  expect(again.status).toBe("declined");
  expect(["E_REPLAY", "E_SIG", "E_USED"]).toContain(again.reason);
  const altered = await first.scannedSale("N-3-altered", 500, async (payment) => {
    const good = await payWith(anna)(payment);
    const place = Math.floor(good.length / 2);
    return `${good.slice(0, place)}${good[place] === "A" ? "B" : "A"}${good.slice(place + 1)}`;
  });
  expect(altered.status).toBe("declined");
  expect(["E_SIG", "E_FORMAT"]).toContain(altered.reason);
  await hubReturns(first);
  for (const id of ["N-3-again", "N-3-altered"]) {
    expect(await transaction(id)).toBeUndefined();
    expect(countTickets(id, await first.tickets()).all).toBe(0);
  }
});

test("RM11 a copied phone's second spending is found, names the device, blocks it, and the ledger shows who bears it", async () => {
  const bella = await first.startPhone("bella");
  await bella.do("allowance", { amount: "50.00" });
  const { deviceId } = await bella.do("status");
  await bella.do("offline");
  await using copy = await bella.copied("bella-2");
  await copy.do("offline");
  await hubGoes(first, second);
  expect(await first.scannedSale("N-4", 4_000, payWith(bella))).toMatchObject({ status: "approved", mode: "offline" });
  expect(await second.scannedSale("N-5", 3_000, payWith(copy))).toMatchObject({ status: "approved", mode: "offline" });
  await hubReturns(first, second);

  for (const id of ["N-4", "N-5"]) expect(await transaction(id)).toMatchObject({ status: "confirmed" });
  const { conflicts } = await first.hubGet<{ conflicts: readonly unknown[] }>("/v1/offline-notes/conflicts?limit=10");
  expect(conflicts).toMatchObject([
    {
      kind: "same-counter",
      deviceId,
      userId: "bella",
      exposure: { minor: String(4_000 + 3_000 - ALLOWANCE), party: "operator" },
    },
  ]);
  const spent = conflicts.flatMap((conflict) => Object.values(conflict as Record<string, { paymentId?: string }>));
  expect(
    spent
      .map(({ paymentId }) => paymentId)
      .filter(Boolean)
      .sort(),
  ).toEqual(["N-4", "N-5"]);
  expect(await first.hubTool("phones", "conflicts")).toContain(String(deviceId));
  const { phones } = await first.hubGet<{ phones: readonly { deviceId: string }[] }>("/v1/phones?limit=10");
  expect(phones.find((phone) => phone.deviceId === deviceId)).toMatchObject({ status: "blocked" });
  expect(await borne("operator")).toBe(2_000);
  expect(await borne("operator")).toBeLessThanOrEqual(ALLOWANCE);
  await expect(bella.do("online")).rejects.toThrow("blocked");
});

test("RM11 a till that has heard of a blocked phone refuses it offline too", async () => {
  const bella = await first.startPhone("bella-again");
  await bella.do("allowance", { amount: "20.00" });
  const { deviceId } = await bella.do("status");
  await bella.do("offline");
  await first.hubPost("/v1/phones/status", { deviceId, status: "blocked" });
  await first.program("agent").stop();
  await first.startAgent();
  await first.online();
  await hubGoes(first);
  const refused = await first.scannedSale("N-6", 500, payWith(bella));
  expect(refused).toMatchObject({ status: "declined", reason: "E_DENIED" });
  await hubReturns(first);
  expect(await transaction("N-6")).toBeUndefined();
});
