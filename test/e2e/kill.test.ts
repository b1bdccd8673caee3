import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PAYMENT_STAGES, type PaymentStage } from "../../agent/payment/payments.ts";
import { countTickets, readLedger } from "../../scripts/lib/account.ts";
import { Counter, type Payment, TEST_CARD } from "../../scripts/lib/counter.ts";
import { until } from "../../scripts/lib/processes.ts";
import { sweepForCardNumbers } from "../tidy/pan-sweep.ts";

/** What the hub does while the agent is killed: answers, is silent after taking the request, or is known to be away. */
type HubIs = "answering" | "silent" | "away";

/** Sales by card: no code is scanned. */
const ONLINE = PAYMENT_STAGES.filter((stage) => stage !== "online-unknown-stored" && stage !== "code-presented");
const UNKNOWN: readonly PaymentStage[] = [
  "online-request-sent",
  "online-unknown-stored",
  "second-cryptogram",
  "decision-stored",
  "print-started",
];
const OFFLINE: readonly PaymentStage[] = [
  "records-read",
  "first-cryptogram",
  "decision-ready",
  "decision-stored",
  "print-intent-stored",
  "print-finished",
];
const POINTS: readonly { readonly stage: PaymentStage; readonly hub: HubIs }[] = [
  ...ONLINE.map((stage) => ({ stage, hub: "answering" as const })),
  ...UNKNOWN.map((stage) => ({ stage, hub: "silent" as const })),
  ...OFFLINE.map((stage) => ({ stage, hub: "away" as const })),
];

const folder = mkdtempSync(join(tmpdir(), "kill-"));
const counter = new Counter({ folder, lease: { perSaleMinor: 5_000, sumMinor: 100_000, countMax: 100 } });
const sold = new Map<string, number>();

beforeAll(async () => await counter.start(), 120_000);
afterAll(async () => {
  await counter[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

describe("an agent killed by SIGKILL", () => {
  test("is killed at no fewer than twelve different points", () => {
    expect(new Set(POINTS.map((point) => point.stage)).size).toBeGreaterThanOrEqual(12);
  });

  test.each(POINTS)(
    "RM3 at $stage with the hub $hub charges once or not at all, and owes no ticket afterwards",
    async ({ stage, hub }) => {
      const id = `K-${hub}-${stage}`;
      const minor = 100 + sold.size;
      sold.set(id, minor);
      await counter.program("agent").stop();
      await counter.startAgent({ killAt: `${stage}:${id}` });
      await counter.online();
      await hubBecomes(hub);
      const first = counter.sale(id, minor);
      expect(await counter.program("agent").ended).toBe("SIGKILL");
      await first;
      await counter.startAgent();
      await hubAnswersAgain(hub);

      const repeated = await counter.sale(id, minor);
      expect(repeated?.status).toBe(200);
      const payment = await settled(id);
      const postings = (await readLedger(counter)).filter((posting) => posting.paymentId === id);
      const paper = countTickets(id, await counter.tickets());
      expect({ postings: postings.length, amounts: postings.map((posting) => posting.minor) }).toEqual(
        payment.status === "approved" ? { postings: 1, amounts: [String(minor)] } : { postings: 0, amounts: [] },
      );
      expect(paper.unmarked).toBeLessThanOrEqual(1);
      if (payment.status === "approved") expect(paper.all).toBeGreaterThanOrEqual(1);
      else expect(paper.all).toBe(0);
    },
  );

  test("RM3 in the middle of the paper owes a ticket that says it may be a copy", async () => {
    const id = "K-mid-ticket";
    const minor = 100 + sold.size;
    sold.set(id, minor);
    await counter.printer({ do: "jam", afterBytes: 200 });
    expect((await counter.sale(id, minor))?.body.status).toBe("approved");
    await until("the ticket to be begun", async () =>
      (await counter.payment(id)).ticket === "possibly-printed" ? true : undefined,
    );
    await counter.program("agent").stop("SIGKILL");
    await counter.printer({ do: "jam", on: false });
    await counter.startAgent();
    await counter.online();
    await settled(id);
    const paper = countTickets(id, await counter.tickets());
    expect(paper.unmarked).toBeLessThanOrEqual(1);
    expect(paper.all).toBeGreaterThan(paper.unmarked);
  });

  test("RM1 leaves the customer's account debited by exactly the approved sales, with nothing pending", async () => {
    const approved = await Promise.all(
      [...sold].map(async ([id, minor]) => ((await counter.payment(id)).status === "approved" ? minor : 0)),
    );
    const spent = approved.reduce((sum, minor) => sum + minor, 0);
    const { accounts } = await counter.hubGet<{ accounts: Record<string, string>[] }>("/v1/accounts?limit=100");
    expect(accounts.find((account) => account["name"] === "Test customer")).toMatchObject({
      balanceMinor: String(100_000 - spent),
      debitsPendingMinor: "0",
    });
    expect(spent).toBeGreaterThan(0);
  });

  test("RM5 leaves no card number in any database, log, ticket or socket folder of agent and hub", () => {
    const files = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => !path.endsWith("card-state.json"));
    expect(files.filter((path) => /\.(db|db-wal|log|txt)$/.test(path)).length).toBeGreaterThan(5);
    const found = files.flatMap((path) =>
      sweepForCardNumbers(readFileSync(path), [TEST_CARD.pan]).map((finding) => ({ path, ...finding })),
    );
    expect(found).toEqual([]);
  });
});

async function hubBecomes(hub: HubIs): Promise<void> {
  if (hub === "silent") process.kill(counter.program("hub").pid, "SIGSTOP");
  if (hub !== "away") return;
  await counter.program("hub").stop("SIGKILL");
  await counter.offline();
}

async function hubAnswersAgain(hub: HubIs): Promise<void> {
  if (hub === "silent") process.kill(counter.program("hub").pid, "SIGCONT");
  if (hub === "away") await counter.startHub();
  await counter.online();
}

/** The payment once the hub has receipted what it must know, and the paper is out. */
async function settled(id: string): Promise<Payment> {
  await counter.drained();
  return await until(`the ticket of ${id}`, async () => {
    const payment = await counter.payment(id);
    return payment.ticket === "pending" || payment.ticket === "possibly-printed" ? undefined : payment;
  });
}
