/**
 * Where the hub keeps things: SQLite on one machine, PostgreSQL for many. One writer at a time, whichever it is, so that
 * what reads well within a transaction is true until it ends.
 */
import { assert } from "../../base/assert.ts";

/** What a column holds. Integers come as numbers, or as bigint where the statement is `wide`. */
export type Value = string | number | bigint | Uint8Array | null;
/** By position for `?`, by name for `@name`; a statement has the one or the other. */
export type Parameters = readonly Value[] | Readonly<Record<string, Value>>;

/** Made once, where the module is; each connection prepares it once. */
export interface SqlText {
  readonly text: string;
  readonly wide: boolean;
  /** Names in the order in which they first stand in the text; empty for positions. */
  readonly names: readonly string[];
}

export interface Statement<P extends Parameters, Row> extends SqlText {
  /** Carries the types; never there. */
  readonly typed?: (parameters: P) => Row;
}

/**
 * SQL that both databases take: no functions and no clauses of one alone. Columns are named in camelCase by `AS`; sums of
 * integers, and a parameter that is compared with NULL alone, are CAST to BIGINT or TEXT.
 */
export function sql<P extends Parameters, Row = never>(text: string): Statement<P, Row> {
  return { text, wide: false, names: namesIn(text) };
}

/** The same, with its integers as bigint: for money. */
export function wideSql<P extends Parameters, Row = never>(text: string): Statement<P, Row> {
  return { text, wide: true, names: namesIn(text) };
}

const NAMES = /@([a-z]\w*)/gi;
function namesIn(text: string): readonly string[] {
  const names = [...new Set([...text.matchAll(NAMES)].map(([, name = ""]) => name))];
  assert(names.length === 0 || !text.includes("?"), `a statement has names or positions: ${text}`);
  return names;
}

/** PostgreSQL keeps no U+0000 in a text, which a stranger may send: in either store it stands as the character for what cannot be shown. */
export const storable = (value: Value): Value =>
  typeof value === "string" && value.includes("\0") ? value.replaceAll("\0", "\uFFFD") : value;

/** Reading, within a transaction. */
export interface Reading {
  get<P extends Parameters, Row>(statement: Statement<P, Row>, parameters: P): Promise<Row | undefined>;
  all<P extends Parameters, Row>(statement: Statement<P, Row>, parameters: P): Promise<readonly Row[]>;
}

/** A transaction in progress. It ends with the work that it was given to; using it later is a mistake of the caller. */
export interface Within extends Reading {
  /** How many rows it changed. */
  run<P extends Parameters>(statement: Statement<P, unknown>, parameters: P): Promise<number>;
  /** A throw undoes what `work` did, and is thrown on. */
  savepoint<T>(work: () => Promise<T>): Promise<T>;
}

export type StoreKind = "sqlite" | "postgres";

export interface HubStore extends AsyncDisposable {
  readonly kind: StoreKind;
  /**
   * All or nothing, one at a time over all replicas of the hub; `work` waits for nothing but `within`. Resolves when the
   * commit is durable. Throws what `work` threw; Fault `queue.full`; or an error that `isStoreFailure` knows, after which
   * it may have been done or not: what is done must bear repetition.
   */
  transaction<T>(work: (within: Within) => Promise<T>): Promise<T>;
  /** What was committed before, at one moment. */
  read<T>(work: (reading: Reading) => Promise<T>): Promise<T>;
}
