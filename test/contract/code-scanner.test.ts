/** The five behaviours of a code scanner, on the real hidraw path through node-hid: absent, lost, back, hung, closed; and what a scan promises. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { DeviceManager } from "../../agent/devices/device-manager.ts";
import { systemClock } from "../../base/clock.ts";
import { silentLog } from "../../base/log.ts";
import { RECONNECT_POLICY } from "../../base/retry-schedule.ts";
import type { Device, Scan } from "../../drivers/capability.ts";
import { deviceCatalogue } from "../../drivers/catalogue.ts";
import { preAuthorisedCodeText } from "../../protocols/codes/own-codes.ts";
import { recogniseCode } from "../../protocols/codes/recognise.ts";
import type { ScannerKind } from "../../sim/scanner/descriptors.ts";
import { aborted, eventually, faultOf, hostPidOf, isAlive, within } from "./card-reader-stand.ts";
import { codesLog, openScanner, type ScannerStand, scannerOf, startScannerStand } from "./scanner-stand.ts";

const OWN_CODE = preAuthorisedCodeText({
  userId: "alice",
  secureCode: "ABCDEFGHIJKLMNOPQRSTUVWXYE",
  expiresAt: 1_767_603_600_000,
});

describe.each<ScannerKind>(["pos", "keyboard"])("a scanner of kind %s", (kind) => {
  let stand: ScannerStand;
  let device: Device | undefined;

  beforeAll(async () => {
    stand = await startScannerStand({ kind });
  });
  afterAll(async () => {
    await stand[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await device?.[Symbol.asyncDispose]();
    device = undefined;
    stand.mute("normal");
    await stand.replug();
  });

  let log: ReturnType<typeof codesLog>;

  async function open(uri: string = stand.uri): Promise<Device> {
    log = codesLog();
    device = await openScanner(stand, { uri, log });
    return device;
  }

  /** What the driver says next, of what `act` makes the scanner do. */
  async function toldAfter(act: () => Promise<unknown>): Promise<string> {
    const count = log.told.length;
    await act();
    await eventually(() => log.told.length > count, 5_000);
    return log.told.at(-1) ?? "";
  }

  async function scanned(opened: Device, text: string): Promise<Scan> {
    const next = scannerOf(opened).nextScan(within(10_000));
    expect(await stand.scan(text)).toBe(true);
    return await next;
  }

  describe("absent at the start", () => {
    test("the fault says to plug it in", async () => {
      await stand.unplug();
      const fault = await faultOf(openScanner(stand));
      expect(fault.code).toBe("device.absent");
      expect(fault.message).toContain("no code scanner 0c2e:0b62 is connected: plug it in");
    });

    test("a scanner of another make is not taken, and the fault lists what is there", async () => {
      const fault = await faultOf(openScanner(stand, { uri: "hid:05e0:1900" }));
      expect(fault.code).toBe("device.absent");
      expect(fault.message).toContain("there are 0c2e:0b62 Simulated Scanner");
    });

    test("nor one of another serial number or path", async () => {
      for (const option of ["serial=X9", "path=/dev/hidraw99"]) {
        const fault = await faultOf(openScanner(stand, { uri: `hid:0c2e:0b62?${option}` }));
        expect(fault.code).toBe("device.absent");
        expect(fault.message).toContain("(serial SIM0001)");
      }
    });

    test("without the simulator's environment nothing is found", async () => {
      expect((await faultOf(openScanner({ env: {}, uri: stand.uri }))).code).toBe("device.absent");
    });
  });

  describe("a code", () => {
    test("of our own comes as it was shown, with its AIM identifier", async () => {
      const opened = await open("hid:0c2e:0b62?serial=SIM0001");
      expect(opened.description).toMatch(/^Tillway Simulated Scanner SIM0001 at \/dev\/hidraw\d+, /);
      const scan = await scanned(opened, OWN_CODE);
      expect(scan).toEqual({ text: OWN_CODE, aim: "]Q3" });
      expect(recogniseCode(scan.text, scan.aim)).toMatchObject({ family: "pre-authorised", userId: "alice" });
    });

    test("after another comes alone: twenty in a row keep their order", async () => {
      const opened = await open();
      for (let count = 0; count < 20; count += 1) {
        expect((await scanned(opened, `OA1:${"n".repeat(100)}${count}`)).text).toBe(`OA1:${"n".repeat(100)}${count}`);
      }
    });

    test("that came before somebody waited is not given to the next customer", async () => {
      const opened = await open();
      expect(await toldAfter(() => stand.scan("early"))).toBe("scanned");
      expect((await scanned(opened, "in time")).text).toBe("in time");
    });

    test("is given to one caller at a time", async () => {
      const scanner = scannerOf(await open());
      const stop = new AbortController();
      const first = faultOf(scanner.nextScan(stop.signal));
      expect((await faultOf(scanner.nextScan(within(1_000)))).code).toBe("device.busy");
      stop.abort();
      expect((await first).code).toBe("aborted");
      expect((await scanned(device as Device, "next")).text).toBe("next");
    });

    test("that is cut off is dropped, and the next one is whole", async () => {
      const opened = await open();
      const next = scannerOf(opened).nextScan(within(10_000));
      expect(await toldAfter(() => stand.half("x".repeat(150)))).toBe("rest-missing");
      expect(await toldAfter(() => stand.torn("torn"))).toBe("wrong-size");
      expect(await stand.scan("whole")).toBe(true);
      expect((await next).text).toBe("whole");
    });

    test("after garbage is whole, and the scanner is not lost by it", async () => {
      const opened = await open();
      await stand.garbage(50);
      // The first one ends what the garbage has begun, if it has; the second is whole at the latest.
      if ((await toldAfter(() => stand.scan("first"))) !== "scanned") await toldAfter(() => stand.scan("second"));
      expect((await scanned(opened, "whole")).text).toBe("whole");
      expect(opened.lost.aborted).toBe(false);
    });
  });

  describe("lost in mid-operation", () => {
    test("an unplugged scanner ends the wait and the device within a second", async () => {
      const opened = await open();
      const waiting = faultOf(scannerOf(opened).nextScan(within(10_000)));
      const started = performance.now();
      await stand.unplug();
      expect((await waiting).code).toBe("transport.closed");
      expect((await aborted(opened.lost, 1_000)).message).toContain("is gone");
      expect(performance.now() - started).toBeLessThan(1_000);
      expect((await faultOf(scannerOf(opened).nextScan(within(1_000)))).code).toBe("transport.closed");
    });

    test("one unplugged in the middle of a code gives no half of it", async () => {
      const opened = await open();
      const waiting = faultOf(scannerOf(opened).nextScan(within(10_000)));
      await stand.half("x".repeat(150));
      await stand.unplug();
      expect((await waiting).code).toBe("transport.closed");
    });
  });

  test("back again: the device manager re-opens it, under whatever node it comes back", async () => {
    const open = deviceCatalogue({ clock: systemClock, log: silentLog, environment: stand.env });
    await using devices = new DeviceManager({
      specs: [{ id: "scanner", uri: stand.uri }],
      open,
      clock: systemClock,
      log: silentLog,
      chance: () => 0.5,
    });
    const state = () => devices.list()[0]?.state;
    await eventually(() => state() === "ready", 10_000);
    await stand.unplug();
    await eventually(() => state() === "lost", 5_000);
    expect(devices.lend("code-scanner")).toBeUndefined();
    await stand.replug();
    await eventually(() => state() === "ready", RECONNECT_POLICY.maxMs + 10_000);
    const next = devices.lend("code-scanner")?.nextScan(within(10_000));
    await stand.scan("again");
    expect((await next)?.text).toBe("again");
  });

  describe("hung", () => {
    test("a mute scanner is not taken for a lost one: the caller's limit ends the wait", async () => {
      const opened = await open();
      stand.mute("mute");
      const waiting = faultOf(scannerOf(opened).nextScan(within(300)));
      expect(await stand.scan("unheard")).toBe(false);
      expect((await waiting).code).toBe("aborted");
      expect(opened.lost.aborted).toBe(false);
      stand.mute("normal");
      expect((await scanned(opened, "heard")).text).toBe("heard");
    });

    test("a device host whose loop stands still is killed and told", async () => {
      const opened = await open();
      const waiting = faultOf(scannerOf(opened).nextScan(within(10_000)));
      const pid = hostPidOf(opened);
      process.kill(pid, "SIGSTOP");
      expect((await aborted(opened.lost, 6_000)).code).toBe("device.hung");
      expect((await waiting).code).toBe("device.hung");
      await eventually(() => !isAlive(pid), 1_000);
      await opened[Symbol.asyncDispose]();
      expect((await scanned(await open(), "next")).text).toBe("next");
    });
  });

  describe("closed cleanly", () => {
    test("closing ends the wait and the device host, and the scanner can be opened again at once", async () => {
      const opened = await open();
      const waiting = faultOf(scannerOf(opened).nextScan(within(10_000)));
      const pid = hostPidOf(opened);
      const started = performance.now();
      await opened[Symbol.asyncDispose]();
      expect(performance.now() - started).toBeLessThan(1_000);
      expect(isAlive(pid)).toBe(false);
      expect((await waiting).code).toBe("transport.closed");
      expect((await scanned(await open(), "next")).text).toBe("next");
    });

    test("a program that closes its scanner ends by itself", async () => {
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
      const program = fileURLToPath(new URL("./code-scanner-client.ts", import.meta.url));
      return spawn(process.execPath, [program, stand.uri, what], {
        env: { ...process.env, ...stand.env },
        stdio: ["ignore", "pipe", "inherit"],
      });
    }
  });
});

