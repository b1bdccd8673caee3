/**
 * Takes notes of staged value with no network (RM11): makes the challenge that the till shows, checks the answer up to the
 * hub's key, remembers what each allowance has spent here, and countersigns. Nothing in here reaches for the hub.
 */
import { createHmac, type KeyObject } from "node:crypto";
import type { Epoch, PaymentId, RandomBytes, TerminalId } from "../../../base/ids.ts";
import type { Money } from "../../../base/money.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { NoteFacts } from "../../../wire/journal-entry.ts";
import {
  type Challenge,
  checkNote,
  countersign,
  encodeChallenge,
  NONCE_BYTES,
  type NoteContent,
  type NoteRefusal,
  openNote,
} from "../../../wire/offline-note.ts";
import type { Journal } from "../../journal/journal.ts";
import type { HubClock } from "../../uplink/hub.ts";

export interface NoteDeskOptions {
  readonly terminalId: TerminalId;
  /** Of the journal: a note for another journal of this terminal is refused. */
  readonly epoch: Epoch;
  readonly hubSigningKey: KeyObject;
  /** The terminal's own private key. */
  readonly signingKey: KeyObject;
  /** 32 bytes: the hub makes its deny list for this terminal under the same key. */
  readonly cardTokenKey: KeyObject;
  readonly hubClock: HubClock;
  readonly journal: Pick<Journal, "lastNoteOf">;
  readonly leases: { denies(payerToken: string): boolean };
  readonly random: RandomBytes;
  /** As payers know the shop; at most 64 bytes. */
  readonly payee: string;
}

interface NoteSale {
  readonly paymentId: PaymentId;
  readonly amount: Money;
}

export interface AcceptedNote {
  readonly facts: NoteFacts;
  /** HMAC of the paying device's id: matched with the deny list and the lease's limits for one payer. */
  readonly payerToken: string;
}

export interface NoteDesk {
  /** What a phone answers for this payment: the same text however often it is asked for. */
  challenge(sale: NoteSale): string;
  /** Takes one note for a payment that has a challenge. The sale counts only once its decision is in the journal. */
  accept(text: string, sale: NoteSale): Result<AcceptedNote, NoteRefusal>;
}

/** Payments that wait for a payer at the same time; the oldest challenge is dropped for a new one. */
const CHALLENGES_MAX = 256;
/** Allowances whose spending is remembered until they expire: more than any lease lets a terminal take. */
const ALLOWANCES_MAX = 100_000;

/** The last note of an allowance that was taken here. */
interface Spent {
  readonly counter: number;
  readonly spentAfter: bigint;
  readonly hash: string;
  readonly expiresAt: number;
}

export function createNoteDesk(options: NoteDeskOptions): NoteDesk {
  const challenges = new Map<PaymentId, Challenge>();
  const spent = new Map<string, Spent>();
  const tokenOf = (deviceId: string): string =>
    createHmac("sha256", options.cardTokenKey).update(`device:${deviceId}`).digest("hex");

  /** After a restart the journal tells. It may be behind what was taken since, whose decisions are on their way there. */
  function spentOf(allowanceId: string): Spent | undefined {
    const known = spent.get(allowanceId);
    const last = known ? undefined : options.journal.lastNoteOf(allowanceId);
    const opened = last && openNote(last.note, options.hubSigningKey);
    return opened?.ok ? spentBy(opened.value) : known;
  }

  return {
    challenge({ paymentId, amount }) {
      const known = challenges.get(paymentId);
      if (known && sameAmount(known.amount, amount)) return encodeChallenge(known);
      const { terminalId, epoch, payee } = options;
      const challenge = { terminalId, epoch, paymentId, nonce: options.random(NONCE_BYTES), amount, payee };
      const text = encodeChallenge(challenge);
      dropOldest(challenges);
      challenges.set(paymentId, challenge);
      return text;
    },

    accept(text, { paymentId, amount }) {
      const challenge = challenges.get(paymentId);
      if (!challenge || !sameAmount(challenge.amount, amount))
        return refuse("E_REPLAY", "no challenge of this terminal is open for this payment; show the new one");
      const { at: now, proven } = options.hubClock.now();
      if (!proven)
        return refuse("E_UNAVAILABLE", "hub time is not proven since the start, so no allowance can be dated");
      const deniedDevice = (deviceId: string) => options.leases.denies(tokenOf(deviceId));
      const checked = checkNote({ text, challenge, hubSigningKey: options.hubSigningKey, now, deniedDevice });
      if (!checked.ok) return checked;
      const { allowance, counter } = checked.value;
      const { allowanceId, deviceId } = allowance;
      const refusal = refusalBeside(spentOf(allowanceId), checked.value) ?? noRoom(spent, allowanceId, now);
      if (refusal) return fail(refusal);
      // One note for one challenge, and the value counts as spent here whatever becomes of the sale.
      challenges.delete(paymentId);
      spent.set(allowanceId, spentBy(checked.value));
      const countersignature = countersign(text, options.signingKey);
      return ok({
        facts: { allowanceId, deviceId, counter, note: text, countersignature },
        payerToken: tokenOf(deviceId),
      });
    },
  };
}

const spentBy = ({ counter, spentAfter, hash, allowance }: NoteContent): Spent => ({
  counter,
  spentAfter,
  hash,
  expiresAt: allowance.expiresAt,
});
const refuse = (reason: NoteRefusal["reason"], detail: string) => fail<NoteRefusal>({ reason, detail });
const sameAmount = (a: Money, b: Money): boolean => a.minor === b.minor && a.currency === b.currency;

/** A phone that comes again goes on where it was. One that does not shows value that was spent here already. */
function refusalBeside(known: Spent | undefined, note: NoteContent): NoteRefusal | undefined {
  if (!known) return undefined;
  const spentBefore = note.spentAfter - note.amount.minor;
  const between = BigInt(note.counter - known.counter - 1);
  const fits =
    between === 0n
      ? note.previousHash === known.hash && spentBefore === known.spentAfter
      : between > 0n && spentBefore >= known.spentAfter + between;
  if (fits) return undefined;
  return {
    reason: "E_USED",
    detail: "this phone's value was spent here already: its key was copied, or it was set back",
  };
}

function noRoom(spent: Map<string, Spent>, allowanceId: string, now: number): NoteRefusal | undefined {
  if (spent.has(allowanceId) || spent.size < ALLOWANCES_MAX) return undefined;
  for (const [id, { expiresAt }] of spent) if (expiresAt < now) spent.delete(id);
  if (spent.size < ALLOWANCES_MAX) return undefined;
  return { reason: "E_LIMIT", detail: "this terminal remembers no more allowances; it must reach the hub first" };
}

function dropOldest(challenges: Map<PaymentId, Challenge>): void {
  const [oldest] = challenges.keys();
  if (challenges.size >= CHALLENGES_MAX && oldest !== undefined) challenges.delete(oldest);
}
