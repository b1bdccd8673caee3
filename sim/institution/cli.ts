/** `tillway sim parameters`: what an institution does to delegate. It makes its key, and signs stand-in parameters with it. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Command } from "commander";
import { guarded } from "../../base/daemon.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import {
  firstIssue,
  newSigningKeys,
  parseJson,
  privateKeyText,
  publicKeyText,
  readPrivateKey,
} from "../../wire/signing.ts";
import { StandInParametersSchema, signStandInParameters } from "../../wire/stand-in.ts";

interface Flags {
  readonly key: string;
}

const HELP = `
The first run makes KEY, and KEY.pub, which the hub's configuration names as issuers.standIn.publicKeyFile. The file is JSON
with the fields of docs/issuers.md; what is printed goes to: tillway hub issuers parameters ID FILE.`;

export function registerParametersSim(sim: Command): void {
  sim
    .command("parameters")
    .argument("[file]", "stand-in parameters as JSON; without it the key alone is made")
    .description("signs stand-in parameters in an institution's name and prints them")
    .requiredOption("--key <file>", "the institution's private key; made where there is none")
    .addHelpText("after", HELP)
    .action(guarded((file: string | undefined, options: Flags) => sign(file, options)));
}

async function sign(file: string | undefined, { key: path }: Flags): Promise<void> {
  if (!existsSync(path)) makeKey(path);
  if (file === undefined) {
    console.error(`${path}.pub: for the hub's configuration`);
    return;
  }
  const parsed = StandInParametersSchema.safeParse(parseJson(read(file)));
  if (!parsed.success) throw new Fault("message.invalid", `${file}: ${firstIssue(parsed.error)}`);
  console.log(signStandInParameters(parsed.data, readPrivateKey(read(path).trim())));
}

function makeKey(path: string): void {
  const { privateKey, publicKey } = newSigningKeys();
  try {
    writeFileSync(path, `${privateKeyText(privateKey)}\n`, { mode: 0o600, flag: "wx" });
    writeFileSync(`${path}.pub`, `${publicKeyText(publicKey)}\n`, { mode: 0o644 });
  } catch (error) {
    throw new Fault("config.invalid", `${path}: ${reasonOf(error)}; name a file in a folder that is there`);
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Fault("config.invalid", `${file}: ${reasonOf(error)}`);
  }
}
