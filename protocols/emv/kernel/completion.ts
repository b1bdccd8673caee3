/** The last phase of a transaction that went online, or could not (Book 3, 10.9 to 10.11; Book 4, 6.3.8 and Annex A6). */
import { assert } from "../../../base/assert.ts";
import { ok } from "../../../base/result.ts";
import { STATUS } from "../apdu.ts";
import { AIP, hasBit, setBit, TSI, TVR } from "../bits.ts";
import { type CryptogramType, cryptogramType, externalAuthenticateCommand } from "../commands.ts";
import { decideUnable } from "./action.ts";
import { report, send } from "./dialogue.ts";
import { generateCryptogram } from "./generate-ac.ts";
import { runScripts } from "./issuer-scripts.ts";
import type { Completion, CompletionPhase, Kernel, OnlineResult, Transaction } from "./kernel.ts";
import { setResponseCode } from "./response-code.ts";

/** Only an ARQC has a completion: a first TC or AAC is final. */
export function* completeTransaction(transaction: Transaction, online: OnlineResult): CompletionPhase {
  const [cid] = transaction.values.get(0x9f27) ?? [];
  assert(cid !== undefined && cryptogramType(cid) === "ARQC", "only an ARQC is completed");
  const { ask, responseCode } = decided(transaction, online);
  setResponseCode(transaction, responseCode);
  const scripts = online.was === "answered" ? (online.scripts ?? []) : [];
  if (online.was === "answered") yield* authenticateIssuer(transaction, online.issuerAuthenticationData);
  yield* runScripts(transaction, scripts, 0x71);
  const second = yield* generateCryptogram(transaction, { ask, cdol: 0x8d });
  if (!second.ok) return second;
  // A signature that fails on the approval makes it none (RM13).
  const type: CryptogramType = second.value.cdaHeld === false ? "AAC" : second.value.type;
  report(transaction, "second-cryptogram", `asked for ${ask}, the card gives ${second.value.type}`);
  yield* runScripts(transaction, scripts, 0x72);
  return ok({ outcome: type === "TC" ? "approved" : "declined", type, responseCode } satisfies Completion);
}

interface Decision {
  readonly ask: "TC" | "AAC";
  readonly responseCode: string;
}

/** Unable to go online: Y3 or Z3 by the default action codes, and never an approval that nobody here may give (RM8, RM13). */
function decided(transaction: Transaction, online: OnlineResult): Decision {
  if (online.was === "answered") return { ask: online.approved ? "TC" : "AAC", responseCode: online.responseCode };
  const ask = online.approvable ? decideUnable(transaction) : "AAC";
  return { ask, responseCode: ask === "TC" ? "Y3" : "Z3" };
}

const AUTHENTICATION_DATA_BYTES = { min: 8, max: 16 } as const;

/**
 * EXTERNAL AUTHENTICATE for a card that has it (10.9); any other card finds the issuer's data through CDOL2. A failure is no end:
 * the card is told in the TVR, and decides.
 */
function* authenticateIssuer(transaction: Transaction, data: Uint8Array | undefined): Kernel<void> {
  const { aip, tvr, tsi, values } = transaction;
  // An object of length zero counts as absent (5.2).
  if (!data || data.length === 0) return;
  values.set(0x91, data);
  if (!hasBit(aip, AIP.issuerAuthentication)) return;
  if (data.length < AUTHENTICATION_DATA_BYTES.min || data.length > AUTHENTICATION_DATA_BYTES.max) {
    setBit(tvr, TVR.issuerAuthenticationFailed);
    report(transaction, "issuer-authentication", "the issuer's data fit no command");
    return;
  }
  const { status } = yield* send(externalAuthenticateCommand(data));
  const held = status === STATUS.ok;
  setBit(tsi, TSI.issuerAuthenticationPerformed);
  if (!held) setBit(tvr, TVR.issuerAuthenticationFailed);
  report(transaction, "issuer-authentication", held ? "the card knows its issuer" : "the card does not accept it");
}
