/** Opens a recorded dialogue that a terminal sealed to this hub's key, for whoever may read the hub's keys (RM6). */
import { readFileSync } from "node:fs";
import { Fault, reasonOf } from "../base/fault.ts";
import { type DialogueFile, DialogueFileSchema, openDialogue } from "../wire/card-dialogue.ts";
import { firstIssue, parseJson } from "../wire/signing.ts";
import type { SealingRing } from "./sealing-ring.ts";

const FILE_BYTES_MAX = 1_048_576;

/** Throws Fault `config.invalid` for a file that is no dialogue, `seal.invalid` for one that another key opens. */
export function readDialogueFile(path: string): DialogueFile {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Fault("config.invalid", `cannot read ${path}: ${reasonOf(error)}`);
  }
  if (text.length > FILE_BYTES_MAX) throw new Fault("config.invalid", `${path} is too long to be a dialogue`);
  const parsed = DialogueFileSchema.safeParse(jsonOf(path, text));
  if (parsed.success) return parsed.data;
  const why = `${path} is not what \`tillway dialogue --sealed\` prints: ${firstIssue(parsed.error)}`;
  throw new Fault("config.invalid", why);
}

export function openDialogueFile(file: DialogueFile, keys: SealingRing): string {
  const key = keys.find(file.sealed.keyId);
  if (key) return openDialogue(file, key.privateKey);
  const known = keys.all.map(({ keyId }) => keyId).join(", ");
  throw new Fault("seal.invalid", `the dialogue is sealed to the key ${file.sealed.keyId}, this hub has ${known}`);
}

function jsonOf(path: string, text: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    throw new Fault("config.invalid", `${path}: ${reasonOf(error)}`);
  }
}
