/** What was acknowledged is there: after SIGKILL at any instant, and after a disk that failed in mid-commit. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openJournal } from "../../agent/journal/sqlite-journal.ts";
import { systemClock } from "../../base/clock.ts";
import { type PaymentId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";

const ROUNDS = 15;
/** Acknowledgements heard before a kill, at most. */
const ACKNOWLEDGED_MAX = 600;
const SEED = Number(process.env["TILLWAY_SEED"] ?? Date.now() % 2 ** 31);
const CHILD = new URL("./journal-kill-child.ts", import.meta.url).pathname;

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "journal-kill-"));
  path = join(folder, "journal.db");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Park and Miller's generator: a failing seed kills after the same numbers of acknowledgements again. */
function seeded(seed: number): (below: number) => number {
  let state = (seed % 2_147_483_646) + 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

interface Acknowledged {
  readonly sequence: number;
  readonly hash: string;
  readonly paymentId: PaymentId;
}

/** Every whole line that the child printed; `heard` sees each as it comes. */
async function linesOf(child: ChildProcess, heard: (line: string) => void): Promise<string[]> {
  if (!child.stdout) throw new Error("the child has no output");
  const lines: string[] = [];
  const ended = once(child, "close");
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    heard(line);
  }
  await ended;
  return lines;
}

const acknowledgedIn = (lines: readonly string[]): Acknowledged[] =>
  lines.flatMap((line) => {
    const match = /^(\d+) ([0-9a-f]{64}) (\S+)$/.exec(line);
    if (!match?.[2]) return [];
    return [{ sequence: Number(match[1]), hash: match[2], paymentId: match[3] as PaymentId }];
  });

/** Opens, compares, closes. Returns how many entries there are. */
async function accountFor(acknowledged: readonly Acknowledged[]): Promise<number> {
  const terminalId = "shop-1" as TerminalId;
  await using journal = openJournal({ path, terminalId, clock: systemClock, random: systemRandom, log: silentLog });
  expect(journal.verify()).toEqual({ ok: true, value: { entries: journal.head.sequence } });
  const missing = acknowledged.filter(
    ({ sequence, hash, paymentId }) =>
      !journal.entriesOf(paymentId).some((entry) => entry.sequence === sequence && entry.hash === hash),
  );
  expect(missing).toEqual([]);
  const forwards = journal.queue({ limit: 1_000 }).map((entry) => entry.forward);
  const first = forwards[0] ?? 1;
  expect(forwards).toEqual(forwards.map((_, at) => first + at));
  return journal.head.sequence;
}

test(`RM1 every acknowledged entry outlives ${ROUNDS} kills at any instant, chain whole, no gap (seed ${SEED})`, async () => {
  const below = seeded(SEED);
  const acknowledged: Acknowledged[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const killAfter = below(ACKNOWLEDGED_MAX);
    const child = spawn(process.execPath, [CHILD, path, `r${round}`], { stdio: ["ignore", "pipe", "inherit"] });
    let heard = 0;
    const lines = await linesOf(child, () => {
      heard += 1;
      if (heard > killAfter) child.kill("SIGKILL");
    });
    expect(child.signalCode).toBe("SIGKILL");
    acknowledged.push(...acknowledgedIn(lines));
    expect(await accountFor(acknowledged)).toBeGreaterThanOrEqual(acknowledged.length);
  }
  expect(acknowledged.length).toBeGreaterThan(ROUNDS);
});

test("a disk that fails in mid-commit ends the journal with journal.failed; what was acknowledged before is there", async () => {
  // Files over 400 KiB cannot be written: the write-ahead log gets there within some dozens of sales.
  const limited = `ulimit -f 400; exec "$0" "$@"`;
  const child = spawn("bash", ["-c", limited, process.execPath, CHILD, path, "limited"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = await linesOf(child, () => undefined);
  expect(lines.at(-2)).toBe("failed journal.failed");
  expect(lines.at(-1)).toBe("then journal.failed");
  const acknowledged = acknowledgedIn(lines);
  expect(acknowledged.length).toBeGreaterThan(10);
  await accountFor(acknowledged);
});
