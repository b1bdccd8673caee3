/** The five behaviours of a card reader, against the real pcscd: absent, lost, back, hung, closed; and what a card session promises. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { isFault } from "../../base/fault.ts";
import type { CardSession, Device } from "../../drivers/capability.ts";
import { exchange, STATUS } from "../../protocols/emv/apdu.ts";
import { findValue, flattenTlv } from "../../protocols/emv/ber-tlv.ts";
import {
  decodeCryptogram,
  decodeProcessingOptions,
  decodeRecord,
  generateAcCommand,
  getProcessingOptionsCommand,
  readRecordCommand,
  selectCommand,
} from "../../protocols/emv/commands.ts";
import { buildDol, decodeDol } from "../../protocols/emv/dol.ts";
import { decodeCompressed, encodeNumeric } from "../../protocols/emv/numeric.ts";
import { cardProfile, TEST_AID } from "../../sim/card/profiles.ts";
import { startPcscd } from "../../sim/reader/pcscd.ts";
import {
  aborted,
  ask,
  eventually,
  faultOf,
  hostPidOf,
  isAlive,
  openReader,
  readerOf,
  type Stand,
  startStand,
  within,
} from "./card-reader-stand.ts";

let stand: Stand;
let device: Device | undefined;

beforeAll(async () => {
  stand = await startStand();
});
afterAll(async () => {
  await stand[Symbol.asyncDispose]();
});

afterEach(async () => {
  stand.card.mute(false);
  stand.card.break(false);
  stand.card.slow(0);
  await stand.card.pull();
  await device?.[Symbol.asyncDispose]();
  device = undefined;
  if (!isAlive(stand.pcscd.pid)) await stand.pcscd.restart();
});

async function open(): Promise<Device> {
  device = await openReader(stand.uri);
  return device;
}

async function takeCard(profile = "standard"): Promise<CardSession> {
  const opened = device ?? (await open());
  await stand.card.insert(profile);
  return readerOf(opened).awaitCard(within(5_000));
}

describe("absent at the start", () => {
  test("without pcscd the fault names the socket and the mend, at once", async () => {
    const started = performance.now();
    const fault = await faultOf(openReader(`pcsc:*?socket=${stand.folder}/nobody.comm`));
    expect(fault.code).toBe("device.absent");
    expect(fault.message).toContain(`${stand.folder}/nobody.comm`);
    expect(fault.message).toContain("systemctl start pcscd");
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test("without a reader the fault says to plug one in", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tw-none-"));
    await using bare = await startPcscd({ folder, readers: "none" });
    const fault = await faultOf(openReader(`pcsc:*?socket=${bare.socket}`));
    expect(fault.code).toBe("device.absent");
    expect(fault.message).toContain("no card reader is connected");
    rmSync(folder, { recursive: true, force: true });
  });

  test("a reader of another name is not taken, and the fault lists those that are there", async () => {
    const fault = await faultOf(openReader(stand.uri.replace("*", "Counter%20Reader")));
    expect(fault.code).toBe("device.absent");
    expect(fault.message).toContain('no card reader "Counter Reader"');
    expect(fault.message).toContain("Virtual PCD 00 00");
  });

  test("a reader is found by its name without the slot numbers", async () => {
    device = await openReader(stand.uri.replace("*", "Virtual%20PCD"));
    expect(device.description).toContain("Virtual PCD 00 00");
  });
});

describe("a card", () => {
  test.each(["standard", "second"])(
    "of profile %s is read and gives a cryptogram through the whole stack",
    async (profile) => {
      await using session = await takeCard(profile);
      const send = (command: Parameters<typeof exchange>[1]) => exchange((bytes) => ask(session, bytes), command);
      expect((await send(selectCommand(TEST_AID))).status).toBe(STATUS.ok);
      const { afl } = decodeProcessingOptions((await send(getProcessingOptionsCommand(new Uint8Array(4)))).data);
      const objects = [];
      for (const { sfi, firstRecord, lastRecord } of afl) {
        for (let record = firstRecord; record <= lastRecord; record += 1) {
          objects.push(...decodeRecord((await send(readRecordCommand({ sfi, record }))).data));
        }
      }
      expect(decodeCompressed(findValue(objects, 0x5a) ?? new Uint8Array())).toBe(cardProfile(profile).pan);
      const values = new Map(flattenTlv(objects).map(({ tag, value }) => [tag, value]));
      values.set(0x9f02, encodeNumeric(250n, 6));
      const cdol1 = decodeDol(findValue(objects, 0x8c) ?? new Uint8Array());
      const answer = decodeCryptogram((await send(generateAcCommand("TC", buildDol(cdol1, values)))).data);
      expect(answer.type).toBe("TC");
      expect(answer.cryptogram).toHaveLength(8);
    },
  );

  test("that is already in the reader when it is opened counts", async () => {
    await stand.card.insert();
    await eventually(() => stand.card.status().state === "powered", 3_000);
    const session = await readerOf(await open()).awaitCard(within(5_000));
    expect(await ask(session)).toHaveLength(2);
  });

  test("RM3 that stays in the reader is not offered a second time until it was taken out", async () => {
    const first = await takeCard();
    await first[Symbol.asyncDispose]();
    const reader = readerOf(await Promise.resolve(device as Device));
    expect((await faultOf(reader.awaitCard(within(1_000)))).code).toBe("aborted");
    await stand.card.pull();
    await aborted(first.removed, 2_000);
    expect(await ask(await takeCard())).toHaveLength(2);
  });

  test("is given to one caller at a time", async () => {
    const reader = readerOf(await open());
    const stop = new AbortController();
    const first = faultOf(reader.awaitCard(stop.signal));
    expect((await faultOf(reader.awaitCard(within(1_000)))).code).toBe("device.busy");
    stop.abort();
    expect((await first).code).toBe("aborted");
    expect(await ask(await takeCard())).toHaveLength(2);
  });

  test("in and out within 20 ms leaves the reader fit for the next one", async () => {
    await open();
    await stand.card.insert();
    await wait(20);
    await stand.card.pull();
    expect(await ask(await takeCard())).toHaveLength(2);
  });

  test("RM3 whose session saw one failure gets no second command", async () => {
    const session = await takeCard();
    stand.card.slow(400);
    const stop = new AbortController();
    const before = stand.card.status().apdus;
    const running = faultOf(session.transceive(Uint8Array.of(0x80, 0xca, 0x9f, 0x36, 0), stop.signal));
    await eventually(() => stand.card.status().apdus > before, 1_000);
    stop.abort();
    expect((await running).code).toBe("aborted");
    expect((await faultOf(ask(session))).code).toBe("aborted");
    expect(stand.card.status().apdus).toBe(before + 1);
  });

  test("that answers nonsense causes faults or short answers, and the reader survives", async () => {
    stand.card.break(true);
    for (let round = 0; round < 4; round += 1) {
      const session = await takeCard();
      for (let command = 0; command < 4; command += 1) {
        const outcome = await ask(session).catch((error: unknown) => error);
        expect(isFault(outcome) || outcome instanceof Uint8Array).toBe(true);
      }
      await stand.card.pull();
      await aborted(session.removed, 2_000);
    }
    stand.card.break(false);
    expect(await ask(await takeCard())).toHaveLength(2);
  });
});

describe("lost in mid-operation", () => {
  test("a card pulled during a command ends the session, not the reader", async () => {
    const session = await takeCard();
    stand.card.pullAfter(2);
    await ask(session);
    await ask(session);
    expect((await faultOf(ask(session))).code).toBe("card.removed");
    expect((await aborted(session.removed, 2_000)).code).toBe("card.removed");
    expect(device?.lost.aborted).toBe(false);
    expect(await ask(await takeCard())).toHaveLength(2);
  });

  test("a pcscd killed during a command ends the command and the device within 2 s", async () => {
    const session = await takeCard();
    stand.card.slow(900);
    const before = stand.card.status().apdus;
    const answer = faultOf(ask(session));
    await eventually(() => stand.card.status().apdus > before, 1_000);
    await stand.pcscd.kill("SIGKILL");
    const fault = await answer;
    expect(["card.removed", "transport.closed"], fault.message).toContain(fault.code);
    expect((await aborted((device as Device).lost, 2_000)).code).toBe("transport.closed");
    expect((await aborted(session.removed, 2_000)).code).toBe("card.removed");
  });

  test("a command into a pcscd that was just killed is told as such", async () => {
    const session = await takeCard();
    process.kill(stand.pcscd.pid, "SIGKILL");
    const fault = await faultOf(ask(session));
    expect(["card.removed", "transport.closed"], fault.message).toContain(fault.code);
    await stand.pcscd.ended();
  });

  test("a pcscd killed while nothing happens is noticed within 2 s", async () => {
    const waiting = faultOf(readerOf(await open()).awaitCard(within(5_000)));
    await stand.pcscd.kill("SIGKILL");
    expect((await aborted((device as Device).lost, 2_000)).code).toBe("transport.closed");
    expect((await waiting).code).toBe("transport.closed");
  });
});

describe("back again", () => {
  test("after a pcscd was killed and restarted a fresh open takes the next card within 10 s", async () => {
    await takeCard();
    const started = performance.now();
    await stand.pcscd.kill("SIGKILL");
    expect((await faultOf(openReader(stand.uri))).code).toBe("device.absent");
    await stand.pcscd.restart();
    device = await openReader(stand.uri);
    const session = await readerOf(device).awaitCard(within(5_000));
    expect(await ask(session)).toHaveLength(2);
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

describe("hung", () => {
  test("a mute card is given up at the limit, and the next card is served", async () => {
    const session = await takeCard();
    stand.card.mute(true);
    const started = performance.now();
    expect((await faultOf(ask(session))).code).toBe("card.mute");
    expect(performance.now() - started).toBeLessThan(3_000);
    stand.card.mute(false);
    await stand.card.pull();
    await aborted(session.removed, 3_000);
    expect(await ask(await takeCard())).toHaveLength(2);
  });

  test("a device host whose loop stands still is killed and told", async () => {
    const opened = await open();
    const pid = hostPidOf(opened);
    process.kill(pid, "SIGSTOP");
    expect((await aborted(opened.lost, 6_000)).code).toBe("device.hung");
    await eventually(() => !isAlive(pid), 1_000);
    await opened[Symbol.asyncDispose]();
    expect(await ask(await takeCardAnew())).toHaveLength(2);
  });

  test("a pcscd that listens but does not answer cannot hold up the opening for ever", async () => {
    process.kill(stand.pcscd.pid, "SIGSTOP");
    try {
      const fault = await faultOf(openReader(stand.uri));
      expect(["device.hung", "device.absent"]).toContain(fault.code);
    } finally {
      process.kill(stand.pcscd.pid, "SIGCONT");
    }
    expect(await ask(await takeCardAnew())).toHaveLength(2);
  });

  async function takeCardAnew(): Promise<CardSession> {
    device = undefined;
    return takeCard();
  }
});

describe("closed cleanly", () => {
  test("closing leaves no child, and refuses what comes after", async () => {
    const session = await takeCard();
    const opened = device as Device;
    const pid = hostPidOf(opened);
    await opened[Symbol.asyncDispose]();
    expect(isAlive(pid)).toBe(false);
    expect((await faultOf(ask(session))).code).toBe("card.removed");
    expect((await faultOf(readerOf(opened).awaitCard(within(100)))).code).toBe("transport.closed");
  });

  test("closing is bounded while a card owes an answer", async () => {
    const session = await takeCard();
    stand.card.mute(true);
    const before = stand.card.status().apdus;
    const answer = faultOf(ask(session));
    await eventually(() => stand.card.status().apdus > before, 1_000);
    const pid = hostPidOf(device as Device);
    const started = performance.now();
    await device?.[Symbol.asyncDispose]();
    expect(performance.now() - started).toBeLessThan(2_500);
    expect(isAlive(pid)).toBe(false);
    expect((await answer).code).toBe("card.removed");
  });

  test("a program that closes its reader ends by itself", async () => {
    await stand.card.insert();
    const client = startClient("close");
    const [code] = (await once(client, "exit", { signal: within(15_000) })) as [number | null];
    expect(code).toBe(0);
  });

  test("a program killed with SIGKILL leaves no device host behind", async () => {
    const client = startClient("stay");
    const [line] = (await once(createInterface(client.stdout), "line", { signal: within(15_000) })) as [string];
    const pid = Number(line);
    expect(isAlive(pid)).toBe(true);
    client.kill("SIGKILL");
    await eventually(() => !isAlive(pid), 3_000);
  });

  function startClient(what: "close" | "stay") {
    const program = fileURLToPath(new URL("./card-reader-client.ts", import.meta.url));
    return spawn(process.execPath, [program, stand.uri, what], { stdio: ["ignore", "pipe", "inherit"] });
  }
});

test("200 commands in a row keep their order and their rate", async () => {
  const session = await takeCard();
  const send = (bytes: Uint8Array) => ask(session, bytes);
  await exchange(send, selectCommand(TEST_AID));
  const started = performance.now();
  for (let count = 0; count < 200; count += 1) {
    expect((await exchange(send, { cla: 0x80, ins: 0xca, p1: 0x9f, p2: 0x36, le: 256 })).data).toHaveLength(5);
  }
  const perSecond = Math.round(200_000 / (performance.now() - started));
  process.stdout.write(`card.rate ${perSecond} commands per second, agent to card and back\n`);
});
