/** The hub's store in one SQLite file: each call is synchronous below, so a transaction costs no more than its statements. */
import type { Statement as Prepared } from "better-sqlite3";
import { assert } from "../../base/assert.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import type { HubStore, Parameters, Reading, SqlText, Statement, Within } from "./store.ts";
import { createTurn } from "./turn.ts";

/** Takes the open database over, and closes it with itself. */
export function sqliteStore(database: Sqlite): HubStore {
  const turn = createTurn();
  const connection = connectionTo(database);
  const [begin, commit, rollback] = [
    database.prepare("BEGIN IMMEDIATE"),
    database.prepare("COMMIT"),
    database.prepare("ROLLBACK"),
  ] as const;

  async function transact<T>(work: (within: Within) => Promise<T>): Promise<T> {
    begin.run();
    try {
      const result = await whileOpen(connection, work);
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
    read: (work) => turn(() => whileOpen(connection, work)),
    async [Symbol.asyncDispose]() {
      await turn(() => Promise.resolve(database.close()));
    },
  };
}

/** Ends with the work: what it left running finds no transaction that is another's. */
async function whileOpen<T>(connection: Within, work: (within: Within) => Promise<T>): Promise<T> {
  let open = true;
  const use = (): Within => {
    assert(open, "a transaction was used after its end");
    return connection;
  };
  const within: Within = {
    get: async (statement, parameters) => await use().get(statement, parameters),
    all: async (statement, parameters) => await use().all(statement, parameters),
    run: async (statement, parameters) => await use().run(statement, parameters),
    savepoint: async (inner) => await use().savepoint(inner),
  };
  try {
    return await work(within);
  } finally {
    open = false;
  }
}

function connectionTo(database: Sqlite): Within {
  const prepared = new WeakMap<object, Prepared<unknown[]>>();
  function prepare(statement: SqlText): Prepared<unknown[]> {
    const known = prepared.get(statement);
    if (known) return known;
    const made = database.prepare<unknown[]>(statement.text);
    if (statement.wide) made.safeIntegers(true);
    prepared.set(statement, made);
    return made;
  }
  const reading: Reading = {
    get: async <P extends Parameters, Row>(statement: Statement<P, Row>, parameters: P) =>
      prepare(statement).get(...given(parameters)) as Row | undefined,
    all: async <P extends Parameters, Row>(statement: Statement<P, Row>, parameters: P) =>
      prepare(statement).all(...given(parameters)) as Row[],
  };
  return {
    ...reading,
    run: async (statement, parameters) => prepare(statement).run(...given(parameters)).changes,
    ...savepoints(database),
  };
}

function savepoints(database: Sqlite): Pick<Within, "savepoint"> {
  const [set, release, rollback] = [
    database.prepare("SAVEPOINT part"),
    database.prepare("RELEASE part"),
    database.prepare("ROLLBACK TO part"),
  ] as const;
  return {
    async savepoint(work) {
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

const given = (parameters: Parameters): readonly unknown[] => (Array.isArray(parameters) ? parameters : [parameters]);
