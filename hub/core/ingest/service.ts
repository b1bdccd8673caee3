/**
 * Takes batches of journal entries: checks signature, hashes and chain, applies each entry once, and sets aside what it
 * cannot take so that the rest moves on. Receipts tell what the hub's commit holds (RM18).
 */
import type { KeyObject } from "node:crypto";
import { Fault, reasonOf } from "../../../base/fault.ts";
import { type Epoch, newEpoch, type RandomBytes, type TerminalId } from "../../../base/ids.ts";
import type { Log } from "../../../base/log.ts";
import { type Sqlite, transaction } from "../../../base/sqlite.ts";
import { type AdviceBatch, batchText, type EntryReceipt, type ForwardedEntry } from "../../../wire/advice.ts";
import { digestOfSealed } from "../../../wire/card-data.ts";
import type { ReasonCode } from "../../../wire/common.ts";
import { type EntryBody, EntryBodySchema, type EntryOf, hashEntry } from "../../../wire/journal-entry.ts";
import { firstIssue, parseJson, signatureFits } from "../../../wire/signing.ts";
import { isStoreFailure } from "../../store/failure.ts";
import type { Authorisation, EntryOutcome, Presented } from "../authorisation/index.ts";
import { createIngestStore, type EpochView, type IngestStore, type Source } from "./store.ts";

/** What an entry turned out to be, found without the database. */
export type CheckedEntry =
  | { readonly entry: ForwardedEntry; readonly body: EntryBody; readonly card: Presented }
  | { readonly entry: ForwardedEntry; readonly wrong: ReasonCode; readonly why: string };

export interface CheckedBatch {
  readonly source: Source;
  readonly entries: readonly CheckedEntry[];
}

export interface Applied {
  readonly results: readonly EntryReceipt[];
  readonly watermark: number;
}

export interface IngestOptions {
  readonly database: Sqlite;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly authorisation: Authorisation;
  /** Opens the seal of an entry's card data. */
  openCard(entry: ForwardedEntry, paymentId: string, terminalId: TerminalId): Presented;
}

export interface Ingest {
  /** New for every database of the hub. */
  readonly hubEpoch: Epoch;
  /** Throws Fault `signature.invalid` for a batch that the terminal did not sign. */
  check(terminalId: TerminalId, batch: AdviceBatch, signingKey: KeyObject): CheckedBatch;
  /** Within the caller's transaction. */
  apply(batch: CheckedBatch, now: number): Applied;
  epochs(terminalId: string): readonly EpochView[];
}

export function createIngest(options: IngestOptions): Ingest {
  const store = createIngestStore(options.database);
  const hubEpoch = transaction(options.database, () => {
    const known = store.hubEpoch();
    if (known !== undefined) return known as Epoch;
    const fresh = newEpoch(options.random);
    store.setHubEpoch(fresh);
    return fresh;
  });
  return {
    hubEpoch,
    epochs: (terminalId) => store.epochs(terminalId),
    check(terminalId, batch, signingKey) {
      const signed = { text: batchText(terminalId, batch), signature: batch.signature };
      if (!signatureFits("batch", signed, signingKey))
        throw new Fault("signature.invalid", "the batch is not signed by this terminal's key");
      const source = { terminalId, epoch: batch.epoch };
      return { source, entries: batch.entries.map((entry) => checkEntry(options, source, entry)) };
    },
    apply(batch, now) {
      store.beginEpoch(batch.source, now);
      const applier: Applier = { ...options, store, source: batch.source, now };
      const results = batch.entries.map((checked) => applyEntry(applier, checked));
      return { results, watermark: store.watermark(batch.source) };
    },
  };
}

function checkEntry(options: IngestOptions, source: Source, entry: ForwardedEntry): CheckedEntry {
  const wrong = (reason: ReasonCode, why: string): CheckedEntry => ({ entry, wrong: reason, why });
  if (hashEntry({ ...source, ...entry }) !== entry.hash) return wrong("E_SIG", "the hash does not fit the content");
  if (entry.sealed && entry.sealedDigest !== digestOfSealed(entry.sealed))
    return wrong("E_SIG", "the sealed card data do not fit their digest");
  if (entry.forward === undefined) return wrong("E_FORMAT", "forward: an entry of the queue has a number");
  try {
    const parsed = EntryBodySchema.safeParse(parseJson(entry.text));
    if (!parsed.success) return wrong("E_FORMAT", firstIssue(parsed.error));
    const body = parsed.data;
    const card = entry.sealed && options.openCard(entry, body.paymentId, source.terminalId);
    return { entry, body, card };
  } catch (error) {
    return wrong("E_FORMAT", reasonOf(error));
  }
}

interface Applier extends IngestOptions {
  readonly store: IngestStore;
  readonly source: Source;
  readonly now: number;
}

