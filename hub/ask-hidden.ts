/** Asks a person at the terminal for something that nobody else shall see: nothing of what is typed is shown. */
import type { ReadStream } from "node:tty";
import { Fault } from "../base/fault.ts";

const [ENTER, LINE_FEED, INTERRUPT, END, BACKSPACE, DELETE] = ["\r", "\n", "\u0003", "\u0004", "\b", "\u007f"];
const TYPED_MAX = 1_024;

export interface Question {
  readonly input: ReadStream;
  say(text: string): void;
  /** Shown before what is typed, which is not. */
  readonly prompt: string;
}

/** One line. Throws Fault `aborted` for who interrupts. */
export async function askHidden({ input, say, prompt }: Question): Promise<string> {
  say(prompt);
  input.setRawMode(true);
  let typed = "";
  try {
    for await (const chunk of input.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
      for (const key of String(chunk)) {
        if (key === INTERRUPT || key === END) throw new Fault("aborted", "interrupted; nothing was changed");
        if (key === ENTER || key === LINE_FEED) return typed;
        if (key === BACKSPACE || key === DELETE) typed = typed.slice(0, -1);
        else if (typed.length < TYPED_MAX) typed += key;
      }
    }
    throw new Fault("aborted", "nothing was typed; nothing was changed");
  } finally {
    input.setRawMode(false);
    input.pause();
    say("\n");
  }
}
