/** The ledger: double entry with repeat recognition. The only part that moves money. */
export { ledgerMigrations } from "./schema.ts";
export { createLedger, type Ledger } from "./service.ts";
export type { Account, NewAccount, NewTransfer, Transfer, TransferStatus } from "./types.ts";
