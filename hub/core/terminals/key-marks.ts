/**
 * Holds the hub to the keys that its books were begun with: under another token key every card would have another token and
 * no sale would find its account, and terminals believe nothing that another signing key signed.
 */
import { createHmac, hash, type KeyObject } from "node:crypto";
import { Fault } from "../../../base/fault.ts";
import { publicKeyText } from "../../../wire/signing.ts";
import { sql, type Within } from "../../store/store.ts";

export interface MarkedKeys {
  readonly signing: { readonly publicKey: KeyObject };
  readonly tokenKey: Uint8Array;
}

const NOTE = sql<[string, string]>(
  "INSERT INTO terminals__key_mark (name, mark) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
);
const GET = sql<[string], { mark: string }>("SELECT mark FROM terminals__key_mark WHERE name = ?");

/** The first keys are noted; each of a later start must be the same. Throws Fault `identity.invalid`. */
export async function holdToKeys(within: Within, { signing, tokenKey }: MarkedKeys): Promise<void> {
  const marks = {
    "token.key": createHmac("sha256", tokenKey).update("tillway/v1/key-mark").digest("hex"),
    "signing.key": hash("sha256", publicKeyText(signing.publicKey), "hex"),
  };
  for (const [name, mark] of Object.entries(marks)) {
    await within.run(NOTE, [name, mark]);
    if ((await within.get(GET, [name]))?.mark === mark) continue;
    throw new Fault("identity.invalid", `these books were written under another ${name}; restore keys/${name}`);
  }
}
