import { expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { type Log, silentLog } from "../../base/log.ts";
import type { CardReader, Device, OpenDevice } from "../../drivers/capability.ts";
import { DeviceManager, OPEN_LIMIT_MS } from "./device-manager.ts";

const READER: CardReader = { awaitCard: () => Promise.reject(new Fault("device.absent", "no card")) };

function world() {
  const clock = new ManualClock();
  const lines: string[] = [];
  const note = (message: string, fields: Readonly<Record<string, unknown>> = {}) =>
    void lines.push(`${message}: ${String(fields["detail"])}`);
  const log: Log = { ...silentLog, info: note, warn: note };
  let opens = 0;
  let closed = 0;
  const plugged: { controller?: AbortController; fault?: Fault; hang?: boolean } = {};
  const open: OpenDevice = (spec, signal) => {
    opens += 1;
    if (plugged.hang)
      return new Promise<Device>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    if (plugged.fault) return Promise.reject(plugged.fault);
    const controller = new AbortController();
    plugged.controller = controller;
    return Promise.resolve<Device>({
      id: spec.id,
      lost: controller.signal,
      description: "a reader",
      capability: (name) => (name === "card-reader" ? (READER as never) : undefined),
      [Symbol.asyncDispose]: async () => {
        closed += 1;
      },
    });
  };
  const manager = async () => {
    const devices = new DeviceManager({ specs: [{ id: "reader", uri: "pcsc:*" }], open, clock, log, chance: () => 0 });
    await clock.advance(0);
    return devices;
  };
  return { clock, lines, plugged, manager, count: () => ({ opens, closed }) };
}

test("absent at the start, then ready when it comes, with one line per change", async () => {
  const { clock, lines, plugged, manager, count } = world();
  plugged.fault = new Fault("device.absent", "no reader; plug one in");
  const seen: string[] = [];
  await using devices = await manager();
  devices.onChange(({ state }) => seen.push(state));
  await clock.advance(60_000);
  expect(devices.list()[0]).toMatchObject({ state: "absent", detail: "no reader; plug one in" });
  expect(devices.lend("card-reader")).toBeUndefined();
  expect(count().opens).toBeGreaterThan(5);
  delete plugged.fault;
  await clock.advance(5_000);
  expect(devices.list()[0]).toMatchObject({ state: "ready", detail: "a reader" });
  expect(devices.lend("card-reader")).toBe(READER);
  expect(devices.lend("receipt-printer")).toBeUndefined();
  expect(lines).toEqual(["device absent: no reader; plug one in", "device ready: a reader"]);
  expect(seen).toEqual(["ready"]);
});

test("a lost device is closed, shown as lost with the reason, and opened again", async () => {
  const { clock, lines, plugged, manager, count } = world();
  await using devices = await manager();
  await clock.advance(10_000);
  plugged.fault = new Fault("device.absent", "not back yet");
  plugged.controller?.abort(new Fault("device.absent", "the reader was unplugged"));
  expect(devices.list()[0]).toMatchObject({ state: "lost", detail: "the reader was unplugged" });
  expect(devices.lend("card-reader")).toBeUndefined();
  await clock.advance(3_000);
  expect(devices.list()[0]).toMatchObject({ state: "lost", detail: "not back yet" });
  expect(count().closed).toBe(1);
  delete plugged.fault;
  await clock.advance(5_000);
  expect(devices.list()[0]?.state).toBe("ready");
  expect(lines).toEqual(["device ready: a reader", "device lost: the reader was unplugged", "device ready: a reader"]);
});

test("a driver that hangs in opening is given up and tried again", async () => {
  const { clock, plugged, manager, count } = world();
  plugged.hang = true;
  await using devices = await manager();
  expect(devices.list()[0]?.state).toBe("opening");
  await clock.advance(OPEN_LIMIT_MS);
  expect(devices.list()[0]?.detail).toMatch(/did not open within 15 s/);
  plugged.hang = false;
  await clock.advance(1_000);
  expect(devices.list()[0]?.state).toBe("ready");
  expect(count().opens).toBe(2);
});

test("disposing closes what is open and stops the retries", async () => {
  const { clock, plugged, manager, count } = world();
  const devices = await manager();
  await clock.advance(1);
  await devices[Symbol.asyncDispose]();
  plugged.controller?.abort(new Fault("device.absent", "unplugged"));
  await clock.advance(60_000);
  expect(count()).toEqual({ opens: 1, closed: 1 });
});
