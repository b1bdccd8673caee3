/**
 * What is wrong with a terminal's journal, told once to a person: numbers that never came, two entries for one place, a
 * disk that is older than what it has sent, two disks of one journal, a journal that had been replaced.
 */
import type { Log } from "../../../base/log.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { Finding, FindingFilter, FindingKind, FindingStore } from "./finding-store.ts";
import type { EpochRecord, Gap, Head, IngestStore, KnownEntry, Source } from "./store.ts";

/** How long a number of the queue may be missing while later ones are held: a drain repeats what was lost within seconds. */
export const FINDING_AFTER_MS = 600_000;
/** A message of long ago may come late once or twice; two disks that take turns do so again and again. */
const TURNS_OF_A_CLONE = 3;
/** Who closes what has mended itself. */
const HUB = "hub";

export interface Findings {
  /** An entry came whose place is taken by another, or that does not follow from the one before it. */
  fork(source: Source, forked: Forked, now: number): void;
  /** The newest entry that a terminal says it has; undefined from an agent that does not say. */
  head(source: Source, head: Head | undefined, now: number): void;
  /** Opens what is missing for too long. */
  gaps(now: number): void;
  /** The numbers of this epoch are whole. */
  whole(source: Source, now: number): void;
  list(filter: FindingFilter): readonly Finding[];
  close(number: number, by: Closer): Result<Finding, "unknown" | "closed">;
  countOpen(): number;
}

export interface Forked {
  readonly sequence: number;
  /** What has its place, if that is what is wrong. */
  readonly held?: KnownEntry | undefined;
}

export interface Closer {
  readonly by: string;
  readonly why: string;
  readonly now: number;
}

interface Parts {
  readonly store: IngestStore;
  readonly findings: FindingStore;
  readonly log: Log;
}

type Seen = Pick<Finding, "kind" | "sequence" | "detail">;

export function createFindings({ store, findings, log }: Parts): Findings {
  function see(source: Source, seen: Seen, now: number): void {
    const known = findings.open(source, seen.kind);
    if (known) {
      findings.again(known.number, now);
      return;
    }
    findings.insert(source, seen, now);
    log.error("a terminal's journal needs a person", { ...source, kind: seen.kind, detail: seen.detail });
  }
  function mended(
    source: Source,
    kind: FindingKind,
    { why, now }: { readonly why: string; readonly now: number },
  ): void {
    const known = findings.open(source, kind);
    if (known) findings.close(known.number, { at: now, by: HUB, why });
  }

  return {
    fork(source, { sequence, held }, now) {
      const known = findings.open(source, "fork");
      see(source, { kind: "fork", sequence, detail: forkText(source, sequence) }, now);
      // What has this place came after the first fork was seen: both sides go on.
      if (known && held && held.receivedAt > known.firstSeenAt)
        see(source, { kind: "clone", sequence, detail: cloneText(source) }, now);
    },

    head(source, head, now) {
      store.beginEpoch(source, now);
      const record = store.epoch(source);
      if (!record) return;
      seeEpoch({ store, see }, source, { record, now, sequence: head?.sequence ?? 0 });
      if (!head) return;
      const newest = store.newest(source);
      if (contradicts({ store, source, head, record })) {
        see(source, { kind: "clone", sequence: head.sequence, detail: cloneText(source) }, now);
      } else if (isBehind(head, record, newest)) {
        const turns = findings.timesClosedBy(source, "restored", HUB);
        const kind = turns >= TURNS_OF_A_CLONE ? "clone" : "restored";
        const text = kind === "clone" ? cloneText(source) : restoredText(source, { head, record, newest });
        see(source, { kind, sequence: head.sequence, detail: text }, now);
        return;
      } else {
        mended(source, "restored", { why: "the terminal showed its newer entries again", now });
      }
      if (head.sequence >= (record.headSequence ?? 0)) store.setHead(source, head);
    },

    gaps(now) {
      for (const gap of store.gaps(now - FINDING_AFTER_MS)) {
        const source = { terminalId: gap.terminalId, epoch: gap.epoch };
        see(source, { kind: "gap", sequence: gap.watermark + 1, detail: gapText(gap) }, now);
      }
    },
    whole: (source, now) => mended(source, "gap", { why: "what was missing has come", now }),

    list: (filter) => findings.list(filter),
    close(number, { by, why, now }) {
      const finding = findings.get(number);
      if (!finding) return fail("unknown");
      if (!findings.close(number, { at: now, by, why })) return fail("closed");
      // Whoever closes it says that this journal is the terminal's own now; the other one is the odd one from here on.
      if (finding.kind === "old-epoch") store.openEpoch(finding, store.newestOpened(finding.terminalId) + 1);
      log.info("a finding was closed", { number, by, why });
      return ok(findings.get(number) ?? finding);
    },
    countOpen: () => findings.countOpen(),
  };
}

interface EpochSeen {
  readonly record: EpochRecord;
  readonly now: number;
  readonly sequence: number;
}

/** A terminal changes its epoch only with its file, and never back. */
function seeEpoch(
  { store, see }: { readonly store: IngestStore; see(source: Source, seen: Seen, now: number): void },
  source: Source,
  { record, now, sequence }: EpochSeen,
): void {
  const newest = store.newestOpened(source.terminalId);
  if (record.opened === null) store.openEpoch(source, newest + 1);
  else if (record.opened < newest) see(source, { kind: "old-epoch", sequence, detail: oldEpochText(source) }, now);
}

interface Shown {
  readonly store: IngestStore;
  readonly source: Source;
  readonly head: Head;
  readonly record: EpochRecord;
}

/** One place, two entries. */
function contradicts({ store, source, head, record }: Shown): boolean {
  const held = store.known(source, head.sequence);
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
