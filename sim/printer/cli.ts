/** `tillway sim printer`: a receipt printer to plug software into, its tickets as files one can look at. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { COLUMNS } from "../../protocols/escpos/model.ts";
import type { Ticket } from "./paper.ts";
import { startPrinterSim } from "./printer-sim.ts";

export interface RunPrinterSimOptions {
  readonly link: string;
  readonly control: string;
  /** Folder for `ticket-0001.txt` and `ticket-0001.svg`; none when absent. */
  readonly out?: string;
  readonly columns?: number;
}

/** Runs until the signal aborts. Says it is up by one line of JSON on standard output, and names each ticket so. */
export async function runPrinterSim(options: RunPrinterSimOptions, signal: AbortSignal): Promise<void> {
  const { out } = options;
  if (out !== undefined) mkdirSync(out, { recursive: true });
  await using sim = await startPrinterSim({
    link: options.link,
    control: options.control,
    ...(options.columns === undefined ? {} : { columns: options.columns }),
    onTicket: (ticket) => {
      const files = out === undefined ? {} : writeTicket(out, ticket);
      say({ event: "ticket", number: ticket.number, ...files });
    },
  });
  say({ event: "ready", uri: `serial:${sim.link}?columns=${sim.columns}`, link: sim.link, control: options.control });
  await aborted(signal);
}

/** Adds `printer` to the command `tillway sim`. */
export function registerPrinterSim(program: Command): void {
  program
    .command("printer")
    .description("an ESC/POS receipt printer on a pseudo terminal")
    .requiredOption("--link <path>", "where its serial port appears")
    .requiredOption("--control <path>", "where its control socket appears")
    .option("--out <folder>", "write every ticket there as .txt and .svg")
    .option("--columns <number>", `characters on a line: ${COLUMNS.join(", ")}`, columnsOf)
    .action(async (options: RunPrinterSimOptions) => {
      const stop = new AbortController();
      for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
      await runPrinterSim(options, stop.signal);
    });
}

function columnsOf(text: string): number {
  const columns = COLUMNS.find((known) => String(known) === text);
  if (columns === undefined) throw new InvalidArgumentError(`One of ${COLUMNS.join(", ")}.`);
  return columns;
}

const NUMBER_DIGITS = 4;

function writeTicket(folder: string, ticket: Ticket): { readonly text: string; readonly svg: string } {
  const name = `ticket-${String(ticket.number).padStart(NUMBER_DIGITS, "0")}`;
  const files = { text: join(folder, `${name}.txt`), svg: join(folder, `${name}.svg`) };
  writeFileSync(files.text, `${ticket.text}\n`);
  writeFileSync(files.svg, ticket.svg);
  return files;
}

function say(line: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
