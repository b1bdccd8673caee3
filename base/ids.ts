/** Identifiers: brands, their form, and how fresh ones are made from injected chance. */
import { randomBytes } from "node:crypto";
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
export const systemRandom: RandomBytes = (length) => new Uint8Array(randomBytes(length));

const EPOCH_BYTES = 8;
export const newEpoch = (random: RandomBytes): Epoch => toHex(random(EPOCH_BYTES)) as Epoch;

const MESSAGE_ID_BYTES = 12;
/** The idempotency key of one message: 24 hex digits. */
export const newMessageId = (random: RandomBytes): string => toHex(random(MESSAGE_ID_BYTES));
