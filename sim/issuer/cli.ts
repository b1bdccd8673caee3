/** `tillway sim issuer`: a card issuer as a process of its own, on the interface that hubs reach banks by. */
import { type Command, InvalidArgumentError } from "commander";
import { guarded } from "../../base/daemon.ts";
import { reasonOf } from "../../base/fault.ts";
import { SPEC_NAMES, specNamed } from "../../protocols/iso8583/specs.ts";
import { startIssuerSim } from "./issuer-sim.ts";
import { accountOf, type NewAccount } from "./new-account.ts";

interface IssuerCommandOptions {
  readonly port: number;
  readonly host: string;
  readonly control: string;
  readonly spec: string;
  readonly books?: string;
  readonly account?: readonly NewAccount[];
  readonly open?: bigint;
}

export function registerIssuerSim(sim: Command): void {
  sim
    .command("issuer")
    .description("a card issuer over ISO 8583 on TCP, with books of its own")
    .requiredOption("--port <port>", "where it listens; 0 for any that is free", portOption)
    .requiredOption(
      "--control <socket>",
      "Unix socket for down, mute, lose, slow, late, double, garbage, decline, refuse-advices, refuse-cashback, partial, miscount, sign-off, sign-on, clear, account, books, status",
    )
    .option("--host <address>", "the address that it listens on", "127.0.0.1")
    .option("--spec <name>", `how messages are packed: ${SPEC_NAMES.join(", ")}`, specOption, "1987-ascii")
    .option("--books <file>", "keeps the books; what is there from earlier is used")
    .option("--account <account>", "opens PAN:YYMM:MINOR:CURRENCY; may be given again", accountOption)
    .option("--open <minor>", "opens an account with so much for each card that it does not know", minorOption)
    .action(guarded(runIssuer));
}

async function runIssuer(options: IssuerCommandOptions): Promise<void> {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  const { port, host, control, spec, books, account: accounts, open: openMinor } = options;
  await using sim = await startIssuerSim({
    port,
    host,
    control,
    spec: specNamed(spec),
    ...(accounts && { accounts }),
    ...(books !== undefined && { booksFile: books }),
    ...(openMinor !== undefined && { openMinor }),
  });
  console.log(JSON.stringify({ ready: true, sim: "issuer", host, port: sim.port, spec, control }));
  await new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve(), { once: true }));
}

const PORT_MAX = 65_535;

function portOption(text: string): number {
  const port = Number(text);
  if (text !== "" && Number.isInteger(port) && port >= 0 && port <= PORT_MAX) return port;
  throw new InvalidArgumentError(`give a TCP port from 0 to ${PORT_MAX}`);
}

function specOption(text: string): string {
  if (SPEC_NAMES.includes(text)) return text;
  throw new InvalidArgumentError(`one of ${SPEC_NAMES.join(", ")}`);
}

function accountOption(text: string, earlier: readonly NewAccount[] = []): readonly NewAccount[] {
  try {
    return [...earlier, accountOf(text)];
  } catch (error) {
    throw new InvalidArgumentError(reasonOf(error));
  }
}

function minorOption(text: string): bigint {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("give a whole number of minor units");
  return BigInt(text);
}
