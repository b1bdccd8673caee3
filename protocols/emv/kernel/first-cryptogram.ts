/** The second phase of a transaction: the first GENERATE AC (Book 3, 10.8 and 6.5.5; Book 2, 6.6). */
import { fail } from "../../../base/result.ts";
import type { CryptogramType } from "../commands.ts";
import type { FirstPhase, Transaction } from "./kernel.ts";

export function* firstCryptogram(_transaction: Transaction, ask: CryptogramType): FirstPhase {
  return fail({ code: "card-error", detail: `no ${ask}` });
}
