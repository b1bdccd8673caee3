/** Whatever is asked of the journal in whatever order, it agrees with a model of a few lines, also after reopening. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { EntryReceipt } from "../../wire/advice.ts";
import type { StoredEntry } from "../../wire/journal-entry.ts";
import type { Journal, NewEntry, QueueState } from "./journal.ts";
import { decision, id, intent, JournalFolder, receipt, sealedFor, voiding } from "./journal-fixture.ts";

type Command =
  | {
      readonly do: "sell";
      readonly mode: "online" | "offline";
      readonly outcome: "approved" | "declined";
      minor: number;
    }
  | { readonly do: "mark"; readonly pick: number }
  | { readonly do: "void"; readonly pick: number }
  | { readonly do: "settle"; readonly pick: number; readonly status: EntryReceipt["status"]; readonly forged: boolean }
  | { readonly do: "reopen" };

const STATUSES = ["processed", "declined", "duplicate", "quarantined"] as const;
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({
    do: fc.constant("sell" as const),
    mode: fc.constantFrom("online" as const, "offline" as const),
    outcome: fc.constantFrom("approved" as const, "declined" as const),
    minor: fc.integer({ min: 1, max: 999_999_999_999 }),
  }),
  fc.record({ do: fc.constant("mark" as const), pick: fc.nat() }),
  fc.record({ do: fc.constant("void" as const), pick: fc.nat() }),
  fc.record({
    do: fc.constant("settle" as const),
    pick: fc.nat(),
    status: fc.constantFrom(...STATUSES),
    forged: fc.boolean(),
  }),
  fc.record({ do: fc.constant("reopen" as const) }),
);

interface ModelEntry {
  readonly stored: StoredEntry;
  readonly payment: string;
  readonly kind: "decision" | "void";
  /** Minor units that count against the lease while it waits. */
  readonly held: bigint | undefined;
  state: QueueState;
}

class Model {
  readonly entries: ModelEntry[] = [];
  sequence = 0;

  pick(index: number): ModelEntry | undefined {
    return this.entries[index % Math.max(this.entries.length, 1)];
  }

  get waiting(): ModelEntry[] {
    return this.entries.filter((entry) => entry.state === "eligible" || entry.state === "forwarding");
  }
}

async function sell(journal: Journal, model: Model, sale: Extract<Command, { do: "sell" }>): Promise<void> {
  const payment = `p-${model.entries.length}`;
  const { mode, outcome, minor } = sale;
  const amount = { ...decision(payment).amount, minor: String(minor) };
  const entry: NewEntry = {
    body: decision(payment, { mode, outcome, amount }),
    forward: true,
    sealed: sealedFor(1),
  };
  const [, stored] = await journal.append([{ body: intent(payment, String(minor)) }, entry]);
  if (!stored) throw new Error("nothing was stored");
  const held = mode === "offline" && outcome === "approved" ? BigInt(minor) : undefined;
  model.entries.push({ stored, payment, kind: "decision", held, state: "eligible" });
  model.sequence += 2;
}

async function voidOne(journal: Journal, model: Model, target: ModelEntry): Promise<void> {
  const outcome = await journal.appendVoid(voiding(target.stored, target.payment));
  if (target.kind === "void") {
    expect(outcome).toEqual({ ok: false, error: "not-found" });
    return;
  }
  if (target.state !== "eligible") {
    expect(outcome).toEqual({ ok: false, error: target.state });
    return;
  }
  if (!outcome.ok) throw new Error(`an eligible entry was not voided: ${outcome.error}`);
  target.state = "voided";
  const { value: stored } = outcome;
  model.entries.push({ stored, payment: target.payment, kind: "void", held: undefined, state: "eligible" });
  model.sequence += 1;
}

async function mark(journal: Journal, target: ModelEntry): Promise<void> {
  const marked = await journal.markForwarding([target.stored.sequence]);
  const may = target.state === "eligible" || target.state === "forwarding";
  expect(marked).toEqual(may ? [target.stored.sequence] : []);
  if (may) target.state = "forwarding";
}

async function settle(
  journal: Journal,
  model: Model,
  target: ModelEntry,
  how: Extract<Command, { do: "settle" }>,
): Promise<void> {
  const named = how.forged ? { ...receipt(target.stored), hash: "f".repeat(64) } : receipt(target.stored, how.status);
  const outcome = await journal.settle([named]);
  const open = target.state === "eligible" || target.state === "forwarding";
  expect(outcome.unknown).toBe(how.forged || target.state === "voided" ? 1 : 0);
  expect(outcome.settled.length).toBe(open && !how.forged ? 1 : 0);
  if (!open || how.forged) return;
  target.state = how.status === "duplicate" ? "processed" : how.status;
  if (target.kind !== "void" || target.state !== "declined") return;
  const stands = model.entries.find(({ payment, state }) => payment === target.payment && state === "voided");
  if (stands) stands.state = "processed";
}

function agree(journal: Journal, model: Model): void {
  expect(journal.head.sequence).toBe(model.sequence);
  expect(journal.head.forward).toBe(model.entries.length);
  expect(model.entries.map((entry) => entry.stored.forward)).toEqual(model.entries.map((_, at) => at + 1));
  const held = model.waiting.flatMap((entry) => (entry.held === undefined ? [] : [entry.held]));
  const { count, minor } = journal.outstanding();
  expect({ count, minor }).toEqual({ count: held.length, minor: held.reduce((sum, each) => sum + each, 0n) });
  expect(journal.backlog().depth).toBe(model.waiting.length);
  expect(journal.queue().map((entry) => [entry.sequence, entry.state])).toEqual(
    model.entries.map((entry) => [entry.stored.sequence, entry.state]),
  );
}

test("RM1 RM8 RM12 sequences have no gap, the chain is whole and what is outstanding is what a plain sum says", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 25 }), async (commands) => {
      using here = new JournalFolder();
      const model = new Model();
      let journal = here.open();
      try {
        for (const each of commands) {
          if (each.do === "sell") await sell(journal, model, each);
          else if (each.do === "reopen") {
            await journal[Symbol.asyncDispose]();
            journal = here.open();
          } else {
            const target = model.pick(each.pick);
            if (!target) continue;
            if (each.do === "void") await voidOne(journal, model, target);
            else if (each.do === "mark") await mark(journal, target);
            else await settle(journal, model, target, each);
          }
          agree(journal, model);
        }
        expect(journal.verify()).toEqual({ ok: true, value: { entries: model.sequence } });
        expect(journal.nextToForward(50).map((entry) => entry.sequence)).toEqual(
          model.waiting.map((entry) => entry.stored.sequence),
        );
        expect(journal.undecided()).toEqual([]);
        expect(journal.recentPayments(1_000)).toHaveLength(
          model.entries.filter((entry) => entry.kind === "decision").length,
        );
        expect(journal.entriesOf(id("nobody"))).toEqual([]);
      } finally {
        await journal[Symbol.asyncDispose]();
      }
    }),
    { numRuns: 60 },
  );
});
