/** `tillway sim mint`: what a terminal needs to accept the simulated cards, and a card's data for `tillway emv verify`. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { toHex } from "../../../base/bytes.ts";
import { guarded } from "../../../base/daemon.ts";
import { Fault, reasonOf } from "../../../base/fault.ts";
import { type CardOptions, cardObjects } from "./card-objects.ts";
import { KEY_CHAINS } from "./minted.ts";
import { testCaKeyList, testRevokedList } from "./test-keys.ts";

interface MintCommandOptions {
  readonly out?: string;
  readonly force?: true;
  readonly pan?: string;
  readonly expiry: string;
  readonly oda: CardOptions["oda"];
  readonly fault?: NonNullable<CardOptions["fault"]>;
  readonly keys: NonNullable<CardOptions["chain"]>;
  readonly json?: true;
}

const WARNING =
  "The keys are test values that everybody has: whoever trusts them accepts cards that anybody can make. Never install\n" +
  "them in a terminal that takes real money.";

export function registerMint(sim: Command): void {
  sim
    .command("mint")
    .description("test CA keys and revocation list for a terminal, and with --pan a test card's signed data")
    .option(
      "--out <folder>",
      "writes capk.json, revoked.json and with --pan card.hex there; else all is printed as JSON",
    )
    .option("--force", "replaces these files when they are there already")
    .option("--pan <digits>", "mints a card with this number", panOption)
    .option("--expiry <YYMM>", "of the card and of its certificates", expiryOption, "3112")
    .addOption(new Option("--oda <kind>", "offline data authentication").choices(["sda", "dda", "cda"]).default("cda"))
    .addOption(new Option("--fault <fault>", "plants a fault").choices(["wrong-ca", "revoked-issuer"]))
    .addOption(new Option("--keys <chain>", "lengths of the keys").choices(KEY_CHAINS).default("standard"))
    .option("--json", "with --out, prints the written files as JSON")
    .addHelpText("after", `\n${WARNING}`)
    .action(guarded(mint));
}

/** Of a card, so useless without `--pan`. */
const CARD_OPTIONS = ["expiry", "oda", "fault", "keys"];

function mint(options: MintCommandOptions, command: Command): void {
  const idle = CARD_OPTIONS.find((name) => command.getOptionValueSource(name) === "cli");
  if (options.pan === undefined && idle !== undefined) {
    throw new Fault("config.invalid", `--${idle} is of a card, and there is none without --pan: give --pan <digits>`);
  }
  const files = mintedFiles(options);
  if (options.out === undefined) {
    console.log(JSON.stringify(Object.fromEntries(files.map(({ key, value }) => [key, value])), undefined, 2));
    return;
  }
  const written = writeFiles(options.out, files, options.force ? "w" : "wx");
  if (options.json) console.log(JSON.stringify({ files: written, testKeys: true }));
  else console.log([...written, WARNING].join("\n"));
}

interface MintedFile {
  readonly key: string;
  readonly name: string;
  /** Objects of a JSON list, or lines of text. */
  readonly value: readonly unknown[];
}

function mintedFiles(options: MintCommandOptions): readonly MintedFile[] {
  return [
    { key: "capk", name: "capk.json", value: testCaKeyList() },
    { key: "revoked", name: "revoked.json", value: testRevokedList() },
    ...(options.pan === undefined ? [] : [{ key: "card", name: "card.hex", value: cardLines(options, options.pan) }]),
  ];
}

function cardLines({ expiry, oda, fault, keys }: MintCommandOptions, pan: string): readonly string[] {
  if (oda === "cda" && keys === "longest") {
    throw new Fault(
      "config.invalid",
      "a CDA answer has no room for a signature by the longest key: give --keys longest-cda",
    );
  }
  const objects = cardObjects({ pan, expiry, oda, chain: keys, ...(fault && { fault }) });
  const title = `# A test card of tillway sim mint: ${oda.toUpperCase()}, keys ${keys}, fault ${fault ?? "none"}.`;
  return [title, ...objects.map((object) => toHex(object).toUpperCase())];
}

function writeFiles(folder: string, files: readonly MintedFile[], flag: "w" | "wx"): readonly string[] {
  const paths = files.map(({ name }) => join(folder, name));
  // Before anything is written, so that a refusal leaves no half of the files.
  const taken = flag === "wx" ? paths.find((path) => existsSync(path)) : undefined;
  if (taken !== undefined) {
    throw new Fault("config.invalid", `${taken} is there already: give another folder, or --force to replace it`);
  }
  try {
    if (!existsSync(folder)) mkdirSync(folder);
    for (const { name, value } of files) {
      const text = name.endsWith(".json") ? JSON.stringify(value, undefined, 2) : value.join("\n");
      writeFileSync(join(folder, name), `${text}\n`, { flag });
    }
  } catch (error) {
    throw new Fault("config.invalid", `cannot write to ${folder}: ${reasonOf(error)}`, { cause: error });
  }
  return paths;
}

function panOption(text: string): string {
  if (/^\d{12,19}$/.test(text)) return text;
  throw new InvalidArgumentError("give 12 to 19 digits");
}

function expiryOption(text: string): string {
  if (/^[0-4]\d(0[1-9]|1[0-2])$/.test(text)) return text;
  throw new InvalidArgumentError("give year and month as YYMM, up to 4912");
}
