/** The journal on a disk that fails to be read: it says so once, and takes nothing more until it is opened again. */
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openJournal } from "../../agent/journal/sqlite-journal.ts";
import { ManualClock } from "../../base/clock.ts";
import type { Fault } from "../../base/fault.ts";
import { type PaymentId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { currencyOf } from "../../base/money.ts";
import { simulatedDisk } from "../simulation/simulated-disk.ts";

const disk = simulatedDisk();
const volume = disk.volume("journal-disk");
afterAll(() => volume[Symbol.dispose]());

const intent = (id: string) => ({
  body: {
    kind: "intent" as const,
    paymentId: id as PaymentId,
    at: "2026-01-05T09:00:00.000Z",
    operation: "purchase" as const,
    amount: { minor: "100", currency: currencyOf("EUR") },
    // Long, so that what is looked up is not all in the cache.
    reference: "x".repeat(64),
  },
});

test("a read that fails ends the journal with its own fault, told once; opened again, all is there", async () => {
  volume.powerOn();
  const failed: Fault[] = [];
  const options = {
    path: join(volume.folder, "journal.db"),
    terminalId: "shop-1" as TerminalId,
    clock: new ManualClock(),
    random: systemRandom,
    log: silentLog,
    onFailed: (fault: Fault) => void failed.push(fault),
  };
  {
    await using journal = openJournal(options);
    await journal.append(Array.from({ length: 500 }, (_, at) => intent(`p-${at}`)));
  }
  const journal = openJournal(options);
  volume.setFaults({ rates: { read: 1 } }, 1);
  const broken = expect.objectContaining({ code: "journal.failed" });
  const readAll = () => Array.from({ length: 500 }, (_, at) => journal.entriesOf(`p-${at}` as PaymentId));
  expect(readAll).toThrow(broken);
  expect(readAll).toThrow(broken);
  await expect(journal.append([intent("p-new")])).rejects.toThrow(broken);
  expect(failed).toHaveLength(1);
  volume.setFaults({});
  await journal[Symbol.asyncDispose]();
  await using again = openJournal(options);
  expect(again.head.sequence).toBe(500);
  expect(again.entriesOf("p-499" as PaymentId)).toHaveLength(1);
});
