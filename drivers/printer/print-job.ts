/** One ticket from the first look at the printer to its proof of printing. Knows nothing of ports. */
import { abortFault, type Clock } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import { fail, ok, type Result } from "../../base/result.ts";
import type { PrinterStatus, PrintFailure, PrintOptions, PrintRefusal } from "../capability.ts";
import type { Confirmation, PrinterDialogue } from "./printer-dialogue.ts";

/** How often the printer's state is looked at while it prints, to hear of paper-out without waiting the whole time. */
export const CHECK_EVERY_MS = 250;
/** The longest ticket takes a slow printer less. */
export const CONFIRM_WITHIN_MS = 20_000;

export interface PrintJob {
  readonly dialogue: PrinterDialogue;
  readonly clock: Clock;
  readonly ticket: Uint8Array;
  readonly options: PrintOptions;
}

/** For the holder of the line. Throws only what `beforeFirstByte` throws, and then nothing was printed. */
export async function printTicket(job: PrintJob): Promise<Result<undefined, PrintFailure>> {
  const refusal = await makeReady(job);
  if (refusal) return fail({ why: refusal, printed: "nothing" });
  await job.options.beforeFirstByte();
  if (job.dialogue.lost.aborted) return fail({ why: whyOf(abortFault(job.dialogue.lost)), printed: "nothing" });
  if (job.options.signal.aborted) return fail({ why: "no-answer", printed: "nothing" });
  const failure = await sendAndProve(job);
  return failure ? fail({ why: failure, printed: "unknown" }) : ok(undefined);
}

async function makeReady({ dialogue, options }: PrintJob): Promise<PrintRefusal | undefined> {
  try {
    if (options.signal.aborted) return "no-answer";
    const refusal = refusalOf(await dialogue.status());
    if (refusal) return refusal;
    if (!(await dialogue.synchronise(options.signal))) return refusalOf(await dialogue.status()) ?? "no-answer";
    // Synchronising may have let the printer work off what an earlier ticket left, to the end of its paper.
    return refusalOf(await dialogue.status());
  } catch (error) {
    return whyOf(error);
  }
}

async function sendAndProve({ dialogue, clock, ticket, options }: PrintJob): Promise<PrintRefusal | undefined> {
  try {
    const confirmation = await dialogue.sendTicket(ticket, options.signal);
    return await proof({ dialogue, clock, confirmation });
  } catch (error) {
    return whyOf(error);
  }
}

/** That the port took the bytes proves nothing; that the printer answered behind them, and is well, does. */
async function proof(job: {
  readonly dialogue: PrinterDialogue;
  readonly clock: Clock;
  readonly confirmation: Confirmation;
}): Promise<PrintRefusal | undefined> {
  const sentAt = job.clock.monotonic();
  for (;;) {
    const paper = await job.confirmation(CHECK_EVERY_MS);
    const refusal = paper === "out" ? "paper-out" : refusalOf(await job.dialogue.status());
    if (refusal) return refusal;
    if (paper !== undefined) return undefined;
    if (job.clock.monotonic() - sentAt > CONFIRM_WITHIN_MS) return "no-answer";
  }
}

/** The cause that a person can mend comes first: a printer without paper, or open, is also offline. */
function refusalOf(status: PrinterStatus): PrintRefusal | undefined {
  if (status.coverOpen) return "cover-open";
  if (status.paper === "out") return "paper-out";
  return status.online ? undefined : "offline";
}

function whyOf(error: unknown): PrintRefusal {
  if (isFault(error, "transport.closed", "transport.failed")) return "lost";
  if (isFault(error, "device.hung", "transport.timeout", "aborted")) return "no-answer";
  throw error;
}
