/**
 * The recorded dialogues of this terminal's cards, in `dialogues.db`: each sealed to the hub's key, with the masked view
 * that people may see (RM6). Not money: beside the journal, bounded, and a write that fails harms no sale.
 */
import { Fault } from "../../base/fault.ts";
import type { PaymentId } from "../../base/ids.ts";
import { type Migration, openSqlite, type Sqlite } from "../../base/sqlite.ts";
import { SealedCardDataSchema } from "../../wire/card-data.ts";
import type { DialogueFile } from "../../wire/card-dialogue.ts";
import { parseJson } from "../../wire/signing.ts";

/** The newest are kept, the oldest go. */
export const DIALOGUES_MAX = 1_000;

export type KeptDialogue = Pick<DialogueFile, "paymentId" | "at" | "masked" | "sealed">;

interface DialogueRow {
  readonly at: string;
  readonly masked: string;
  readonly sealed: string;
}

const MIGRATIONS: readonly Migration[] = [
  {
    id: "dialogue-1",
    sql: `CREATE TABLE dialogue__card (
      number INTEGER PRIMARY KEY,
      payment_id TEXT NOT NULL UNIQUE,
      at TEXT NOT NULL,
      masked TEXT NOT NULL,
      sealed TEXT NOT NULL
    ) STRICT;`,
  },
];

export class DialogueStore implements Disposable {
  readonly #path: string;
  /** Opened when first needed: a start waits for money alone. */
  #opened: ReturnType<typeof open> | undefined;
  #closed = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** Throws the store's Faults, and `store.failed` once it is closed. */
  keep({ paymentId, at, masked, sealed }: KeptDialogue): void {
    const { insert, trim } = this.#database();
    const { lastInsertRowid } = insert.run(paymentId, at, masked, JSON.stringify(sealed));
    trim.run(Number(lastInsertRowid) - DIALOGUES_MAX);
  }

  get(paymentId: PaymentId): KeptDialogue | undefined {
    const row = this.#database().find.get(paymentId);
    if (!row) return undefined;
    const sealed = SealedCardDataSchema.parse(parseJson(row.sealed));
    return { paymentId, at: row.at, masked: row.masked, sealed };
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#opened?.database.close();
    this.#opened = undefined;
  }

  #database(): ReturnType<typeof open> {
    if (this.#closed) throw new Fault("store.failed", `${this.#path} is closed`);
    this.#opened ??= open(this.#path);
    return this.#opened;
  }
}

function open(path: string) {
  // Sales stand still while a lock is waited for, and no dialogue is worth that.
  const database: Sqlite = openSqlite(path, { migrations: MIGRATIONS, busyTimeoutMs: 0 });
  return {
    database,
    insert: database.prepare(
      `INSERT INTO dialogue__card (payment_id, at, masked, sealed) VALUES (?, ?, ?, ?)
       ON CONFLICT (payment_id) DO UPDATE SET at = excluded.at, masked = excluded.masked, sealed = excluded.sealed`,
    ),
    trim: database.prepare("DELETE FROM dialogue__card WHERE number <= ?"),
    find: database.prepare<[PaymentId], DialogueRow>(
      "SELECT at, masked, sealed FROM dialogue__card WHERE payment_id = ?",
    ),
  };
}