describe("how a scanner is configured", () => {
  test.each([
    ["hid:scanner", "hid:VVVV:PPPP"],
    ["hid:0c2e:0b62?mode=mouse", "mode=mouse; one of auto, pos, keyboard"],
    ["hid:0c2e:0b62?layout=fr", "layout=fr; one of us, de"],
    ["hid:0c2e:0b62?terminator=x", "terminator=x"],
    ["hid:0c2e:0b62?speed=9", 'unknown option "speed"'],
  ])("%s is refused before anything is opened", async (uri, words) => {
    const fault = await faultOf(openScanner({ env: {}, uri }));
    expect(fault.code).toBe("config.invalid");
    expect(fault.message).toContain(words);
  });

  test("a scanner that types German with a prefix is understood, and mode= overrides what it says it is", async () => {
    await using stand = await startScannerStand({ kind: "keyboard", layout: "de", prefix: "~" });
    expect(stand.uri).toBe("hid:0c2e:0b62?layout=de&prefix=%7E");
    await using opened = await openScanner(stand);
    const next = scannerOf(opened).nextScan(within(10_000));
    await stand.scan("OF1:y-z_@[ß]");
    expect(await next).toEqual({ text: "OF1:y-z_@[ß]", aim: "]Q3" });
    const fault = await faultOf(openScanner(stand, { uri: "hid:0c2e:0b62?mode=pos" }));
    expect(fault.code).toBe("device.protocol");
    expect(fault.message).toContain("no decoded data");
  });
});
