/**
 * The wallet side of RM11 on a simulated phone: holds one allowance, reads a terminal's challenge, and answers it with a
 * note. What is spent is kept, with the note, before it is shown: a phone that dies between the two shows it again.
 */
import type { KeyObject } from "node:crypto";
import { z } from "zod";
import { toHex } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";
import type { RandomBytes } from "../../base/ids.ts";
import { type Money, toDecimal } from "../../base/money.ts";
import {
  type Allowance,
  type Challenge,
  decodeChallenge,
  openAllowance,
  type Spending,
  signNote,
} from "../../wire/offline-note.ts";
import {
  AllowanceIdSchema,
  type AllowanceRequest,
  AllowanceRequestSchema,
  type AllowanceReturn,
} from "../../wire/phone.ts";

const HeldSchema = z.strictObject({
  allowanceId: AllowanceIdSchema,
  allowance: z.string(),
  /** Of the last note; one below the allowance's first when there is none. */
  counter: z.int().min(0),
  spentMinor: z.string(),
  previousHash: z.string(),
  /** The challenge answered last, and how: one who is asked again shows the same note and spends nothing more. */
  last: z.strictObject({ challenge: z.string(), note: z.string() }).optional(),
  /** What is left is given back, or about to be. */
  stated: z.literal(true).optional(),
});
type Held = z.infer<typeof HeldSchema>;

const WalletStateSchema = z.strictObject({
  /** Asked for, and not answered yet. */
  asked: AllowanceRequestSchema.optional(),
  held: HeldSchema.optional(),
});
type WalletState = z.infer<typeof WalletStateSchema>;

/** Where a phone keeps its wallet. */
export interface WalletStore {
  load(): string | undefined;
  /** Durable when it returns. */
  save(text: string): void;
}

export interface NoteWalletOptions {
  /** The key that the phone enrolled with. */
  readonly payerKey: KeyObject;
  readonly hubSigningKey: KeyObject;
  readonly store: WalletStore;
}

export interface NoteWallet {
  /** What `allowance-request` says: the same words until there is an answer. */
  ask(amount: Money, random: RandomBytes): AllowanceRequest;
  /** The hub said no: the next request is another. */
  refused(): void;
  /** Takes the hub's answer to an allowance request. Throws Fault `signature.invalid`, `codec.*`. */
  hold(allowanceText: string): void;
  /** What the payer is asked for: to be read before it is answered. */
  read(challengeText: string): Pick<Challenge, "amount" | "payee" | "terminalId">;
  /** The note. Throws Fault `codec.*` for no challenge, and `message.invalid` when there is not that much to spend. */
  answer(challengeText: string): string;
  /** Minor units left; 0 without an allowance. */
  left(): bigint;
  /** What `allowance-return` says; undefined without an allowance. From then on nothing is spent, so that it stays true. */
  statement(): AllowanceReturn | undefined;
  /** Nothing is left to spend: after it was given back. */
  drop(): void;
  /** A copy of key and state, as a thief or a backup makes one. */
  clone(): NoteWallet;
}

/** A wallet in memory: what tests and simulations keep. */
export function memoryStore(first?: string): WalletStore {
  let kept = first;
  return {
    load: () => kept,
    save(text) {
      kept = text;
    },
  };
}

const REQUEST_ID_BYTES = 12;

export function createNoteWallet(options: NoteWalletOptions): NoteWallet {
  const { payerKey, hubSigningKey, store } = options;
  const stateOf = (): WalletState => WalletStateSchema.parse(JSON.parse(store.load() ?? "{}"));
  const save = (state: WalletState) => store.save(JSON.stringify(state));
  let opened: { readonly text: string; readonly allowance: Allowance } | undefined;
  const allowanceOf = ({ allowance: text }: Held): Allowance => {
    if (opened?.text !== text) opened = { text, allowance: openAllowance(text, hubSigningKey).allowance };
    return opened.allowance;
  };
  return {
    ask(amount, random) {
      const state = stateOf();
      const asked = state.asked ?? {
        requestId: toHex(random(REQUEST_ID_BYTES)),
        amountMinor: amount.minor.toString(),
        currency: amount.currency,
      };
      save({ ...state, asked });
      return asked;
    },
    refused() {
      const { asked: _, ...state } = stateOf();
      save(state);
    },
    hold(allowanceText) {
      const { allowance, allowanceHash } = openAllowance(allowanceText, hubSigningKey);
      const { allowanceId, counterStart } = allowance;
      const { held } = stateOf();
      // The answer to a repeated request is no new value.
      if (held?.allowanceId === allowanceId) return save({ held });
      const counter = counterStart - 1;
      save({ held: { allowanceId, allowance: allowanceText, counter, spentMinor: "0", previousHash: allowanceHash } });
    },
    read(challengeText) {
      const { amount, payee, terminalId } = decodeChallenge(challengeText);
      return { amount, payee, terminalId };
    },
    answer(challengeText) {
      const { payee: _, ...asked } = decodeChallenge(challengeText);
      const { held, ...rest } = stateOf();
      if (!held) throw new Fault("message.invalid", "the phone holds no allowance; ask the hub for one first");
      if (held.last?.challenge === challengeText) return held.last.note;
      if (held.stated) throw new Fault("message.invalid", "what was left is given back; nothing more can be spent");
      const spending = nextOf(held, allowanceOf(held).amount, asked);
      const note = signNote(held.allowance, allowanceOf(held), { spending, payerKey });
      const { counter, spentAfter } = spending;
      const last = { challenge: challengeText, note: note.text };
      const spent = { counter, spentMinor: spentAfter.toString(), previousHash: note.hash, last };
      save({ ...rest, held: { ...held, ...spent } });
      return note.text;
    },
    left() {
      const { held } = stateOf();
      return held && !held.stated ? allowanceOf(held).amount.minor - BigInt(held.spentMinor) : 0n;
    },
    statement() {
      const { held, ...rest } = stateOf();
      if (!held) return undefined;
      save({ ...rest, held: { ...held, stated: true } });
      const notes = held.counter - allowanceOf(held).counterStart + 1;
      return { allowanceId: held.allowanceId, notes, spentMinor: held.spentMinor };
    },
    drop: () => save({}),
    clone: () => createNoteWallet({ ...options, store: memoryStore(store.load()) }),
  };
}

function nextOf(held: Held, allowed: Money, asked: Omit<Challenge, "payee">): Spending {
  const { amount } = asked;
  const spentAfter = BigInt(held.spentMinor) + amount.minor;
  if (amount.currency !== allowed.currency || spentAfter > allowed.minor)
    throw new Fault("message.invalid", `the phone has less than ${toDecimal(amount)} ${amount.currency} to spend`);
  return { ...asked, counter: held.counter + 1, spentAfter, previousHash: held.previousHash };
}
