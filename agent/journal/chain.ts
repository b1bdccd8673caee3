/**
 * Reads entries back in order and checks that each fits the one before it. Rows come as bare columns and their text is
 * only read as JSON: a hash that fits says that this program wrote it, and checked it then.
 */
import { hash } from "node:crypto";
import type { Epoch, TerminalId } from "../../base/ids.ts";
import {
  type EntryBody,
  EntryBodySchema,
  GENESIS_HASH,
  hashEntry,
  type StoredEntry,
} from "../../wire/journal-entry.ts";
import { heldBy } from "./entry-rows.ts";

export interface ChainError {
  readonly sequence: number;
  readonly why: string;
}

/** Whose chain it is: part of every hash. */
export interface ChainOwner {
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
}

/** An entry that the next one follows. */
export interface Anchor {
  readonly sequence: number;
  /** The newest forward number up to it; -1 where it is not known. */
  readonly forward: number;
  readonly hash: string;
}

export const FROM_GENESIS: Anchor = { sequence: 0, hash: GENESIS_HASH, forward: 0 };

/** sequence, forward, payment, kind, previous hash, hash, digest of sealed data, types of these three, held, text. */
export type ChainRow = readonly [
  sequence: number,
  forward: number | null,
  paymentId: string,
  kind: string,
  previousHash: string,
  hash: string,
  sealedDigest: string,
  types: string,
  held: number | null,
  text: unknown,
];

/** In hex, which is read several times faster than as buffers. `held` is the column's name, or NULL where there is none. */
export const chainColumns = (held: "e.held" | "NULL"): string =>
  `e.sequence, e.forward, e.payment_id, e.kind, lower(hex(e.previous_hash)), lower(hex(e.hash)),
   coalesce(lower(hex(e.sealed_digest)), ''), typeof(e.previous_hash) || typeof(e.hash) || typeof(e.sealed_digest), ${held}, e.text`;

const TYPES: ReadonlySet<string> = new Set(["blobblobnull", "blobblobblob"]);
const KINDS: ReadonlySet<string> = new Set(EntryBodySchema.options.map(({ shape }) => shape.kind.value));

export interface WalkOptions {
  /** What comes before the first row; undefined where the walk starts in the middle. */
  readonly before?: Anchor;
  /** Sees every entry that fits. */
  readonly onEntry?: (body: EntryBody, sequence: number) => void;
  /** Rows of a schema that had no column `held`. */
  readonly withoutHeld?: true;
}

export class ChainWalk {
  readonly #owner: ChainOwner;
  readonly #options: WalkOptions;
  #last: Anchor | undefined;
  #entries = 0;

  constructor(owner: ChainOwner, options: WalkOptions) {
    this.#owner = owner;
    this.#options = options;
    this.#last = options.before;
  }

  get last(): Anchor | undefined {
    return this.#last;
  }

  get entries(): number {
    return this.#entries;
  }

  /** What is wrong with the next row, if anything. */
  take(row: ChainRow): ChainError | undefined {
    const [sequence, forward] = row;
    const before = this.#last;
    const wrong = (why: string): ChainError => ({ sequence, why });
    if (before && sequence !== before.sequence + 1) return wrong(`follows entry ${before.sequence}: some are missing`);
    if (before && row[4] !== before.hash) return wrong("does not follow from the entry before it");
    if (before && before.forward >= 0 && forward !== null && forward !== before.forward + 1) {
      return wrong(`has forward number ${forward} after ${before.forward}`);
    }
    const body = entryFits(row, this.#owner, this.#options);
    if (typeof body === "string") return wrong(body);
    this.#last = { sequence, hash: row[5], forward: forward ?? before?.forward ?? -1 };
    this.#entries += 1;
    this.#options.onEntry?.(body, sequence);
    return undefined;
  }
}

/** What the row says if its hash covers it and its columns repeat its text, else what is wrong with it. */
export function entryFits(
  row: ChainRow,
  owner: ChainOwner,
  options: Pick<WalkOptions, "withoutHeld">,
): EntryBody | string {
  const [sequence, forward, paymentId, kind, previousHash, own, sealedDigest, types, held, text] = row;
  if (typeof text !== "string" || !TYPES.has(types)) return "holds values of a wrong type";
  const place = { sequence, forward: forward ?? undefined, previousHash, sealedDigest };
  if (hashEntry({ ...owner, ...place, text }) !== own) return "was changed after it was written";
  try {
    // The hash vouches for the form; a reader of money goes through the schema again.
    const body = JSON.parse(text) as EntryBody;
    if (!KINDS.has(body.kind)) return "is of unknown form";
    if (body.paymentId !== paymentId || body.kind !== kind) return "lies in its table under another payment or kind";
    const holds = forward === null ? undefined : heldBy(body);
    if (options.withoutHeld !== true && (holds ?? null) !== held) return "holds another amount against the lease";
    return body;
  } catch {
    return "is of unknown form";
  }
}

/** Whether sealed data are what their entry's digest says; `sealed` as they lie in the table. */
export const sealedFits = (digest: string, sealed: unknown): boolean =>
  digest === "" ? sealed === null : sealed instanceof Uint8Array && hash("sha256", sealed, "hex") === digest;

export const storedOf = (row: ChainRow): StoredEntry => ({
  sequence: row[0],
  ...(row[1] === null ? {} : { forward: row[1] }),
  previousHash: row[4],
  hash: row[5],
  ...(row[6] === "" ? {} : { sealedDigest: row[6] }),
  text: String(row[9]),
});
