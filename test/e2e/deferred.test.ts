/** A card that declines without its issuer, sold to all the same: authorised or refused when the hub is back (RM9). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Counter } from "../../scripts/lib/counter.ts";
import { runTillway } from "../../scripts/lib/processes.ts";
import { cardProfile } from "../../sim/card/profiles.ts";

const folder = mkdtempSync(join(tmpdir(), "deferred-"));
const counter = new Counter({
  folder,
  lease: { perSaleMinor: 5_000, sumMinor: 20_000, countMax: 50, deferredAuthorisation: true },
});

beforeAll(async () => {
  await counter.start();
  const { pan, expiry } = cardProfile("online-only");
  const account = ["--card", pan, "--expiry", expiry, "--balance", "15.00"];
  const added = await runTillway(["hub", "accounts", "add", ...account, "--config", counter.hubConfig]);
  if (added.code !== 0) throw new Error(added.stderr);
}, 120_000);
afterAll(async () => {
  await counter[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

interface Shown {
  readonly transactions: readonly {
    readonly paymentId: string;
    readonly postedMinor: string;
    readonly deferred?: boolean;
    readonly merchantLoss?: { readonly minor: string };
  }[];
}

test("RM9 what the account can pay is posted once, and what it cannot is the merchant's loss, named in the report", async () => {
  await counter.program("hub").stop("SIGKILL");
  await counter.offline();
  await counter.card({ do: "insert", profile: "online-only" });
  await counter.card({ do: "pull" });
  for (const [id, minor] of [
    ["D-1", 1_000],
    ["D-2", 900],
  ] as const) {
    const sold = await counter.sale(id, minor);
    expect(sold?.body).toMatchObject({ status: "approved", mode: "offline", deferred: true });
    await counter.ticketOf(id, "printed");
  }
  expect((await counter.tickets()).filter((ticket) => ticket.includes("NOT YET AUTHORISED"))).toHaveLength(2);

  await counter.startHub();
  await counter.drained();
  const { transactions } = await counter.hubGet<Shown>("/v1/transactions?limit=100&cursor=0");
  const one = (id: string) => transactions.find(({ paymentId }) => paymentId === id);
  expect(one("D-1")).toMatchObject({ postedMinor: "1000", deferred: true });
  expect(one("D-2")).toMatchObject({ postedMinor: "0", deferred: true, merchantLoss: { minor: "900" } });
  expect(await counter.payment("D-2")).toMatchObject({ queue: "declined" });
}, 60_000);
