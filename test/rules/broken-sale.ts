/** Has the hub break on `sale-3` of terminal T1 once its `sale-2` is posted, over either store: their transfers may not both be. */
import { type HubStore, sql } from "../../hub/store/store.ts";

const BREAK = sql<[]>(
  "CREATE UNIQUE INDEX broken ON ledger__transfer (code) WHERE id >= 'T1/sale-2/' AND id < 'T1/sale-4/'",
);
const MEND = sql<[]>("DROP INDEX broken");

export const breakSale = (store: HubStore) => store.transaction((within) => within.run(BREAK, []));
export const mendSale = (store: HubStore) => store.transaction((within) => within.run(MEND, []));
