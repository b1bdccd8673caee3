import { expect, test } from "vitest";
import type { TerminalId } from "../base/ids.ts";
import { silentLog } from "../base/log.ts";
import type { DownEnvelope } from "../wire/envelope.ts";
import { createLeaseRenewal } from "./lease-renewal.ts";

const ids = (...names: readonly string[]) => names as readonly TerminalId[];

function world(connected: readonly TerminalId[]) {
  const asked: string[] = [];
  const pushed: string[] = [];
  const waiting: (() => void)[] = [];
  const trouble = new Set<string>();
  const renewal = createLeaseRenewal({
    core: {
      async leaseUnasked(terminalId) {
        asked.push(terminalId);
        await new Promise<void>((resolve) => waiting.push(resolve));
        if (trouble.has(terminalId)) throw new Error("the disk is full");
        return { terminalId } as DownEnvelope;
      },
    },
    terminals: { connected: () => connected, push: ({ terminalId }) => void pushed.push(terminalId) },
    log: silentLog,
  });
  /** Lets the lease that is being made be done. */
  async function step() {
    waiting.shift()?.();
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  }
  return { asked, pushed, trouble, renewal, step };
}

test("leases are renewed one after the other, so that people at counters go before", async () => {
  const { asked, pushed, renewal, step } = world(ids("T1", "T2"));
  renewal.all();
  expect(asked).toEqual(["T1"]);
  await step();
  expect([asked, pushed]).toEqual([["T1", "T2"], ["T1"]]);
  await step();
  expect(pushed).toEqual(["T1", "T2"]);
});

test("a change that comes while leases are renewed reaches those that were already, and asks nobody twice for it", async () => {
  const { asked, renewal, step } = world(ids("T1", "T2", "T3"));
  renewal.all();
  await step();
  renewal.all();
  renewal.all();
  renewal.one("T1" as TerminalId);
  for (let turn = 0; turn < 6; turn += 1) await step();
  expect(asked).toEqual(["T1", "T2", "T3", "T1", "T2"]);
});

test("one lease that cannot be made keeps no other terminal from its own, and the next change is heard", async () => {
  const { pushed, trouble, renewal, step } = world(ids("T1", "T2"));
  trouble.add("T1");
  renewal.all();
  await step();
  await step();
  expect(pushed).toEqual(["T2"]);
  trouble.clear();
  renewal.one("T1" as TerminalId);
  await step();
  expect(pushed).toEqual(["T2", "T1"]);
});

test("nothing is begun after the end", async () => {
  const { asked, renewal, step } = world(ids("T1", "T2"));
  renewal.all();
  const ending = renewal[Symbol.asyncDispose]();
  await step();
  await ending;
  renewal.all();
  expect(asked).toEqual(["T1"]);
});
