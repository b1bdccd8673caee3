/** Cards for tests of the kernel: a script of commands and answers in order, or a function, against any phase. */
import { fromHex, toHex } from "../../../base/bytes.ts";
import { decodeResponse, encodeCommand } from "../apdu.ts";
import { encodeTlv, type Tag, type Tlv } from "../ber-tlv.ts";
import type { Candidate, Kernel } from "./kernel.ts";

/** Answers to a command in hex, or the index chosen. */
export type Line = readonly [command: string, answer: string] | { readonly choose: number | undefined };

export interface Played<T> {
  readonly result: T;
  readonly offered: readonly (readonly Candidate[])[];
}

/** Plays a phase against a script: every command must be the next one, and none may be left over. White space is free. */
export function play<T>(phase: Kernel<T>, script: readonly Line[]): Played<T> {
  const lines = [...script];
  const offered: (readonly Candidate[])[] = [];
  let step = phase.next();
  while (!step.done) {
    const line = lines.shift();
    const ask = step.value;
    if (ask.ask === "choose") {
      if (!line || !("choose" in line)) throw new Error("the kernel offers a choice that the script does not expect");
      offered.push(ask.candidates);
      step = phase.next({ chosen: line.choose });
      continue;
    }
    const sent = toHex(encodeCommand(ask.command)).toUpperCase();
    if (!line || "choose" in line || toHex(fromHex(line[0])).toUpperCase() !== sent) {
      throw new Error(`the kernel sends ${sent}, the script has ${JSON.stringify(line)}`);
    }
    step = phase.next({ response: decodeResponse(fromHex(line[1])) });
  }
  if (lines.length > 0) throw new Error(`the kernel never asked for ${JSON.stringify(lines[0])}`);
  return { result: step.value, offered };
}

/**
 * Plays a phase against a card that is a function from command to answer, both in hex without spaces. `ahead`: what the phase
 * has to work while the card is busy is done.
 */
export function ask<T>(
  phase: Kernel<T>,
  card: (command: string) => string,
  ahead = true,
): { result: T; commands: string[] } {
  const commands: string[] = [];
  let step = phase.next();
  while (!step.done) {
    const question = step.value;
    if (question.ask === "choose") {
      step = phase.next({ chosen: 0 });
      continue;
    }
    const command = toHex(encodeCommand(question.command)).toUpperCase();
    commands.push(command);
    if (ahead) question.meanwhile?.();
    step = phase.next({ response: decodeResponse(fromHex(card(command))) });
  }
  return { result: step.value, commands };
}

export type Objects = readonly (readonly [Tag, string | Objects])[];

/** TLV objects in hex: values are hex, or further objects. */
export const tlv = (...objects: Objects): string => toHex(encodeTlv(nodes(objects))).toUpperCase();

const nodes = (objects: Objects): readonly Tlv[] =>
  objects.map(([tag, content]) =>
    typeof content === "string" ? { tag, value: fromHex(content) } : { tag, children: nodes(content) },
  );

export const text = (value: string): string => toHex(Buffer.from(value, "latin1"));
