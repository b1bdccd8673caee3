/**
 * Keeps the keys of terminals' card tokens under a seal of the hub's own: with one of them and the tokens beside it, a copied
 * database would give every card's number by trial.
 */
import { hkdfSync } from "node:crypto";
import { Fault } from "../../../base/fault.ts";
import type { RandomBytes, TerminalId } from "../../../base/ids.ts";
import { type Sqlite, transaction } from "../../../base/sqlite.ts";
import { open, seal } from "../../../protocols/card-verification/cryptography.ts";
import type { createTerminalStore, TerminalRow } from "./store.ts";

export interface KeyVault {
  seal(id: TerminalId, key: Uint8Array): Uint8Array;
  /** Throws Fault `store.failed` when it was sealed with another key of the hub. */
  open(row: Pick<TerminalRow, "id" | "cardTokenKey">): Uint8Array;
}

export interface KeyVaultOptions {
  readonly database: Sqlite;
  readonly random: RandomBytes;
  /** 32 bytes, from a file of the hub's own. */
  readonly tokenKey: Uint8Array;
}

const KEY_BYTES = 32;
const PURPOSE = "tillway terminals: keys of card tokens";

/** Seals what an earlier version left bare. */
export function createKeyVault(
  { database, random, tokenKey }: KeyVaultOptions,
  store: Pick<ReturnType<typeof createTerminalStore>, "all" | "setCardTokenKey">,
): KeyVault {
  const key = new Uint8Array(hkdfSync("sha256", tokenKey, "", PURPOSE, KEY_BYTES));
  const boundTo = (id: TerminalId) => Buffer.from(id, "utf8");
  const vault: KeyVault = {
    seal: (id, plain) => seal({ key, plain, boundTo: boundTo(id), random }),
    open({ id, cardTokenKey }) {
      const plain = open({ key, sealed: cardTokenKey, boundTo: boundTo(id) });
      if (plain) return plain;
      throw new Fault(
        "store.failed",
        `terminal ${id} was enrolled under another token key of this hub; restore its keys`,
      );
    },
  };
  const bare = store.all().filter(({ cardTokenKey }) => cardTokenKey.length === KEY_BYTES);
  if (bare.length > 0) {
    transaction(database, () => {
      for (const { id, cardTokenKey } of bare) store.setCardTokenKey(id, vault.seal(id, cardTokenKey));
    });
  }
  return vault;
}
