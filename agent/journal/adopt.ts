/**
 * Takes a journal over after this terminal was enrolled again: its checkpoints bear a key that is no more. A person asks for
 * it, because only a person knows that the other key was this terminal's own.
 */
import { Fault } from "../../base/fault.ts";
import type { Epoch, TerminalId } from "../../base/ids.ts";
import { openSqlite, sqliteFault, transaction } from "../../base/sqlite.ts";
import {
  anchorOf,
  type Checkpoint,
  prepareCheckpoints,
  readCheckpoint,
  type Signer,
  signCheckpoint,
} from "./checkpoint.ts";
import { corruptFault } from "./corrupt.ts";
import { openJournalReadOnly } from "./journal-reader.ts";
import { JOURNAL_MIGRATIONS } from "./schema.ts";
import { verifyJournal } from "./verify-file.ts";
import { verifyOpening } from "./verify-opening.ts";

export interface Adoption {
  readonly path: string;
  readonly terminalId: TerminalId;
  readonly signer: Signer;
  /** ISO time. */
  readonly at: string;
}

/** Checks everything, then signs anew; returns how many entries hold. Throws Fault `journal.corrupt`, `journal.busy`, `store.failed`. */
export async function adoptJournal({ path, terminalId, signer, at }: Adoption): Promise<number> {
  const entries = await checkWhole(path, terminalId);
  const database = openSqlite(path, { migrations: JOURNAL_MIGRATIONS });
  try {
    transaction(database, () => {
      const facts = new Map(
        database.prepare<[], [string, string]>("SELECT name, value FROM journal__meta").raw().all(),
      );
      const epoch = facts.get("epoch") as Epoch;
      const opened = verifyOpening({ database, facts, terminalId, epoch });
      if ("why" in opened) throw corruptFault(path, opened);
      const sql = prepareCheckpoints(database);
      const cutRow = sql.cut.get();
      const cut = cutRow && readCheckpoint(cutRow, { terminalId, epoch, kind: "cut" });
      const { head, queueFloor } = opened;
      const common = { terminalId, epoch, at } satisfies Partial<Checkpoint>;
      database.exec("DELETE FROM journal__checkpoint");
      const open = opened.open.snapshot(head.sequence);
      const signed = signCheckpoint({ ...common, kind: "head", ...head, open, queueFloor }, signer);
      sql.put.run(head.sequence, signed.text, signed.signature);
      if (!cut || "why" in cut) return;
      const signedCut = signCheckpoint({ ...common, kind: "cut", ...anchorOf(cut) }, signer);
      database
        .prepare("UPDATE journal__archive SET text = ?, signature = ? WHERE last = ?")
        .run(signedCut.text, signedCut.signature, cut.sequence);
    });
    return entries;
  } catch (error) {
    throw sqliteFault(error, path);
  } finally {
    database.close();
  }
}

async function checkWhole(path: string, terminalId: TerminalId): Promise<number> {
  using reader = openJournalReadOnly(path);
  if (reader.terminalId !== terminalId) {
    throw new Fault(
      "journal.corrupt",
      `${path} is the journal of terminal "${reader.terminalId}", not of "${terminalId}"`,
    );
  }
  const report = await verifyJournal(reader);
  if (report.firstBad) throw corruptFault(path, report.firstBad);
  return report.entries + report.archived;
}
