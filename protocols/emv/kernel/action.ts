/** Terminal action analysis: what the terminal asks the card for, by the action codes of issuer and acquirer (Book 3, 10.7; RM13). */
import type { Tag } from "../ber-tlv.ts";
import type { CryptogramType } from "../commands.ts";
import type { ActionCodes, Transaction } from "./kernel.ts";
import { isOfflineOnly, isOnlineOnly } from "./terminal-type.ts";

/** For the first GENERATE AC. A terminal that can only go online asks no further than the denial codes, one that never can takes the default codes for online. */
export function decideFirst(transaction: Transaction): CryptogramType {
  const { type } = transaction.terminal;
  if (meets(transaction, "denial")) return "AAC";
  if (isOnlineOnly(type)) return "ARQC";
  if (isOfflineOnly(type)) return meets(transaction, "default") ? "AAC" : "TC";
  return meets(transaction, "online") ? "ARQC" : "TC";
}

/** For the second GENERATE AC after an ARQC whose answer never came. A terminal that can only go online approves nothing alone. */
export function decideUnable(transaction: Transaction): "TC" | "AAC" {
  if (isOnlineOnly(transaction.terminal.type)) return "AAC";
  return meets(transaction, "default") ? "AAC" : "TC";
}

interface IssuerActionCode {
  readonly tag: Tag;
  /** Every byte of the code that a card without it has (Book 3, 10.7; RM13). */
  readonly absent: number;
}
const ISSUER_ACTION_CODES: Readonly<Record<keyof ActionCodes, IssuerActionCode>> = {
  denial: { tag: 0x9f0e, absent: 0x00 },
  online: { tag: 0x9f0f, absent: 0xff },
  default: { tag: 0x9f0d, absent: 0xff },
};

/** Whether one bit of the TVR is also set in the issuer's or the terminal's code. */
function meets({ tvr, values, application }: Transaction, code: keyof ActionCodes): boolean {
  const { tag, absent } = ISSUER_ACTION_CODES[code];
  const issuer = values.get(tag);
  const terminal = application.actionCodes[code];
  return tvr.some((byte, at) => (byte & ((issuer ? (issuer[at] ?? absent) : absent) | (terminal[at] ?? 0))) !== 0);
}
