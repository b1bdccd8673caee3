/** What the card reader's contract suite stands on: a private pcscd, a card in it, the driver on top. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { systemClock } from "../../base/clock.ts";
import { type Fault, isFault } from "../../base/fault.ts";
import { silentLog } from "../../base/log.ts";
import type { CardReader, CardSession, Device } from "../../drivers/capability.ts";
import { deviceCatalogue } from "../../drivers/catalogue.ts";
import { type CardSim, startCardSim } from "../../sim/card/card-sim.ts";
import { type Pcscd, startPcscd } from "../../sim/reader/pcscd.ts";

export interface Stand extends AsyncDisposable {
  readonly folder: string;
  readonly pcscd: Pcscd;
  readonly card: CardSim;
  readonly uri: string;
}

export async function startStand(): Promise<Stand> {
  const folder = mkdtempSync(join(tmpdir(), "tw-pcsc-"));
  const pcscd = await startPcscd({ folder });
  const card = await startCardSim({ port: pcscd.vpcdPort, stateFile: join(folder, "atc.json") });
  return {
    folder,
    pcscd,
    card,
    uri: `pcsc:*?socket=${pcscd.socket}&answer-within-ms=1000`,
    async [Symbol.asyncDispose]() {
      await card[Symbol.asyncDispose]();
      await pcscd[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export const within = (ms: number): AbortSignal => AbortSignal.timeout(ms);

/** As an agent opens it, which hands its drivers its environment. */
export const openReader = (uri: string): Promise<Device> =>
  deviceCatalogue({ clock: systemClock, log: silentLog, environment: process.env })(
    { id: "reader", uri },
    within(20_000),
  );

export function readerOf(device: Device): CardReader {
  const reader = device.capability("card-reader");
  if (!reader) throw new Error("the device is no card reader");
  return reader;
}

/** Transceives GET DATA for the counter until told otherwise; cheap and without state. */
export const ASK_COUNTER = Uint8Array.of(0x80, 0xca, 0x9f, 0x36, 0x00);

export const ask = (session: CardSession, command: Uint8Array = ASK_COUNTER): Promise<Uint8Array> =>
  session.transceive(command, within(20_000));

/** The Fault that work ends with; anything else fails the test. */
export async function faultOf(work: Promise<unknown>): Promise<Fault> {
  try {
    await work;
  } catch (error) {
    if (isFault(error)) return error;
    throw error;
  }
  throw new Error("it went well where a Fault was expected");
}

export async function aborted(signal: AbortSignal, ms: number): Promise<Fault> {
  await eventually(() => signal.aborted, ms);
  return signal.reason as Fault;
}

const LOOK_EVERY_MS = 10;

export async function eventually(condition: () => boolean, ms: number): Promise<void> {
  const until = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > until) throw new Error(`not within ${ms} ms: ${condition}`);
    await wait(LOOK_EVERY_MS);
  }
}

export const hostPidOf = (device: Device): number => Number(/device host (\d+)/.exec(device.description)?.[1]);

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
