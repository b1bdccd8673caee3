/** What a terminal's type says about it, tag 9F35 (Book 4, Annex A1). */

/** The second digit: 1 to 3 attended, 4 to 6 unattended; of each, online only, offline with online capability, offline only. */
const environment = (type: number): number => type & 0x0f;

export const isAttended = (type: number): boolean => environment(type) >= 1 && environment(type) <= 3;
export const isOnlineOnly = (type: number): boolean => environment(type) === 1 || environment(type) === 4;
export const isOfflineOnly = (type: number): boolean => environment(type) === 3 || environment(type) === 6;

/** Run by a financial institution, unattended, and giving out cash (Book 4, Annex A1). */
export const isAtm = (terminal: { readonly type: number; readonly paysCash: boolean }): boolean =>
  terminal.paysCash && terminal.type >= 0x14 && terminal.type <= 0x16;

/** The first digits of the ISO 8583:1987 processing code, tag 9C. */
export const TRANSACTION_TYPE = { purchase: 0x00, cash: 0x01, purchaseWithCashback: 0x09, refund: 0x20 } as const;

/** Goods or services with cash on top (Book 3, 10.4.2 and Annex C3). */
export const hasCashback = (settings: { readonly type: number; readonly otherMinor: bigint }): boolean =>
  settings.type === TRANSACTION_TYPE.purchaseWithCashback ||
  (settings.type === TRANSACTION_TYPE.purchase && settings.otherMinor > 0n);
