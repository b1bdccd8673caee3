/** `tillway sim card`: a card as a process of its own, steered by its control socket. */
import { type Command, InvalidArgumentError } from "commander";
import { startCardSim } from "./card-sim.ts";
import { CARD_PROFILES } from "./profiles.ts";

interface CardCommandOptions {
  readonly port: number;
  readonly control: string;
  readonly profile: string;
  readonly state?: string;
  readonly inserted?: true;
}

export function registerCardSim(sim: Command): void {
  const profiles = CARD_PROFILES.map((profile) => profile.name).join(", ");
  sim
    .command("card")
    .description("an EMV test card in the virtual reader of a private pcscd")
    .requiredOption("--port <port>", "where the reader's slot listens, as `sim pcscd` tells it", portOption)
    .requiredOption("--control <socket>", "Unix socket for insert, pull, mute, slow, break, pull-after, status")
    .option("--profile <name>", `one of ${profiles}`, "standard")
    .option("--state <file>", "keeps the card's transaction counter")
    .option("--inserted", "puts the card in at once")
    .action(runCard);
}

async function runCard(options: CardCommandOptions): Promise<void> {
  const { port, control, profile, state } = options;
  const sim = await startCardSim({ port, control, profile, ...(state !== undefined && { stateFile: state }) });
  if (options.inserted) await sim.insert();
  console.log(JSON.stringify({ ready: true, sim: "card", control, ...sim.status() }));
  const stop = () => {
    void sim[Symbol.asyncDispose]().then(() => process.exit(0));
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}

const PORT_MAX = 65_535;

export function portOption(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port <= PORT_MAX) return port;
  throw new InvalidArgumentError(`give a TCP port from 1 to ${PORT_MAX}`);
}