function applyEntry(applier: Applier, checked: CheckedEntry): EntryReceipt {
  const { store, source, log } = applier;
  const { entry } = checked;
  const known = store.known(source, entry.sequence);
  if (known && known.hash === entry.hash) {
    return {
      sequence: entry.sequence,
      hash: entry.hash,
      status: known.status === "processed" ? "duplicate" : known.status,
      ...(known.paymentId === null ? {} : { paymentId: known.paymentId }),
      ...(known.reason === null ? {} : { reason: known.reason }),
      ...(known.detail === null ? {} : { detail: known.detail }),
    };
  }
  const fork = known ? "another entry has this sequence" : forkBefore(applier, entry);
  if (fork !== undefined) {
    const receipt = receiptOf(entry, { status: "quarantined", reason: "E_CONFLICT", detail: fork });
    if (store.quarantine(source, entry, receipt, applier.now))
      log.error("a terminal's journal has forked: its disk was copied or restored", {
        ...source,
        sequence: entry.sequence,
      });
    return receipt;
  }
  if ("wrong" in checked) {
    const receipt = receiptOf(entry, { status: "quarantined", reason: checked.wrong, detail: checked.why });
    if (store.quarantine(source, entry, receipt, applier.now))
      log.error("an entry was set aside", { ...source, sequence: entry.sequence, reason: checked.why });
    holdNumber(applier, entry.forward);
    return receipt;
  }
  return takeEntry(applier, checked);
}

/** Only a neighbour shows a break: entries that are not forwarded leave holes in what the hub sees. */
function forkBefore({ store, source }: Applier, entry: ForwardedEntry): string | undefined {
  const before = store.known(source, entry.sequence - 1);
  if (before && before.hash !== entry.previousHash) return "its previous hash is not that of the entry before it";
  return undefined;
}

type GoodEntry = Extract<CheckedEntry, { body: EntryBody }>;

function takeEntry(applier: Applier, checked: GoodEntry): EntryReceipt {
  const { store, source, now, log } = applier;
  const { entry, body } = checked;
  let outcome: EntryOutcome;
  try {
    outcome = transaction(applier.database, () => dispatch(applier, checked));
  } catch (error) {
    if (isStoreFailure(error)) throw error;
    log.error("an entry broke the hub and was set aside", {
      ...source,
      sequence: entry.sequence,
      reason: reasonOf(error),
    });
    outcome = { status: "quarantined", reason: "E_UNAVAILABLE", detail: reasonOf(error).slice(0, 200) };
  }
  const receipt = receiptOf(entry, outcome, body.paymentId);
  store.insert(source, entry, receipt, now);
  if (outcome.status === "quarantined") {
    store.quarantine(source, entry, receipt, now);
    log.error("an entry was set aside", { ...source, sequence: entry.sequence, reason: outcome.detail });
  }
  if (body.kind === "decision" && body.deferred && outcome.status === "declined")
    log.warn("a sale at the merchant's risk was refused", {
      ...source,
      paymentId: body.paymentId,
      reason: outcome.detail,
    });
  holdNumber(applier, entry.forward);
  if (body.kind === "void") holdNumber(applier, body.voidedForward);
  return receipt;
}

function dispatch({ authorisation, source, now }: Applier, { body, card }: GoodEntry): EntryOutcome {
  const input = <Body extends EntryBody>(of: Body) => ({
    key: { terminalId: source.terminalId, paymentId: of.paymentId },
    body: of,
    now,
  });
  switch (body.kind) {
    case "decision":
      return authorisation.advice({ ...input<EntryOf<"decision">>(body), card });
    case "reversal":
      return authorisation.reversal(input(body));
    case "void":
      return authorisation.void(input(body));
    case "intent":
    case "online-requested":
    case "online-unknown":
    case "print-intent":
    case "printed":
    case "signature":
    case "queue-action":
      return { status: "quarantined", reason: "E_FORMAT", detail: `kind: the hub has no use for ${body.kind}` };
  }
}

const receiptOf = (
  entry: ForwardedEntry,
  outcome: EntryOutcome,
  paymentId?: EntryReceipt["paymentId"],
): EntryReceipt => ({
  sequence: entry.sequence,
  hash: entry.hash,
  status: outcome.status,
  ...(paymentId === undefined ? {} : { paymentId }),
  ...(outcome.reason === undefined ? {} : { reason: outcome.reason }),
  ...(outcome.detail === undefined ? {} : { detail: outcome.detail.slice(0, 200) }),
});

/** Raises the watermark over every number that is held without a gap. */
function holdNumber({ store, source }: Applier, forward: number | undefined): void {
  if (forward === undefined) return;
  let watermark = store.watermark(source);
  if (forward <= watermark) return;
  if (forward > watermark + 1) {
    store.putAhead(source, forward);
    return;
  }
  watermark = forward;
  while (store.takeAhead(source, watermark + 1)) watermark += 1;
  store.raise(source, watermark);
}
