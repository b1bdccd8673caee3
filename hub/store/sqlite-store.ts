/** The hub's store in one SQLite file: each call is synchronous below, so a transaction costs no more than its statements. */
import type { Statement as Prepared } from "better-sqlite3";
import { assert } from "../../base/assert.ts";
import { Fault } from "../../base/fault.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import {
  type HubStore,
  type Parameters,
  type SqlText,
  type Statement,
  storable,
  type Value,
  type Within,
} from "./store.ts";
import { createTurn } from "./turn.ts";

/** Takes the open database over, and closes it with itself. */
export function sqliteStore(database: Sqlite): HubStore {
  const turn = createTurn();
  const statements = createStatements(database);
  const [begin, commit, rollback] = [
    database.prepare("BEGIN IMMEDIATE"),
    database.prepare("COMMIT"),
    database.prepare("ROLLBACK"),
  ] as const;

  async function transact<T>(work: (within: Within) => Promise<T>): Promise<T> {
    begin.run();
    try {
      const result = await whileOpen(statements, (use) => work(withinOf(() => inTransaction(use()))));
      commit.run();
      return result;
    } catch (error) {
      // SQLite itself has rolled back after some errors.
      if (database.inTransaction) rollback.run();
      throw error;
    }
  }
  return {
    kind: "sqlite",
    transaction: (work) => turn(() => transact(work)),
    read: (work) => turn(() => whileOpen(statements, (use) => work(withinOf(use)))),
    async [Symbol.asyncDispose]() {
      await turn(() => Promise.resolve(database.close()));
    },
  };
}

/** Ends with the work: what it left running finds no transaction that is another's. */
async function whileOpen<T>(statements: Statements, work: (use: () => Statements) => Promise<T>): Promise<T> {
  let open = true;
  const use = (): Statements => {
    assert(open, "a transaction was used after its end");
    return statements;
  };
  try {
    return await work(use);
  } finally {
    open = false;
  }
}

/** After some errors SQLite has undone the transaction itself, and what was asked at the same time would be stored alone. */
function inTransaction(statements: Statements): Statements {
  if (statements.database.inTransaction) return statements;
  throw new Fault("store.failed", "SQLite undid the transaction after an error; do all of it again");
}

function withinOf(use: () => Statements): Within {
  return {
    get: async <P extends Parameters, Row>(statement: Statement<P, Row>, parameters: P) =>
      use()
        .prepared(statement)
        .get(...given(parameters)) as Row | undefined,
    all: async <P extends Parameters, Row>(statement: Statement<P, Row>, parameters: P) =>
      use()
        .prepared(statement)
        .all(...given(parameters)) as Row[],
    run: async (statement, parameters) =>
      use()
        .prepared(statement)
        .run(...given(parameters)).changes,
    async savepoint(work) {
      const { database, set, release, rollback } = use();
      set.run();
      try {
        const result = await work();
        release.run();
        return result;
      } catch (error) {
        if (database.inTransaction) {
          rollback.run();
          release.run();
        }
        throw error;
      }
    },
  };
}

interface Statements {
  readonly database: Sqlite;
  readonly set: Prepared<unknown[]>;
  readonly release: Prepared<unknown[]>;
  readonly rollback: Prepared<unknown[]>;
  prepared(statement: SqlText): Prepared<unknown[]>;
}

/** Each is prepared once. */
function createStatements(database: Sqlite): Statements {
  const prepared = new WeakMap<object, Prepared<unknown[]>>();
  return {
    database,
    set: database.prepare("SAVEPOINT part"),
    release: database.prepare("RELEASE part"),
    rollback: database.prepare("ROLLBACK TO part"),
    prepared(statement) {
      const known = prepared.get(statement);
      if (known) return known;
      const made = database.prepare<unknown[]>(statement.text);
      if (statement.wide) made.safeIntegers(true);
      prepared.set(statement, made);
      return made;
    },
  };
}

const given = (parameters: Parameters): readonly unknown[] =>
  isPositional(parameters) ? parameters.map(storable) : [named(parameters)];
const isPositional = (parameters: Parameters): parameters is readonly Value[] => Array.isArray(parameters);
const named = (parameters: Readonly<Record<string, Value>>): Record<string, Value> =>
  Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, storable(value)]));
