/**
 * The wallet side of RM11 on a simulated phone: holds one allowance, reads a terminal's challenge, and answers it with a
 * note. What is spent is kept, with the note, before it is shown: a phone that dies between the two shows it again.
 */
import type { KeyObject } from "node:crypto";
import { z } from "zod";
import { Fault } from "../../base/fault.ts";
import { toDecimal } from "../../base/money.ts";
import { type Challenge, decodeChallenge, openAllowance, type Spending, signNote } from "../../wire/offline-note.ts";
import { AllowanceIdSchema, type AllowanceReturn } from "../../wire/phone.ts";

const WalletStateSchema = z.strictObject({
  allowanceId: AllowanceIdSchema,
  allowance: z.string(),
  /** Of the last note; one below the allowance's first when there is none. */
  counter: z.int().min(0),
  spentMinor: z.string(),
  previousHash: z.string(),
  /** The challenge answered last, and how: one who is asked again shows the same note and spends nothing more. */
  last: z.strictObject({ challenge: z.string(), note: z.string() }).optional(),
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
  /** Takes the hub's answer to an allowance request. Throws Fault `signature.invalid`, `codec.*`. */
  hold(allowanceText: string): void;
  /** What the payer is asked for: to be read before it is answered. */
  read(challengeText: string): Pick<Challenge, "amount" | "payee" | "terminalId">;
  /** The note. Throws Fault `codec.*` for no challenge, and `message.invalid` when there is not that much to spend. */
  answer(challengeText: string): string;
  /** Minor units left; 0 without an allowance. */
  left(): bigint;
  /** What `allowance-return` says; undefined without an allowance. */
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

export function createNoteWallet(options: NoteWalletOptions): NoteWallet {
  const { payerKey, hubSigningKey, store } = options;
  const stateOf = (): WalletState | undefined => {
    const text = store.load();
    return text === undefined || text === "" ? undefined : WalletStateSchema.parse(JSON.parse(text));
  };
  const opened = (state: WalletState) => openAllowance(state.allowance, hubSigningKey).allowance;
  const wallet: NoteWallet = {
    hold(allowanceText) {
      const { allowance, allowanceHash } = openAllowance(allowanceText, hubSigningKey);
      const { allowanceId, counterStart } = allowance;
      // The answer to a repeated request is no new value.
      if (stateOf()?.allowanceId === allowanceId) return;
      const counter = counterStart - 1;
      const fresh = { allowanceId, allowance: allowanceText, counter, spentMinor: "0", previousHash: allowanceHash };
      store.save(JSON.stringify(fresh));
    },
    read(challengeText) {
      const { amount, payee, terminalId } = decodeChallenge(challengeText);
      return { amount, payee, terminalId };
    },
    answer(challengeText) {
      const { payee: _, ...asked } = decodeChallenge(challengeText);
      const state = stateOf();
      if (!state) throw new Fault("message.invalid", "the phone holds no allowance; ask the hub for one first");
      if (state.last?.challenge === challengeText) return state.last.note;
      const allowance = opened(state);
      const { amount } = asked;
      const spentAfter = BigInt(state.spentMinor) + amount.minor;
      if (amount.currency !== allowance.amount.currency || spentAfter > allowance.amount.minor)
        throw new Fault("message.invalid", `the phone has less than ${toDecimal(amount)} ${amount.currency} to spend`);
      const counter = state.counter + 1;
      const spending: Spending = { ...asked, counter, spentAfter, previousHash: state.previousHash };
      const note = signNote(state.allowance, allowance, { spending, payerKey });
      const last = { challenge: challengeText, note: note.text };
      const spentMinor = spentAfter.toString();
      store.save(JSON.stringify({ ...state, counter, spentMinor, previousHash: note.hash, last }));
      return note.text;
    },
    left() {
      const state = stateOf();
      return state ? opened(state).amount.minor - BigInt(state.spentMinor) : 0n;
    },
    statement() {
      const state = stateOf();
      if (!state) return undefined;
      const notes = state.counter - opened(state).counterStart + 1;
      return { allowanceId: state.allowanceId, notes, spentMinor: state.spentMinor };
    },
    drop: () => store.save(""),
    clone: () => createNoteWallet({ ...options, store: memoryStore(store.load()) }),
  };
  return wallet;
}
