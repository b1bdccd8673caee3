/** Why a text that begins like a code of some family is none: told by name, and the code is never guessed at. */
import { fail, type Result } from "../../base/result.ts";

export const CODE_REFUSALS = [
  /** Parts are missing, or there are too many. */
  "wrong-shape",
  "wrong-length",
  "wrong-characters",
  "wrong-checksum",
  /** Given twice where once is all. */
  "repeated-field",
  "missing-field",
  "too-long",
] as const;
export type CodeRefusal = (typeof CODE_REFUSALS)[number];

export interface Refused {
  readonly why: CodeRefusal;
  /** For people; names the part, never its content. */
  readonly detail: string;
}

export const refuse = (why: CodeRefusal, detail: string): Result<never, Refused> => fail({ why, detail });
