/** Bugs in how things come to disk, and what is believed when that fails. */
import type { Plant } from "./plant.ts";

const SQLITE = "base/sqlite.ts";
const COMMIT = "agent/journal/group-commit.ts";

export const STORE_PLANTS: readonly Plant[] = [
  {
    name: "wal-with-normal",
    shippedBy: "ThingsBoard Gateway: WAL with synchronous=NORMAL, so that a power cut takes commits back",
    file: SQLITE,
    find: "synchronous = FULL",
    replace: "synchronous = NORMAL",
    seed: "1",
  },
  {
    name: "log-kept-after-a-failed-fsync",
    shippedBy:
      "zigbee2mqtt #11759, #28657: the file is right until the power goes; PostgreSQL's fsync of 2018 is its pattern",
    file: SQLITE,
    find: `database.pragma("wal_checkpoint(TRUNCATE)");`,
    replace: "",
    also: [
      { file: "agent/journal/journal-file.ts", find: "    emptyLog(database);\n    return", replace: "    return" },
    ],
    seed: "46",
  },
  {
    name: "failed-commit-taken-for-nothing-stored",
    shippedBy: "MQTT.js #1457, odoo PR #288974: what failed is told to have failed, though it is on the disk",
    file: "agent/payment/desk.ts",
    find: "reject(error);\n        this.#options.log.error(",
    replace: `resolve({ id, ...asked, status: "aborted", ticket: "none", startedAt: this.#at() });
        this.#options.log.error(`,
    seed: "14",
  },
  {
    name: "failed-fsync-taken-for-success",
    shippedBy: "zigbee2mqtt #3238, #13045: errors of the disk are ignored, the database is empty after a restart",
    file: COMMIT,
    find: "return this.fail(",
    replace: "if (fault) return (this as unknown as { values: unknown[] }).values;\n      return this.fail(",
    also: [
      {
        file: COMMIT,
        find: "return jobs.map((job) => job.run());",
        replace: "return Object.assign(this, { values: jobs.map((job) => job.run()) }).values;",
      },
    ],
    seed: "1",
  },
  {
    name: "store-made-anew-when-it-cannot-be-read",
    shippedBy: "zigbee2mqtt #11759, thingsboard-gateway #2124: a store that cannot be read is replaced by an empty one",
    file: "agent/journal/journal-file.ts",
    find: "  } catch (error) {\n    database.close();\n    throw openingFault(error, path);",
    replace: `  } catch (error) {
    const { again } = options as { again?: true };
    try {
      if (again) throw error;
      const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'base%'").pluck().all();
      for (const table of tables) database.exec("DELETE FROM " + table);
      database.close();
      return openJournalFile({ ...options, again: true } as OpenFileOptions);
    } catch {
      // As before.
    }
    database.close();
    throw openingFault(error, path);`,
    also: [{ file: "agent/journal/journal-file.ts", find: 'if (!facts.has("epoch")) refuseLost(path);', replace: "" }],
    seed: "35",
  },
];
