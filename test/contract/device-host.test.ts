/** How long a device host may take to show that it lives: a process that starts on a busy machine is no hung driver. */
import { expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { silentLog } from "../../base/log.ts";
import { SILENCE_MAX_MS } from "../../drivers/host/heartbeat.ts";
import { openHosted } from "../../drivers/host/hosted-device.ts";
import { faultOf, within } from "./card-reader-stand.ts";

const OPEN_WITHIN_MS = 10_000;

function openWith(clock: ManualClock) {
  return openHosted({
    open: { do: "open", driver: "pcsc", reader: "*", socket: "/nonexistent/pcscd.comm" },
    environment: {},
    clock,
    log: silentLog,
    signal: within(60_000),
    onEvent: () => undefined,
  });
}

test("a host that starts slowly is waited for, and what its driver says is told", async () => {
  const clock = new ManualClock();
  const opening = faultOf(openWith(clock));
  await clock.advance(SILENCE_MAX_MS * 2);
  expect((await opening).message).toContain("/nonexistent/pcscd.comm");
});

test("a host that never starts is given up at the limit of opening", async () => {
  const clock = new ManualClock();
  const opening = faultOf(openWith(clock));
  await clock.advance(OPEN_WITHIN_MS);
  expect(await opening).toMatchObject({ code: "device.hung", message: expect.stringContaining("did not open") });
});
