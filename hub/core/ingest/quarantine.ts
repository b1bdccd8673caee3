/** What a person may do with an entry that was set aside: look at it, have it applied, or lay it to rest. */
import { reasonOf } from "../../../base/fault.ts";
import type { Log } from "../../../base/log.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import { type EntryBody, EntryBodySchema, hashEntry } from "../../../wire/journal-entry.ts";
import { firstIssue, parseJson } from "../../../wire/signing.ts";
import type { Reading, Within } from "../../store/store.ts";
import type { Authorisation, EntryOutcome } from "../authorisation/index.ts";
import { dispatchBody } from "./apply.ts";
import type { Closer } from "./findings.ts";
import { quarantineStore, type SetAside, type SetAsideFilter, type SetAsideResult } from "./quarantine-store.ts";
import { ingestStore } from "./store.ts";

/** Why a person's decision was not carried out. */
export interface DecisionRefusal {
  readonly reason: "unknown" | "decided" | "not-possible";
  readonly detail: string;
}

export type Decision = Result<SetAside, DecisionRefusal>;

export interface Quarantine {
  list(reading: Reading, filter: SetAsideFilter): Promise<readonly SetAside[]>;
  get(reading: Reading, number: number): Promise<SetAside | undefined>;
  /**
   * Applies the entry under its payment's id, whichever entry has its place: once, as a payment that is confirmed already
   * is a duplicate (RM1).
   */
  accept(within: Within, number: number, by: Closer): Promise<Decision>;
  /** The entry moves nothing, and its terminal is told so when it asks again. */
  drop(within: Within, number: number, by: Closer): Promise<Decision>;
  countOpen(reading: Reading): Promise<number>;
}

export interface QuarantineParts {
  readonly authorisation: Authorisation;
  readonly log: Log;
}

export function createQuarantine(parts: QuarantineParts): Quarantine {
  return {
    list: (reading, filter) => quarantineStore.list(reading, filter),
    get: (reading, number) => quarantineStore.get(reading, number),
    async accept(within, number, by) {
      const open = await findOpen(within, number);
      return open.ok ? await accept({ ...parts, within }, open.value, by) : open;
    },
    async drop(within, number, by) {
      const open = await findOpen(within, number);
      return open.ok ? await drop({ ...parts, within }, open.value, by) : open;
    },
    countOpen: (reading) => quarantineStore.countOpen(reading),
  };
}

interface Parts extends QuarantineParts {
  readonly within: Within;
}

async function findOpen(reading: Reading, number: number): Promise<Decision> {
  const aside = await quarantineStore.get(reading, number);
  if (!aside) return fail({ reason: "unknown", detail: `nothing with the number ${number} was set aside` });
  if (!aside.closed) return ok(aside);
  const { by, status } = aside.closed;
  return fail({ reason: "decided", detail: `it was decided by ${by} before: ${status}` });
}

async function accept(parts: Parts, aside: SetAside, by: Closer): Promise<Decision> {
  const body = bodyOf(aside);
  if (!body.ok) return fail({ reason: "not-possible", detail: body.error });
  const { terminalId, epoch, card } = aside;
  const outcome: EntryOutcome = await dispatchBody(
    { ...parts, source: { terminalId, epoch }, now: by.now },
    { body: asAccepted(aside, body.value), card },
  );
  if (outcome.status !== "quarantined") return ok(await close(parts, aside, { by, outcome }));
  return fail({ reason: "not-possible", detail: outcome.detail ?? "it cannot be applied" });
}

async function drop(parts: Parts, aside: SetAside, by: Closer): Promise<Decision> {
  const detail = `dropped at the hub by ${by.by}: ${by.why}`.slice(0, DETAIL_MAX);
  return ok(await close(parts, aside, { by, outcome: { status: "declined", reason: "E_DENIED", detail } }));
}

const DETAIL_MAX = 200;

/** Only what the terminal signed can be applied. */
function bodyOf(aside: SetAside): Result<EntryBody, string> {
  const { previousHash } = aside;
  const fits =
    previousHash === undefined ? aside.reason !== "E_SIG" : hashEntry({ ...aside, previousHash }) === aside.hash;
  if (!fits) return fail("its content is not what the terminal signed; let the terminal send it again, or drop it");
  try {
    const parsed = EntryBodySchema.safeParse(parseJson(aside.text));
    return parsed.success ? ok(parsed.data) : fail(`its content cannot be read: ${firstIssue(parsed.error)}`);
  } catch (error) {
    return fail(`its content cannot be read: ${reasonOf(error)}`);
  }
}

/** A deferred sale whose card data are gone is posted like any sale made offline: nobody can be asked any more. */
function asAccepted({ sealedDigest, card }: SetAside, body: EntryBody): EntryBody {
  if (body.kind !== "decision" || !body.deferred || sealedDigest === undefined || card !== undefined) return body;
  const { deferred: _, ...decision } = body;
  return decision;
}

interface Decided {
  readonly by: Closer;
  readonly outcome: SetAsideResult;
}

async function close({ within, log }: Parts, aside: SetAside, { by, outcome }: Decided): Promise<SetAside> {
  const { number, terminalId, epoch, sequence, hash } = aside;
  await quarantineStore.close(within, number, { ...outcome, at: by.now, by: by.by, why: by.why });
  // Where the entry itself has the place, what became of it is the answer to every repeat.
  await ingestStore.settle(within, aside, { ...outcome, sequence, hash });
  const { status } = outcome;
  log.info("a person decided on an entry", { number, terminalId, epoch, sequence, status, by: by.by, why: by.why });
  return (await quarantineStore.get(within, number)) ?? aside;
}
