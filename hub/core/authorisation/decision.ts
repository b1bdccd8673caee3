/** Whatever a terminal decided, and the hub is told of: to the rules of its operation. */
import { complete, confirmHold } from "./completion.ts";
import { type AdviceInput, applyAdvice, type EntryOutcome, type EntryParts } from "./entries.ts";
import { applyTip } from "./tip-advice.ts";

export async function applyDecision(parts: EntryParts, input: AdviceInput): Promise<EntryOutcome> {
  switch (input.body.operation) {
    case "pre-authorisation":
      return await confirmHold(parts, input);
    case "completion":
      return await complete(parts, input);
    case "tip":
      return await applyTip(parts, input);
    case "purchase":
    case "refund":
      return await applyAdvice(parts, input);
  }
}
