/**
 * The hub's store in PostgreSQL, for any number of replicas: one of them writes at a time, under an advisory lock that ends
 * with its transaction, so that each finds all that those before it committed.
 */
import {
  Client,
  type ClientConfig,
  type CustomTypesConfig,
  DatabaseError,
  Pool,
  type QueryConfig,
  type QueryResult,
  types,
} from "pg";
import { assert } from "../../base/assert.ts";
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import type { Migration } from "../../base/sqlite.ts";
import { schemaText, statementText, valuesOf } from "./postgres-text.ts";
import type { HubStore, Parameters, Reading, SqlText, Statement, Within } from "./store.ts";
import { createTurn } from "./turn.ts";

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`; of several the first that can be written to is used. */
  readonly urls: readonly string[];
  readonly migrations: readonly Migration[];
  /** LIMITS where not said. */
  readonly limits?: Partial<PostgresLimits>;
}

/** How long is waited for what, in milliseconds. */
export interface PostgresLimits {
  /** For a connection, be it from the server or from those who read. */
  readonly connectMs: number;
  /**
   * For a statement, which the server ends then. One that has not come back a while later never will: its connection is
   * given up, and with it the transaction.
   */
  readonly answerMs: number;
  /** For the turn of another replica. */
  readonly lockMs: number;
  /** A replica that stands still in mid-transaction loses it. */
  readonly idleInTransactionMs: number;
}

const LIMITS: PostgresLimits = { connectMs: 2_000, answerMs: 8_000, lockMs: 5_000, idleInTransactionMs: 5_000 };
/** What the server's word that it ended a statement may take. */
const GRACE_MS = 1_000;
const READERS_MAX = 4;
/** "tillway", as a number. */
const WRITER_LOCK = 0x74_69_6c_6c_77_61_79n;

/** What it sees must be what was committed when its turn came, whatever the server's default is. */
const BEGIN_TO_WRITE = `BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(${WRITER_LOCK})`;
const BEGIN_TO_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/** Applies what is missing of the schema. Throws Fault `store.failed`. */
export async function openPostgresStore({ urls, migrations, limits }: PostgresOptions): Promise<HubStore> {
  const turn = createTurn();
  const writer = createWriter(urls, { ...LIMITS, ...limits });
  const store: HubStore = {
    kind: "postgres",
    transaction: (work) => turn(() => writer.transact(work)),
    read: (work) => writer.read(work),
    [Symbol.asyncDispose]: () => turn(() => writer.close()),
  };
  try {
    await writer.migrate(migrations);
    return store;
  } catch (error) {
    await writer.close();
    if (error instanceof Fault) throw error;
    throw new Fault("store.failed", `PostgreSQL: ${reasonOf(error)}; check store.postgres in the configuration`, {
      cause: error,
    });
  }
}

function createWriter(urls: readonly string[], limits: PostgresLimits) {
  let held: Client | undefined;
  let readers: Pool | undefined;

  async function connection(): Promise<Client> {
    if (held) return held;
    const { client, config } = await connectToWritable(urls, limits);
    client.on("error", () => drop(client));
    client.on("end", () => drop(client));
    readers ??= newPool(config);
    held = client;
    return client;
  }

  function drop(client: Client): void {
    if (held !== client) return;
    held = undefined;
    const pool = readers;
    readers = undefined;
    pool?.end().catch(() => {});
    client.end().catch(() => {});
  }

  return {
    async transact<T>(work: (within: Within) => Promise<T>): Promise<T> {
      const client = await connection();
      try {
        return await transact(client, BEGIN_TO_WRITE, work);
      } catch (error) {
        if (isConnectionLost(error)) drop(client);
        throw error;
      }
    },
    async read<T>(work: (reading: Reading) => Promise<T>): Promise<T> {
      await connection();
      assert(readers !== undefined, "a writer's connection comes with readers");
      const client = await readers.connect().catch(noReader);
      let broken = false;
      try {
        return await transact(client, BEGIN_TO_READ, work);
      } catch (error) {
        broken = isConnectionLost(error);
        throw error;
      } finally {
        client.release(broken);
      }
    },
    migrate: async (migrations: readonly Migration[]) => await migrate(await connection(), migrations),
    async close(): Promise<void> {
      const [client, pool] = [held, readers];
      held = undefined;
      readers = undefined;
      await pool?.end();
      await client?.end();
    },
  };
}

function noReader(error: unknown): never {
  throw new Fault("store.failed", `PostgreSQL: no connection to read with: ${reasonOf(error)}`, { cause: error });
}

const newPool = (config: ClientConfig): Pool => {
  const pool = new Pool({ ...config, max: READERS_MAX });
  // What is lost while it is idle is replaced when it is needed.
  pool.on("error", () => {});
  return pool;
};

async function connectToWritable(
  urls: readonly string[],
  limits: PostgresLimits,
): Promise<{ client: Client; config: ClientConfig }> {
  const reasons: string[] = [];
  for (const url of urls) {
    const config: ClientConfig = {
      connectionString: url,
      connectionTimeoutMillis: limits.connectMs,
      statement_timeout: limits.answerMs,
      query_timeout: limits.answerMs + GRACE_MS,
      lock_timeout: limits.lockMs,
      idle_in_transaction_session_timeout: limits.idleInTransactionMs,
      keepAlive: true,
      // What is asked at once is sent at once, where it would else wait for one answer after the other.
      pipeline: true,
      application_name: "tillway hub",
    };
    const client = new Client(config);
    try {
      await client.connect();
      // No commit counts before the standby has it, whatever the server's default is.
      await client.query("SET synchronous_commit = on");
      const answer = await client.query<{ standby: boolean }>("SELECT pg_is_in_recovery() AS standby");
      if (answer.rows[0]?.standby === false) return { client, config };
      reasons.push(`${hostOf(url)} is a standby`);
    } catch (error) {
      reasons.push(`${hostOf(url)}: ${reasonOf(error)}`);
    }
    client.on("error", () => {});
    await client.end().catch(() => {});
  }
  throw new Fault("store.failed", `no PostgreSQL to write to: ${reasons.join("; ")}`);
}

/** Without the password. */
const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).host : "an address that is no URL");

type Querying = Pick<Client, "query">;

/** What is asked first follows the beginning at once: where that fails, the server refuses the rest of the transaction. */
async function transact<T>(client: Querying, begin: string, work: (within: Within) => Promise<T>): Promise<T> {
  let open = true;
  const within = connectionTo(client, () => assert(open, "a transaction was used after its end"));
  const begun = ask(client, begin);
  try {
    const [result] = await Promise.all([work(within), begun]);
    open = false;
    await ask(client, "COMMIT");
    return result;
  } catch (error) {
    open = false;
    // Where the turn of another replica is waited for in vain the transaction has begun all the same; where the connection
    // is lost there is nothing to roll back.
    await ask(client, "ROLLBACK").catch(() => {});
    throw await begun.then(
      () => error,
      (why: unknown) => why,
    );
  }
}

const names = new WeakMap<object, string>();
let named = 0;
/** Under its name a connection plans a statement once. */
function nameOf(statement: object): string {
  const known = names.get(statement);
  if (known !== undefined) return known;
  named += 1;
  const name = `s${named}`;
  names.set(statement, name);
  return name;
}

const texts = new WeakMap<object, string>();
function textOf(statement: SqlText): string {
  const known = texts.get(statement) ?? statementText(statement);
  texts.set(statement, known);
  return known;
}

function connectionTo(client: Querying, check: () => void): Within {
  const query = async (statement: SqlText, parameters: Parameters) => {
    check();
    return await ask(client, {
      name: nameOf(statement),
      text: textOf(statement),
      values: valuesOf(statement, parameters),
      types: statement.wide ? WIDE_TYPES : TYPES,
    });
  };
  return {
    get: async <P extends Parameters, Row>(statement: Statement<P, Row>, parameters: P) =>
      (await query(statement, parameters)).rows[0] as Row | undefined,
    all: async <P extends Parameters, Row>(statement: Statement<P, Row>, parameters: P) =>
      (await query(statement, parameters)).rows as Row[],
    run: async (statement, parameters) => (await query(statement, parameters)).rowCount ?? 0,
    async savepoint(work) {
      check();
      await ask(client, "SAVEPOINT part");
      try {
        const result = await work();
        await ask(client, "RELEASE part");
        return result;
      } catch (error) {
        await ask(client, "ROLLBACK TO part; RELEASE part");
        throw error;
      }
    },
  };
}

const { INT8, BOOL } = types.builtins;

function exactNumber(text: string): number {
  const value = Number(text);
  assert(Number.isSafeInteger(value), `${text} does not fit a number: its statement must be wide`);
  return value;
}

/** As SQLite gives them. */
const typesWith = (integer: (text: string) => number | bigint): CustomTypesConfig => ({
  getTypeParser: (oid: number, format?: string) => {
    if (format === "binary") return types.getTypeParser(oid, "binary");
    if (oid === INT8) return integer;
    if (oid === BOOL) return (text: string) => integer(text === "t" ? "1" : "0");
    return types.getTypeParser(oid, "text");
  },
});
const TYPES = typesWith(exactNumber);
const WIDE_TYPES = typesWith(BigInt);

async function migrate(client: Client, migrations: readonly Migration[]): Promise<void> {
  await client.query(BEGIN_TO_WRITE);
  try {
    await client.query('CREATE TABLE IF NOT EXISTS store__migration (id TEXT COLLATE "C" PRIMARY KEY)');
    const { rows } = await client.query<{ id: string }>("SELECT id FROM store__migration");
    const done = new Set(rows.map(({ id }) => id));
    const known = new Set(migrations.map(({ id }) => id));
    const foreign = [...done].find((id) => !known.has(id));
    if (foreign !== undefined)
      throw new Fault("store.failed", `a newer version wrote this database (it has "${foreign}"); upgrade the hub`);
    for (const migration of migrations.filter(({ id }) => !done.has(id))) {
      await client.query(schemaText(migration));
      await client.query("INSERT INTO store__migration (id) VALUES ($1)", [migration.id]);
    }
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

/** Only what the statement's author did wrong stays as it is: data, constraints, syntax and names by their SQLSTATE. */
const AUTHORS_ERROR = /^(?:22|23|42)/;
/** The server ends the connection: 08, 57P, and 25P03 for one that stood still in a transaction. */
const ENDED = /^(?:08|57P|25P03)/;

async function ask(client: Querying, query: string | QueryConfig): Promise<QueryResult> {
  try {
    return await client.query(query);
  } catch (error) {
    const code = error instanceof DatabaseError ? (error.code ?? "") : undefined;
    if (code !== undefined && AUTHORS_ERROR.test(code)) throw error;
    const lost = code === undefined || ENDED.test(code);
    throw new Fault("store.failed", `PostgreSQL: ${reasonOf(error)}`, { cause: error, details: { lost } });
  }
}

const isConnectionLost = (error: unknown): boolean => isFault(error, "store.failed") && error.details["lost"] === true;
