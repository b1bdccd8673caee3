/**
 * Takes batches of journal entries: checks signature, fence, hashes and chain, applies each entry once, and sets aside what
 * it cannot take so that the rest moves on. Receipts tell what the hub's commit holds (RM18).
 */
import type { KeyObject } from "node:crypto";
import { Fault } from "../../../base/fault.ts";
import { type Epoch, newEpoch, type RandomBytes, type TerminalId } from "../../../base/ids.ts";
import type { Log } from "../../../base/log.ts";
import { type AdviceBatch, batchText } from "../../../wire/advice.ts";
import type { StoredEntry } from "../../../wire/journal-entry.ts";
import { signatureFits } from "../../../wire/signing.ts";
import type { Reading, Within } from "../../store/store.ts";
import type { Authorisation } from "../authorisation/index.ts";
import { type Applied, type ApplyParts, applyBatch } from "./apply.ts";
import { checkEntry, type OpenCard } from "./check.ts";
import { createFindings, type Findings } from "./findings.ts";
import { createQuarantine, type Quarantine } from "./quarantine.ts";
import { quarantineStore } from "./quarantine-store.ts";
import { type EpochView, type Head, ingestStore, type Source } from "./store.ts";

export interface IngestOptions {
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
  /** Throws Fault `signature.invalid` for a batch that the terminal did not sign. */
  take(within: Within, signed: SignedBatch, now: number): Promise<Taken>;
  /** Entries of a journal whose file was checked as a whole, by the same rules. */
  takeImported(within: Within, source: Source, entries: readonly StoredEntry[], now: number): Promise<Imported>;
  /** Compares the newest entry that a terminal says it has with what is held. */
  checkHead(within: Within, source: Source, head: Head | undefined, now: number): Promise<void>;
  /** Every number up to it is held. */
  watermark(reading: Reading, source: Source): Promise<number>;
  /** The same, and whether some of these wait for a person. */
  taken(reading: Reading, source: Source): Promise<{ readonly watermark: number; readonly setAside: boolean }>;
  /** The highest that came with a batch of this journal; 0 before the first. */
  fence(reading: Reading, source: Source): Promise<number>;
  epochs(reading: Reading, terminalId: string): Promise<readonly EpochView[]>;
  readonly findings: Findings;
  readonly quarantine: Quarantine;
}

export async function createIngest(within: Within, options: IngestOptions): Promise<Ingest> {
  const findings = createFindings(options.log);
  const parts: TakeParts = { ...options, findings };
  const watermark = async (reading: Reading, source: Source) =>
    (await ingestStore.epoch(reading, source))?.watermark ?? 0;
  return {
    hubEpoch: await hubEpochOf(within, options.random),
    take: (own, signed, now) => take(own, parts, { ...signed, now }),
    async takeImported(own, source, entries, now) {
      await ingestStore.beginEpoch(own, source, now);
      const held = await countHeld(own, source, entries);
      const checked = entries.map((entry) => checkEntry(options.openCard, source, entry));
      const batch = { source, entries: checked, watermark: await watermark(own, source), now };
      return { ...(await applyBatch(own, parts, batch)), held };
    },
    checkHead: (own, source, head, now) => findings.head(own, source, { head, now }),
    watermark,
    taken: async (reading, source) => ({
      watermark: await watermark(reading, source),
      setAside: await quarantineStore.anyOpen(reading, source),
    }),
    fence: async (reading, source) => (await ingestStore.epoch(reading, source))?.fence ?? 0,
    epochs: (reading, terminalId) => ingestStore.epochs(reading, terminalId),
    findings,
    quarantine: createQuarantine(options),
  };
}

/** Whichever replica of the hub comes first draws it. */
async function hubEpochOf(within: Within, random: RandomBytes): Promise<Epoch> {
  const known = await ingestStore.hubEpoch(within);
  if (known !== undefined) return known;
  const fresh = newEpoch(random);
  await ingestStore.setHubEpoch(within, fresh);
  return fresh;
}

async function countHeld(reading: Reading, source: Source, entries: readonly StoredEntry[]): Promise<number> {
  let held = 0;
  for (const entry of entries) {
    const known = await ingestStore.known(reading, source, entry.sequence);
    if (known?.hash === entry.hash || (await quarantineStore.find(reading, source, entry))) held += 1;
  }
  return held;
}

type TakeParts = ApplyParts & Pick<IngestOptions, "openCard">;

async function take(
  within: Within,
  parts: TakeParts,
  { terminalId, batch, signingKey, now }: SignedBatch & { readonly now: number },
): Promise<Taken> {
  const signed = { text: batchText(terminalId, batch), signature: batch.signature };
  if (!signatureFits("batch", signed, signingKey))
    throw new Fault("signature.invalid", "the batch is not signed by this terminal's key");
  const source: Source = { terminalId, epoch: batch.epoch };
  await ingestStore.beginEpoch(within, source, now);
  const { watermark, fence } = (await ingestStore.epoch(within, source)) ?? { watermark: 0, fence: 0 };
  const own = batch.fence ?? 0;
  if (own < fence) return await refuseStale(within, parts, { source, batch, now, fence });
  if (own > fence) await ingestStore.raiseFence(within, source, own);
  const entries = batch.entries.map((entry) => checkEntry(parts.openCard, source, entry));
  return await applyBatch(within, parts, { source, entries, watermark, now });
}

interface Stale {
  readonly source: Source;
  readonly batch: AdviceBatch;
  readonly fence: number;
  readonly now: number;
}

/** A batch that only came late says nothing new. One that contradicts what is held comes from another copy of the disk. */
async function refuseStale(
  within: Within,
  { findings }: TakeParts,
  { source, batch, fence, now }: Stale,
): Promise<Taken> {
  for (const { sequence, hash } of batch.entries) {
    const held = await ingestStore.known(within, source, sequence);
    if (held && held.hash !== hash) {
      await findings.fork(within, source, { sequence, held, now });
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
