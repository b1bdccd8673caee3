/** `tillway sim card`: a card as a process of its own, steered by its control socket. */
import { type Command, InvalidArgumentError } from "commander";
import { guarded } from "../../base/daemon.ts";
import { startCardSim } from "./card-sim.ts";
import { matrixLines } from "./matrix.ts";
import { CARD_PROFILES } from "./profiles.ts";
import { readPersonalisedCard, VerificationApp } from "./verification-app.ts";

interface CardCommandOptions {
  readonly port?: number;
  readonly control?: string;
  readonly profile: string;
  readonly state?: string;
  readonly verification?: string;
  readonly inserted?: true;
  readonly list?: true;
  readonly matrix?: true;
}

export function registerCardSim(sim: Command): void {
  sim
    .command("card")
    .description("an EMV test card in the virtual reader of a private pcscd")
    .option("--port <port>", "where the reader's slot listens, as `sim pcscd` tells it", portOption)
    .option("--control <socket>", "Unix socket for insert, pull, mute, slow, break, pull-after, status")
    .option("--profile <name>", "which card; --list shows them", "standard")
    .option("--state <file>", "keeps what the cards remember: counters, blocks, what issuer scripts wrote")
    .option("--verification <file>", "adds the verification application that `tillway hub cards add` wrote")
    .option("--inserted", "puts the card in at once")
    .option("--list", "prints the profiles and ends")
    .option("--matrix", "runs every profile through every course of a sale, prints what came out and ends")
    .action(
      guarded((options: CardCommandOptions, command: Command) => {
        if (options.list) return printProfiles();
        if (options.matrix) return printMatrix();
        return runCard(options, command);
      }),
    );
}

function printProfiles(): void {
  const width = Math.max(...CARD_PROFILES.map(({ name }) => name.length));
  for (const { name, sentence } of CARD_PROFILES) console.log(`${name.padEnd(width)}  ${sentence}`);
}

async function printMatrix(): Promise<void> {
  for await (const line of matrixLines()) console.log(line);
}

async function runCard(options: CardCommandOptions, command: Command): Promise<void> {
  const { port, control, profile, state, verification } = options;
  if (port === undefined || control === undefined) {
    command.error("error: a card needs --port, where the reader's slot listens, and --control, a Unix socket");
  }
  const application = verification === undefined ? undefined : new VerificationApp(readPersonalisedCard(verification));
  const sim = await startCardSim({
    port,
    control,
    profile,
    ...(state !== undefined && { stateFile: state }),
    ...(application && { extraApplications: [{ aid: application.aid, application }] }),
  });
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
