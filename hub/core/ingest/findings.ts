/**
 * What is wrong with a terminal's journal, told once to a person: numbers that never came, two entries for one place, a
 * disk that is older than what it has sent, two disks of one journal, a journal that had been replaced.
 */
import type { Log } from "../../../base/log.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { Reading, Within } from "../../store/store.ts";
import { type Finding, type FindingFilter, type FindingKind, findingStore, type NewFinding } from "./finding-store.ts";
import { type EpochRecord, type Gap, type Head, ingestStore, type KnownEntry, type Source } from "./store.ts";

/** How long a number of the queue may be missing while later ones are held: a drain repeats what was lost within seconds. */
export const FINDING_AFTER_MS = 600_000;
/** A message of long ago may come late once or twice; two disks that take turns do so again and again. */
const TURNS_OF_A_CLONE = 3;
/** Who closes what has mended itself. */
const HUB = "hub";

export interface Findings {
  /** An entry came whose place is taken by another, or that does not follow from the one before it. */
  fork(within: Within, source: Source, forked: Forked): Promise<void>;
  /** Two boxes show one identity, whatever their journals say. */
  twin(within: Within, source: Source, seen: TwinSeen): Promise<void>;
  /** The newest entry that a terminal says it has; undefined from an agent that does not say. */
  head(within: Within, source: Source, shown: ShownHead): Promise<void>;
  /** Opens what is missing for too long. */
  gaps(within: Within, now: number): Promise<void>;
  /** The numbers of this epoch are whole. */
  whole(within: Within, source: Source, now: number): Promise<void>;
  list(reading: Reading, filter: FindingFilter): Promise<readonly Finding[]>;
  close(within: Within, number: number, by: Closer): Promise<Result<Finding, "unknown" | "closed">>;
  countOpen(reading: Reading): Promise<number>;
}

/** connections: two were alive at once. certificates: one was shown whose successor is in use. */
export type CloneShown = "connections" | "certificates";

export interface TwinSeen {
  readonly shown: CloneShown;
  readonly now: number;
}

export interface Forked {
  readonly sequence: number;
  /** What has its place, if that is what is wrong. */
  readonly held?: KnownEntry | undefined;
  readonly now: number;
}

export interface ShownHead {
  readonly head: Head | undefined;
  readonly now: number;
}

export interface Closer {
  readonly by: string;
  readonly why: string;
  readonly now: number;
}

export function createFindings(log: Log): Findings {
  const see = (within: Within, source: Source, seen: NewFinding) => seeFinding({ within, log }, source, seen);
  return {
    async fork(within, source, { sequence, held, now }) {
      const known = await findingStore.open(within, source, "fork");
      await see(within, source, { kind: "fork", sequence, detail: forkText(source, sequence), at: now });
      // What has this place came after the first fork was seen: both sides go on.
      if (known && held && held.receivedAt > known.firstSeenAt)
        await see(within, source, { kind: "clone", sequence, detail: cloneText(source), at: now });
    },
    twin: (within, source, { shown, now }) =>
      see(within, source, { kind: "clone", sequence: 0, detail: twinText(source, shown), at: now }),
    head: (within, source, shown) => seeHead({ within, log }, source, shown),
    async gaps(within, now) {
      for (const gap of await ingestStore.gaps(within, now - FINDING_AFTER_MS)) {
        const source = { terminalId: gap.terminalId, epoch: gap.epoch };
        await see(within, source, { kind: "gap", sequence: gap.watermark + 1, detail: gapText(gap), at: now });
      }
    },
    whole: (within, source, now) => mend(within, source, { kind: "gap", why: "what was missing has come", now }),

    list: (reading, filter) => findingStore.list(reading, filter),
    async close(within, number, { by, why, now }) {
      const finding = await findingStore.get(within, number);
      if (!finding) return fail("unknown");
      if (!(await findingStore.close(within, number, { at: now, by, why }))) return fail("closed");
      // Whoever closes it says that this journal is the terminal's own now; the other one is the odd one from here on.
      if (finding.kind === "old-epoch")
        await ingestStore.openEpoch(within, finding, (await ingestStore.newestOpened(within, finding.terminalId)) + 1);
      log.info("a finding was closed", { number, by, why });
      return ok((await findingStore.get(within, number)) ?? finding);
    },
    countOpen: (reading) => findingStore.countOpen(reading),
  };
}

interface Seeing {
  readonly within: Within;
  readonly log: Log;
}

async function seeFinding({ within, log }: Seeing, source: Source, seen: NewFinding): Promise<void> {
  const known = await findingStore.open(within, source, seen.kind);
  if (known) {
    await findingStore.again(within, known.number, seen.at);
    return;
  }
  await findingStore.insert(within, source, seen);
  log.error("a terminal's journal needs a person", { ...source, kind: seen.kind, detail: seen.detail });
}

interface Mending {
  readonly kind: FindingKind;
  readonly why: string;
  readonly now: number;
}

