/** `tillway hub broker`: the files for the NATS servers that stand before a hub. */
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { guarded } from "../../base/daemon.ts";
import { systemRandom } from "../../base/ids.ts";
import type { HubConfig } from "../config.ts";
import { hubPaths } from "../main.ts";
import { loadHubTls } from "../tls.ts";
import { loadBrokerAuthority } from "./broker-authority.ts";
import { writeBrokerFiles } from "./broker-files.ts";

interface Shared {
  readonly config: string;
}
export interface BrokerCommands {
  withConfig(command: Command): Command;
  configOf(options: Shared): HubConfig;
}

const HELP = `
Include authority.conf in each server's configuration and name the three PEM files in its mqtt section, with verify: true
(docs/decisions/0032). Keys and authority are made in the hub's data folder where they are missing; every replica must have
the same ones. Run it again when the server's certificate was renewed, and let the servers read it (SIGHUP).`;

export function registerBroker(hub: Command, { withConfig, configOf }: BrokerCommands): void {
  withConfig(hub.command("broker").description("writes the files for the NATS servers that stand before this hub"))
    .requiredOption("--out <folder>", "where they are written")
    .addHelpText("after", HELP)
    .action(
      guarded(async (options: Shared & { readonly out: string }) => {
        const { dataDir, public: seen } = configOf(options);
        const paths = hubPaths(resolve(dataDir));
        const names = [seen.host, ...seen.names];
        const tls = await loadHubTls({ folder: paths.tls, names, now: Date.now(), random: systemRandom });
        writeBrokerFiles({ folder: options.out, authority: loadBrokerAuthority(paths.keys), tls });
        console.log(join(options.out, "authority.conf"));
      }),
    );
}
