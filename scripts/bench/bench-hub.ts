/** A hub process for a bench: on free ports, in a folder of its own, with as many asking terminals as are wanted. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readEndpoints } from "../../hub/main.ts";
import { AskingTerminal } from "../lib/asking-terminal.ts";
import type { OperatorDoor } from "../lib/operator-call.ts";
import { startReady } from "../lib/processes.ts";

export interface BenchHub extends AsyncDisposable {
  readonly door: OperatorDoor;
  terminal(terminalId: string): Promise<AskingTerminal>;
}

export interface BenchHubOptions {
  /** Further lines of its configuration. */
  readonly config?: string;
  /** Puts into the data folder what the configuration names. */
  readonly prepare?: (dataDir: string) => void;
}

export async function startBenchHub({ config = "", prepare }: BenchHubOptions = {}): Promise<BenchHub> {
  const folder = mkdtempSync(join(tmpdir(), "tillway-bench-hub-"));
  const dataDir = join(folder, "hub");
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  prepare?.(dataDir);
  const path = join(folder, "hub.yaml");
  writeFileSync(path, `dataDir: ${dataDir}\nlogLevel: warn\nlisten: {httpsPort: 0, mqttPort: 0}\n${config}`);
  const args = ["hub", "run", "--config", path];
  const { program } = await startReady({ name: "hub", args, logFile: join(folder, "hub.log") });
  stack.defer(async () => void (await program.stop()));
  const door = { dataDir, host: "127.0.0.1", port: readEndpoints(dataDir).httpsPort };
  const running = stack.move();
  return {
    door,
    terminal: async (terminalId) => running.use(await AskingTerminal.enrolled(door, terminalId, folder)),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