async function mend(within: Within, source: Source, { kind, why, now }: Mending): Promise<void> {
  const known = await findingStore.open(within, source, kind);
  if (known) await findingStore.close(within, known.number, { at: now, by: HUB, why });
}

async function seeHead(seeing: Seeing, source: Source, { head, now }: ShownHead): Promise<void> {
  const { within } = seeing;
  await ingestStore.beginEpoch(within, source, now);
  const record = await ingestStore.epoch(within, source);
  if (!record) return;
  await seeEpoch(seeing, source, { record, now, sequence: head?.sequence ?? 0 });
  if (!head) return;
  const newest = await ingestStore.newest(within, source);
  if (await contradicts(within, { source, head, record })) {
    await seeFinding(seeing, source, { kind: "clone", sequence: head.sequence, detail: cloneText(source), at: now });
  } else if (isBehind(head, record, newest)) {
    const turns = await findingStore.timesClosed(within, source, { kind: "restored", by: HUB });
    const kind = turns >= TURNS_OF_A_CLONE ? "clone" : "restored";
    const detail = kind === "clone" ? cloneText(source) : restoredText(source, { head, record, newest });
    await seeFinding(seeing, source, { kind, sequence: head.sequence, detail, at: now });
    return;
  } else {
    await mend(within, source, { kind: "restored", why: "the terminal showed its newer entries again", now });
  }
  if (head.sequence >= (record.headSequence ?? 0)) await ingestStore.setHead(within, source, head);
}

interface EpochSeen {
  readonly record: EpochRecord;
  readonly now: number;
  readonly sequence: number;
}

/** A terminal changes its epoch only with its file, and never back. */
async function seeEpoch(seeing: Seeing, source: Source, { record, now, sequence }: EpochSeen): Promise<void> {
  const { within } = seeing;
  const newest = await ingestStore.newestOpened(within, source.terminalId);
  if (record.opened === null) await ingestStore.openEpoch(within, source, newest + 1);
  else if (record.opened < newest)
    await seeFinding(seeing, source, { kind: "old-epoch", sequence, detail: oldEpochText(source), at: now });
}

interface Shown {
  readonly source: Source;
  readonly head: Head;
  readonly record: EpochRecord;
}

/** One place, two entries. */
async function contradicts(reading: Reading, { source, head, record }: Shown): Promise<boolean> {
  const held = await ingestStore.known(reading, source, head.sequence);
  if (held && held.hash !== head.hash) return true;
  return record.headSequence === head.sequence && record.headHash !== head.hash;
}

const isBehind = (head: Head, record: EpochRecord, newest: KnownEntry | undefined): boolean =>
  head.sequence < (newest?.sequence ?? 0) ||
  head.sequence < (record.headSequence ?? 0) ||
  head.forward < record.watermark;

const forkText = ({ terminalId }: Source, sequence: number): string =>
  `terminal ${terminalId} sent an entry ${sequence} that contradicts what it sent before, so its disk was copied or ` +
  `restored from an older copy: take it out of use, decide on its entries by tillway hub quarantine list --terminal ` +
  `${terminalId}, and enrol it again with a new journal`;

const cloneText = ({ terminalId }: Source): string =>
  `two disks with the journal of terminal ${terminalId} are in use at once: find both boxes, take them out of use, decide ` +
  `on the entries by tillway hub quarantine list --terminal ${terminalId}, and enrol each box as a terminal of its own`;

const TWIN_WORDS: Readonly<Record<CloneShown, string>> = {
  connections: "two connections of it were alive at once",
  certificates: "a certificate of it was shown whose successor is in use",
};
const twinText = ({ terminalId }: Source, shown: CloneShown): string =>
  `two boxes hold the identity of terminal ${terminalId}, as ${TWIN_WORDS[shown]}: find both, take the wrong one out of use, ` +
  `and enrol the right one anew, which closes every certificate given before`;

const restoredText = (
  { terminalId }: Source,
  shown: Pick<Shown, "head" | "record"> & { newest: KnownEntry | undefined },
) => {
  const seen = Math.max(shown.newest?.sequence ?? 0, shown.record.headSequence ?? 0);
  return (
    `terminal ${terminalId} says that its journal ends at entry ${shown.head.sequence}, but it has been seen up to entry ` +
    `${seen}, so its disk was restored from an older copy: take it out of use and enrol it again with a new journal`
  );
};

const oldEpochText = ({ terminalId, epoch }: Source): string =>
  `terminal ${terminalId} runs on its journal ${epoch} again, which had been replaced by another: give it back the newer ` +
  `journal, or close this finding if the older one is to stay`;

const gapText = ({ terminalId, watermark }: Gap): string =>
  `terminal ${terminalId} has not sent number ${watermark + 1} of its queue, though later ones came: look there with ` +
  `tillway queue, and if its journal was saved import it with tillway hub import`;
