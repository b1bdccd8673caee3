/**
 * What operators did, in a log that is only added to. Each entry's hash covers its bytes and the hash before it, and the
 * hub signs the newest: an entry changed, taken out, put elsewhere or cut off does not fit.
 */
import { hash, type KeyObject } from "node:crypto";
import type { Clock } from "../../../base/clock.ts";
import { Fault } from "../../../base/fault.ts";
import { signatureFits, signText } from "../../../wire/signing.ts";
import type { HubStore, Reading, Within } from "../../store/store.ts";
import type { Operator, Role } from "./roles.ts";
import { type AuditHead, type AuditRow, operatorStore } from "./store.ts";

/** begun: of work in several steps, before the first; its outcome is an entry of its own that names this one. */
export type AuditOutcome = "done" | "refused" | "failed" | "begun";

export interface AuditInput {
  /** The route, or the command. */
  readonly action: string;
  readonly who: string;
  readonly role?: Role;
  readonly by?: Operator["by"] | "machine";
  readonly credential?: string;
  readonly address?: string;
  readonly outcome: AuditOutcome;
  /** Of the HTTP answer. */
  readonly status?: number;
  readonly reason?: string;
  /** What the request named. */
  readonly named?: Readonly<Record<string, string>>;
  /** The entry that began what this one ends. */
  readonly of?: number;
  /** How many more of its kind there were that have no entry of their own. */
  readonly counted?: number;
}

export interface AuditEntry {
  readonly number: number;
  readonly hash: string;
  /** The bytes that the hash covers: an AuditInput as JSON, with its time. */
  readonly text: string;
}

export interface AuditPlace {
  readonly number: number;
  readonly hash: string;
}

export interface AuditVerdict {
  readonly entries: number;
  readonly head: AuditPlace;
  readonly firstBroken?: { readonly number: number; readonly why: string };
}

export interface AuditOptions {
  readonly store: HubStore;
  readonly clock: Clock;
  /** The hub's own: signs the newest entry. */
  readonly signing: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
}

export type Audit = ReturnType<typeof createAudit>;

const TEXT_MAX = 200;
const NAMED_MAX = 16;
/** Entries checked between two turns of the event loop. */
const CHECKED_AT_ONCE = 500;
const GENESIS = "0".repeat(64);

export function createAudit({ store, clock, signing }: AuditOptions) {
  return {
    /**
     * Within the transaction of what it tells of, where there is one; as there is one writer at a time over all replicas
     * of the hub, the chain has one end. Its number. Throws Fault `store.failed`.
     */
    async append(within: Within, input: AuditInput): Promise<number> {
      const last = await headNow(within);
      const number = last.number + 1;
      const text = JSON.stringify({ at: new Date(clock.now()).toISOString(), ...shown(input) });
      const own = chainHash(number, last.hash, text);
      await operatorStore.insertAudit(within, { number, text, hash: own });
      const { signature } = signText("audit-head", headText({ number, hash: own }), signing.privateKey);
      if (!(await operatorStore.moveAuditHead(within, { number, hash: own, signature })))
        throw new Fault("store.failed", "another entry came into the audit log at the same time; repeat the request");
      return number;
    },

    /** Oldest first. */
    after: (reading: Reading, number: number, limit: number): Promise<readonly AuditEntry[]> =>
      operatorStore.auditAfter(reading, number, limit),
    /** Newest first. */
    before: (reading: Reading, number: number, limit: number): Promise<readonly AuditEntry[]> =>
      operatorStore.auditBefore(reading, number, limit),
    /** `known`: a place that somebody noted earlier, which must still be there. Outside any transaction. */
    verify: (known?: AuditPlace): Promise<AuditVerdict> => verify(store, signing.publicKey, known),
  };
}

async function headNow(reading: Reading): Promise<AuditHead> {
  const head = await operatorStore.auditHead(reading);
  if (!head) throw new Fault("store.failed", "the audit log has lost its head; nothing is done unaudited");
  return head;
}

async function verify(store: HubStore, key: KeyObject, known: AuditPlace | undefined): Promise<AuditVerdict> {
  const head = await store.read(headNow);
  const place = { number: head.number, hash: head.hash };
  let last: AuditPlace = { number: 0, hash: GENESIS };
  const broken = (number: number, why: string): AuditVerdict => ({
    entries: last.number,
    head: place,
    firstBroken: { number, why },
  });
  if (!headFits(head, key)) return broken(head.number, "the signature of the head does not fit");
  for (;;) {
    const from = last.number;
    const page = await store.read((reading) => operatorStore.auditAfter(reading, from, CHECKED_AT_ONCE));
    const rows = page.filter(({ number }) => number <= head.number);
    if (rows.length === 0) break;
    for (const row of rows) {
      const why = problemOf(row, last, known);
      if (why !== undefined) return broken(last.number + 1, why);
      last = { number: row.number, hash: row.hash };
    }
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  if (last.number < head.number) return broken(last.number + 1, "is missing: the log was cut short");
  if (last.hash !== head.hash) return broken(last.number, "is not what the head names");
  if (known && known.number > head.number) return broken(head.number + 1, "is missing: it was there once");
  const beyond = await store.read(behindHead);
  if (beyond) return broken(beyond.number, "was put behind the head");
  return { entries: last.number, head: place };
}

async function behindHead(reading: Reading): Promise<AuditRow | undefined> {
  const { number } = await headNow(reading);
  const [beyond] = await operatorStore.auditAfter(reading, number, 1);
  return beyond;
}

export const chainHash = (number: number, previous: string, text: string): string =>
  hash("sha256", `${number}\n${previous}\n${text}`, "hex");

const headText = ({ number, hash: own }: AuditPlace): string => `${number}\n${own}`;
const headFits = (head: AuditHead, key: KeyObject): boolean =>
  (head.number === 0 && head.hash === GENESIS) ||
  signatureFits("audit-head", { text: headText(head), signature: head.signature }, key);

function problemOf(row: AuditRow, last: AuditPlace, known: AuditPlace | undefined): string | undefined {
  if (row.number !== last.number + 1) return "is missing";
  if (chainHash(row.number, last.hash, row.text) !== row.hash) return "was changed, or is not where it was written";
  if (known?.number === row.number && known.hash !== row.hash) return "is not the entry that was there once";
  return undefined;
}

/** Twelve and more digits may be a card's number, whatever field a person put them into. */
const DIGITS = /\d(?:[ -]?\d){11,18}/g;
const masked = (text: string): string =>
  text
    .replace(DIGITS, (found) => {
      const digits = found.replace(/\D/g, "");
      return `${digits.slice(0, 6)}${"*".repeat(digits.length - 10)}${digits.slice(-4)}`;
    })
    .slice(0, TEXT_MAX);

/** What a sender chose is cut and masked; the rest is ours. */
function shown({ who, reason, named, address, ...rest }: AuditInput): AuditInput {
  const names = Object.entries(named ?? {}).slice(0, NAMED_MAX);
  return {
    ...rest,
    who: masked(who),
    ...(address === undefined ? {} : { address }),
    ...(reason === undefined ? {} : { reason: masked(reason) }),
    ...(names.length === 0 ? {} : { named: Object.fromEntries(names.map(([name, value]) => [name, masked(value)])) }),
  };
}
