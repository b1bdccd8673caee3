/** The one program: `tillway <command>`. Only the part that a command needs is loaded. */
import { Command, type CommanderError } from "commander";
import packageJson from "../package.json" with { type: "json" };

const EXIT_USAGE = 2;

type Register = (program: Command) => Promise<void>;
const agent: Register = async (program) => (await import("../agent/cli.ts")).registerAgent(program);
const operator: Register = async (program) => {
  (await import("../agent/operator/cli.ts")).registerOperator(program);
  (await import("../agent/operator/queue/cli.ts")).registerQueue(program);
  (await import("../agent/features/card-verification/cli.ts")).registerVerifySale(program);
  (await import("../agent/reconciliation/cli.ts")).registerReconcile(program);
};

/** First words that load a part of their own; every other word is the operator's. */
const PARTS: Readonly<Record<string, Register>> = {
  agent,
  doctor: agent,
  hub: async (program) => (await import("../hub/cli.ts")).registerHub(program),
  sim: async (program) => (await import("../sim/cli.ts")).registerSim(program),
  emv: async (program) => (await import("../protocols/emv/cli.ts")).registerEmv(program),
  iso8583: async (program) => (await import("../protocols/iso8583/cli.ts")).registerIso8583(program),
  journal: async (program) => (await import("../agent/journal/cli.ts")).registerJournal(program),
  soak: async (program) => (await import("./soak/cli.ts")).registerSoak(program),
  bench: async (program) => (await import("./bench/cli.ts")).registerBench(program),
};

const program = new Command("tillway")
  .description("Takes money at the counter, with or without a network.")
  .version(packageJson.version)
  .showHelpAfterError(false)
  .configureOutput({ outputError: (text, write) => write(usageLine(text)) })
  .exitOverride((error: CommanderError) => process.exit(error.exitCode === 0 ? 0 : EXIT_USAGE));

const word = process.argv[2] ?? "";
const part = Object.hasOwn(PARTS, word) ? PARTS[word] : undefined;
if (part) {
  await part(program);
} else {
  await operator(program);
  // Help and suggestions speak of everything.
  if (!isCommand()) for (const register of new Set(Object.values(PARTS))) await register(program);
}
await program.parseAsync();

function isCommand(): boolean {
  return program.commands.some((command) => command.name() === word);
}

/** Commander writes its reason and its suggestion on two lines, we write one and where to find help. */
function usageLine(text: string): string {
  const line = text
    .replace(/^error: /, "")
    .trim()
    .replace(/\s*\n\s*/g, " ");
  return `tillway: ${line}; see tillway ${isCommand() ? `${word} ` : ""}--help\n`;
}
