/** What may become an account. */
import type { Draft } from "./books.ts";
import { type Account, CODE_MAX, isWellFormed, type NewAccount } from "./model.ts";
import type { AccountStatus } from "./statuses.ts";

export function createAccount(draft: Draft, account: NewAccount, timestampUs: number): AccountStatus {
  if (account.id === "") return "id-must-not-be-empty";
  if (!isWellFormed(account.id)) return "id-malformed";
  const known = draft.account(account.id);
  if (known) return compare(known, account);
  if (isOutOfRange(account)) return "field-out-of-range";
  if (account.currency === "") return "currency-must-not-be-empty";
  if (account.code === 0) return "code-must-not-be-zero";
  if (account.imported === true && (timestampUs <= draft.times.accountUs || draft.isTaken(timestampUs)))
    return "imported-event-timestamp-must-not-regress";
  draft.addAccount(made(account, timestampUs));
  return "created";
}

function compare(known: Account, again: NewAccount): AccountStatus {
  if (flagsOf(known) !== flagsOf(again)) return "exists-with-different-flags";
  if ((known.reference ?? "") !== (again.reference ?? "")) return "exists-with-different-reference";
  if (known.currency !== again.currency) return "exists-with-different-currency";
  return known.code === again.code ? "exists" : "exists-with-different-code";
}

const flagsOf = (account: NewAccount): string =>
  [account.limit, account.linked === true, account.history === true, account.imported === true, account.closed === true]
    .map(String)
    .join();

const isOutOfRange = ({ code, reference, currency }: NewAccount): boolean =>
  !isCode(code) || !isWellFormed(reference ?? "") || !isWellFormed(currency);

/** 0 stands for none. */
export const isCode = (code: number): boolean => Number.isInteger(code) && code >= 0 && code <= CODE_MAX;

function made(account: NewAccount, timestampUs: number): Account {
  const { id, currency, code, limit, reference = "" } = account;
  return {
    id,
    currency,
    code,
    limit,
    ...(reference === "" ? {} : { reference }),
    ...(account.linked === true ? { linked: true } : {}),
    ...(account.history === true ? { history: true } : {}),
    ...(account.closed === true ? { closed: true } : {}),
    ...(account.imported === true ? { imported: true } : {}),
    debitsPending: 0n,
    debitsPosted: 0n,
    creditsPending: 0n,
    creditsPosted: 0n,
    timestampUs,
  };
}
