/** The ledger: double entry in TigerBeetle's published semantics. The only part that moves money. */
export { createLedger, type Ledger } from "./ledger.ts";
export { ledgerMigrations } from "./migrations.ts";
export type { Account, NewAccount, NewTransfer, Transfer } from "./model.ts";
export type { TransferStatus } from "./statuses.ts";
