/** One way to say that a journal cannot be trusted with money: which file, which entry first, why, and what to do. */
import { Fault } from "../../base/fault.ts";
import type { ChainError } from "./chain.ts";

export const MEND = "nothing is sold from it: keep the file, and take out what it holds with tillway journal export";

export const corruptFault = (path: string, { sequence, why }: ChainError): Fault =>
  new Fault("journal.corrupt", `${path}: entry ${sequence} ${why}; ${MEND}`, { details: { sequence } });
