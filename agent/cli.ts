/** `tillway agent …` and `tillway doctor`. What a command needs is loaded when it runs: an agent starts on a small box. */
import type { Command } from "commander";
import { systemClock } from "../base/clock.ts";
import { guarded } from "../base/daemon.ts";
import { silentLog } from "../base/log.ts";
import { agentConfigJsonSchema, DEFAULT_CONFIG_PATH, loadAgentConfig } from "./config.ts";

interface WithConfig {
  readonly config: string;
}

const ENROL_LIMIT_MS = 30_000;

const withConfig = (command: Command): Command =>
  command.option("--config <file>", "the agent's configuration", process.env["TILLWAY_CONFIG"] ?? DEFAULT_CONFIG_PATH);

export function registerAgent(program: Command): void {
  const agent = program.command("agent").description("the payment agent of one terminal");
  withConfig(agent.command("run", { isDefault: true }).description("runs the agent until SIGTERM"))
    .option("--check", "checks the configuration and ends")
    .action(guarded(run));
  withConfig(
    agent
      .command("enrol <claim>")
      .description("makes this terminal known to its hub, by the claim that the hub's operator gave"),
  )
    .option("--force", "replaces an identity that is there already; stop the agent first")
    .action(guarded(enrol));
  agent
    .command("schema")
    .description("prints the JSON Schema of the configuration, for editors")
    .action(() => console.log(JSON.stringify(agentConfigJsonSchema(), undefined, 2)));
  withConfig(
    program
      .command("doctor")
      .description("checks this terminal and says what to mend; ends with 1 if anything is wrong"),
  )
    .option("--json", "prints one JSON object per check")
    .action(guarded(doctor));
}

async function run({ config, check }: WithConfig & { readonly check?: true }): Promise<void> {
  if (check) {
    const { emv } = loadAgentConfig(config, process.env);
    const { readKeyFiles } = await import("./payment/emv-terminal.ts");
    readKeyFiles(emv);
    console.log(`${config}: ok`);
    return;
  }
  const { runAgent } = await import("./main.ts");
  await runAgent({ configPath: config });
}

async function enrol(claimText: string, { config, force }: WithConfig & { readonly force?: true }): Promise<void> {
  const { dataDir } = loadAgentConfig(config, process.env);
  const { enrol: enrolTerminal } = await import("./uplink/enrol.ts");
  const signal = AbortSignal.timeout(ENROL_LIMIT_MS);
  const enrolled = await enrolTerminal({ claimText, dataDir, clock: systemClock, signal, ...(force && { force }) });
  console.log(
    `enrolled as ${enrolled.terminalId} at ${enrolled.mqttUrl} and ${enrolled.httpsUrl}; identity in ${enrolled.path}`,
  );
  if (enrolled.mustAdopt) {
    console.log(`now run: tillway journal adopt --config ${config}\nand start the agent again`);
  }
}

async function doctor({ config, json }: WithConfig & { readonly json?: true }): Promise<void> {
  const { examine, findingText } = await import("./doctor.ts");
  const { deviceCatalogue } = await import("../drivers/catalogue.ts");
  const open = deviceCatalogue({ clock: systemClock, log: silentLog, environment: process.env });
  let wrong = false;
  for await (const finding of examine({ configPath: config, env: process.env, clock: systemClock, open })) {
    wrong ||= finding.level === "FAIL";
    console.log(json ? JSON.stringify(finding) : findingText(finding));
  }
  // A device that hangs must not keep the doctor: what was to be said is said.
  process.exit(wrong ? 1 : 0);
}
