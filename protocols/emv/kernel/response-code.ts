/** Authorisation Response Code, tag 8A: the issuer's, or the terminal's own (Book 4, Annex A6). */
import { assert } from "../../../base/assert.ts";
import type { Transaction } from "./kernel.ts";

export function setResponseCode({ values }: Pick<Transaction, "values">, code: string): void {
  assert(/^[0-9A-Za-z]{2}$/.test(code), "a response code is two letters or digits");
  values.set(0x8a, new Uint8Array(Buffer.from(code, "latin1")));
}
