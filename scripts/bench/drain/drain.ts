/**
 * How fast a backlog of offline sales drains: from the agent's journal, over MQTT with TLS, to postings committed in the
 * hub's ledger, each end a process of its own. Beside it what one would otherwise write, and how fast a long journal opens.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "../../../base/sqlite.ts";
import { startReady } from "../../lib/processes.ts";
import { compared, type Figure, measured, type Pair } from "../figures.ts";
import { makeShop, type Shop } from "./backlog.ts";
import { incumbentRate } from "./incumbent.ts";
import { bareRate } from "./reference.ts";
import { reopen } from "./reopen.ts";

export interface DrainBenchOptions {
  readonly sales: number;
  readonly runs: number;
  /** Entries of the journal that is opened. */
  readonly entries: number;
  readonly onProgress: (text: string) => void;
}

const REFERENCE_MS = 3_000;
const DRAIN_WITHIN_MS = 600_000;
const POLL_MS = 50;

export async function benchDrain(options: DrainBenchOptions): Promise<Figure[]> {
  // On many machines /tmp is memory, where an fsync costs nothing and says nothing.
  const root = mkdtempSync(join(existsSync("/var/tmp") ? "/var/tmp" : tmpdir(), "tillway-drain-"));
  const { sales, runs, onProgress } = options;
  try {
    const pairs: Pair[] = [];
    const incumbents: number[] = [];
    const incumbents16: number[] = [];
    for (let run = 0; run < runs; run += 1) {
      const shop = await makeShop(join(root, `run-${run}`), sales, onProgress);
      const rowBytes = 700;
      onProgress(`run ${run + 1} of ${runs}: the reference`);
      const earlier = bareRate(join(root, `bare-${run}-a.db`), rowBytes, REFERENCE_MS);
      onProgress(`run ${run + 1} of ${runs}: draining ${sales} sales`);
      const ours = await drainRate(shop, sales, onProgress);
      const later = bareRate(join(root, `bare-${run}-b.db`), rowBytes, REFERENCE_MS);
      pairs.push({ ours, reference: (earlier + later) / 2 });
      onProgress(`run ${run + 1} of ${runs}: mqtt.js with a durable store, 1 and 16 in flight`);
      incumbents.push(await incumbentRate({ folder: join(root, `mqtt-${run}`), inFlight: 1 }));
      incumbents16.push(await incumbentRate({ folder: join(root, `mqtt16-${run}`), inFlight: 16 }));
      rmSync(shop.folder, { recursive: true, force: true });
    }
    const reopened = await reopen({ folder: root, entries: options.entries, onProgress });
    const sold = { unit: "sales/s" };
    return [
      compared({ figure: "drain.rate", ...sold, reference: "bare-sqlite-batch50" }, pairs),
      measured({ figure: "drain.incumbent", ...sold }, incumbents),
      measured({ figure: "drain.incumbent16", ...sold }, incumbents16),
      measured({ figure: "drain.reopen", unit: "ms" }, [reopened.firstSaleMs]),
      measured({ figure: "drain.verified", unit: "ms" }, [reopened.verifiedMs]),
    ];
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** From the first posting in the hub's database to the last. */
async function drainRate(shop: Shop, sales: number, onProgress: (text: string) => void): Promise<number> {
  const hub = await startReady({
    name: "hub",
    args: ["hub", "run", "--config", shop.hubConfig],
    logFile: join(shop.folder, "hub.log"),
  });
  const agent = await startReady({
    name: "agent",
    args: ["agent", "--config", shop.agentConfig],
    logFile: join(shop.folder, "agent.log"),
  });
  const began = performance.now();
  const database = openSqlite(shop.hubDatabase, { migrations: [], readonly: true });
  const posted = database
    .prepare<[], number>("SELECT count(*) FROM authorisation__payment WHERE state = 'confirmed'")
    .pluck();
  // Counting reads much of the table: the watermark, which is one row, tells how far it is.
  const held = database.prepare<[], number>("SELECT coalesce(max(watermark), 0) FROM ingest__epoch").pluck();
  try {
    let told = began;
    for (;;) {
      const count = held.get() ?? 0;
      if (count >= sales) break;
      if (performance.now() - began > DRAIN_WITHIN_MS) throw new Error(`only ${count} of ${sales} sales arrived`);
      if (performance.now() - told > 2_000) {
        told = performance.now();
        onProgress(`${count} of ${sales} at the hub`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    const elapsed = performance.now() - began;
    if (posted.get() !== sales) throw new Error(`${posted.get()} of ${sales} sales are posted`);
    return (sales / elapsed) * 1_000;
  } finally {
    database.close();
    await agent.program.stop();
    await hub.program.stop();
  }
}
