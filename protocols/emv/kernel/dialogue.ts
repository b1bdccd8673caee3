/** What every phase of the kernel speaks with: one command and its answer, the ends, and the report of a step. */
import { assert } from "../../../base/assert.ts";
import { toHex } from "../../../base/bytes.ts";
import { isFault } from "../../../base/fault.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { CommandApdu, ResponseApdu } from "../apdu.ts";
import { decodeTlv, type Tag, type Tlv } from "../ber-tlv.ts";
import { EMV_TAGS } from "../tags.ts";
import type { Candidate, Kernel, KernelEnd, KernelStepReport, Transaction } from "./kernel.ts";

/** A part of a phase: it goes on with a value, or the transaction ends. */
export type Part<T> = Kernel<Result<T, KernelEnd>>;

export function* send(command: CommandApdu, meanwhile?: () => void): Kernel<ResponseApdu> {
  const answer = yield { ask: "command", command, ...(meanwhile && { meanwhile }) };
  assert("response" in answer, "a command is answered by a response");
  return answer.response;
}

/** The chosen candidate; undefined for none of them. */
export function* choose(candidates: readonly Candidate[]): Kernel<Candidate | undefined> {
  const answer = yield { ask: "choose", candidates };
  assert("chosen" in answer, "a choice is answered by an index");
  if (answer.chosen === undefined) return undefined;
  const chosen = candidates[answer.chosen];
  assert(chosen !== undefined, "the chosen index is one of the candidates'");
  return chosen;
}

export const end = (code: KernelEnd["code"], detail: string): { readonly ok: false; readonly error: KernelEnd } =>
  fail({ code, detail });

/** A status word that ends the transaction (Book 3, 6.3.5). */
export const refused = (
  what: string,
  { status }: Pick<ResponseApdu, "status">,
): { readonly ok: false; readonly error: KernelEnd } =>
  fail({ code: "refused-command", detail: `${what}: the card answers ${statusName(status)}`, status });

export const statusName = (status: number): string => status.toString(16).toUpperCase().padStart(4, "0");

/** Reads what came from the card: what the codecs cannot read ends the transaction (Book 3, 7.5). */
export function reading<T>(what: string, read: () => T): Result<T, KernelEnd> {
  try {
    return ok(read());
  } catch (error) {
    if (isFault(error)) return end("data-format", `${what}: ${error.message}`);
    throw error;
  }
}

/** The same where a wrong form is an answer of its own. */
export function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isFault(error)) return undefined;
    throw error;
  }
}

/** The children of an answer that is one template of that tag and nothing else; undefined for any other bytes. */
export function templateChildren(data: Uint8Array, tag: Tag): readonly Tlv[] | undefined {
  const [template, ...more] = readable(() => decodeTlv(data)) ?? [];
  return template?.tag === tag && "children" in template && more.length === 0 ? template.children : undefined;
}

/** The value of a primitive object directly in a template, not of one deeper in it. */
export function childValue(children: readonly Tlv[], tag: Tag): Uint8Array | undefined {
  const child = children.find((each) => each.tag === tag);
  return child && "value" in child && child.value.length > 0 ? child.value : undefined;
}

/**
 * Only the card gives these: what it sends under a terminal's or an issuer's tag is not believed (Book 3, 7.5), and what it sends
 * under a tag unknown here is not kept (10.2), so that a list never gets it back (5.4).
 */
export const isCardData = (tag: Tag): boolean => EMV_TAGS.get(tag)?.source === "card";

export function report(
  transaction: Pick<Transaction, "steps" | "tvr" | "tsi">,
  step: KernelStepReport["step"],
  result: string,
): void {
  transaction.steps.push({ step, result, tvr: toHex(transaction.tvr), tsi: toHex(transaction.tsi) });
}
