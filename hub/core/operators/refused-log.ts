/** Failed log-ins and refusals for want of a role come into the audit log, but whoever makes very many does not fill it. */
import type { Clock } from "../../../base/clock.ts";
import type { HubStore } from "../../store/store.ts";
import type { Audit, AuditInput } from "./audit.ts";

/** Outside any transaction: each opens its own where it writes. */
export interface RefusedLog {
  note(input: AuditInput): Promise<void>;
  /** Writes what was only counted, once its time is over. */
  sweep(): Promise<void>;
  /** The same at once: before the hub stops. */
  flush(): Promise<void>;
}

const WINDOW_MS = 3_600_000;
/** Entries of one source in one window, and of all; the rest is counted. */
const OWN_ENTRIES_MAX = 5;
const ENTRIES_MAX = 200;

export interface RefusedLogOptions {
  readonly store: HubStore;
  readonly audit: Pick<Audit, "append">;
  readonly clock: Clock;
}

export function createRefusedLog({ store, audit, clock }: RefusedLogOptions): RefusedLog {
  let since = clock.monotonic();
  let written = 0;
  const bySource = new Map<string, number>();
  /** By action, of which there are as many as routes. */
  const counted = new Map<string, number>();
  const count = (action: string, more: number) => void counted.set(action, (counted.get(action) ?? 0) + more);

  async function sweep(): Promise<void> {
    if (clock.monotonic() - since < WINDOW_MS) return;
    since = clock.monotonic();
    written = 0;
    bySource.clear();
    await flush();
  }

  async function flush(): Promise<void> {
    // Taken first: what is counted while this is written is not in it.
    const taken = [...counted];
    if (taken.length === 0) return;
    counted.clear();
    try {
      await store.transaction(async (within) => {
        for (const [action, many] of taken)
          await audit.append(within, { action, who: "(several)", outcome: "refused", counted: many });
      });
    } catch (error) {
      for (const [action, many] of taken) count(action, many);
      throw error;
    }
  }

  return {
    sweep,
    flush,
    async note(input) {
      await sweep();
      const source = `${input.who} ${input.address ?? ""}`;
      const own = bySource.get(source) ?? 0;
      if (own >= OWN_ENTRIES_MAX || written >= ENTRIES_MAX) {
        count(input.action, 1);
        return;
      }
      written += 1;
      bySource.set(source, own + 1);
      await store.transaction((within) => audit.append(within, input));
    },
  };
}
