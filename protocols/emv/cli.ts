/** `tillway emv …`: tools for those who integrate cards. */
import { type Command, InvalidArgumentError } from "commander";
import { fromHex } from "../../base/bytes.ts";
import { EXIT, guarded } from "../../base/daemon.ts";
import { isFault, reasonOf } from "../../base/fault.ts";
import { encodeTag, isConstructed, type Tag, TLV_BYTES_MAX } from "./ber-tlv.ts";
import { type ExplainedBytes, explainTlv, explainValue, explanationLines, type Secrets } from "./explain.ts";

const FROM_STDIN = "-";
/** Every byte as two digits and as much white space. */
const STDIN_CHARACTERS_MAX = TLV_BYTES_MAX * 4;

export async function registerEmv(program: Command): Promise<void> {
  const emv = program.command("emv").description("reads what cards and terminals say to each other");
  registerDecode(emv);
  const { registerCapk, registerVerify } = await import("./oda/cli.ts");
  registerCapk(emv);
  registerVerify(emv);
  const { registerReplay } = await import("./kernel/cli.ts");
  registerReplay(emv);
}

interface DecodeOptions {
  readonly json?: true;
  readonly tag?: Tag;
  readonly showSecret?: true;
}

function registerDecode(emv: Command): void {
  emv
    .command("decode")
    .description("names every tag of BER-TLV data, and says what every bit means")
    .argument("<hex...>", "the data, with or without spaces; - reads them from standard input")
    .option("--tag <tag>", "the hex is the bare value of this tag, for example --tag 95 8000008000", tagOption)
    .option("--json", "prints one JSON object")
    .option("--show-secret", "writes card numbers, names and tracks in clear; for test cards")
    .action(guarded(decode));
}

async function decode(words: readonly string[], options: DecodeOptions, command: Command): Promise<void> {
  const bytes = await bytesOf(words, command);
  const secrets: Secrets = options.showSecret ? "shown" : "masked";
  const explained: ExplainedBytes =
    options.tag === undefined ? explainTlv(bytes, secrets) : { objects: [explainValue(options.tag, bytes, secrets)] };
  if (options.json) {
    console.log(JSON.stringify(explained, undefined, 2));
  } else {
    const { fault, ...decoded } = explained;
    for (const line of explanationLines(decoded)) console.log(line);
    if (fault) console.error(`tillway: undecodable: ${fault.reason}`);
  }
  if (explained.fault) process.exitCode = EXIT.failed;
}

async function bytesOf(words: readonly string[], command: Command): Promise<Uint8Array> {
  const fromStdin = words.length === 1 && words[0] === FROM_STDIN;
  const hex = fromStdin ? await readStdin(command) : words.join("");
  try {
    const bytes = fromHex(hex);
    if (bytes.length > 0) return bytes;
    return command.error("there are no hex digits to decode", { exitCode: EXIT.config });
  } catch (error) {
    if (!isFault(error)) throw error;
    return command.error(`the data are not hex: ${error.message}`, { exitCode: EXIT.config });
  }
}

async function readStdin(command: Command): Promise<string> {
  let text = "";
  for await (const chunk of process.stdin.setEncoding("utf8")) {
    text += String(chunk);
    if (text.length > STDIN_CHARACTERS_MAX) {
      return command.error(`standard input has more than ${STDIN_CHARACTERS_MAX} characters`, {
        exitCode: EXIT.config,
      });
    }
  }
  return text;
}

function tagOption(text: string): Tag {
  const tag = /^[0-9a-f]{2,6}$/i.test(text) ? Number.parseInt(text, 16) : 0;
  try {
    encodeTag(tag);
  } catch (error) {
    throw new InvalidArgumentError(`give a tag in hex, such as 95 or 9F34: ${reasonOf(error)}`);
  }
  if (!isConstructed(tag)) return tag;
  throw new InvalidArgumentError("this is a template, and has no value of its own; leave out --tag");
}
