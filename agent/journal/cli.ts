/** `tillway journal …`: what a journal holds, proven and taken out, with no agent running. */
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { guarded } from "../../base/daemon.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import type { PaymentId } from "../../base/ids.ts";
import { PaymentIdSchema } from "../../wire/common.ts";
import { keyFingerprint } from "../../wire/journal-export.ts";
import { DEFAULT_CONFIG_PATH, loadAgentConfig } from "../config.ts";
import { isEnrolled, loadIdentity } from "../identity.ts";
import { adoptJournal } from "./adopt.ts";
import { signerOf } from "./checkpoint.ts";
import { checkExport, exportJournal } from "./export-file.ts";
import { type JournalReader, openJournalReadOnly, type Selection } from "./journal-reader.ts";
import { type VerifyReport, verifyJournal } from "./verify-file.ts";

interface Where {
  readonly config?: string;
  readonly dataDir?: string;
  readonly json?: true;
}

const withPlace = (command: Command): Command =>
  command
    .option("--config <file>", "the agent's configuration (default: $TILLWAY_CONFIG or /etc/tillway/agent.yaml)")
    .option("--data-dir <folder>", "the agent's data folder, instead of the configured one")
    .option("--json", "prints JSON");

const examples = (...lines: readonly string[]): string => `\nExamples:\n${lines.map((line) => `  ${line}\n`).join("")}`;

export function registerJournal(program: Command): void {
  const journal = program
    .command("journal")
    .description("what this terminal's journal holds; stop the agent first, or name a copy");
  withPlace(
    journal
      .command("verify [file]")
      .description("checks every entry, checkpoint and archive; ends with 1 at the first bad one"),
  )
    .addHelpText("after", examples("tillway journal verify", "tillway journal verify /mnt/copy/journal.db --json"))
    .action(guarded(verify));
  withPlace(journal.command("export [file]").description("writes a signed file of entries, with no card data in it"))
    .requiredOption("-o, --output <file>", "where to")
    .option("--from <sequence>", "the first entry")
    .option("--to <sequence>", "the last entry")
    .option("--day <date>", "the payments of one business day, such as 2026-01-05")
    .option("--payment <id>", "the entries of one payment")
    .addHelpText(
      "after",
      examples(
        "tillway journal export --day 2026-01-05 -o day.jsonl",
        "tillway journal export --payment sale-7 -o sale-7.jsonl",
        "tillway journal export /mnt/copy/journal.db --data-dir /var/lib/tillway/agent -o all.jsonl",
      ),
    )
    .action(guarded(exportEntries));
  journal
    .command("check-export <file>")
    .description("checks an exported file with nothing else at hand; ends with 1 if it does not hold")
    .option("--key <key>", "the terminal's public key in base64, or its fingerprint, as the hub's operator knows it")
    .option("--json", "prints JSON")
    .addHelpText("after", examples("tillway journal check-export day.jsonl --key 5f70bf18a086007016e948b04aed3b82"))
    .action(guarded(check));
  withPlace(
    journal
      .command("adopt")
      .description("after a new enrolment: checks the journal whole and signs it with this terminal's new key"),
  )
    .addHelpText("after", examples("tillway journal adopt --config /etc/tillway/agent.yaml"))
    .action(guarded(adopt));
}

async function verify(file: string | undefined, options: Where): Promise<void> {
  const { path, folder } = placeOf(file, options);
  const publicKey = isEnrolled(folder) ? signerOf(loadIdentity(folder).signingKey).publicKey : undefined;
  using reader = openJournalReadOnly(path);
  const report = await verifyJournal(reader, publicKey);
  console.log(options.json ? JSON.stringify(report) : reportText(report));
  if (!report.ok) process.exitCode = 1;
}

function reportText({ path, terminalId, epoch, firstBad, ...counts }: VerifyReport): string {
  const archived = counts.archives === 0 ? "" : `, ${counts.archived} entries in ${counts.archives} archives`;
  const held = `${counts.entries} entries and ${counts.checkpoints} checkpoints${archived}`;
  const whose = `terminal ${terminalId}, epoch ${epoch}`;
  if (!firstBad) return `${path}: whole; ${whose}; ${held}`;
  return `${path}: entry ${firstBad.sequence} ${firstBad.why}; ${whose}; ${held} hold before it`;
}

interface ExportArguments extends Where {
  readonly output: string;
  readonly from?: string;
  readonly to?: string;
  readonly day?: string;
  readonly payment?: string;
}

