import { expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { type Log, silentLog } from "../../base/log.ts";
import { COMMON_POS_LAYOUT, encodePosReports } from "../../protocols/hid/pos-report.ts";
import { PART_GAP_MAX_MS, PosScanDecoder } from "../../protocols/hid/scan-decoder.ts";
import { ScannedCodes } from "./scanned-codes.ts";

const NEVER = new AbortController().signal;

function fixture(clock: ManualClock = new ManualClock()) {
  const lost = new AbortController();
  const lines: string[] = [];
  const write = (message: string, fields?: object): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const log: Log = { ...silentLog, warn: write, debug: write };
  const codes = new ScannedCodes({ decoder: new PosScanDecoder(COMMON_POS_LAYOUT), lost: lost.signal, clock, log });
  const scan = (text: string): void => {
    for (const report of reportsOf(text)) codes.take(report);
  };
  return { clock, lost, lines, codes, scan };
}
const reportsOf = (text: string) => encodePosReports({ aim: "]Q3", data: new TextEncoder().encode(text) });

test("a code goes to the one who waits, and the next one to nobody", async () => {
  const { codes, scan } = fixture();
  const next = codes.nextScan(NEVER);
  scan("first");
  scan("second");
  expect(await next).toEqual({ text: "first", aim: "]Q3" });
  expect(codes.unclaimed).toBe(1);
});

test("RM10 a code that came before anybody waited is not kept for the next customer", async () => {
  const { codes, scan } = fixture();
  scan("yesterday's");
  const next = codes.nextScan(NEVER);
  scan("today's");
  expect((await next).text).toBe("today's");
});

test("one caller waits at a time, and a caller who gave up makes room", async () => {
  const { codes, scan } = fixture();
  const stop = new AbortController();
  const first = codes.nextScan(stop.signal);
  await expect(codes.nextScan(NEVER)).rejects.toMatchObject({ code: "device.busy" });
  stop.abort();
  await expect(first).rejects.toMatchObject({ code: "aborted" });
  const next = codes.nextScan(NEVER);
  scan("code");
  expect((await next).text).toBe("code");
});

test("a caller who refuses at once does not shut out the one after", async () => {
  const { codes, scan } = fixture();
  await expect(codes.nextScan(AbortSignal.abort())).rejects.toMatchObject({ code: "aborted" });
  const next = codes.nextScan(NEVER);
  scan("code");
  expect((await next).text).toBe("code");
});

test("half a code is dropped when its time is over, by name and without its text", async () => {
  const { codes, clock, lines } = fixture();
  const [first = new Uint8Array()] = reportsOf("secret".repeat(20));
  codes.take(first);
  await clock.advance(PART_GAP_MAX_MS);
  expect(lines).toEqual(['a scanned code was dropped {"reason":"rest-missing","times":1}']);
});

test("half a code is dropped also when the timer fires a little too early", async () => {
  class HastyClock extends ManualClock {
    override after(delayMs: number, callback: () => void): () => void {
      return super.after(delayMs - 0.5, callback);
    }
  }
  const { codes, clock, lines } = fixture(new HastyClock());
  codes.take(reportsOf("x".repeat(100))[0] ?? new Uint8Array());
  await clock.advance(3 * PART_GAP_MAX_MS);
  expect(lines).toHaveLength(1);
});

test("no line of the log has the text of a code", () => {
  const { scan, lines } = fixture();
  scan("OF1:alice:SECRETSECRETSECRETSECRETSE:1:0000");
  expect(lines).toHaveLength(1);
  expect(lines.join()).not.toContain("SECRET");
});

test("a scanner that is lost ends the wait, refuses the next, and drops half a code in silence", async () => {
  const { codes, lost, clock, lines } = fixture();
  const waiting = codes.nextScan(NEVER);
  codes.take(reportsOf("x".repeat(100))[0] ?? new Uint8Array());
  lost.abort(new Fault("transport.closed", "unplugged"));
  await expect(waiting).rejects.toMatchObject({ code: "transport.closed" });
  await expect(codes.nextScan(NEVER)).rejects.toMatchObject({ code: "transport.closed" });
  codes.take(reportsOf("late")[0] ?? new Uint8Array());
  await clock.advance(PART_GAP_MAX_MS);
  expect(lines).toEqual([]);
});
