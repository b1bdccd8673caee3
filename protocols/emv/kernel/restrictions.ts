/** Processing restrictions: whether card and terminal fit this transaction at all (Book 3, 10.4). Refusing nothing, it sets TVR byte 2. */
import { sameBytes, toHex } from "../../../base/bytes.ts";
import { ADDITIONAL_TERMINAL_CAPABILITIES, AUC, type Bit, hasBit, setBit, TVR } from "../bits.ts";
import type { Day } from "../oda/keys.ts";
import type { Transaction } from "./kernel.ts";
import { hasCashback, isAtm, TRANSACTION_TYPE } from "./terminal-type.ts";

export function applyRestrictions(transaction: Transaction): void {
  const { values, tvr, application, settings } = transaction;
  const version = values.get(0x9f08);
  if (version && !sameBytes(version, application.version)) setBit(tvr, TVR.versionsDiffer);
  if (!usageAllowed(transaction)) setBit(tvr, TVR.serviceNotAllowed);
  const today = dayNumber(settings.today);
  const [effective, expiration] = [values.get(0x5f25), values.get(0x5f24)];
  // A date that is none proves nothing: the comparison with NaN is false, and the bit is set.
  if (effective && !(dateNumber(effective) <= today)) setBit(tvr, TVR.notYetEffective);
  if (!expiration || !(today <= dateNumber(expiration))) setBit(tvr, TVR.expired);
}

/** 10.4.2. An issuer without usage control, or without a country to tell home from abroad, restricts nothing by it. */
function usageAllowed({ values, terminal, settings }: Transaction): boolean {
  const usage = values.get(0x9f07);
  if (!usage) return true;
  const paysCash = hasBit(terminal.additionalCapabilities, ADDITIONAL_TERMINAL_CAPABILITIES.cash);
  if (!hasBit(usage, isAtm({ type: terminal.type, paysCash }) ? AUC.atms : AUC.notAtms)) return false;
  const issuerCountry = values.get(0x5f28);
  if (!issuerCountry) return true;
  const services = sameBytes(issuerCountry, terminal.countryCode) ? DOMESTIC : INTERNATIONAL;
  return requested(terminal.additionalCapabilities, settings).every((any) =>
    any.some((service) => hasBit(usage, services[service])),
  );
}

type Service = "cash" | "goods" | "services" | "cashback";
const DOMESTIC: Readonly<Record<Service, Bit>> = {
  cash: AUC.domesticCash,
  goods: AUC.domesticGoods,
  services: AUC.domesticServices,
  cashback: AUC.domesticCashback,
};
const INTERNATIONAL: Readonly<Record<Service, Bit>> = {
  cash: AUC.internationalCash,
  goods: AUC.internationalGoods,
  services: AUC.internationalServices,
  cashback: AUC.internationalCashback,
};

/** Of each list one service must be allowed: the transaction type does not tell goods from services, only the terminal may. */
function requested(capabilities: Uint8Array, settings: Transaction["settings"]): readonly (readonly Service[])[] {
  if (settings.type === TRANSACTION_TYPE.cash) return [["cash"]];
  if (settings.type !== TRANSACTION_TYPE.purchase && !hasCashback(settings)) return [];
  const sold = (["goods", "services"] as const).filter((kind) =>
    hasBit(capabilities, ADDITIONAL_TERMINAL_CAPABILITIES[kind]),
  );
  const purchase = sold.length > 0 ? sold : (["goods", "services"] as const);
  return hasCashback(settings) ? [purchase, ["cashback"]] : [purchase];
}

const dayNumber = ({ year, month, day }: Day): number => (year * 100 + month) * 100 + day;

/** Years below it are of this century (Book 4, 6.7.3). */
const CENTURY_TURN = 50;

/** YYMMDD, comparable with `dayNumber`; NaN when it is no date. */
function dateNumber(bytes: Uint8Array): number {
  const found = /^(\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$/.exec(toHex(bytes));
  if (!found) return Number.NaN;
  const [year, month, day] = found.slice(1).map(Number) as [number, number, number];
  return dayNumber({ year: year < CENTURY_TURN ? 2000 + year : 1900 + year, month, day });
}
