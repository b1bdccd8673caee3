/** The first phase of a transaction: from selection to terminal action analysis (Book 3, 10.1 to 10.7). */
import { fail } from "../../../base/result.ts";
import type { ReadyPhase, TerminalSettings, TransactionSettings } from "./kernel.ts";

export function* readyTransaction(terminal: TerminalSettings, _settings: TransactionSettings): ReadyPhase {
  return fail({ code: "no-application", detail: `none of ${terminal.applications.length} applications` });
}
