/** `tillway sim phone`: a customer's phone as a process of its own. Its screen is standard output. */
import type { Command } from "commander";
import { guarded } from "../../base/daemon.ts";
import { type PhoneSimOptions, startPhoneSim } from "./phone-sim.ts";
import { screenText } from "./screen.ts";

interface PhoneCommandOptions extends Pick<PhoneSimOptions, "state" | "control"> {
  readonly offline?: true;
}

export function registerPhoneSim(sim: Command): void {
  sim
    .command("phone")
    .description("a customer's phone: registers codes, shows them as QR, pays with notes while nobody is online")
    .requiredOption("--state <folder>", "its memory: keys, codes and notes; what is there from earlier is used")
    .requiredOption(
      "--control <socket>",
      "Unix socket for enrol, register, show, spent, offline, online, notices, allowance, pay, give-back, status",
    )
    .option("--offline", "begins without a network")
    .action(guarded(runPhone));
}

async function runPhone(options: PhoneCommandOptions): Promise<void> {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  const onScreen = (text: string) => console.log(`${screenText(text)}\n${text}`);
  await using sim = await startPhoneSim({ ...options, onScreen });
  console.log(JSON.stringify({ ready: true, sim: "phone", control: options.control, ...sim.status() }));
  await new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve(), { once: true }));
}
