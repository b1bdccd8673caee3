/** `tillway sim printer` as its own process, as people and the demo run it: files, control socket, clean end. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { control } from "../../sim/control.ts";
import { openPrinter, printerOf, printing, receipt, temporaryFolder, until } from "./printer-fixture.ts";

const CLI = new URL("../../sim/printer/cli.ts", import.meta.url).pathname;

async function simProcess() {
  const folder = temporaryFolder();
  const path = (name: string) => join(folder.path, name);
  const program = `
    import { Command } from "commander";
    import { registerPrinterSim } from ${JSON.stringify(CLI)};
    const program = new Command();
    registerPrinterSim(program);
    await program.parseAsync(["printer", "--link", ${JSON.stringify(path("tty"))}, "--control", ${JSON.stringify(path("sock"))},
      "--out", ${JSON.stringify(path("out"))}, "--columns", "48"], { from: "user" });`;
  const cwd = new URL("../..", import.meta.url).pathname;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    cwd,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: string[] = [];
  child.stdout.on("data", (chunk: Buffer) => lines.push(...chunk.toString("utf8").split("\n").filter(Boolean)));
  await until(() => lines.length > 0, "the simulator to be ready");
  return {
    child,
    lines,
    path,
    async [Symbol.asyncDispose]() {
      await ended(child, "SIGKILL");
      folder[Symbol.dispose]();
    },
  };
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  child.kill(signal);
  return exit;
}

describe("the printer simulator as a process", () => {
  test("says that it is ready, prints for the driver, writes text and picture, and ends cleanly", async () => {
    await using sim = await simProcess();
    expect(JSON.parse(sim.lines[0] ?? "")).toMatchObject({
      event: "ready",
      uri: `serial:${sim.path("tty")}?columns=48`,
    });
    {
      await using device = await openPrinter(sim.path("tty"), { query: "?columns=48" });
      expect(await printerOf(device).print(receipt(1), printing())).toEqual({ ok: true });
      await control(sim.path("sock"), { do: "paper", state: "out" });
      expect(await printerOf(device).print(receipt(2), printing())).toMatchObject({ error: { why: "paper-out" } });
      await control(sim.path("sock"), { do: "paper", state: "ok" });
      expect(await printerOf(device).print(receipt(2), printing())).toEqual({ ok: true });
    }
    const answer = await control(sim.path("sock"), { do: "tickets" });
    expect(answer["tickets"]).toMatchObject([{ number: 1 }, { number: 2 }]);
    expect(readdirSync(sim.path("out")).sort()).toEqual([
      "ticket-0001.svg",
      "ticket-0001.txt",
      "ticket-0002.svg",
      "ticket-0002.txt",
    ]);
    expect(readFileSync(join(sim.path("out"), "ticket-0002.txt"), "utf8")).toMatch(/Café Größe[\s\S]*Receipt 2/);
    expect(await ended(sim.child, "SIGTERM")).toBe(0);
    expect(existsSync(sim.path("tty"))).toBe(false);
    expect(existsSync(sim.path("sock"))).toBe(false);
  });

  test("can be unplugged and plugged in by its control socket", async () => {
    await using sim = await simProcess();
    await control(sim.path("sock"), { do: "gone" });
    await expect(openPrinter(sim.path("tty"))).rejects.toMatchObject({ code: "device.absent" });
    expect(await control(sim.path("sock"), { do: "status" })).toMatchObject({ plugged: false, tickets: 0 });
    await control(sim.path("sock"), { do: "back" });
    await using device = await openPrinter(sim.path("tty"), { query: "?columns=48" });
    expect(await printerOf(device).print(receipt(1), printing())).toEqual({ ok: true });
    expect(await control(sim.path("sock"), { do: "last" })).toMatchObject({ ticket: { number: 1 } });
  });

  test("refuses a wrong command by name and stays up", async () => {
    await using sim = await simProcess();
    const wrong = (command: { readonly do: string } & Record<string, string | number>) =>
      expect(control(sim.path("sock"), command)).rejects;
    await wrong({ do: "paper", state: "wet" }).toThrow('"state" as one of ok, near-end, out, not "wet"');
    await wrong({ do: "jam", afterBytes: -1 }).toThrow('"afterBytes" as a whole number');
    await wrong({ do: "explode" }).toThrow('unknown command "explode"');
    expect(await control(sim.path("sock"), { do: "status" })).toMatchObject({ paper: "ok" });
  });
});
