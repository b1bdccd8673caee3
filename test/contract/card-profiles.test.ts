/** Simulated cards that misbehave by themselves, through the real pcscd: silence, slowness, and what outlives the simulator. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { CardSession, Device } from "../../drivers/capability.ts";
import { exchange, STATUS } from "../../protocols/emv/apdu.ts";
import {
  type CryptogramType,
  decodeCryptogram,
  generateAcCommand,
  getDataCommand,
  getProcessingOptionsCommand,
  selectCommand,
} from "../../protocols/emv/commands.ts";
import { startCardSim } from "../../sim/card/card-sim.ts";
import { TEST_AID } from "../../sim/card/profiles.ts";
import { aborted, ask, faultOf, openReader, readerOf, type Stand, startStand, within } from "./card-reader-stand.ts";

let stand: Stand;
let device: Device;

beforeAll(async () => {
  stand = await startStand();
  device = await openReader(stand.uri);
});
afterEach(() => stand.card.pull());
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await stand[Symbol.asyncDispose]();
});

const send = (session: CardSession, command: Parameters<typeof exchange>[1]) =>
  exchange((bytes) => ask(session, bytes), command);

async function initiated(profile: string): Promise<CardSession> {
  await stand.card.insert(profile);
  const session = await readerOf(device).awaitCard(within(5_000));
  expect((await send(session, selectCommand(TEST_AID))).status).toBe(STATUS.ok);
  expect((await send(session, getProcessingOptionsCommand(new Uint8Array(4)))).status).toBe(STATUS.ok);
  return session;
}

const generate = (session: CardSession, type: CryptogramType) =>
  send(session, generateAcCommand(type, new Uint8Array(29)));

test("a card that falls silent at its cryptogram is given up, and the next one is served", async () => {
  const silent = await initiated("mute");
  expect((await faultOf(generate(silent, "TC"))).code).toBe("card.mute");
  await stand.card.pull();
  await aborted(silent.removed, 3_000);
  const next = await initiated("standard");
  expect(decodeCryptogram((await generate(next, "TC")).data).type).toBe("TC");
});

test("a slow card is waited for", async () => {
  await stand.card.insert("slow");
  const session = await readerOf(device).awaitCard(within(5_000));
  const started = performance.now();
  expect((await send(session, selectCommand(TEST_AID))).status).toBe(STATUS.ok);
  expect(performance.now() - started).toBeGreaterThan(390);
});

test("counters go on where the last simulator left them", async () => {
  const session = await initiated("standard");
  await generate(session, "ARQC");
  const counter = (await send(session, getDataCommand(0x9f36))).data;
  await stand.card.pull();
  await using again = await startCardSim({
    port: stand.pcscd.vpcdPort,
    stateFile: join(stand.folder, "atc.json"),
  });
  expect([0x9f, 0x36, 2, 0, again.status().atc]).toEqual([...counter]);
});
