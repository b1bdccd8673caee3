/** `tillway sim pcscd`: a private pcscd with virtual readers, for as long as this process runs. */
import type { Command } from "commander";
import { portOption } from "../card/cli.ts";
import { startPcscd } from "./pcscd.ts";

interface PcscdCommandOptions {
  readonly folder: string;
  readonly port?: number;
  readonly name?: string;
}

export function registerPcscdSim(sim: Command): void {
  sim
    .command("pcscd")
    .description("a private pcscd with two virtual reader slots; needs root or user namespaces")
    .requiredOption("--folder <folder>", "for its socket, configuration and log")
    .option("--port <port>", "of the first slot; a free one when absent", portOption)
    .option("--name <name>", "the reader's name as clients see it")
    .action(runPcscd);
}

async function runPcscd(options: PcscdCommandOptions): Promise<void> {
  const { folder, port, name } = options;
  const pcscd = await startPcscd({
    folder,
    ...(port !== undefined && { port }),
    ...(name !== undefined && { friendlyName: name }),
  });
  const { socket, vpcdPort, pid } = pcscd;
  console.log(JSON.stringify({ ready: true, sim: "pcscd", socket, port: vpcdPort, pid }));
  let stopping = false;
  const stop = () => {
    stopping = true;
    void pcscd[Symbol.asyncDispose]();
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  await pcscd.ended();
  if (stopping) return;
  console.error(`pcscd ended by itself; its last words are in ${folder}/pcscd.log`);
  process.exitCode = 1;
}
