import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { type Epoch, systemRandom, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { openJournal } from "../journal/sqlite-journal.ts";
import { HubHoldings } from "./hub-holdings.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdings-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = () =>
  openJournal({
    path: join(folder, "journal.db"),
    terminalId: "shop-1" as TerminalId,
    clock: new ManualClock(),
    random: systemRandom,
    log: silentLog,
  });
const word = { hubEpoch: "0123456789abcdef" as Epoch, watermark: 0, fresh: true };

test("a terminal that a copy of its disk has shut out raises its fence, also for its next opening", async () => {
  let raised: number;
  {
    await using journal = open();
    raised = journal.fence + 3;
    await new HubHoldings({ journal, log: silentLog }).heard({ ...word, fence: raised });
    expect(journal.fence).toBe(raised);
  }
  await using again = open();
  expect(again.fence).toBeGreaterThan(raised);
});

test("a lower fence, an equal one or none changes nothing", async () => {
  await using journal = open();
  const { fence } = journal;
  const holdings = new HubHoldings({ journal, log: silentLog });
  for (const told of [{}, { fence: 0 }, { fence }]) await holdings.heard({ ...word, ...told });
  expect(journal.fence).toBe(fence);
});
