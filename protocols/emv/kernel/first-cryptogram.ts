/** The second phase of a transaction: the first GENERATE AC and what the card decides (Book 3, 10.8; Book 4, 6.3.2.1). */
import { ok } from "../../../base/result.ts";
import { setBit, TSI, TVR } from "../bits.ts";
import { type CryptogramType, decodeCid } from "../commands.ts";
import { end, type Part, report } from "./dialogue.ts";
import { generateCryptogram } from "./generate-ac.ts";
import type { FirstCryptogram, FirstPhase, Transaction } from "./kernel.ts";
import { setResponseCode } from "./response-code.ts";

/**
 * An ARQC goes online next. A TC and an AAC are final. A signature that fails makes a TC a decline, and an ARQC is ended at once
 * by an AAC, which is then the result (RM13).
 */
export function* firstCryptogram(transaction: Transaction, ask: CryptogramType): FirstPhase {
  // What the terminal decides alone it tells the card with the question (Book 4, Annex A6).
  if (ask !== "ARQC") setResponseCode(transaction, OFFLINE_CODE[ask]);
  // A decline is asked for without a signature, so that the method selected is never performed (Book 2, figure 3).
  if (ask === "AAC" && transaction.cdaPending) setBit(transaction.tvr, TVR.odaNotPerformed);
  const first = yield* generateCryptogram(transaction, { ask, cdol: 0x8c });
  if (!first.ok) return first;
  const { type, cdaHeld } = first.value;
  setBit(transaction.tsi, TSI.cardRiskManagementPerformed);
  report(transaction, "first-cryptogram", answerOf(ask, first.value));
  const [cid = 0] = transaction.values.get(0x9f27) ?? [];
  if (type === "AAC" && decodeCid(cid).reason === "service-not-allowed") {
    return end("not-accepted", "the card says that this service is not allowed");
  }
  if (type === "ARQC") {
    transaction.values.delete(0x8a);
    return cdaHeld === false ? yield* declineAtOnce(transaction) : ok(first.value);
  }
  const final = cdaHeld === false ? "AAC" : type;
  setResponseCode(transaction, OFFLINE_CODE[final]);
  return ok({ type: final, cdaHeld });
}

/** Approved and declined offline (Book 4, Annex A6). */
const OFFLINE_CODE = { TC: "Y1", AAC: "Z1" } as const;

function answerOf(ask: CryptogramType, { type, cdaHeld }: FirstCryptogram): string {
  const signature = cdaHeld === undefined ? "" : cdaHeld ? ", its signature holds" : ", its signature does not hold";
  return `asked for ${ask}, the card gives ${type}${signature}`;
}

function* declineAtOnce(transaction: Transaction): Part<FirstCryptogram> {
  setResponseCode(transaction, OFFLINE_CODE.AAC);
  const second = yield* generateCryptogram(transaction, { ask: "AAC", cdol: 0x8d });
  if (!second.ok) return second;
  report(transaction, "second-cryptogram", "asked for AAC, as the signature did not hold");
  return ok({ type: second.value.type, cdaHeld: false });
}
