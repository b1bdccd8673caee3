/**
 * Issuer scripts: commands of the issuer to its card, template 71 before and 72 after the last cryptogram (Book 3, 10.10), and
 * what became of each (Book 4, 6.3.9 and Annex A5).
 */
import { concat } from "../../../base/bytes.ts";
import { type CommandApdu, decodeCommand, isWarning } from "../apdu.ts";
import { setBit, TSI, TVR } from "../bits.ts";
import { childValue, readable, report, send, templateChildren } from "./dialogue.ts";
import type { Kernel, Transaction } from "./kernel.ts";

/** Before or after the second GENERATE AC. */
export type ScriptTemplate = 0x71 | 0x72;

const FAILED = { 113: TVR.scriptFailedBefore, 114: TVR.scriptFailedAfter } as const;
const STEP = { 113: "script-71", 114: "script-72" } as const;

/** Runs every script of that template, in order. A script that fails ends there; the next still runs (10.10). */
export function* runScripts(
  transaction: Transaction,
  scripts: readonly Uint8Array[],
  template: ScriptTemplate,
): Kernel<void> {
  const own = scripts.filter((script) => script[0] === template);
  for (const script of own) {
    const { result, identifier } = yield* runScript(script, template);
    setBit(transaction.tsi, TSI.scriptProcessingPerformed);
    if (result >> 4 !== SUCCESSFUL) setBit(transaction.tvr, FAILED[template]);
    transaction.scriptResults = concat(transaction.scriptResults, Uint8Array.of(result), identifier);
    transaction.values.set(0x9f5b, transaction.scriptResults);
    report(transaction, STEP[template], WORDS[result >> 4] ?? "unknown");
  }
}

interface ScriptOutcome {
  /** Result in the upper half; in the lower the number of the command that failed, 15 for the 15th and any later one. */
  readonly result: number;
  /** Tag 9F18, four bytes; zeros when the issuer gives none. */
  readonly identifier: Uint8Array;
}

const NOT_PERFORMED = 0;
const UNSUCCESSFUL = 1;
const SUCCESSFUL = 2;
const WORDS = ["the script is not performed", "the script fails", "the script succeeds"] as const;
const SEQUENCE_MAX = 15;
const IDENTIFIER_BYTES = 4;

function* runScript(script: Uint8Array, template: ScriptTemplate): Kernel<ScriptOutcome> {
  const children = templateChildren(script, template);
  const given = children && childValue(children, 0x9f18);
  const identifier = given?.length === IDENTIFIER_BYTES ? given : new Uint8Array(IDENTIFIER_BYTES);
  if (!children) return { result: NOT_PERFORMED << 4, identifier };
  // An empty object counts as absent (5.2).
  const commands = children.flatMap((object) =>
    object.tag === 0x86 && "value" in object && object.value.length > 0 ? [object.value] : [],
  );
  for (const [index, bytes] of commands.entries()) {
    if (!(yield* runCommand(bytes))) {
      return { result: (UNSUCCESSFUL << 4) | Math.min(index + 1, SEQUENCE_MAX), identifier };
    }
  }
  return { result: SUCCESSFUL << 4, identifier };
}

/** Warnings count as success (10.10). Bytes that are no command are not sent, and fail. */
function* runCommand(bytes: Uint8Array): Kernel<boolean> {
  const command = readable<CommandApdu>(() => decodeCommand(bytes));
  if (!command) return false;
  const { status } = yield* send(command);
  return status >> 8 === SUCCESS_SW1 || isWarning(status);
}

/** Only SW1 counts (10.10). */
const SUCCESS_SW1 = 0x90;
