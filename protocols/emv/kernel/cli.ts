/** `tillway emv replay`: the kernel against a recorded dialogue. */
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { EXIT, guarded } from "../../../base/daemon.ts";
import { Fault, isFault, reasonOf } from "../../../base/fault.ts";
import { caKeyHashHolds, parseCaKeys, parseRevoked } from "../oda/capk.ts";
import type { CaPublicKey, Day } from "../oda/keys.ts";
import { maskTranscript, parseTranscript, type Transcript } from "../transcript.ts";
import { keyRule } from "../transcript-keys.ts";
import { type ReplayReport, type ReplayStop, replayTranscript } from "./replay.ts";

interface ReplayFlags {
  readonly capk: string;
  readonly revoked?: string;
  readonly date?: Day;
  readonly lenient?: true;
  readonly json?: true;
  readonly mask?: true;
}

export function registerReplay(emv: Command): void {
  emv
    .command("replay")
    .description("runs the kernel against a recorded dialogue: each step with TVR, TSI, authentication and decision")
    .argument("<file>", "a transcript: # comment, @ key value, > command, < answer")
    .requiredOption("--capk <file>", "the certification authorities' public keys, JSON")
    .option("--revoked <file>", "revoked certificates, JSON")
    .option("--date <day>", "YYYY-MM-DD, instead of the transcript's or today's", dayOption)
    .option("--lenient", "finds answers by CLA INS P1 P2, for dialogues of other terminals")
    .option("--json", "prints one JSON object")
    .option("--mask", "prints the dialogue as people may see it, and commands masked too")
    .action(guarded(replay));
}

function replay(file: string, flags: ReplayFlags): void {
  const transcript = dated(transcriptIn(file), flags.date);
  const report = replayTranscript(transcript, {
    caKeys: readCaKeys(flags.capk),
    revoked: flags.revoked === undefined ? [] : readJson("the revoked certificates", flags.revoked, parseRevoked),
    today: dayOf(new Date().toISOString().slice(0, 10)),
    mode: flags.lenient ? "lenient" : "strict",
  });
  const shown = flags.mask ? withoutCommands(report) : report;
  const masked = flags.mask ? { masked: maskTranscript(transcript) } : {};
  if (flags.json) console.log(JSON.stringify({ ...shown, ...masked }, undefined, 2));
  else for (const line of [...(masked.masked?.trimEnd().split("\n") ?? []), ...reportLines(shown)]) console.log(line);
  if (shown.stop) process.stderr.write(`tillway: ${stopLine(shown.stop)}\n`);
  if (!report.ran) process.exitCode = EXIT.failed;
}

function transcriptIn(file: string): Transcript {
  try {
    return parseTranscript(readText("the transcript", file));
  } catch (error) {
    if (!isFault(error) || error.details?.["line"] === undefined) throw error;
    throw new Fault(error.code, `${file}: ${error.message}`, { cause: error });
  }
}

function dated({ header, exchanges }: Transcript, date: Day | undefined): Transcript {
  if (!date) return { header, exchanges };
  const value = [
    `${date.year}`.padStart(4, "0"),
    ...[date.month, date.day].map((part) => `${part}`.padStart(2, "0")),
  ].join("-");
  return { header: [...header.filter(({ key }) => key !== "date"), { key: "date", value }], exchanges };
}

/** Commands carry card data where the card's lists ask for them. */
function withoutCommands(report: ReplayReport): ReplayReport {
  if (report.stop?.kind !== "difference") return report;
  const { expected: _, actual: __, ...stop } = report.stop;
  return { ...report, stop };
}

function readText(what: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new Fault("config.invalid", `${what}: cannot read ${path}: ${reasonOf(error)}`);
  }
}

function readJson<T>(what: string, path: string, parse: (json: unknown) => T): T {
  const content = readText(what, path);
  try {
    return parse(JSON.parse(content));
  } catch (error) {
    throw new Fault("config.invalid", `${what}: ${path}: ${reasonOf(error)}`);
  }
}

function readCaKeys(path: string): readonly CaPublicKey[] {
  const keys = readJson("the CA keys", path, parseCaKeys);
  const wrong = keys.find((key) => !caKeyHashHolds(key));
  if (!wrong) return keys;
  const name = `${Buffer.from(wrong.rid).toString("hex").toUpperCase()} ${wrong.index.toString(16).padStart(2, "0").toUpperCase()}`;
  throw new Fault("config.invalid", `the CA keys: ${path}: the hash of key ${name} does not hold; get the file again`);
}

function dayOption(text: string): Day {
  const day = /^\d{4}-/.test(text) ? keyRule("date").rule.canonical(text) : undefined;
  if (day === undefined) throw new InvalidArgumentError("give a day, YYYY-MM-DD");
  return dayOf(day);
}

function dayOf(text: string): Day {
  const [year = 0, month = 0, day = 0] = text.split("-").map(Number);
  return { year, month, day };
}

function reportLines(report: ReplayReport): readonly string[] {
  const { application, steps, oda, cvm, proposed, tvr, tsi, decision, notes } = report;
  const width = Math.max(0, ...steps.map(({ step }) => step.length));
  return [
    ...(application ? [`application  ${application.aid.toUpperCase()} "${application.label}"`] : []),
    ...steps.map((step) => `${step.step.padEnd(width)}  TVR ${step.tvr}  TSI ${step.tsi}  ${step.result}`),
    ...(oda ? [`authentication  ${oda.method.toUpperCase()}: ${oda.result}`] : []),
    ...(cvm ? [`cardholder verification  ${cvm.outcome} (${cvm.results})`] : []),
    ...(tvr ? [`TVR ${tvr.value}`, ...tvr.names.map((name) => `  ${name}`)] : []),
    ...(tsi ? [`TSI ${tsi.value}`, ...tsi.names.map((name) => `  ${name}`)] : []),
    ...(proposed ? [`action analysis  ${proposed}`] : []),
    ...notes.map((note) => `note  ${note}`),
    ...(decision ? [decisionLine(decision)] : []),
  ];
}

function decisionLine({ outcome, cryptogram, responseCode }: NonNullable<ReplayReport["decision"]>): string {
  const code = responseCode === undefined ? "" : `, response code ${responseCode}`;
  return `decision  ${outcome === "online" ? "the issuer is asked" : outcome} (${cryptogram}${code})`;
}

function stopLine(stop: ReplayStop): string {
  switch (stop.kind) {
    case "end":
      return `${whereOf(stop)}the kernel ends the transaction: ${stop.code}: ${stop.detail}`;
    case "no-online":
      return stop.detail;
    case "difference": {
      const commands = [
        ...(stop.expected === undefined ? [] : [`transcript ${stop.expected}`]),
        ...(stop.actual === undefined ? [] : [`kernel ${stop.actual}`]),
      ];
      return `${whereOf(stop)}${stop.detail}${commands.length > 0 ? ` (${commands.join("; ")})` : ""}`;
    }
  }
}

const whereOf = ({ line }: { readonly line?: number }): string => (line === undefined ? "" : `line ${line}: `);
