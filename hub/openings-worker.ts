/**
 * A thread that does the key agreement of sealed card data ahead, so that the thread which commits need not. It holds the
 * private keys that it is given, and never sees what is sealed.
 */
import type { KeyObject } from "node:crypto";
import { parentPort } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import { deriveCardOpening } from "../wire/card-data.ts";
import { OPENING_BYTES } from "../wire/hpke.ts";

/** Keys come once each, before the first question that needs them. */
export type ToWorker =
  | { readonly keyId: string; readonly privateKey: KeyObject }
  | { readonly id: number; readonly seals: readonly { readonly keyId: string; readonly enc: string }[] };

/** One slot for each seal, all zero where there is no opening. */
export interface FromWorker {
  readonly id: number;
  readonly openings: Uint8Array;
}

const port = parentPort;
assert(port !== null, "this file runs as a thread");
const keys = new Map<string, KeyObject>();

port.on("message", (message: ToWorker) => {
  if ("privateKey" in message) {
    keys.set(message.keyId, message.privateKey);
    return;
  }
  const { id, seals } = message;
  const openings = new Uint8Array(seals.length * OPENING_BYTES);
  for (const [index, { keyId, enc }] of seals.entries()) {
    const opening = openingOf(keyId, enc);
    if (opening) openings.set(opening, index * OPENING_BYTES);
  }
  port.postMessage({ id, openings } satisfies FromWorker, [openings.buffer]);
});

/** Undefined where it fails: whoever opens the seal then tries again and says why. */
function openingOf(keyId: string, enc: string): Uint8Array | undefined {
  const key = keys.get(keyId);
  try {
    return key && deriveCardOpening(key, enc);
  } catch {
    return undefined;
  }
}
