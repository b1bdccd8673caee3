import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toHex } from "../../base/bytes.ts";
import { ManualClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { silentLog } from "../../base/log.ts";
import type { Device, ReceiptPrinter } from "../capability.ts";
import type { Transport } from "../transports/transport.ts";
import { openEscPosPrinter } from "./escpos-printer.ts";
import { CONFIRM_WITHIN_MS } from "./print-job.ts";

const WELL = 0x12;
const NEVER = new AbortController().signal;
const TICKET = { title: "test", lines: [{ kind: "text", text: "hello" }] } as const;

/** A line whose other end answers each write by a function of it. */
function line(answer: (hex: string) => readonly number[]) {
  const closed = new AbortController();
  const listeners = new Set<(chunk: Uint8Array) => void>();
  const written: string[] = [];
  const transport: Transport = {
    name: "/dev/test",
    closed: closed.signal,
    onReceived(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async write(bytes) {
      if (closed.signal.aborted) throw closed.signal.reason;
      written.push(toHex(bytes));
      const reply = answer(toHex(bytes));
      queueMicrotask(() => {
        for (const listener of reply.length > 0 ? listeners : []) listener(Uint8Array.from(reply));
      });
    },
    async [Symbol.asyncDispose]() {
      closed.abort(new Fault("transport.closed", "closed"));
    },
  };
  return { transport, written };
}

const wellBehaved = (hex: string): readonly number[] =>
  hex.startsWith("1004") ? [WELL] : hex === "1d7201" ? [0x00] : [];

async function opened(answer: (hex: string) => readonly number[], uri = "serial:/dev/test") {
  const clock = new ManualClock();
  const { transport, written } = line(answer);
  const open = async () => transport;
  const device = await openEscPosPrinter({ spec: { id: "p", uri }, open, clock, log: silentLog, signal: NEVER });
  return { device, clock, written, printer: printerOf(device) };
}

function printerOf(device: Device): ReceiptPrinter {
  const printer = device.capability("receipt-printer");
  if (!printer) throw new Error("no receipt printer");
  return printer;
}

/** Runs the clock until the promise settles. */
async function settle<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  let settled = false;
  void work.then(
    () => (settled = true),
    () => (settled = true),
  );
  for (let step = 0; step < 1_000 && !settled; step += 1) await clock.advance(100);
  return work;
}

const options = () => ({ signal: NEVER, beforeFirstByte: async () => undefined });

describe("an ESC/POS printer", () => {
  test.each([
    ["pcsc:*", "a receipt printer is reached by serial:<path>"],
    ["serial:/dev/x?bauds=9600", 'unknown option "bauds"; known are baud, columns, codepages, cut'],
    ["serial:/dev/x?baud=12", "a whole number from 1200 to 4000000"],
    ["serial:/dev/x?columns=40", "one of 32, 42, 44, 48"],
  ])("is refused as %s before any port is opened", async (uri, why) => {
    const open = () => Promise.reject(new Error("opened"));
    const clock = new ManualClock();
    const opening = openEscPosPrinter({ spec: { id: "p", uri }, open, clock, log: silentLog, signal: NEVER });
    await expect(opening).rejects.toMatchObject({ code: "config.invalid", message: expect.stringContaining(why) });
  });

  test("is what it says it is, and no card reader", async () => {
    const { device } = await opened(wellBehaved, "serial:/dev/test?columns=48");
    expect(device.description).toBe("ESC/POS printer at /dev/test, 48 columns");
    expect(device.capability("card-reader")).toBeUndefined();
    await device[Symbol.asyncDispose]();
  });

  test("sends no question between the bytes of a ticket", async () => {
    const { device, clock, written, printer } = await opened(wellBehaved);
    const printed = printer.print(TICKET, options());
    const asked = [printer.status(NEVER), printer.status(NEVER)];
    expect(await settle(clock, printed)).toEqual({ ok: true });
    await settle(clock, Promise.all(asked));
    const ticket = written.findIndex((hex) => hex.includes("68656c6c6f"));
    expect(written[ticket + 1]).toBe("1d7201");
    await device[Symbol.asyncDispose]();
  });

  test("RM3 leaves open what is on paper when the answer behind the ticket never comes, within its limit", async () => {
    let ticketSent = false;
    const { device, clock, printer } = await opened((hex) => {
      if (hex.includes("68656c6c6f")) ticketSent = true;
      return hex === "1d7201" && ticketSent ? [] : wellBehaved(hex);
    });
    const started = clock.monotonic();
    const outcome = await settle(clock, printer.print(TICKET, options()));
    expect(outcome).toEqual({ ok: false, error: { why: "no-answer", printed: "unknown" } });
    expect(clock.monotonic() - started).toBeLessThan(CONFIRM_WITHIN_MS + 2_000);
    await device[Symbol.asyncDispose]();
  });

  test("refuses callers beyond its limit instead of keeping them", async () => {
    const { device, clock, printer } = await opened(wellBehaved);
    const outcomes = Promise.allSettled(Array.from({ length: 40 }, () => printer.status(NEVER)));
    const refused = (await settle(clock, outcomes)).filter((outcome) => outcome.status === "rejected");
    expect(refused.length).toBe(24);
    expect(refused.every((outcome) => outcome.reason.code === "device.busy")).toBe(true);
    await device[Symbol.asyncDispose]();
  });

  test("RM3 never says that a ticket is printed before the answer behind it came, whatever else the line brings", async () => {
    const noise = fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.array(noise, { minLength: 1, maxLength: 12 }), async (noises) => {
        let turn = 0;
        let confirmed = false;
        let ticketSent = false;
        const { device, clock, printer } = await opened((hex) => {
          if (hex.includes("68656c6c6f")) ticketSent = true;
          if (!ticketSent) return wellBehaved(hex);
          turn += 1;
          const reply = noises[turn % noises.length] ?? [];
          if (reply.some((byte) => (byte & 0x90) === 0)) confirmed = true;
          return reply;
        });
        const outcome = await settle(clock, printer.print(TICKET, options()));
        if (outcome.ok) expect(confirmed).toBe(true);
        else expect(outcome.error.printed).toBe("unknown");
        await device[Symbol.asyncDispose]();
      }),
      { numRuns: 40 },
    );
  });
});
