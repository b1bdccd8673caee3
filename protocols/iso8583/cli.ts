/** `tillway iso8583 …`: reads, writes and compares messages for those who integrate hosts. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { fromBase64, fromHex, toBase64, toHex } from "../../base/bytes.ts";
import { EXIT, guarded } from "../../base/daemon.ts";
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import { createIso8583Codec } from "./codec.ts";
import { MESSAGE_BYTES_MAX } from "./cursor.ts";
import { messageFromJson } from "./json.ts";
import type { Iso8583Message } from "./message.ts";
import type { MessageSpec } from "./spec.ts";
import { SPECS, specNamed } from "./specs.ts";
import { describeMessage, diffMessages, visibleJson } from "./visible.ts";

const FROM_STDIN = "-";
const FILE_MARK = "@";
const FRAME_BYTES = 2;
/** Every byte as two digits and as much white space; JSON of the longest message is shorter. */
const INPUT_BYTES_MAX = MESSAGE_BYTES_MAX * 4;

interface Options {
  readonly spec: MessageSpec;
  readonly base64?: true;
  readonly framed?: true;
  readonly json?: true;
  readonly showSecret?: true;
}

export async function registerIso8583(program: Command): Promise<void> {
  const iso8583 = program.command("iso8583").description("reads, writes and compares ISO 8583 messages");
  withOptions(iso8583.command("decode"))
    .description("names every field of a message, and says what it means")
    .argument(
      "<message...>",
      "in hex, with or without spaces; - reads it from standard input, @FILE reads the bytes of a file",
    )
    .option("--show-secret", "writes card numbers, tracks and PIN blocks in clear; for test cards")
    .action(guarded(decode));
  withOptions(iso8583.command("encode"))
    .description("makes a message from JSON, such as decode --json --show-secret prints")
    .argument("<json>", "{mti, fields}, bytes in hex; - reads it from standard input, @FILE from a file")
    .action(guarded(encode));
  withOptions(iso8583.command("diff"))
    .description("compares two messages field by field; ends with 1 when they differ")
    .argument("<left>", "in hex, or @FILE")
    .argument("<right>", "in hex, or @FILE")
    .option("--show-secret", "writes card numbers, tracks and PIN blocks in clear; for test cards")
    .action(guarded(diff));
}

const withOptions = (command: Command): Command =>
  command
    .requiredOption("--spec <name>", `the table: ${SPECS.map(({ name }) => name).join(", ")}`, specOption)
    .option("--base64", "the message is in base64, not in hex")
    .option("--framed", "the message stands behind two bytes of its length")
    .option("--json", "prints one JSON object");

function specOption(name: string): MessageSpec {
  try {
    return specNamed(name);
  } catch (error) {
    throw new InvalidArgumentError(reasonOf(error));
  }
}

async function decode(words: readonly string[], options: Options, command: Command): Promise<void> {
  const [only = ""] = words;
  const bytes = bytesOf(words.length === 1 ? await contentOf(only, command) : words.join(""), options, command);
  const message = unpack(bytes, options);
  const { spec, showSecret } = options;
  const secrets = showSecret ? "shown" : "masked";
  if (options.json) print(visibleJson(message, spec, secrets));
  else for (const line of describeMessage(message, spec, secrets)) console.log(line);
}

async function encode(source: string, options: Options, command: Command): Promise<void> {
  const content = await contentOf(source, command);
  const json = jsonOf(typeof content === "string" ? content : Buffer.from(content).toString("utf8"), command);
  const packed = createIso8583Codec(options.spec).pack(messageFromJson(json, options.spec));
  const bytes = options.framed ? framed(packed) : packed;
  const text = options.base64 ? toBase64(bytes) : toHex(bytes).toUpperCase();
  if (options.json) print({ message: text, bytes: bytes.length });
  else console.log(text);
}

async function diff(left: string, right: string, options: Options, command: Command): Promise<void> {
  const [before, now] = [await contentOf(left, command), await contentOf(right, command)].map((content) =>
    unpack(bytesOf(content, options, command), options),
  );
  if (!before || !now) return;
  const { spec, showSecret } = options;
  const differences = diffMessages(before, now, { spec, secrets: showSecret ? "shown" : "masked" });
  if (options.json) print({ differences });
  else for (const line of differences.map(differenceLine)) console.log(line);
  if (differences.length > 0) process.exitCode = EXIT.failed;
}

const ABSENT = "absent";
const differenceLine = ({ path, name, left, right }: ReturnType<typeof diffMessages>[number]): string =>
  `${path} ${name}: ${left ?? ABSENT} -> ${right ?? ABSENT}${left === right ? " (they differ where they are masked)" : ""}`;

const print = (value: unknown): void => console.log(JSON.stringify(value, undefined, 2));

function unpack(bytes: Uint8Array, { spec, framed: isFramed }: Options): Iso8583Message {
  try {
    return createIso8583Codec(spec).unpack(isFramed ? unframed(bytes) : bytes);
  } catch (error) {
    if (!isFault(error)) throw error;
    throw new Fault(error.code, `undecodable by ${spec.name}: ${error.message}`, { cause: error });
  }
}

/** A file's bytes are the message itself, a text is written in hex or base64. */
function bytesOf(content: string | Uint8Array, { base64 }: Options, command: Command): Uint8Array {
  if (typeof content !== "string") return content;
  try {
    const bytes = base64 ? fromBase64(content.trim()) : fromHex(content);
    if (bytes.length > 0) return bytes;
    return command.error("there is no message to read", { exitCode: EXIT.config });
  } catch (error) {
    if (!isFault(error)) throw error;
    return command.error(`the message is not ${base64 ? "in base64" : "in hex"}: ${error.message}`, {
      exitCode: EXIT.config,
    });
  }
}

async function contentOf(source: string, command: Command): Promise<string | Uint8Array> {
  if (source === FROM_STDIN) return readStdin(command);
  return source.startsWith(FILE_MARK) ? readFile(source.slice(1), command) : source;
}

async function readStdin(command: Command): Promise<string> {
  let text = "";
  for await (const chunk of process.stdin.setEncoding("utf8")) {
    text += String(chunk);
    if (text.length > INPUT_BYTES_MAX) return tooLong("standard input", command);
  }
  return text;
}

function readFile(path: string, command: Command): Uint8Array {
  try {
    const file = openSync(path, "r");
    try {
      const { size } = fstatSync(file);
      if (size > INPUT_BYTES_MAX) return tooLong(path, command);
      const bytes = new Uint8Array(size);
      return bytes.subarray(0, readSync(file, bytes));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    return command.error(`${path} cannot be read: ${reasonOf(error)}`, { exitCode: EXIT.config });
  }
}

const tooLong = (what: string, command: Command): never =>
  command.error(`${what} has more than ${INPUT_BYTES_MAX} bytes`, { exitCode: EXIT.config });

function jsonOf(text: string, command: Command): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return command.error(`the message is not JSON: ${reasonOf(error)}`, { exitCode: EXIT.config });
  }
}

function framed(bytes: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(FRAME_BYTES + bytes.length);
  frame.writeUInt16BE(bytes.length);
  frame.set(bytes, FRAME_BYTES);
  return frame;
}

function unframed(bytes: Uint8Array): Uint8Array {
  const length = (bytes[0] ?? 0) * 0x100 + (bytes[1] ?? 0);
  const rest = bytes.length - FRAME_BYTES;
  if (rest === length) return bytes.subarray(FRAME_BYTES);
  throw new Fault("codec.invalid", `the frame says ${length} bytes, and ${Math.max(rest, 0)} follow`);
}
