/** `tillway emv capk` and `tillway emv verify`: lists of CA keys, and a card's authentication without the card. */
import { readFileSync, statSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { toHex } from "../../../base/bytes.ts";
import { EXIT, guarded } from "../../../base/daemon.ts";
import { Fault, reasonOf } from "../../../base/fault.ts";
import { caKeyExpired, caKeyHashHolds, parseCaKeys, parseRevoked } from "./capk.ts";
import { type CheckReport, checkTransaction } from "./check-transaction.ts";
import type { CaPublicKey, Day } from "./keys.ts";
import { parseTransactionFile, TRANSACTION_FILE_BYTES_MAX } from "./transaction-file.ts";

const LIST_BYTES_MAX = 4_194_304;

interface ListOptions {
  readonly date?: Day;
  readonly json?: true;
}

interface VerifyOptions extends ListOptions {
  readonly capk: string;
  readonly revoked?: string;
}

const LIST_FORM =
  "\nFILE: a JSON list of {rid, index, modulus, exponent, sha1, expires}: hex strings, the index as a number or in hex,\n" +
  "expires as YYYY-MM-DD. sha1 is the checksum over RID, index, modulus and exponent.";

export function registerCapk(emv: Command): void {
  const capk = emv.command("capk").description("certification authorities' public keys");
  const withDate = (command: Command): Command =>
    command
      .option("--date <YYYY-MM-DD>", "the day to compare with; default today", dayOption)
      .option("--json", "prints JSON")
      .addHelpText("after", LIST_FORM);
  withDate(capk.command("list <file>").description("lists the keys")).action(guarded(listKeys));
  withDate(
    capk
      .command("check <file>")
      .description("checks each key's hash, and tells expired ones; exit 1 when a hash does not hold"),
  ).action(guarded(checkKeys));
}

const VERIFY_FORM = `
FILE: the data objects of one finished transaction as hex TLV, in the order in which they were used, on one line or many, of
whole bytes each; # begins a comment. It holds
  - the AID: the answer to SELECT (6F), or 4F, 84 or 9F06 alone; with a PDOL (9F38) also the terminal's objects that it names;
  - the answer to GET PROCESSING OPTIONS (77 or 80), without status word;
  - every record that the AFL names, in the AFL's order, each with its template 70;
  - for DDA: the terminal's objects that the DDOL names (9F37 at least), then the answer to INTERNAL AUTHENTICATE
    (77, 80 or 9F4B);
  - for CDA: the terminal's objects that CDOL1 names (9F37 among them), then the answer to GENERATE AC (77 with 9F27 and
    9F4B); for the second GENERATE AC the same again with what CDOL2 names.
A terminal's object counts for every answer that comes after it, until it is given anew.
The strongest of CDA, DDA and SDA that the objects show is checked. Exit 0 only when it holds.`;

export function registerVerify(emv: Command): void {
  emv
    .command("verify <file>")
    .description("checks SDA, DDA or CDA of a finished transaction from its data objects, and prints each step")
    .requiredOption("--capk <file>", "the CA keys, as `emv capk` reads them")
    .option("--revoked <file>", "revoked issuer certificates: a JSON list of {rid, index, serialNumber}")
    .option("--date <YYYY-MM-DD>", "the day of the transaction; default today", dayOption)
    .option("--json", "prints JSON")
    .addHelpText("after", VERIFY_FORM)
    .action(guarded(verify));
}

function today(): Day {
  const now = new Date();
  return { year: now.getFullYear(), month: now.getMonth() + 1, day: now.getDate() };
}

function dayOption(text: string): Day {
  const match = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text);
  if (match && !Number.isNaN(Date.parse(text)) && new Date(text).toISOString().startsWith(text)) {
    return { year: Number(match[1]), month: Number(match[2]), day: Number(match[3]) };
  }
  throw new InvalidArgumentError("give a day as YYYY-MM-DD");
}

function readText(path: string, bytesMax: number): string {
  try {
    if (statSync(path).size > bytesMax) throw new Fault("config.invalid", `it is longer than ${bytesMax} bytes`);
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new Fault("config.invalid", `cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

function readList<T>(path: string, parse: (json: unknown) => T): T {
  const text = readText(path, LIST_BYTES_MAX);
  try {
    return parse(JSON.parse(text));
  } catch (error) {
    throw new Fault("config.invalid", `${path}: ${reasonOf(error)}`, { cause: error });
  }
}

interface KeyRow {
  readonly rid: string;
  readonly index: string;
  readonly bits: number;
  readonly exponent: string;
  readonly expires: string;
  readonly expired: boolean;
  readonly holds: boolean;
}

function rowOf(key: CaPublicKey, day: Day): KeyRow {
  return {
    rid: toHex(key.rid).toUpperCase(),
    index: toHex(Uint8Array.of(key.index)).toUpperCase(),
    bits: key.modulus.length * 8,
    exponent: toHex(key.exponent),
    expires: key.expires,
    expired: caKeyExpired(key, day),
    holds: caKeyHashHolds(key),
  };
}

const keyLine = ({ rid, index, bits, exponent, expires, expired }: KeyRow): string =>
  `${rid} ${index} ${String(bits).padStart(4)} bits, exponent ${exponent}, ${expired ? "expired" : "expires"} ${expires}`;

function rowsOf(file: string, { date }: ListOptions): readonly KeyRow[] {
  const day = date ?? today();
  return readList(file, parseCaKeys).map((key) => rowOf(key, day));
}

function listKeys(file: string, options: ListOptions): void {
  const rows = rowsOf(file, options);
  if (options.json) console.log(JSON.stringify(rows.map(({ holds: _, ...row }) => row)));
  else for (const row of rows) console.log(keyLine(row));
}

function checkKeys(file: string, options: ListOptions): void {
  const rows = rowsOf(file, options);
  if (options.json) console.log(JSON.stringify(rows));
  else for (const row of rows) console.log(`${row.holds ? "holds" : "WRONG HASH"}: ${keyLine(row)}`);
  if (rows.some(({ holds }) => !holds)) process.exitCode = EXIT.failed;
}

function verify(file: string, options: VerifyOptions): void {
  const caKeys = readList(options.capk, parseCaKeys);
  const revoked = options.revoked === undefined ? [] : readList(options.revoked, parseRevoked);
  const text = readText(file, TRANSACTION_FILE_BYTES_MAX);
  const report = checkTransaction(readTransaction(file, text), { caKeys, revoked, today: options.date ?? today() });
  if (options.json) console.log(JSON.stringify(report));
  else for (const line of reportLines(report)) console.log(line);
  if (!report.holds) process.exitCode = EXIT.failed;
}

function readTransaction(file: string, text: string) {
  try {
    return parseTransactionFile(text);
  } catch (error) {
    throw new Fault("codec.invalid", `${file}: ${reasonOf(error)}`, { cause: error });
  }
}

function reportLines({ method, holds, steps }: CheckReport): readonly string[] {
  const name = method === "none" ? "authentication" : method.toUpperCase();
  return [
    ...steps.map((step) => `${step.step}: ${step.holds ? "holds" : `FAILS (${step.why})`}, ${step.detail}`),
    `${name} ${holds ? "holds" : "does not hold"}`,
  ];
}
