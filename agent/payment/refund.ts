/** The shell of one refund or tip: it needs the hub and the original, no card is there, and it is never queued (RM12). */
import { isFault } from "../../base/fault.ts";
import type { PaymentId } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { Money } from "../../base/money.ts";
import type { AuthorisationResponse } from "../../wire/authorisation.ts";
import { toWireMoney } from "../../wire/common.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import type { Journal, NewEntry } from "../journal/journal.ts";
import type { Hub } from "../uplink/hub.ts";
import type { PaymentStage } from "./payments.ts";

export interface RefundDeps {
  readonly journal: Journal;
  readonly hub: Hub;
  readonly log: Log;
  readonly now: () => number;
  readonly businessDate: (atMs: number) => string;
  readonly onStage: (id: PaymentId, stage: PaymentStage) => void;
}

export interface KnownRefund {
  /** A tip takes where a refund gives; how it is run is the same. */
  readonly operation: "refund" | "tip";
  readonly id: PaymentId;
  readonly originalId: PaymentId;
  readonly amount: Money;
}

type Decision = EntryOf<"decision">;
type Ending = Pick<Decision, "outcome"> &
  Partial<Pick<Decision, "reason" | "detail" | "responseCode" | "approvalCode">>;

const REFUND_ATTEMPT = 1;

/** Runs to the decision on disk. Only a Fault of the journal is thrown. */
export async function runRefund(deps: RefundDeps, refund: KnownRefund, cancel: AbortSignal): Promise<void> {
  const { journal, onStage } = deps;
  const at = () => new Date(deps.now()).toISOString();
  const base = { paymentId: refund.id } as const;
  const { operation, originalId: originalPaymentId } = refund;
  const amount = toWireMoney(refund.amount);
  await journal.append([{ body: { ...base, kind: "intent", at: at(), operation, amount, originalPaymentId } }]);
  onStage(refund.id, "intent-stored");
  if (deps.hub.state === "down") {
    await decide(deps, refund, { ending: unreachable(operation), attempts: [] });
    return;
  }
  await journal.append([{ body: { ...base, kind: "online-requested", at: at(), attempt: REFUND_ATTEMPT } }]);
  onStage(refund.id, "online-request-stored");
  const ending = await ask(deps, refund, cancel);
  if (!ending) {
    await journal.append([{ body: { ...base, kind: "online-unknown", at: at(), attempt: REFUND_ATTEMPT } }]);
    onStage(refund.id, "online-unknown-stored");
  }
  const detail = cancel.aborted
    ? "cancelled; it is reversed should the hub have made it"
    : "no answer from the hub; it is reversed should the hub have made it";
  await decide(deps, refund, {
    ending: ending ?? { outcome: "aborted", reason: "E_TIMEOUT", detail },
    attempts: [REFUND_ATTEMPT],
    ...(ending ? {} : { reverse: "no answer" }),
  });
}

const unreachable = (operation: KnownRefund["operation"]): Ending => ({
  outcome: "aborted",
  reason: "E_UNAVAILABLE",
  detail: `a ${operation} needs the hub, which cannot be reached; try again later`,
});

/** The hub's word, or undefined when it is not known. */
async function ask(deps: RefundDeps, refund: KnownRefund, cancel: AbortSignal): Promise<Ending | undefined> {
  const asking = deps.hub.authorise(
    {
      paymentId: refund.id,
      attempt: REFUND_ATTEMPT,
      kind: refund.operation,
      amount: toWireMoney(refund.amount),
      originalPaymentId: refund.originalId,
    },
    deps.journal.head.sequence,
    cancel,
  );
  deps.onStage(refund.id, "online-request-sent");
  try {
    const answer = await asking;
    deps.onStage(refund.id, "online-answered");
    return endingOf(answer, refund);
  } catch (error) {
    if (!isFault(error)) throw error;
    deps.log.info("no answer from the hub", { paymentId: refund.id, code: error.code, why: error.message });
    return undefined;
  }
}

function endingOf(answer: AuthorisationResponse, { operation }: KnownRefund): Ending | undefined {
  if (answer.outcome === "stale") return undefined;
  const facts = {
    responseCode: answer.responseCode,
    ...(answer.approvalCode === undefined ? {} : { approvalCode: answer.approvalCode }),
  };
  if (answer.outcome === "approved") return { outcome: "approved", ...facts };
  return {
    outcome: "declined",
    reason: answer.reason ?? "E_DENIED",
    detail: `the hub refused the ${operation} with response code ${answer.responseCode}`,
    ...facts,
  };
}

interface Outcome {
  readonly ending: Ending;
  readonly attempts: readonly number[];
  readonly reverse?: string;
}

async function decide(deps: RefundDeps, refund: KnownRefund, { ending, attempts, reverse }: Outcome): Promise<void> {
  deps.onStage(refund.id, "decision-ready");
  const at = new Date(deps.now()).toISOString();
  const decision: NewEntry = {
    body: {
      kind: "decision",
      paymentId: refund.id,
      at,
      operation: refund.operation,
      mode: "online",
      amount: toWireMoney(refund.amount),
      ...ending,
      attempts: [...attempts],
      businessDate: deps.businessDate(deps.now()),
    },
    ...(ending.outcome === "approved" ? { forward: true as const } : {}),
  };
  const reversals = (reverse === undefined ? [] : attempts).map(
    (attempt): NewEntry => ({
      body: { kind: "reversal", paymentId: refund.id, at, attempt, reason: reverse ?? "" },
      forward: true,
    }),
  );
  await deps.journal.append([decision, ...reversals]);
  deps.onStage(refund.id, "decision-stored");
}
