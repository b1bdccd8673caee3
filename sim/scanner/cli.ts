/** `tillway sim scanner`: a code scanner on hidraw, for processes that are started with the environment it prints. */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { type Command, InvalidArgumentError } from "commander";
import { guarded } from "../../base/daemon.ts";
import { KEYBOARD_LAYOUTS, type KeyboardLayout } from "../../protocols/hid/keyboard-layouts.ts";
import { SCANNER_KINDS, type ScannerKind } from "./descriptors.ts";
import { DEFAULT_PRODUCT, DEFAULT_VENDOR, type ScannerSim, startScannerSim } from "./scanner-sim.ts";

interface ScannerCommandOptions {
  readonly control: string;
  readonly kind: ScannerKind;
  readonly vendor: number;
  readonly product: number;
  readonly serial?: string;
  readonly layout?: KeyboardLayout;
  readonly prefix?: string;
  readonly run?: true;
}

/** Adds `scanner` to the command `tillway sim`. */
export function registerScannerSim(sim: Command): void {
  sim
    .command("scanner")
    .description("a code scanner on hidraw, by umockdev; seen only by processes with the environment it prints")
    .requiredOption("--control <socket>", "Unix socket for scan, half, torn, garbage, mute, unplug, replug")
    .option("--kind <kind>", `what it is: ${SCANNER_KINDS.join(" or ")}`, oneOf(SCANNER_KINDS), "pos")
    .option("--vendor <id>", "four hex digits", usbId, DEFAULT_VENDOR)
    .option("--product <id>", "four hex digits", usbId, DEFAULT_PRODUCT)
    .option("--serial <text>", "its serial number")
    .option("--layout <name>", `of a keyboard: ${KEYBOARD_LAYOUTS.join(" or ")}`, oneOf(KEYBOARD_LAYOUTS))
    .option("--prefix <text>", "what a keyboard scanner types before each code")
    .option("--run", "starts the command with the environment, and ends with it")
    .argument("[command...]", "for --run; write -- before it where it has options of its own")
    .action(guarded(runScanner));
}

async function runScanner(
  command: readonly string[],
  { run, ...settings }: ScannerCommandOptions,
  program: Command,
): Promise<void> {
  if ((run === true) !== command.length > 0) program.error("error: --run and a command go together");
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  await using scanner = await startScannerSim(settings);
  const { uri, environment } = scanner;
  console.log(JSON.stringify({ ready: true, sim: "scanner", uri, control: settings.control, environment }));
  if (run) process.exitCode = await runWith(scanner, command, stop.signal);
  else await aborted(stop.signal);
}

function runWith(scanner: ScannerSim, [program = "", ...rest]: readonly string[], stop: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, rest, { stdio: "inherit", env: { ...process.env, ...scanner.environment } });
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
    stop.addEventListener("abort", () => child.kill("SIGTERM"), { once: true });
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

function usbId(text: string): number {
  if (!/^[0-9a-fA-F]{4}$/.test(text)) throw new InvalidArgumentError("four hex digits, such as 0c2e");
  return Number.parseInt(text, 16);
}

const oneOf =
  <Choice extends string>(choices: readonly Choice[]) =>
  (text: string): Choice => {
    const choice = choices.find((known) => known === text);
    if (choice === undefined) throw new InvalidArgumentError(`One of ${choices.join(", ")}.`);
    return choice;
  };
