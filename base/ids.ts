/** Identifiers: brands, their form, and how fresh ones are made from injected chance. */
import { randomBytes, randomFillSync } from "node:crypto";
import { toHex } from "./bytes.ts";

declare const brand: unique symbol;
type Brand<Name extends string> = string & { readonly [brand]: Name };

export type TerminalId = Brand<"TerminalId">;
/** Owned by the caller: made before the card step, the same on every repeat. */
export type PaymentId = Brand<"PaymentId">;
/** New for every journal file, so that a copied or restored disk shows itself. */
export type Epoch = Brand<"Epoch">;

/** What terminal, payment and other outside identifiers look like; safe in topics, paths and file names. */
export const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Random bytes from the operating system, or from a seed in a simulation. */
export type RandomBytes = (length: number) => Uint8Array;

/** Small draws come out of one larger, so that a sale does not go to the operating system for each of them. */
const POOL_BYTES = 512;
const POOLED_BYTES_MAX = 16;
const pool = new Uint8Array(POOL_BYTES);
let drawn = POOL_BYTES;

export const systemRandom: RandomBytes = (length) => {
  if (length > POOLED_BYTES_MAX) return new Uint8Array(randomBytes(length));
  if (drawn + length > POOL_BYTES) {
    randomFillSync(pool);
    drawn = 0;
  }
  const bytes = pool.slice(drawn, drawn + length);
  // What was given out stays nowhere else.
  pool.fill(0, drawn, drawn + length);
  drawn += length;
  return bytes;
};

const EPOCH_BYTES = 8;
export const newEpoch = (random: RandomBytes): Epoch => toHex(random(EPOCH_BYTES)) as Epoch;

const MESSAGE_ID_BYTES = 12;
/** The idempotency key of one message: 24 hex digits. */
export const newMessageId = (random: RandomBytes): string => toHex(random(MESSAGE_ID_BYTES));
