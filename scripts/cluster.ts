/** A part of the cluster is killed under a small load: no sale with a receipt is lost, none is posted twice, and how long the gap was. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Cluster } from "./lib/cluster.ts";
import { type Receipted, Seller } from "./lib/cluster-load.ts";
import { operatorCall } from "./lib/operator-call.ts";

const SELLERS = 4;
const BEFORE_MS = 15_000;
const AFTER_MS = 45_000;
const PAGE = 100;

const KILLS = {
  replica: "a replica of the hub",
  nats: "one NATS server",
  primary: "the PostgreSQL primary; its standby is promoted",
} as const;
type Kill = keyof typeof KILLS;

const began = performance.now();
const say = (text: string): void =>
  console.log(`${((performance.now() - began) / 1_000).toFixed(1).padStart(6)} s  ${text}`);

function killOf(text: string | undefined): Kill {
  if (text !== undefined && text in KILLS) return text as Kill;
  console.error(`scripts/cluster: --kill takes ${Object.keys(KILLS).join(", ")}; see scripts/cluster --help`);
  process.exit(2);
}

async function strike(cluster: Cluster, kill: Kill): Promise<void> {
  say(`SIGKILL: ${KILLS[kill]}`);
  if (kill === "replica") await cluster.killReplica();
  if (kill === "nats") await cluster.nats[0]?.kill();
  if (kill === "primary") await cluster.killPrimary();
}

interface Page {
  readonly transactions: readonly { readonly paymentId: string; readonly postings: number }[];
  readonly cursor?: string;
}

/** How often each payment moved money, by the ledger of whichever replica is there. */
async function postings(cluster: Cluster): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  const door = { dataDir: cluster.dataDir, host: "127.0.0.1", port: cluster.ports.https };
  for (let cursor = "0"; ; ) {
    const path = `/v1/transactions?limit=${PAGE}&cursor=${cursor}`;
    const page = await operatorCall<Page>(door, { method: "GET", path });
    for (const one of page.transactions) found.set(one.paymentId, (found.get(one.paymentId) ?? 0) + one.postings);
    if (page.cursor === undefined) return found;
    cursor = page.cursor;
  }
}

/** The longest time in which nobody got a receipt, from the kill on. */
function gapMs(receipts: readonly Receipted[], from: number): number {
  const times = [from, ...receipts.map(({ at }) => at).filter((at) => at > from)].sort((a, b) => a - b);
  return Math.max(0, ...times.slice(1).map((at, index) => at - (times[index] ?? at)));
}

async function run(cluster: Cluster, kill: Kill): Promise<boolean> {
  say(`enrolling ${SELLERS} terminals`);
  const sellers: Seller[] = [];
  for (let number = 1; number <= SELLERS; number += 1) sellers.push(await Seller.enrol(cluster, `load-${number}`));
  say("they sell");
  const ending = new AbortController();
  const selling = sellers.map((seller) => seller.sell(ending.signal));
  await delay(BEFORE_MS);
  const before = sellers.flatMap(({ receipted }) => receipted).length;
  const at = performance.now();
  await strike(cluster, kill);
  await delay(AFTER_MS);
  ending.abort();
  await Promise.all(selling);
  const receipts = sellers.flatMap(({ receipted }) => receipted);
  const posted = await postings(cluster);
  const taken = receipts.filter(({ status }) => status === "processed" || status === "duplicate");
  const lost = taken.filter(({ paymentId }) => (posted.get(paymentId) ?? 0) === 0);
  const doubled = [...posted].filter(([, times]) => times > 1);
  say(`${before} sales with a receipt before, ${receipts.length - before} after`);
  say(`${lost.length} acknowledged sales lost, ${doubled.length} doubled, ${receipts.length - taken.length} not taken`);
  say(`gap: ${(gapMs(receipts, at) / 1_000).toFixed(1)} s without a receipt`);
  for (const { paymentId } of lost) console.log(`lost: ${paymentId}`);
  for (const [paymentId, times] of doubled) console.log(`posted ${times} times: ${paymentId}`);
  return lost.length === 0 && doubled.length === 0 && taken.length === receipts.length && receipts.length > before;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { kill: { type: "string" } } });
  const kill = killOf(values.kill);
  const folder = mkdtempSync(join(tmpdir(), "tillway-cluster-"));
  await using cluster = await Cluster.open({ folder, onStep: (step) => say(`starting ${step}`) });
  const good = await run(cluster, kill);
  say(good ? "every acknowledged sale is there once" : `NOT every acknowledged sale is there once; logs: ${folder}`);
  if (good) rmSync(folder, { recursive: true, force: true });
  return good ? 0 : 1;
}

process.exit(await main());
