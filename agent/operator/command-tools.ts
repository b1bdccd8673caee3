/** What the operator's commands share: the options that every one has, and how they speak with the agent and with the person. */
import type { Command } from "commander";
import type { ApiClient, TargetOptions } from "../client.ts";

export interface Shared extends TargetOptions {
  readonly json?: true;
}

export interface Look {
  readonly path: string;
  read(json: unknown): string;
}

export interface CommandTools {
  connect(options: TargetOptions): { readonly client: ApiClient };
  /** Prints the answer: as JSON where that is wished, else in the words that `read` finds. */
  show(options: Shared, look: Look): Promise<void>;
  print(line: string): void;
}

export const withTarget = (command: Command): Command =>
  command
    .option("--config <file>", "the agent's configuration (default: $TILLWAY_CONFIG or /etc/tillway/agent.yaml)")
    .option("--api <address>", "the agent's address or port, instead of the configured one")
    .option("--token <token>", "the API's token, instead of the one in the data folder (also $TILLWAY_TOKEN)")
    .option("--json", "prints JSON");
