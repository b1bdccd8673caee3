import { expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import type { TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { AccountKeeper } from "./account-keeper.ts";
import type { EndedLogins } from "./broker-authority.ts";

const TAKEN = JSON.stringify({ data: { code: 200 } });
const endedOf = (...ids: string[]): readonly EndedLogins[] => ids.map((id) => ({ id: id as TerminalId, upTo: 1 }));

function stand() {
  const clock = new ManualClock();
  const pushed: string[] = [];
  const stand = { clock, pushed, list: endedOf(), answer: (): string => TAKEN };
  const keeper = new AccountKeeper({
    authority: { account: (ended) => ended.map(({ id }) => id).join(",") },
    ended: () => Promise.resolve(stand.list),
    push(account) {
      pushed.push(account);
      return Promise.resolve(stand.answer());
    },
    clock,
    log: silentLog,
  });
  return Object.assign(stand, { keeper });
}

test("the brokers are told at the start, and then only what changed", async () => {
  const { keeper, pushed } = stand();
  await keeper.bring();
  await keeper.bring();
  expect(pushed).toEqual([""]);
});

test("who is revoked while a list is on its way is in the next one, at once", async () => {
  const one = stand();
  one.answer = () => {
    one.list = endedOf("T1");
    return TAKEN;
  };
  await one.keeper.bring();
  expect(one.pushed).toEqual(["", "T1"]);
});

test("an account that is not taken is an error, and is brought again", async () => {
  const one = stand();
  one.answer = () => JSON.stringify({ error: { code: 500, description: "no such operator" } });
  await expect(one.keeper.bring()).rejects.toThrow(/no such operator/);
  one.answer = () => TAKEN;
  await one.keeper.bring();
  expect(one.pushed).toEqual(["", ""]);
});

test("a revocation is brought when it wakes the keeper, and another replica's within ten seconds", async () => {
  const one = stand();
  await one.keeper.bring();
  const ending = new AbortController();
  const running = one.keeper.run(ending.signal);
  one.list = endedOf("T1");
  one.keeper.wake();
  await one.clock.advance(0);
  expect(one.pushed).toEqual(["", "T1"]);
  one.list = endedOf("T1", "T2");
  await one.clock.advance(10_000);
  expect(one.pushed).toEqual(["", "T1", "T1,T2"]);
  ending.abort(new Fault("aborted", "the test ends"));
  await running;
});
