/** What one transaction knows of the ledger and has not written yet. */
import type { Reading, Within } from "../../store/store.ts";
import { Draft, type Facts, Loaded } from "./books.ts";
import type { Plan } from "./plan.ts";
import type { Tables, Wanted } from "./tables.ts";

interface Session {
  readonly loaded: Loaded;
  changes: Draft;
  /** The newest timestamps were read. */
  isTimed: boolean;
}

export interface Sessions {
  /** Reads what is wanted, lets `plan` decide, and writes it: at once, or at the end of what is kept. */
  change<Status>(
    within: Within,
    wanted: Partial<Wanted>,
    plan: (facts: Facts) => Plan<Status>,
  ): Promise<readonly Status[]>;
  /** What changes within `work` is written once, at its end. */
  keep<T>(within: Within, work: () => Promise<T>): Promise<T>;
  /** What `within` has changed, where that is kept. */
  facts(reading: Reading, wanted: Partial<Wanted>): Promise<Facts>;
  /** Writes what is kept, so that the tables tell all. */
  written(reading: Reading): Promise<void>;
}

export function createSessions(tables: Tables): Sessions {
  const kept = new WeakMap<Reading, { readonly within: Within; readonly session: Session }>();
  return {
    async change(within, wanted, plan) {
      const open = kept.get(within)?.session;
      const session = open ?? newSession();
      await load(tables, within, { session, wanted: { ...wanted, times: true } });
      const { statuses, changes } = plan(session.changes);
      if (open) open.changes.merge(changes);
      else await tables.save(within, changes);
      return statuses;
    },
    async keep(within, work) {
      if (kept.has(within)) return await work();
      const session = newSession();
      kept.set(within, { within, session });
      try {
        const result = await work();
        await tables.save(within, session.changes);
        return result;
      } finally {
        kept.delete(within);
      }
    },
    async facts(reading, wanted) {
      const session = kept.get(reading)?.session ?? newSession();
      await load(tables, reading, { session, wanted });
      return session.changes;
    },
    async written(reading) {
      const open = kept.get(reading);
      if (!open) return;
      await tables.save(open.within, open.session.changes);
      open.session.changes.settle(open.session.loaded);
      open.session.changes = new Draft(open.session.loaded);
    },
  };
}

function newSession(): Session {
  const loaded = new Loaded();
  return { loaded, changes: new Draft(loaded), isTimed: false };
}

interface Loading {
  readonly session: Session;
  readonly wanted: Partial<Wanted>;
}

/** Only what is not known yet. */
async function load(tables: Tables, reading: Reading, { session, wanted }: Loading): Promise<void> {
  const { loaded } = session;
  const missing: Wanted = {
    accounts: (wanted.accounts ?? []).filter((id) => !loaded.accounts.has(id)),
    transfers: (wanted.transfers ?? []).filter((id) => !loaded.transfers.has(id)),
    timestamps: wanted.timestamps ?? [],
    times: wanted.times === true && !session.isTimed,
  };
  const { accounts, transfers, timestamps, times } = missing;
  if (accounts.length + transfers.length + timestamps.length === 0 && !times) return;
  await tables.load(reading, missing, loaded);
  if (!times) return;
  session.isTimed = true;
  session.changes.times = loaded.times;
}
