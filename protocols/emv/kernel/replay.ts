/** Runs the kernel against a recorded dialogue, and reports what it did and decided, step by step. */
import { toHex } from "../../../base/bytes.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import { bitsOf, TSI, TVR } from "../bits.ts";
import type { CryptogramType } from "../commands.ts";
import type { Transcript } from "../transcript.ts";
import { completeTransaction } from "./completion.ts";
import { firstCryptogram } from "./first-cryptogram.ts";
import type { Candidate, CvmOutcome, Kernel, KernelEnd, KernelStepReport, OdaMethod, Transaction } from "./kernel.ts";
import { readyTransaction } from "./ready.ts";
import { type Difference, RecordedCard, type ReplayMode } from "./recorded-card.ts";
import { type RecordedSettings, settingsOfTranscript, type TranscriptSurroundings } from "./transcript-settings.ts";

export type { Difference, ReplayMode } from "./recorded-card.ts";

/** Why a replay came to no decision. */
export type ReplayStop =
  | ({ readonly kind: "difference" } & Difference)
  /** The kernel itself ended the transaction, as the standard says. */
  | ({ readonly kind: "end"; readonly line?: number } & KernelEnd)
  /** The card asked for the issuer, and the transcript goes on without saying what the issuer answered. */
  | { readonly kind: "no-online"; readonly detail: string };

export interface ReplayDecision {
  /** `online`: the recorded dialogue ends where the issuer is asked. */
  readonly outcome: "approved" | "declined" | "online";
  readonly cryptogram: CryptogramType;
  /** Tag 8A as the card was given it. */
  readonly responseCode?: string;
}

/** All byte values in hex. */
export interface ReplayReport {
  /** It came to a decision, and kernel and transcript agreed all the way. */
  readonly ran: boolean;
  readonly application?: { readonly aid: string; readonly label: string };
  readonly steps: readonly KernelStepReport[];
  readonly oda?: { readonly method: OdaMethod; readonly result: string };
  readonly cvm?: { readonly outcome: CvmOutcome; readonly results: string };
  /** What terminal action analysis asks for. */
  readonly proposed?: CryptogramType;
  readonly tvr?: { readonly value: string; readonly names: readonly string[] };
  readonly tsi?: { readonly value: string; readonly names: readonly string[] };
  readonly decision?: ReplayDecision;
  readonly stop?: ReplayStop;
  /** Lenient mode: where an answer was only like the one that was asked for. */
  readonly notes: readonly string[];
}

export interface ReplayOptions extends TranscriptSurroundings {
  readonly mode: ReplayMode;
}

export function replayTranscript(transcript: Transcript, options: ReplayOptions): ReplayReport {
  const recorded = settingsOfTranscript(transcript, options);
  const card = new RecordedCard(transcript.exchanges, options.mode);
  const replay = new Replay(card, recorded);
  const decided = replay.run();
  const left = decided.ok ? card.left() : undefined;
  const stop: ReplayStop | undefined = decided.ok ? left && { kind: "difference", ...left } : decided.error;
  const unused =
    options.mode === "lenient" && card.unused > 0 ? [`${card.unused} recorded commands were not used`] : [];
  return {
    ran: stop === undefined,
    ...(replay.proposed && { proposed: replay.proposed }),
    ...(replay.transaction ? reportOf(replay.transaction) : { steps: [] }),
    ...(decided.ok && { decision: decided.value }),
    ...(stop && { stop }),
    notes: [...card.notes, ...unused],
  };
}

class Replay {
  readonly #card: RecordedCard;
  readonly #recorded: RecordedSettings;
  readonly #choices: (number | undefined)[];
  transaction: Transaction | undefined;
  proposed: CryptogramType | undefined;

  constructor(card: RecordedCard, recorded: RecordedSettings) {
    this.#card = card;
    this.#recorded = recorded;
    this.#choices = [...recorded.choices];
  }

  run(): Result<ReplayDecision, ReplayStop> {
    const { terminal, settings, ask } = this.#recorded;
    const ready = this.#phase(readyTransaction(terminal, settings));
    if (!ready.ok) return ready;
    this.transaction = ready.value.transaction;
    this.proposed = ready.value.proposed;
    const first = this.#phase(firstCryptogram(ready.value.transaction, ask ?? ready.value.proposed));
    if (!first.ok) return first;
    const { type } = first.value;
    return type === "ARQC" ? this.#complete(ready.value.transaction) : ok(finalOf(type, ready.value.transaction));
  }

  #complete(transaction: Transaction): Result<ReplayDecision, ReplayStop> {
    const { online } = this.#recorded;
    if (!online) {
      if (!this.#card.left()) return ok({ outcome: "online", cryptogram: "ARQC" });
      return fail({
        kind: "no-online",
        detail: "the card asked for the issuer; say `@ online approved|declined|unable`",
      });
    }
    const completed = this.#phase(completeTransaction(transaction, online));
    if (!completed.ok) return completed;
    const { outcome, type, responseCode } = completed.value;
    return ok({ outcome, cryptogram: type, responseCode });
  }

  #phase<T>(phase: Kernel<Result<T, KernelEnd>>): Result<T, ReplayStop> {
    let step = phase.next();
    while (!step.done) {
      const ask = step.value;
      if (ask.ask === "choose") {
        step = phase.next({ chosen: this.#choice(ask.candidates) });
        continue;
      }
      const answered = this.#card.answer(ask.command);
      if (!answered.ok) return fail({ kind: "difference", ...answered.error });
      step = phase.next({ response: answered.value });
    }
    if (step.value.ok) return step.value;
    const { line } = this.#card;
    return fail({ kind: "end", ...step.value.error, ...(line !== undefined && { line }) });
  }

  /** As recorded; where nothing is, as a terminal without a display: the first that needs no consent (Book 1, 12.4). */
  #choice(candidates: readonly Candidate[]): number | undefined {
    const recorded = this.#choices.length > 0;
    const choice = recorded ? this.#choices.shift() : candidates.findIndex(({ confirm }) => !confirm);
    return choice !== undefined && choice >= 0 && choice < candidates.length ? choice : undefined;
  }
}

function finalOf(type: "TC" | "AAC", { values }: Transaction): ReplayDecision {
  const code = values.get(0x8a);
  return {
    outcome: type === "TC" ? "approved" : "declined",
    cryptogram: type,
    ...(code && { responseCode: Buffer.from(code).toString("latin1") }),
  };
}

function reportOf(
  transaction: Transaction,
): Pick<ReplayReport, "application" | "steps" | "oda" | "cvm" | "tvr" | "tsi"> {
  const { aid, label, steps, oda, cvm, values, tvr, tsi } = transaction;
  return {
    application: { aid: toHex(aid), label },
    steps,
    oda: { method: oda, result: odaResult(transaction) },
    cvm: { outcome: cvm, results: toHex(values.get(0x9f34) ?? new Uint8Array(0)) },
    tvr: { value: toHex(tvr), names: bitsOf(tvr, TVR).map(({ name }) => name) },
    tsi: { value: toHex(tsi), names: bitsOf(tsi, TSI).map(({ name }) => name) },
  };
}

function odaResult({ oda, odaFailure, cdaPending, tsi }: Transaction): string {
  if (oda === "none") return "not performed";
  if (odaFailure !== undefined) return `failed: ${odaFailure}`;
  const performed = bitsOf(tsi, { odaPerformed: TSI.odaPerformed }).length > 0;
  return performed ? "succeeded" : cdaPending ? "not yet: no signature was seen" : "not performed";
}
