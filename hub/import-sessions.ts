/**
 * Takes a terminal's journal from its file, in parts: first all of it is checked, its signature, its chain and whose it is;
 * then the same parts come once more and are applied. A part that differs from what was checked is refused, so that nothing
 * is applied that the terminal did not sign (RM18).
 */
import { hash } from "node:crypto";
import { toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import type { RandomBytes } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { EntryReceipt } from "../wire/advice.ts";
import { type StoredEntry, StoredEntrySchema } from "../wire/journal-entry.ts";
import { type ExportHeader, ExportReader, keyFingerprint } from "../wire/journal-export.ts";
import { parseJson, publicKeyText } from "../wire/signing.ts";
import type { Ingest, JournalSource } from "./core/ingest/index.ts";
import type { Terminals } from "./core/terminals/index.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { HubStore } from "./store/store.ts";

/** What the whole file turned out to be. */
export interface CheckedImport {
  readonly terminalId: string;
  readonly epoch: string;
  readonly entries: number;
  /** The file is signed, but this entry was spoilt before: those that cannot be believed are set aside. */
  readonly firstBad?: { readonly sequence: number; readonly why: string };
}

/** What became of one part. */
export interface AppliedPart {
  /** Entries that a hub is never told of. */
  readonly skipped: number;
  /** Entries that were here before. */
  readonly held: number;
  readonly results: readonly EntryReceipt[];
}

/** The two passes over one file; both ends of the line speak this. */
export interface ImportSink {
  begin(): Promise<string>;
  check(id: string, lines: readonly string[]): Promise<void>;
  /** After the last line. */
  checked(id: string): Promise<CheckedImport>;
  /** The same lines in the same parts. */
  apply(id: string, lines: readonly string[]): Promise<AppliedPart>;
}

export interface ImportParts {
  readonly store: HubStore;
  readonly commits: GroupCommit;
  readonly ingest: Ingest;
  readonly terminals: Pick<Terminals, "signingKeyOf">;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
}

/** Lines in one part: some 100 ms of work, so that a person never waits long behind it. */
export const PART_LINES_MAX = 100;
const SESSIONS_MAX = 4;
/** A session that nobody speaks to for so long is forgotten. */
const IDLE_MS = 600_000;
const ID_BYTES = 8;

interface Session {
  readonly reader: ExportReader;
  /** SHA-256 of each part, in order. */
  readonly digests: string[];
  source?: JournalSource;
  applied: number;
  usedAtMs: number;
}

export function createImports(parts: ImportParts): ImportSink {
  const { clock, random } = parts;
  const sessions = new Map<string, Session>();

  /** What goes wrong once ends the import: it is begun again from the file's first line. */
  async function of<T>(id: string, work: (session: Session) => T | Promise<T>): Promise<T> {
    try {
      return await work(sessionOf(id));
    } catch (error) {
      sessions.delete(id);
      throw error;
    }
  }
  function sessionOf(id: string): Session {
    const found = sessions.get(id);
    if (!found)
      throw new Fault(
        "message.invalid",
        "there is no such import: it ended, or nothing came for 10 minutes; begin again",
      );
    found.usedAtMs = clock.monotonic();
    return found;
  }
  function forgetIdle(): void {
    for (const [id, { usedAtMs }] of sessions) if (clock.monotonic() - usedAtMs >= IDLE_MS) sessions.delete(id);
  }

  return {
    async begin() {
      forgetIdle();
      if (sessions.size >= SESSIONS_MAX)
        throw new Fault("queue.full", `${SESSIONS_MAX} imports are under way; wait until one of them ends`);
      const id = toHex(random(ID_BYTES));
      sessions.set(id, { reader: new ExportReader(), digests: [], applied: 0, usedAtMs: clock.monotonic() });
      return id;
    },
    check: (id, lines) =>
      of(id, ({ reader, digests, source }) => {
        if (source) throw new Fault("message.invalid", "this import was checked to its end already");
        digests.push(digestOf(lines));
        for (const line of lines) reader.take(line);
      }),
    checked: (id) => of(id, (session) => finishCheck(parts, session)),
    apply: (id, lines) =>
      of(id, async (session) => {
        const part = await applyNext(parts, session, lines);
        if (session.applied === session.digests.length) sessions.delete(id);
        return part;
      }),
  };
}

async function finishCheck(parts: ImportParts, session: Session): Promise<CheckedImport> {
  const { header, count, signatureHolds, firstBad } = session.reader.finish();
  if (!signatureHolds)
    throw new Fault("signature.invalid", "the file's signature does not hold: it was changed or cut; export it again");
  await checkKey(parts, header);
  session.source = { terminalId: header.terminalId, epoch: header.epoch };
  parts.log.info("a journal's file was checked", { ...session.source, entries: count, firstBad });
  return { ...session.source, entries: count, ...(firstBad === undefined ? {} : { firstBad }) };
}

async function applyNext(parts: ImportParts, session: Session, lines: readonly string[]): Promise<AppliedPart> {
  const { source, digests, applied } = session;
  if (!source) throw new Fault("message.invalid", "this import was not checked to its end");
  if (digests[applied] !== digestOf(lines))
    throw new Fault("message.invalid", `part ${applied + 1} is not the one that was checked; begin again`);
  session.applied += 1;
  return applyPart(parts, source, lines);
}

const digestOf = (lines: readonly string[]): string => hash("sha256", JSON.stringify(lines), "hex");

/** A file says which key signed it, not that the key is the terminal's. */
async function checkKey({ store, terminals }: ImportParts, { terminalId, publicKey }: ExportHeader): Promise<void> {
  const enrolled = await store.read((reading) => terminals.signingKeyOf(reading, terminalId));
  if (!enrolled) throw new Fault("identity.invalid", `no terminal ${terminalId} was ever enrolled here`);
  const known = publicKeyText(enrolled);
  if (known === publicKey) return;
  throw new Fault(
    "identity.invalid",
    `the file is signed by the key ${keyFingerprint(publicKey)}, but terminal ${terminalId} was enrolled with ` +
      `${keyFingerprint(known)}: it comes from another box, or from before the terminal was enrolled again`,
  );
}

async function applyPart(
  { commits, ingest, clock }: ImportParts,
  source: JournalSource,
  lines: readonly string[],
): Promise<AppliedPart> {
  const entries = lines.flatMap(entryOf);
  const forwarded = entries.filter(({ forward }) => forward !== undefined);
  const skipped = entries.length - forwarded.length;
  if (forwarded.length === 0) return { skipped, held: 0, results: [] };
  const { results, held } = await commits.submit({
    lane: "queue",
    weight: forwarded.length,
    apply: (within) => ingest.takeImported(within, source, forwarded, clock.now()),
  });
  return { skipped, held, results };
}

/** Nothing for the header and the signature, which were checked before. */
function entryOf(line: string): readonly StoredEntry[] {
  const parsed = StoredEntrySchema.safeParse(parseJson(line));
  return parsed.success ? [parsed.data] : [];
}
