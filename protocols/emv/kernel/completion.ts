/** The last phase of a transaction that went online, or could not (Book 3, 10.9 to 10.11). */
import { fail } from "../../../base/result.ts";
import type { CompletionPhase, OnlineResult, Transaction } from "./kernel.ts";

export function* completeTransaction(_transaction: Transaction, online: OnlineResult): CompletionPhase {
  return fail({ code: "card-error", detail: online.was });
}
