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
  return {
    kind: "sqlite",
    transaction: (work) => turn(() => transact(database, connection, work)),
    read: (work) => turn(() => whileOpen(connection, work)),
    async [Symbol.asyncDispose]() {
      await turn(() => Promise.resolve(database.close()));
    },
  };
}

async function transact<T>(database: Sqlite, connection: Within, work: (within: Within) => Promise<T>): Promise<T> {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = await whileOpen(connection, work);
    database.exec("COMMIT");
    return result;
  } catch (error) {
    // SQLite itself has rolled back after some errors.
    if (database.inTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

/** Ends with the work: what it left running finds no transaction that is another's. */
async function whileOpen<T>(connection: Within, work: (within: Within) => Promise<T>): Promise<T> {
  let open = true;
  const check = () => assert(open, "a transaction was used after its end");
  const within: Within = {
    get(statement, parameters) {
      check();
      return connection.get(statement, parameters);
    },
    all(statement, parameters) {
      check();
      return connection.all(statement, parameters);
    },
    run(statement, parameters) {
      check();
      return connection.run(statement, parameters);
    },
    savepoint(inner) {
      check();
      return connection.savepoint(inner);
    },
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
    async savepoint(work) {
      database.exec("SAVEPOINT part");
      try {
        const result = await work();
        database.exec("RELEASE part");
        return result;
      } catch (error) {
        if (database.inTransaction) database.exec("ROLLBACK TO part; RELEASE part");
        throw error;
      }
    },
  };
}

const given = (parameters: Parameters): readonly unknown[] => (Array.isArray(parameters) ? parameters : [parameters]);
