/** Reads card numbers for the command line without their ever being an argument: those end up in the shell's history. */
import { readFileSync } from "node:fs";
import type { ReadStream } from "node:tty";
import { Fault, reasonOf } from "../../base/fault.ts";
import { askHidden } from "../ask-hidden.ts";

const FILE_BYTES_MAX = 262_144;
const NUMBER = /^\d{12,19}$/;
const STANDARD_INPUT = 0;

/** One number per line; `-` is standard input. Faults name lines, never what stands there. */
export function readNumberFile(path: string): readonly string[] {
  let text: string;
  try {
    text = readFileSync(path === "-" ? STANDARD_INPUT : path, "utf8");
  } catch (error) {
    throw new Fault("config.invalid", `--pan-file ${path}: ${reasonOf(error)}`);
  }
  if (text.length > FILE_BYTES_MAX) throw new Fault("config.invalid", `--pan-file ${path}: it is too long`);
  const lines = text.split("\n").map((line) => line.trim());
  const wrong = lines.findIndex((line) => line !== "" && !NUMBER.test(line));
  if (wrong >= 0)
    throw new Fault("config.invalid", `--pan-file ${path}: line ${wrong + 1} is no card number of 12 to 19 digits`);
  const numbers = lines.filter((line) => line !== "");
  if (numbers.length === 0) throw new Fault("config.invalid", `--pan-file ${path}: there is no card number in it`);
  return numbers;
}

/** Asks at the terminal, and shows nothing of what is typed. */
export async function askNumber(input: ReadStream, say: (text: string) => void): Promise<string> {
  const typed = (await askHidden({ input, say, prompt: "card number (not shown): " })).trim();
  if (NUMBER.test(typed)) return typed;
  throw new Fault("config.invalid", "that is no card number of 12 to 19 digits");
}
