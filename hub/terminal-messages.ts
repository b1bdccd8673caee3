/** What the hub says to one terminal about its lease: as an answer, unasked for, and to one that is revoked. */
import type { Clock } from "../base/clock.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import { type Epoch, newMessageId, type RandomBytes, type TerminalId } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import { RESPONSE_CODES } from "../wire/authorisation.ts";
import type { DownEnvelope, DownOf, UpEnvelope, UpOf } from "../wire/envelope.ts";
import type { Answer } from "./core/authorisation/index.ts";
import type { CloneShown, Ingest } from "./core/ingest/index.ts";
import type { Speaker, Terminals } from "./core/terminals/index.ts";
import type { GroupCommit, Work } from "./group-commit.ts";
import type { HubStore, Within } from "./store/store.ts";

export interface MessageParts {
  readonly store: HubStore;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly terminals: Terminals;
  readonly commits: GroupCommit;
}

/** Everything but type and body of an answer. */
export const headOf = (
  parts: Pick<MessageParts, "clock" | "random">,
  { terminalId, epoch, sequence }: Pick<UpEnvelope, "terminalId" | "epoch" | "sequence">,
) => ({
  v: 1 as const,
  id: newMessageId(parts.random),
  terminalId,
  epoch,
  sequence,
  sentAt: new Date(parts.clock.now()).toISOString(),
});

/** Who speaks, and that he was seen. Throws Fault `identity.invalid` for one that was never enrolled here. */
export async function speakerOf(
  { terminals }: Pick<MessageParts, "terminals">,
  within: Within,
  terminalId: TerminalId,
): Promise<Speaker> {
  const speaker = await terminals.speaker(within, terminalId);
  if (!speaker) throw new Fault("identity.invalid", `no terminal ${terminalId} is enrolled here`);
  return speaker;
}

/** Work in the name of a terminal, which must be in good standing when it is done. */
export type WorkFor<Result> = Pick<Work<Result>, "lane" | "weight" | "ready"> & {
  apply(within: Within, speaker: Speaker): Promise<Result>;
};

/** Throws Fault `identity.invalid`; `identity.revoked`, for what a revoked one's journal holds comes in by a person's hand alone. */
export async function workFor<Result>(
  parts: Pick<MessageParts, "terminals" | "commits">,
  { terminalId }: Pick<UpEnvelope, "terminalId">,
  { apply, ...work }: WorkFor<Result>,
): Promise<Result> {
  const done = await parts.commits.submit<{ readonly result: Result } | undefined>({
    ...work,
    async apply(within) {
      const speaker = await speakerOf(parts, within, terminalId);
      return speaker.isRevoked ? undefined : { result: await apply(within, speaker) };
    },
  });
  // Thrown after the commit, which holds that it was seen.
  if (!done)
    throw new Fault("identity.revoked", `the terminal ${terminalId} is revoked; restore it, or import its journal`);
  return done.result;
}

/**
 * A terminal that says `online` is given hub time and its lease; one that leaves is only noted, and of a revoked one nothing
 * but that it was seen: it is told the time, and that it has no lease.
 */
export async function presence(
  parts: MessageParts & { readonly ingest: Ingest },
  envelope: UpOf<"presence">,
): Promise<readonly DownEnvelope[]> {
  const { terminalId, epoch, body } = envelope;
  const given = await parts.commits.submit<Omit<DownOf<"lease">["body"], "time">>({
    lane: "person",
    async apply(within) {
      const { terminals, ingest } = parts;
      const source = { terminalId, epoch };
      if ((await speakerOf(parts, within, terminalId)).isRevoked) return {};
      await terminals.setPresence(within, source, body);
      if (body.status !== "online") return {};
      // Not of a Last Will, which speaks of the time when the connection was made.
      await ingest.checkHead(within, source, body.head, parts.clock.now());
      const watermark = await ingest.watermark(within, source);
      const held = { hubEpoch: ingest.hubEpoch, watermark, fence: await ingest.fence(within, source) };
      const lease = await terminals.grantLease(within, terminalId, epoch);
      return { held, ...(lease === undefined ? {} : { lease }) };
    },
  });
  if (body.status !== "online") return [];
  const time = parts.terminals.signedTime(terminalId, body.nonce);
  return [{ ...headOf(parts, envelope), type: "lease", body: { time, ...given } }];
}

/** A fresh lease for a terminal that did not ask, or the word that it has none any more; undefined for one never heard. */
export async function leaseUnasked(parts: MessageParts, terminalId: TerminalId): Promise<DownEnvelope | undefined> {
  const { terminals, commits, store } = parts;
  const epoch = await store.read((reading) => terminals.newestEpoch(reading, terminalId));
  if (epoch === undefined) return undefined;
  const apply = (within: Within) => terminals.grantLease(within, terminalId, epoch);
  const lease = await commits.submit({ lane: "queue", apply });
  const time = terminals.signedTime(terminalId);
  const head = headOf(parts, { terminalId, epoch, sequence: 0 });
  return { ...head, type: "lease", body: { time, ...(lease === undefined ? {} : { lease }) } };
}

/** Of the journal that was heard last, as a connection is of no journal. */
export function nameClone(
  { terminals, commits, clock, ingest }: MessageParts & { readonly ingest: Ingest },
  { terminalId, shown, log }: { readonly terminalId: TerminalId; readonly shown: CloneShown; readonly log: Log },
): void {
  commits
    .submit({
      lane: "queue",
      async apply(within) {
        const epoch = (await terminals.newestEpoch(within, terminalId)) ?? NO_EPOCH;
        await ingest.findings.twin(within, { terminalId, epoch }, { shown, now: clock.now() });
      },
    })
    .catch((error: unknown) => log.error("a clone could not be noted", { terminalId, reason: reasonOf(error) }));
}
const NO_EPOCH = "0000000000000000" as Epoch;

/** Its requests are declined, and kept as declined: a repeat after it was restored must not be told otherwise. */
export const REVOKED_ANSWER: Answer = {
  outcome: "declined",
  responseCode: RESPONSE_CODES.doNotHonour,
  reason: "E_DENIED",
  detail: "this terminal is revoked",
};
