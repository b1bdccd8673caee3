/**
 * Terminal risk management (Book 3, 10.6; Book 4, 6.3.5): exception file, the merchant's wish to go online, floor limit, random
 * selection and velocity. It runs for every card; the bit of the AIP that asks for it changes nothing.
 */
import { toHex } from "../../../base/bytes.ts";
import { setBit, TSI, TVR } from "../bits.ts";
import { decodeCompressed } from "../numeric.ts";
import { readable } from "./dialogue.ts";
import type { Transaction } from "./kernel.ts";
import { isOfflineOnly, isOnlineOnly } from "./terminal-type.ts";

/** What GET DATA gave; absent when the card does not tell. */
export interface AtcRegisters {
  /** Application Transaction Counter, tag 9F36. */
  readonly atc?: number;
  /** Last Online ATC Register, tag 9F13. */
  readonly lastOnlineAtc?: number;
}

export function manageRisk(transaction: Transaction, registers: AtcRegisters): void {
  const { tvr, tsi, settings } = transaction;
  if (isOnExceptionFile(transaction)) setBit(tvr, TVR.onExceptionFile);
  if (settings.forceOnline) setBit(tvr, TVR.merchantForcedOnline);
  if (reachesFloorLimit(transaction)) setBit(tvr, TVR.floorLimitExceeded);
  if (isSelectedAtRandom(transaction)) setBit(tvr, TVR.randomlySelected);
  checkVelocity(transaction, registers);
  setBit(tsi, TSI.terminalRiskManagementPerformed);
}

/**
 * Asks for what the terminal knows of this card as soon as its number is there: the terminal answers the same when risk is
 * managed, and has what it had to work out for it.
 */
export function lookUpEarly({ values, terminal }: Pick<Transaction, "values" | "terminal">): boolean {
  const pan = values.get(0x5a);
  // A number that is none ends the transaction when the records are checked.
  if (pan !== undefined) readable(() => terminal.spentBefore?.(decodeCompressed(pan)));
  return pan !== undefined;
}

/** Velocity checking needs the card's registers: both limits are there (10.6.3). */
export const wantsAtcRegisters = ({ values }: Pick<Transaction, "values">): boolean =>
  values.has(LOWER_LIMIT) && values.has(UPPER_LIMIT);

const LOWER_LIMIT = 0x9f14;
const UPPER_LIMIT = 0x9f23;

function isOnExceptionFile({ values, terminal }: Transaction): boolean {
  const pan = values.get(0x5a);
  const sequenceNumber = values.get(0x5f34);
  return (
    pan !== undefined &&
    terminal.onExceptionFile(decodeCompressed(pan), sequenceNumber === undefined ? undefined : toHex(sequenceNumber))
  );
}

/** 10.6.1: this sale and what the same card already owes here, so that an amount is not split under the limit. */
function reachesFloorLimit({ settings, application, terminal, values }: Transaction): boolean {
  const pan = values.get(0x5a);
  const spent = pan === undefined ? undefined : terminal.spentBefore?.(decodeCompressed(pan));
  return settings.amountMinor + settings.alreadySpentMinor + (spent ?? 0n) >= BigInt(application.floorLimitMinor);
}

/** 10.6.2, in whole numbers. Only where there is a choice between offline and online. */
function isSelectedAtRandom({ settings, application, terminal }: Transaction): boolean {
  if (isOnlineOnly(terminal.type) || isOfflineOnly(terminal.type)) return false;
  const amount = settings.amountMinor;
  const percent = BigInt(settings.randomPercent);
  const floor = BigInt(application.floorLimitMinor);
  const threshold = BigInt(application.random.thresholdMinor);
  const target = BigInt(application.random.targetPercent);
  if (amount >= floor) return false;
  if (amount < threshold) return percent <= target;
  const rise = BigInt(application.random.maxTargetPercent) - target;
  return percent * (floor - threshold) <= rise * (amount - threshold) + target * (floor - threshold);
}

/** 10.6.3. A card that hides a register (7.5), or whose counter has not moved on, has both limits exceeded. */
function checkVelocity(transaction: Transaction, { atc, lastOnlineAtc }: AtcRegisters): void {
  if (!wantsAtcRegisters(transaction)) return;
  const { tvr, values } = transaction;
  if (lastOnlineAtc === 0) setBit(tvr, TVR.newCard);
  if (atc === undefined || lastOnlineAtc === undefined) setBit(tvr, TVR.iccDataMissing);
  const known = atc !== undefined && lastOnlineAtc !== undefined && atc > lastOnlineAtc;
  const offline = known ? atc - lastOnlineAtc : Number.POSITIVE_INFINITY;
  if (offline <= (values.get(LOWER_LIMIT)?.[0] ?? 0)) return;
  setBit(tvr, TVR.lowerConsecutiveExceeded);
  if (offline > (values.get(UPPER_LIMIT)?.[0] ?? 0)) setBit(tvr, TVR.upperConsecutiveExceeded);
}
