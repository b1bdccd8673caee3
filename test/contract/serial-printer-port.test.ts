/** The serial transport on real ptys, against ports that misbehave. The contract of the printer is in its own file. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ManualClock, systemClock } from "../../base/clock.ts";
import { openFault, openSerial, packageFault } from "../../drivers/transports/serial.ts";
import type { Transport } from "../../drivers/transports/transport.ts";
import { openPty } from "../../sim/pty.ts";
import { NEVER, reasonOfAbort, temporaryFolder, until } from "./printer-fixture.ts";

const MORE_THAN_ANY_BUFFER = 512 * 1_024;

async function ptyFixture() {
  const folder = temporaryFolder();
  const pty = await openPty({ link: join(folder.path, "port") });
  return {
    pty,
    path: pty.link,
    async [Symbol.asyncDispose]() {
      await pty[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

const opening = (path: string) => openSerial({ path, baud: 115_200, clock: systemClock, signal: NEVER });

describe("a serial port", () => {
  test("carries all bytes both ways, unchanged", async () => {
    await using fixture = await ptyFixture();
    await using transport = await opening(fixture.path);
    const there: number[] = [];
    const back: number[] = [];
    fixture.pty.onReceived((chunk) => there.push(...chunk));
    transport.onReceived((chunk) => back.push(...chunk));
    const all = Uint8Array.from({ length: 3_000 }, (_, index) => index % 256);
    await transport.write(all, NEVER);
    fixture.pty.write(all);
    await until(() => there.length === all.length && back.length === all.length, "all bytes to arrive");
    expect(there).toEqual([...all]);
    expect(back).toEqual([...all]);
  });

  test("keeps the order of writes that were begun together", async () => {
    await using fixture = await ptyFixture();
    await using transport = await opening(fixture.path);
    let text = "";
    fixture.pty.onReceived((chunk) => {
      text += Buffer.from(chunk).toString("latin1");
    });
    const words = Array.from({ length: 20 }, (_, index) => `word ${index};`);
    await Promise.all(words.map((word) => transport.write(Buffer.from(word), NEVER)));
    await until(() => text.endsWith("word 19;"), "the last word");
    expect(text).toBe(words.join(""));
  });

  test("ends with a time-out when nobody takes its bytes, and still closes", async () => {
    await using fixture = await ptyFixture();
    const clock = new ManualClock();
    const transport = await openSerial({ path: fixture.path, baud: 115_200, clock, signal: NEVER });
    fixture.pty.pause();
    const writing = transport.write(new Uint8Array(MORE_THAN_ANY_BUFFER), NEVER);
    const settled = writing.then(
      () => undefined,
      (error: unknown) => error,
    );
    await until(() => {
      void clock.advance(1_000);
      return transport.closed.aborted;
    }, "the write to be given up");
    expect(await settled).toMatchObject({ code: "transport.timeout" });
    expect(transport.closed.reason).toMatchObject({ code: "transport.timeout" });
    const started = systemClock.monotonic();
    await transport[Symbol.asyncDispose]();
    expect(systemClock.monotonic() - started).toBeLessThan(5_000);
    await expect(transport.write(Uint8Array.of(1), NEVER)).rejects.toMatchObject({ code: "transport.timeout" });
    fixture.pty.resume();
    await using again = await opening(fixture.path);
    expect(again.closed.aborted).toBe(false);
  });

  test("lets a caller go who gives up waiting", async () => {
    await using fixture = await ptyFixture();
    await using transport = await opening(fixture.path);
    fixture.pty.pause();
    const stop = new AbortController();
    const writing = transport.write(new Uint8Array(MORE_THAN_ANY_BUFFER), stop.signal);
    stop.abort();
    await expect(writing).rejects.toMatchObject({ code: "aborted" });
  });

  test("ends once when it vanishes under a write, and takes no byte afterwards", async () => {
    await using fixture = await ptyFixture();
    await using transport = await opening(fixture.path);
    fixture.pty.pause();
    let ends = 0;
    transport.closed.addEventListener("abort", () => {
      ends += 1;
    });
    const writing = transport.write(new Uint8Array(MORE_THAN_ANY_BUFFER), NEVER);
    const settled = writing.then(
      () => undefined,
      (error: unknown) => error,
    );
    await fixture.pty.gone();
    expect(await reasonOfAbort(transport.closed)).toMatchObject({ code: "transport.closed" });
    expect(await settled).toMatchObject({ code: "transport.closed" });
    await expect(transport.write(Uint8Array.of(1), NEVER)).rejects.toMatchObject({ code: "transport.closed" });
    expect(ends).toBe(1);
  });

  test("is refused where the path is a plain file", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "file");
    writeFileSync(path, "");
    await expect(opening(path)).rejects.toMatchObject({ code: "transport.failed" });
  });

  test("is not left open by a caller who gives up while it opens", async () => {
    await using fixture = await ptyFixture();
    const stop = new AbortController();
    const given = openSerial({ path: fixture.path, baud: 9_600, clock: systemClock, signal: stop.signal });
    // Past the loading of the package, while the system opens the port.
    setImmediate(() => stop.abort());
    const early = await given.then(
      async (transport) => await transport[Symbol.asyncDispose](),
      (error: unknown) => error,
    );
    if (early !== undefined) expect(early).toMatchObject({ code: "aborted" });
    let again: Transport | undefined;
    for (let attempt = 0; attempt < 100 && !again; attempt += 1) {
      again = await opening(fixture.path).catch((error: unknown) => {
        expect(error).toMatchObject({ code: "device.busy" });
        return undefined;
      });
    }
    expect(again?.closed.aborted).toBe(false);
    await again?.[Symbol.asyncDispose]();
  });

  test("says what to do when it cannot be opened", () => {
    const path = "/dev/ttyUSB0";
    expect(openFault(new Error("Error: Permission denied, cannot open /dev/ttyUSB0"), path)).toMatchObject({
      code: "transport.failed",
      message: expect.stringContaining("add the user to group dialout"),
    });
    expect(openFault(new Error("Error Resource temporarily unavailable Cannot lock port"), path)).toMatchObject({
      code: "device.busy",
      message: expect.stringContaining("stop it first"),
    });
    expect(packageFault(new Error("Cannot find package 'serialport'\nRequire stack: …"))).toMatchObject({
      code: "package.missing",
      message: expect.stringMatching(/^the package "serialport" does not load \(.*'serialport'\); run scripts\/setup/),
    });
  });
});
