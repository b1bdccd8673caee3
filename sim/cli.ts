/** `tillway sim …`: the simulators as processes, and the commands that steer them. */
import { type Command, InvalidArgumentError } from "commander";
import { registerCardSim } from "./card/cli.ts";
import { registerMint } from "./card/mint/cli.ts";
import { type ControlValue, control } from "./control.ts";
import { registerParametersSim } from "./institution/cli.ts";
import { registerIssuerSim } from "./issuer/cli.ts";
import { registerPhoneSim } from "./phone/cli.ts";
import { registerPrinterSim } from "./printer/cli.ts";
import { registerPcscdSim } from "./reader/cli.ts";
import { registerScannerSim } from "./scanner/cli.ts";

export function registerSim(program: Command): void {
  const sim = program.command("sim").description("simulated hardware behind the real interfaces of the system");
  registerCardSim(sim);
  registerIssuerSim(sim);
  registerMint(sim);
  registerParametersSim(sim);
  registerPhoneSim(sim);
  registerPrinterSim(sim);
  registerPcscdSim(sim);
  registerScannerSim(sim);
  sim
    .command("control")
    .description("sends one command to a running simulator and prints its answer as JSON")
    .argument("<socket>", "the simulator's control socket")
    .argument("<command>", "for example insert, pull, status")
    .argument("[fields...]", "key=value", collectField, new Map<string, ControlValue>())
    .action(async (socket: string, command: string, fields: ReadonlyMap<string, ControlValue>) => {
      console.log(JSON.stringify(await control(socket, { ...Object.fromEntries(fields), do: command })));
    });
}

function collectField(text: string, fields: Map<string, ControlValue>): Map<string, ControlValue> {
  const match = /^([a-zA-Z][\w-]*)=(.*)$/s.exec(text);
  const [, key, value] = match ?? [];
  if (key === undefined || value === undefined) throw new InvalidArgumentError("write key=value");
  return fields.set(key, controlValue(value));
}

function controlValue(text: string): ControlValue {
  if (text === "true" || text === "false") return text === "true";
  return /^-?\d{1,15}$/.test(text) ? Number(text) : text;
}
