/** The contract of a receipt printer: the real driver, the real package serialport and a real pty; the printer is ours. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../base/clock.ts";
import { CONFIRM_WITHIN_MS } from "../../drivers/printer/print-job.ts";
import { ANSWER_WITHIN_MS } from "../../drivers/printer/printer-dialogue.ts";
import {
  NEVER,
  openPrinter,
  printerFixture,
  printerOf,
  printing,
  reasonOfAbort,
  receipt,
  temporaryFolder,
  until,
} from "./printer-fixture.ts";

const NOTHING = (why: string) => ({ ok: false, error: { why, printed: "nothing" } });
const UNKNOWN = (why: string) => ({ ok: false, error: { why, printed: "unknown" } });

describe("a receipt printer that is absent at start", () => {
  test("is a Fault that names the port and asks for the plug", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "nothing-here");
    await expect(openPrinter(path)).rejects.toMatchObject({
      code: "device.absent",
      message: `${path}: no such port; is the printer plugged in?`,
    });
  });

  test("can be opened as soon as it is there", async () => {
    await using fixture = await printerFixture();
    await fixture.sim.gone();
    await expect(openPrinter(fixture.link)).rejects.toMatchObject({ code: "device.absent" });
    await fixture.sim.back();
    await using device = await openPrinter(fixture.link);
    expect(await printerOf(device).status(NEVER)).toEqual({ online: true, paper: "ok", coverOpen: false });
  });
});

describe("a receipt printer that is there", () => {
  test("prints and cuts a ticket as it was meant, with é, ß and €", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    const options = printing();
    expect(await printerOf(device).print(receipt(7), options)).toEqual({ ok: true });
    expect(options.announced()).toBe(1);
    const [ticket, ...others] = fixture.sim.tickets();
    expect(others).toEqual([]);
    expect(ticket?.text.split("\n")).toEqual([
      "           Café Größe",
      "         Hauptstraße 1, 8010 Graz",
      "─".repeat(42),
      "2 x Mélange, with oat milk and a little",
      "cinnamon                            9,80 €",
      "Apfelstrudel                        4,20 €",
      "─".repeat(42),
      "TOTAL                              14,00 €",
      "",
      "                                 Receipt 7",
      "       [QR https://pay.example/r/7]",
    ]);
    expect(ticket).toMatchObject({ cut: "partial", marks: [] });
  });

  test("prints many tickets in their order and pulses the drawer only when told", async () => {
    await using fixture = await printerFixture({ columns: 48 });
    await using device = await openPrinter(fixture.link, { query: "?columns=48&baud=9600&cut=full" });
    const printer = printerOf(device);
    for (let number = 1; number <= 5; number += 1) {
      const document = number === 3 ? { ...receipt(number), openDrawer: true as const } : receipt(number);
      expect(await printer.print(document, printing())).toEqual({ ok: true });
    }
    const tickets = fixture.sim.tickets();
    expect(tickets.map((ticket) => /Receipt (\d)/.exec(ticket.text)?.[1])).toEqual(["1", "2", "3", "4", "5"]);
    expect(tickets.map((ticket) => ticket.marks.length)).toEqual([0, 0, 1, 0, 0]);
    expect(tickets.every((ticket) => ticket.cut === "full")).toBe(true);
  });

  test("takes one ticket at a time", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    const printer = printerOf(device);
    const first = printer.print(receipt(1), printing());
    await expect(printer.print(receipt(2), printing())).rejects.toMatchObject({ code: "device.busy" });
    expect(await first).toEqual({ ok: true });
    expect(fixture.sim.tickets().length).toBe(1);
  });

  test("is busy for a second program", async () => {
    await using fixture = await printerFixture();
    await using _device = await openPrinter(fixture.link);
    await expect(openPrinter(fixture.link)).rejects.toMatchObject({ code: "device.busy" });
  });

  test("answers its status while a slow ticket prints, and only then says that it is printed", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    const printer = printerOf(device);
    fixture.sim.change({ pace: 800 });
    const printed = printer.print(receipt(1), printing());
    await until(() => fixture.sim.status().uncut.includes("TOTAL"), "the ticket to be half printed");
    expect(fixture.sim.tickets().length).toBe(0);
    expect(await printed).toEqual({ ok: true });
    expect(fixture.sim.tickets().length).toBe(1);
  });

  test("tells paper near its end and prints on", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    fixture.sim.change({ paper: "near-end" });
    expect(await printerOf(device).status(NEVER)).toEqual({ online: true, paper: "near-end", coverOpen: false });
    expect(await printerOf(device).print(receipt(1), printing())).toEqual({ ok: true });
  });

  test("survives whatever bytes the line brings", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    const noise = Uint8Array.from({ length: 4_096 }, (_, index) => (index * 37) % 256);
    const quiet = noise.map((byte) => byte | 0x80);
    fixture.sim.babble(quiet);
    expect(await printerOf(device).status(NEVER)).toMatchObject({ online: true });
    expect(await printerOf(device).print(receipt(1), printing())).toEqual({ ok: true });
    fixture.sim.babble(noise);
    await until(() => fixture.sim.status().plugged, "the noise to be sent");
    const outcome = await printerOf(device).print(receipt(2), printing());
    expect(outcome.ok ? "printed" : outcome.error.printed).toMatch(/printed|nothing|unknown/);
  });
});

describe("RM3 a receipt printer that cannot print", () => {
  test.each([
    ["paper-out", { paper: "out" }],
    ["cover-open", { coverOpen: true }],
    ["offline", { offline: true }],
    ["offline", { jammed: true }],
  ] as const)("says %s and neither announces nor sends a byte", async (why, change) => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    fixture.sim.change(change);
    const options = printing();
    expect(await printerOf(device).print(receipt(1), options)).toEqual(NOTHING(why));
    expect(options.announced()).toBe(0);
    expect(fixture.sim.status()).toMatchObject({ bufferedBytes: 0, uncut: "", tickets: 0 });
    fixture.sim.change({ paper: "ok", coverOpen: false, offline: false, jammed: false });
    expect(await printerOf(device).print(receipt(2), printing())).toEqual({ ok: true });
    expect(fixture.sim.tickets().map((ticket) => ticket.text.includes("Receipt 2"))).toEqual([true]);
  });

  test("leaves open what is on paper when the paper ends in mid-ticket, and the rest comes out of its buffer", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    const printer = printerOf(device);
    expect(await printer.print(receipt(1), printing())).toEqual({ ok: true });
    fixture.sim.breakDown({ what: "paper-out", afterBytes: 120 });
    expect(await printer.print(receipt(2), printing())).toEqual(UNKNOWN("paper-out"));
    expect(await printer.print(receipt(3), printing())).toEqual(NOTHING("paper-out"));
    expect(fixture.sim.tickets().length).toBe(1);
    fixture.sim.change({ paper: "ok" });
    await until(() => fixture.sim.tickets().length === 2, "the buffered rest to print");
    expect(await printer.print(receipt(3), printing())).toEqual({ ok: true });
    expect(fixture.sim.tickets().map((ticket) => /Receipt (\d)/.exec(ticket.text)?.[1])).toEqual(["1", "2", "3"]);
  });

  test("does not take the late answer of an earlier ticket for the proof of the next", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    const printer = printerOf(device);
    fixture.sim.breakDown({ what: "paper-out", afterBytes: 200 });
    expect(await printer.print(receipt(1), printing())).toEqual(UNKNOWN("paper-out"));
    // New paper, printed on slowly: the rest of ticket 1 and its answer come while ticket 2 is asked for.
    fixture.sim.change({ pace: 2_000, paper: "ok" });
    const second = printer.print(receipt(2), printing());
    expect(await second).toEqual({ ok: true });
    expect(fixture.sim.tickets().map((ticket) => /Receipt (\d)/.exec(ticket.text)?.[1])).toEqual(["1", "2"]);
  });

  test("leaves open what is on paper when the cutter jams in mid-ticket", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    fixture.sim.breakDown({ what: "jam", afterBytes: 150 });
    expect(await printerOf(device).print(receipt(1), printing())).toEqual(UNKNOWN("offline"));
  });

  test("prints nothing when the intent to print could not be stored", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    const beforeFirstByte = () => Promise.reject(new Error("disk full"));
    await expect(printerOf(device).print(receipt(1), { signal: NEVER, beforeFirstByte })).rejects.toThrow("disk full");
    expect(await printerOf(device).print(receipt(2), printing())).toEqual({ ok: true });
    expect(fixture.sim.tickets().map((ticket) => ticket.text.includes("Receipt 2"))).toEqual([true]);
  });

  test("leaves open what is on paper when the caller gives up after the first byte", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    fixture.sim.change({ pace: 500 });
    const stop = new AbortController();
    const printed = printerOf(device).print(receipt(1), printing(stop.signal));
    await until(() => fixture.sim.status().uncut.includes("Café"), "the ticket to begin");
    stop.abort();
    expect(await printed).toEqual(UNKNOWN("no-answer"));
    expect(await printerOf(device).print(receipt(2), printing(stop.signal))).toEqual(NOTHING("no-answer"));
  });
});

describe("a receipt printer that is lost", () => {
  test("aborts `lost` when it is unplugged while idle", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    await fixture.sim.gone();
    expect(await reasonOfAbort(device.lost)).toMatchObject({ code: "transport.closed" });
    expect(await printerOf(device).print(receipt(1), printing())).toEqual(NOTHING("lost"));
    await expect(printerOf(device).status(NEVER)).rejects.toMatchObject({ code: "transport.closed" });
  });

  test("RM3 leaves open what is on paper when it is unplugged in mid-ticket", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    fixture.sim.change({ pace: 500 });
    const printed = printerOf(device).print(receipt(1), printing());
    await until(() => fixture.sim.status().uncut.includes("Café"), "the ticket to begin");
    await fixture.sim.gone();
    expect(await printed).toEqual(UNKNOWN("lost"));
  });

  test("RM3 prints exactly one ticket after it is back, and no byte that was left behind", async () => {
    await using fixture = await printerFixture();
    {
      await using device = await openPrinter(fixture.link);
      const options = { ...printing(), beforeFirstByte: () => fixture.sim.gone() };
      const outcome = await printerOf(device).print(receipt(1), options);
      expect(outcome).toMatchObject({ ok: false, error: { why: "lost" } });
    }
    await fixture.sim.back();
    await using device = await openPrinter(fixture.link);
    expect(await printerOf(device).print(receipt(2), printing())).toEqual({ ok: true });
    expect(fixture.sim.tickets().map((ticket) => /Receipt (\d)/.exec(ticket.text)?.[1])).toEqual(["2"]);
  });

  test("prints again although it was lost in the middle of a command", async () => {
    await using fixture = await printerFixture();
    {
      await using device = await openPrinter(fixture.link);
      expect(await printerOf(device).print(receipt(1), printing())).toEqual({ ok: true });
    }
    // GS ( k that announces 200 bytes of a QR code, of which three came.
    fixture.sim.leftBehind(Uint8Array.of(0x1d, 0x28, 0x6b, 200, 0, 0x31, 0x50, 0x30));
    await using device = await openPrinter(fixture.link);
    expect(await printerOf(device).print(receipt(2), printing())).toEqual({ ok: true });
    expect(fixture.sim.tickets().map((ticket) => /Receipt (\d)/.exec(ticket.text)?.[1])).toEqual(["1", "2"]);
  });
});

describe("a receipt printer that hangs", () => {
  test("is a Fault within the limit when it does not answer at start", async () => {
    await using fixture = await printerFixture();
    fixture.sim.change({ hung: true });
    const started = systemClock.monotonic();
    await expect(openPrinter(fixture.link)).rejects.toMatchObject({ code: "device.hung" });
    expect(systemClock.monotonic() - started).toBeLessThan(ANSWER_WITHIN_MS + 3_000);
  });

  test("aborts `lost` while idle", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    fixture.sim.change({ hung: true });
    expect(await reasonOfAbort(device.lost)).toMatchObject({ code: "device.hung" });
  });

  test("RM3 prints nothing and announces nothing when it hangs before the ticket", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    fixture.sim.change({ hung: true });
    const options = printing();
    expect(await printerOf(device).print(receipt(1), options)).toEqual(NOTHING("no-answer"));
    expect(options.announced()).toBe(0);
  });

  test("RM3 leaves open what is on paper when it hangs in mid-ticket, within the limit", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    const started = systemClock.monotonic();
    const options = {
      ...printing(),
      beforeFirstByte: async () => fixture.sim.change({ hung: true }),
    };
    expect(await printerOf(device).print(receipt(1), options)).toEqual(UNKNOWN("no-answer"));
    expect(systemClock.monotonic() - started).toBeLessThan(CONFIRM_WITHIN_MS);
    expect(await reasonOfAbort(device.lost)).toMatchObject({ code: "device.hung" });
  });
});

describe("a receipt printer that is closed", () => {
  test("frees its port for the next", async () => {
    await using fixture = await printerFixture();
    for (let round = 0; round < 3; round += 1) {
      const device = await openPrinter(fixture.link);
      await device[Symbol.asyncDispose]();
      await device[Symbol.asyncDispose]();
    }
    await using device = await openPrinter(fixture.link);
    expect(await printerOf(device).print(receipt(1), printing())).toEqual({ ok: true });
    expect(fixture.sim.tickets().length).toBe(1);
  });

  test("RM3 leaves open what is on paper when it is closed in mid-ticket", async () => {
    await using fixture = await printerFixture();
    await using device = await openPrinter(fixture.link);
    fixture.sim.change({ pace: 500 });
    const printed = printerOf(device).print(receipt(1), printing());
    await until(() => fixture.sim.status().uncut.includes("Café"), "the ticket to begin");
    await device[Symbol.asyncDispose]();
    expect(await printed).toEqual(UNKNOWN("lost"));
  });
});
