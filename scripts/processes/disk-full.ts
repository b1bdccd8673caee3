/**
 * The agent's data folder on a small file system that fills up: below the reserve no offline sale is taken, loudly; when it
 * is really full everything is refused by name; nothing that was accepted is lost, and with free space it goes on by itself.
 */
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { countInto, Judge } from "./judge.ts";
import { Counts, type LaneOptions, type LaneResult, notRun, said } from "./lane.ts";
import { Link } from "./link.ts";
import { must, whyNot } from "./namespaces.ts";
import { CARDS, Till, tillFolder } from "./till.ts";

/** Small, but a journal in use has room on it; the reserve is a third of it. */
const DISK = { megabytes: 24, reserveMb: 8 } as const;
const KB = 1_024;
const MB = 1_048_576;
/** A sale writes some pages of 4 KiB for each of its steps. */
const LEFT_KB = [4, 8, 16, 28, 40, 60] as const;
const FULL_FOR_MS = 1_500;
const LEASE = { perSaleMinor: 5_000, sumMinor: 900_000, countMax: 1_000 } as const;

export interface DiskFullOptions extends LaneOptions {
  /** At how many places of a sale it is full; all when there are not so many. */
  readonly cases: number;
}

/** Runs in a mount namespace of its own: see `namespaceOf`. */
export async function diskFull({ cases, folder, seed, onProgress }: DiskFullOptions): Promise<LaneResult> {
  const home = tillFolder(folder, 1);
  const disk = join(home, "disk");
  mkdirSync(disk, { recursive: true });
  const why = whyNot(["mount", "-t", "tmpfs", "-o", `size=${DISK.megabytes}m`, "tmpfs", disk]);
  if (why !== undefined) return notRun(`no file system can be mounted: ${why}`);
  const counts = new Counts();
  try {
    await using till = new Till({
      folder: home,
      link: new Link(),
      cards: CARDS[0],
      lease: LEASE,
      agent: { dataDir: join(disk, "agent"), reserveMb: DISK.reserveMb },
      onStep: onProgress,
    });
    await till.start();
    const judge = new Judge(till.counter);
    const failures = await fillUp({ till, disk, judge, counts, cases, onProgress });
    countInto(counts, judge);
    const named = failures.map((failure) => `seed ${seed}: ${failure}`);
    return { passed: STEPS - (failures.length > 0 ? 1 : 0), failures: named, notRun: [], counts: counts.all };
  } finally {
    must("umount", "-l", disk);
  }
}

interface Filling {
  readonly till: Till;
  readonly disk: string;
  readonly judge: Judge;
  readonly counts: Counts;
  readonly cases: number;
  readonly onProgress: (text: string) => void;
}

/** Reserve offline, reserve online, full online, full offline, full in mid-sale, and free again: each is looked at. */
const STEPS = 6;
const SALES_ON_FULL_DISK_MAX = 100;

async function fillUp(filling: Filling): Promise<readonly string[]> {
  const { till, disk, judge, counts, onProgress } = filling;
  const wrong: string[] = [];
  const check = (holds: boolean, problem: string): void => {
    if (!holds) wrong.push(problem);
  };
  const ballast = join(disk, "ballast");
  try {
    onProgress("offline, with space");
    till.link?.set("cut");
    await till.order("space-1", 1_500);
    await till.order("space-2", 500);

    onProgress("offline, below the reserve");
    leave(ballast, disk, DISK.reserveMb * MB - MB);
    const { body: refused } = await till.once("reserve-offline", 700);
    check(refused.status === "declined", `below the reserve an offline sale is ${refused.status}`);
    check(/disk/i.test(refused.detail ?? ""), `below the reserve the cashier is told: ${refused.detail ?? "nothing"}`);
    const selling = await sellingOf(till);
    check(/^stopped: .*disk/.test(selling), `below the reserve the status says: ${selling}`);
    counts.add("refused-below-reserve");

    onProgress("online, below the reserve");
    till.link?.set("up");
    await till.counter.online();
    await till.order("reserve-online", 2_500);

    onProgress("really full, with the hub");
    leave(ballast, disk, 0);
    const online = await sellUntilRefused(till, "full-online", counts);
    check(/disk is full/.test(online), `on a full disk the till is told: ${online}`);

    onProgress("really full, without the hub");
    till.link?.set("cut");
    const alone = await sellUntilRefused(till, "full-offline", counts);
    check(/disk/.test(alone), `on a full disk without the hub the till is told: ${alone}`);
    check(!till.counter.program("agent").hasEnded, "the agent ended because its disk is full");

    onProgress("with space again");
    rmSync(ballast);
    till.link?.set("up");
    await till.counter.online();
    await fullInMidSale(filling, ballast);
    await till.order("free-online", 2_000);
    till.link?.set("cut");
    await till.order("free-offline", 600);
    await till.settle();
    wrong.push(...[...(await judge.look([till])).values()].flat(), ...(await judge.close([till])));
  } catch (error) {
    wrong.push(said(error));
  }
  return wrong;
}

/** Full at one write or another of a sale, which goes on when there is space; an agent that ended is started again. */
async function fullInMidSale({ till, disk, counts, cases, onProgress }: Filling, ballast: string): Promise<void> {
  const over = new AbortController();
  const supervised = till.supervise(over.signal, (outcome) => counts.add(`agent-${outcome}-again`));
  supervised.catch(() => undefined);
  try {
    for (const kilobytes of LEFT_KB.slice(0, cases)) {
      onProgress(`full in mid-sale, with ${kilobytes} KiB left`);
      leave(ballast, disk, kilobytes * KB);
      const selling = till.order(`tight-${kilobytes}`, 500);
      selling.catch(() => undefined);
      await delay(FULL_FOR_MS);
      rmSync(ballast);
      const { attempts } = await selling;
      counts.add(`full-in-mid-sale:${attempts.length === 1 ? "one-attempt" : "further-attempts"}`);
    }
  } finally {
    over.abort();
    await supervised;
  }
}

/** Fills the disk up to so many free bytes. */
function leave(ballast: string, disk: string, bytes: number): void {
  rmSync(ballast, { force: true });
  const { bavail, bsize } = statfsSync(disk);
  const fill = bavail * bsize - bytes;
  if (fill <= 0) return;
  try {
    writeFileSync(ballast, Buffer.alloc(fill));
  } catch (error) {
    // The agent writes too: what fits is written, and then it is full, which was wanted.
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
}

/** A journal has some room in its files even when no more can be had: sells until none is left. What the till is told then. */
async function sellUntilRefused(till: Till, key: string, counts: Counts): Promise<string> {
  for (let number = 1; number <= SALES_ON_FULL_DISK_MAX; number += 1) {
    const { status, body } = await till.once(`${key}-${number}`, 100);
    const sold = status === 200 && body.status === "approved";
    counts.add(`${key}:${sold ? "approved" : "refused"}`);
    if (!sold) return `${status} ${JSON.stringify(body)}`;
  }
  return `nothing: ${SALES_ON_FULL_DISK_MAX} sales were taken`;
}

async function sellingOf(till: Till): Promise<string> {
  return (await till.counter.call<{ selling: string }>("GET", "/v1/status")).body.selling;
}