async function exportEntries(file: string | undefined, options: ExportArguments): Promise<void> {
  const selection = selectionOf(options);
  const { path, folder } = placeOf(file, options);
  const signer = signerOf(loadIdentity(folder).signingKey);
  using reader = openJournalReadOnly(path);
  warnOfOther(reader, folder);
  const output = options.output;
  const entries = await exportJournal(reader, { path: output, selection, signer, madeAt: new Date().toISOString() });
  const { terminalId, epoch } = reader;
  const key = keyFingerprint(signer.publicKey);
  const told = { output, terminalId, epoch, entries, key };
  console.log(
    options.json ? JSON.stringify(told) : `${output}: ${entries} entries of ${terminalId}, signed by key ${key}`,
  );
}

function warnOfOther(reader: JournalReader, folder: string): void {
  const { terminalId } = loadIdentity(folder);
  if (terminalId === reader.terminalId) return;
  console.error(`${reader.path} is the journal of ${reader.terminalId}; ${terminalId} signs for it`);
}

const NumberText = z.string().regex(/^[1-9]\d{0,14}$/);

function selectionOf({ from, to, day, payment }: ExportArguments): Selection {
  const wrong = (what: string): Fault => new Fault("config.invalid", what);
  for (const [name, text] of [
    ["--from", from],
    ["--to", to],
  ] as const) {
    if (text !== undefined && !NumberText.safeParse(text).success) {
      throw wrong(`${name} ${text}: not the number of an entry, such as 1200`);
    }
  }
  if (from !== undefined && to !== undefined && Number(from) > Number(to))
    throw wrong(`--from ${from} lies after --to ${to}`);
  if (day !== undefined && !z.iso.date().safeParse(day).success)
    throw wrong(`--day ${day}: not a date, such as 2026-01-05`);
  if (payment !== undefined && !PaymentIdSchema.safeParse(payment).success)
    throw wrong(`--payment ${payment}: not a payment's id`);
  return {
    ...(from !== undefined && { from: Number(from) }),
    ...(to !== undefined && { to: Number(to) }),
    ...(day !== undefined && { day }),
    ...(payment !== undefined && { payment: payment as PaymentId }),
  };
}

async function check(file: string, { key, json }: { readonly key?: string; readonly json?: true }): Promise<void> {
  const { header, count, signatureHolds, firstBad } = await checkExport(file);
  const fingerprint = keyFingerprint(header.publicKey);
  const expected = key === undefined || key === header.publicKey || key.toLowerCase() === fingerprint;
  const ok = signatureHolds && expected && firstBad === undefined;
  if (json) {
    console.log(
      JSON.stringify({
        ok,
        ...header,
        entries: count,
        key: fingerprint,
        signatureHolds,
        keyExpected: expected,
        firstBad,
      }),
    );
  } else {
    const bad = firstBad && `entry ${firstBad.sequence} ${firstBad.why}`;
    const why = bad ?? (signatureHolds ? "another key than the expected one signed it" : "its signature does not hold");
    const compare = key === undefined ? "; compare this key with the one that the hub knows" : "";
    const what = `${count} entries of ${header.terminalId}, epoch ${header.epoch}, signed by key ${fingerprint}`;
    console.log(ok ? `${file}: holds; ${what}${compare}` : `${file}: DOES NOT HOLD: ${why}; ${what}`);
  }
  if (!ok) process.exitCode = 1;
}

async function adopt(options: Where): Promise<void> {
  const { path, folder } = placeOf(undefined, options);
  const { terminalId, signingKey } = loadIdentity(folder);
  const entries = await adoptJournal({ path, terminalId, signer: signerOf(signingKey), at: new Date().toISOString() });
  console.log(
    options.json ? JSON.stringify({ path, entries }) : `${path}: ${entries} entries hold; signed with the new key`,
  );
}

interface Place {
  readonly path: string;
  /** Where the identity lies. */
  readonly folder: string;
}

function placeOf(file: string | undefined, { config, dataDir }: Where): Place {
  if (dataDir !== undefined && config !== undefined) {
    throw new Fault("config.invalid", "--config and --data-dir name the same folder twice; give one of them");
  }
  const folder = dataDir ?? (file !== undefined && config === undefined ? dirname(file) : configuredFolder(config));
  return { path: file ?? join(folder, "journal.db"), folder };
}

function configuredFolder(config: string | undefined): string {
  const path = config ?? process.env["TILLWAY_CONFIG"] ?? DEFAULT_CONFIG_PATH;
  try {
    return loadAgentConfig(path, process.env).dataDir;
  } catch (error) {
    const mend = config === undefined ? "; name the data folder with --data-dir" : "";
    throw new Fault(error instanceof Fault ? error.code : "config.invalid", `${reasonOf(error)}${mend}`, {
      cause: error,
    });
  }
}
