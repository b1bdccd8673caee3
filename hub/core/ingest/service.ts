/**
 * Takes batches of journal entries: checks signature, fence, hashes and chain, applies each entry once, and sets aside what
 * it cannot take so that the rest moves on. Receipts tell what the hub's commit holds (RM18).
 */
import type { KeyObject } from "node:crypto";
import { Fault } from "../../../base/fault.ts";
import { type Epoch, newEpoch, type RandomBytes, type TerminalId } from "../../../base/ids.ts";
import type { Log } from "../../../base/log.ts";
import { type Sqlite, transaction } from "../../../base/sqlite.ts";
import { type AdviceBatch, batchText } from "../../../wire/advice.ts";
import type { StoredEntry } from "../../../wire/journal-entry.ts";
import { signatureFits } from "../../../wire/signing.ts";
import type { Authorisation } from "../authorisation/index.ts";
import { type Applied, type ApplyParts, applyBatch } from "./apply.ts";
import { checkEntry, type OpenCard } from "./check.ts";
import { createFindingStore } from "./finding-store.ts";
import { createFindings, type Findings } from "./findings.ts";
import { createQuarantine, type Quarantine } from "./quarantine.ts";
import { createQuarantineStore } from "./quarantine-store.ts";
import { createIngestStore, type EpochView, type Head, type IngestStore, type Source } from "./store.ts";

export interface IngestOptions {
  readonly database: Sqlite;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly authorisation: Authorisation;
  readonly openCard: OpenCard;
}

export interface SignedBatch {
  readonly terminalId: TerminalId;
  readonly batch: AdviceBatch;
  readonly signingKey: KeyObject;
}

/** `stale`: the batch is of an earlier drainer; nothing of it was applied. */
export type Taken = Applied | { readonly stale: Fault };

export interface Imported extends Applied {
  /** How many of the entries were here before, with what became of them. */
  readonly held: number;
}

export interface Ingest {
  /** New for every database of the hub. */
  readonly hubEpoch: Epoch;
  /** Within the caller's transaction. Throws Fault `signature.invalid` for a batch that the terminal did not sign. */
  take(signed: SignedBatch, now: number): Taken;
  /** Entries of a journal whose file was checked as a whole, by the same rules. Within the caller's transaction. */
  takeImported(source: Source, entries: readonly StoredEntry[], now: number): Imported;
  /** Compares the newest entry that a terminal says it has with what is held. Within the caller's transaction. */
  checkHead(source: Source, head: Head | undefined, now: number): void;
  /** Every number up to it is held. */
  watermark(source: Source): number;
  /** The same, and whether some of these wait for a person. */
  taken(source: Source): { readonly watermark: number; readonly setAside: boolean };
  /** The highest that came with a batch of this journal; 0 before the first. */
  fence(source: Source): number;
  epochs(terminalId: string): readonly EpochView[];
  readonly findings: Findings;
  readonly quarantine: Quarantine;
}

export function createIngest(options: IngestOptions): Ingest {
  const { database, log } = options;
  const store = createIngestStore(database);
  const quarantine = createQuarantineStore(database);
  const findings = createFindings({ store, findings: createFindingStore(database), log });
  const parts: TakeParts = { ...options, store, quarantine, findings };
  return {
    hubEpoch: hubEpochOf(store, options),
    take: (signed, now) => take(parts, signed, now),
    takeImported(source, entries, now) {
      store.beginEpoch(source, now);
      const isHeld = (entry: StoredEntry) =>
        store.known(source, entry.sequence)?.hash === entry.hash || quarantine.find(source, entry) !== undefined;
      const held = entries.filter(isHeld).length;
      const checked = entries.map((entry) => checkEntry(options.openCard, source, entry));
      return { ...applyBatch(parts, { source, entries: checked, watermark: store.watermark(source), now }), held };
    },
    checkHead: (source, head, now) => findings.head(source, head, now),
    watermark: (source) => store.watermark(source),
    taken: (source) => ({ watermark: store.watermark(source), setAside: quarantine.anyOpen(source) }),
    fence: (source) => store.epoch(source)?.fence ?? 0,
    epochs: (terminalId) => store.epochs(terminalId),
    findings,
    quarantine: createQuarantine({ ...options, store, quarantine }),
  };
}

const hubEpochOf = (store: IngestStore, { database, random }: IngestOptions): Epoch =>
  transaction(database, () => {
    const known = store.hubEpoch();
    if (known !== undefined) return known as Epoch;
    const fresh = newEpoch(random);
    store.setHubEpoch(fresh);
    return fresh;
  });

type TakeParts = ApplyParts & Pick<IngestOptions, "openCard">;

function take(parts: TakeParts, { terminalId, batch, signingKey }: SignedBatch, now: number): Taken {
  const { store, openCard } = parts;
  const signed = { text: batchText(terminalId, batch), signature: batch.signature };
  if (!signatureFits("batch", signed, signingKey))
    throw new Fault("signature.invalid", "the batch is not signed by this terminal's key");
  const source: Source = { terminalId, epoch: batch.epoch };
  store.beginEpoch(source, now);
  const { watermark, fence } = store.epoch(source) ?? { watermark: 0, fence: 0 };
  const own = batch.fence ?? 0;
  if (own < fence) return refuseStale(parts, { source, batch, now, fence });
  if (own > fence) store.raiseFence(source, own);
  const entries = batch.entries.map((entry) => checkEntry(openCard, source, entry));
  return applyBatch(parts, { source, entries, watermark, now });
}

interface Stale {
  readonly source: Source;
  readonly batch: AdviceBatch;
  readonly fence: number;
  readonly now: number;
}

/** A batch that only came late says nothing new. One that contradicts what is held comes from another copy of the disk. */
function refuseStale({ store, findings }: TakeParts, { source, batch, fence, now }: Stale): Taken {
  for (const { sequence, hash } of batch.entries) {
    const held = store.known(source, sequence);
    if (held && held.hash !== hash) {
      findings.fork(source, { sequence, held }, now);
      break;
    }
  }
  const shown = batch.fence ?? "none";
  return {
    stale: new Fault(
      "fence.stale",
      `a batch of an earlier opening of this journal (fence ${shown}, the newest is ${fence}): nothing of it was taken`,
    ),
  };
}
