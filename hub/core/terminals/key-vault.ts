/**
 * Keeps the keys of terminals' card tokens under a seal of the hub's own: with one of them and the tokens beside it, a copied
 * database would give every card's number by trial.
 */
import { hkdfSync } from "node:crypto";
import type { RandomBytes, TerminalId } from "../../../base/ids.ts";
import { open, seal } from "../../../protocols/card-verification/cryptography.ts";
import type { Within } from "../../store/store.ts";
import { type TerminalRow, terminalStore } from "./store.ts";

export interface KeyVault {
  seal(id: TerminalId, key: Uint8Array): Uint8Array;
  /** Undefined when it was sealed with another key of the hub, or for another terminal. */
  open(row: Pick<TerminalRow, "id" | "cardTokenKey">): Uint8Array | undefined;
  /** Seals what an earlier version left bare. */
  sealBare(within: Within): Promise<void>;
}

export interface KeyVaultOptions {
  readonly random: RandomBytes;
  /** 32 bytes, from a file of the hub's own. */
  readonly tokenKey: Uint8Array;
}

const KEY_BYTES = 32;
const PURPOSE = "tillway terminals: keys of card tokens";

export function createKeyVault({ random, tokenKey }: KeyVaultOptions): KeyVault {
  const key = new Uint8Array(hkdfSync("sha256", tokenKey, "", PURPOSE, KEY_BYTES));
  const boundTo = (id: TerminalId) => Buffer.from(id, "utf8");
  const sealKey = (id: TerminalId, plain: Uint8Array) => seal({ key, plain, boundTo: boundTo(id), random });
  return {
    seal: sealKey,
    open: ({ id, cardTokenKey }) => open({ key, sealed: cardTokenKey, boundTo: boundTo(id) }),
    async sealBare(within) {
      for (const { id, cardTokenKey } of await terminalStore.all(within))
        if (cardTokenKey.length === KEY_BYTES)
          await terminalStore.setCardTokenKey(within, id, sealKey(id, cardTokenKey));
    },
  };
}
