/**
 * Decides a batch: every status in order of precedence, and what is to be written. Pure: all that it needs was loaded
 * before, and nothing is written here.
 */
import { present } from "../../../base/assert.ts";
import { Draft, type Facts, newestOf } from "./books.ts";
import type { NewAccount, NewTransfer } from "./model.ts";
import { createAccount } from "./plan-account.ts";
import { released } from "./plan-resolution.ts";
import { createTransfer } from "./plan-transfer.ts";
import { type AccountStatus, TRANSIENT_STATUSES, type TransferStatus } from "./statuses.ts";

export interface Plan<Status> {
  /** One for each of the batch, in its order. */
  readonly statuses: readonly Status[];
  readonly changes: Draft;
}

export const planAccounts = (facts: Facts, batch: readonly NewAccount[], nowMs: number): Plan<AccountStatus> =>
  planBatch<NewAccount, AccountStatus>(facts, batch, { nowMs, create: createAccount });

export const planTransfers = (facts: Facts, batch: readonly NewTransfer[], nowMs: number): Plan<TransferStatus> =>
  planBatch<NewTransfer, TransferStatus>(facts, batch, {
    nowMs,
    create: createTransfer,
    onRefused(draft, { id }, status) {
      if (TRANSIENT_STATUSES.has(status)) draft.failed.add(id);
    },
  });

interface Event {
  readonly id: string;
  readonly linked?: boolean;
  readonly imported?: boolean;
  readonly timestampUs?: number;
}

type EventStatus =
  | "created"
  | "linked-event-failed"
  | "linked-event-chain-open"
  | "imported-event-expected"
  | "imported-event-not-expected"
  | "timestamp-must-be-absent"
  | "imported-event-timestamp-out-of-range"
  | "imported-event-timestamp-must-not-advance";

interface Rules<E extends Event, Status> {
  readonly nowMs: number;
  /** Changes the draft only where it answers `created`. */
  readonly create: (draft: Draft, event: E, timestampUs: number) => Status;
  readonly onRefused?: (draft: Draft, event: E, status: Status | EventStatus) => void;
}

function planBatch<E extends Event, Status extends string>(
  facts: Facts,
  batch: readonly E[],
  { nowMs, create, onRefused }: Rules<E, Status | EventStatus>,
): Plan<Status | EventStatus> {
  const changes = new Draft(facts);
  const nowUs = nowMs * 1_000;
  const batchUs = Math.max(nowUs, newestOf(facts.times) + 1);
  const imported = batch[0]?.imported === true;
  const decide = (draft: Draft, event: E): Status | EventStatus => {
    if ((event.imported === true) !== imported)
      return imported ? "imported-event-expected" : "imported-event-not-expected";
    if (imported) return misdated(event.timestampUs, batchUs) ?? create(draft, event, event.timestampUs ?? 0);
    if (event.timestampUs !== undefined) return "timestamp-must-be-absent";
    return create(draft, event, Math.max(nowUs, newestOf(draft.times) + 1));
  };
  const statuses = chainsOf(batch).flatMap((chain) => planChain(changes, chain, { decide, onRefused }));
  return { statuses, changes };
}

function misdated(timestampUs: number | undefined, batchUs: number): EventStatus | undefined {
  if (timestampUs === undefined || !Number.isSafeInteger(timestampUs) || timestampUs <= 0)
    return "imported-event-timestamp-out-of-range";
  return timestampUs >= batchUs ? "imported-event-timestamp-must-not-advance" : undefined;
}

/** Linked events and the one that ends their chain. */
function chainsOf<E extends Event>(batch: readonly E[]): readonly (readonly E[])[] {
  const chains: E[][] = [];
  let open: E[] | undefined;
  for (const event of batch) {
    if (open) open.push(event);
    else {
      open = [event];
      chains.push(open);
    }
    if (event.linked !== true) open = undefined;
  }
  return chains;
}

interface ChainRules<E extends Event, Status> {
  readonly decide: (draft: Draft, event: E) => Status;
  readonly onRefused: ((draft: Draft, event: E, status: Status) => void) | undefined;
}

function planChain<E extends Event, Status extends string>(
  draft: Draft,
  chain: readonly E[],
  { decide, onRefused }: ChainRules<E, Status | EventStatus>,
): readonly (Status | EventStatus)[] {
  const last = present(chain.at(-1), "the end of a chain");
  const isOpen = last.linked === true;
  const part = chain.length === 1 ? draft : new Draft(draft);
  for (const [index, event] of chain.entries()) {
    const status = isOpen && event === last ? "linked-event-chain-open" : decide(part, event);
    if (status === "created") continue;
    onRefused?.(draft, event, status);
    return chain.map((other, at) => {
      if (at === index) return status;
      return isOpen && other === last ? "linked-event-chain-open" : "linked-event-failed";
    });
  }
  if (part !== draft) draft.merge(part);
  return chain.map(() => "created" as const);
}

/** Returns what the pending transfers held, and opens what they closed; each is an event with a timestamp of its own. */
export function planExpiry(facts: Facts, due: readonly string[], nowMs: number): Plan<string> {
  const draft = new Draft(facts);
  const expired: string[] = [];
  for (const id of due) {
    const held = present(draft.transfer(id), "a pending transfer that is due");
    const pending = present(draft.pending(id), "how a pending transfer stands");
    if (pending.state !== "pending") continue;
    const expiredUs = Math.max(nowMs * 1_000, newestOf(draft.times) + 1);
    const debit = present(draft.account(held.debitAccount), "the debit account");
    const credit = present(draft.account(held.creditAccount), "the credit account");
    draft.changeAccount(
      released({ ...debit, debitsPending: debit.debitsPending - held.amount }, held.closingDebit),
      expiredUs,
    );
    draft.changeAccount(
      released({ ...credit, creditsPending: credit.creditsPending - held.amount }, held.closingCredit),
      expiredUs,
    );
    draft.resolvePending({ ...pending, state: "expired", expiredUs });
    expired.push(id);
  }
  return { statuses: expired, changes: draft };
}
