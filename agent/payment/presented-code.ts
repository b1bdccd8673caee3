/**
 * What a scan at a waiting sale stands for. The same scanner reads the goods: what is no way to pay here must not end the
 * sale, so the cashier is told and the sale goes on waiting.
 */
import { fail, ok, type Result } from "../../base/result.ts";
import type { Scan } from "../../drivers/capability.ts";
import { type RecognisedCode, recogniseCode } from "../../protocols/codes/recognise.ts";
import type { PreAuthorisedCode } from "../../wire/authorisation.ts";
import type { NoteDesk } from "./code-purchase.ts";

export type PresentedCode =
  | { readonly pay: "code"; readonly code: PreAuthorisedCode }
  | { readonly pay: "note"; readonly text: string; readonly notes: NoteDesk };

/** The failure is one sentence for the cashier. */
export function presentedCode({ text, aim }: Scan, notes: NoteDesk | undefined): Result<PresentedCode, string> {
  const code = recogniseCode(text, aim);
  switch (code.family) {
    case "pre-authorised":
      return ok({ pay: "code", code: { userId: code.userId, secureCode: code.secureCode } });
    case "offline-note":
      return notes
        ? ok({ pay: "note", text, notes })
        : fail("a note of staged value is not a way to pay here; present a card or another code");
    case "refused":
      return fail(`${article(code)}: ${code.detail}; scan it again`);
    default:
      return fail(`${article(code)} is not a way to pay here; present a card or another code`);
  }
}

const article = ({ name }: RecognisedCode): string => `${/^[aeiou]/i.test(name) ? "an" : "a"} ${name}`;
