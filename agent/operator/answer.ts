/** Reads what the agent answered: after an upgrade it may for a while be of another version than the command. */
import { z } from "zod";
import { Fault } from "../../base/fault.ts";
import { firstIssue } from "../../wire/signing.ts";

/** Throws Fault `message.invalid` for what is not of this form. */
export function readAnswer<Value>(schema: z.ZodType<Value>, json: unknown): Value {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const why = firstIssue(parsed.error);
  throw new Fault("message.invalid", `the agent that runs is of another version: restart it (its answer: ${why})`);
}

/** What every version says of a payment. Money may have moved, so this much of its end is told in any case. */
export const PaymentAnswerSchema = z.looseObject({ id: z.string(), status: z.string() });
export type PaymentAnswer = z.infer<typeof PaymentAnswerSchema>;

/** In the words for a payment of that form where it has it, else what every version says. */
export function paymentText<View>(answer: PaymentAnswer, form: z.ZodType<View>, words: (view: View) => string): string {
  const view = form.safeParse(answer);
  if (view.success) return words(view.data);
  return `${answer.status}, id ${answer.id}; the rest is of another version: restart the agent`;
}
