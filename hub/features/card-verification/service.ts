/**
 * Decides a verified transaction by its processes, strictly in this order: P0 finds the account, P1 lets the card prove that
 * it holds its key, P2 compares its data, P3 moves the money. What fails ends there; what ran is kept as the trace.
 */
import { hash } from "node:crypto";
import { assert } from "../../../base/assert.ts";
import { fromHex, toHex } from "../../../base/bytes.ts";
import { newMessageId, type RandomBytes } from "../../../base/ids.ts";
import { currencyOf } from "../../../base/money.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import {
  answerOf,
  CHALLENGE_SECRET_BYTES,
  openCardData,
  sameSecretBytes,
  sealChallenge,
} from "../../../protocols/card-verification/cryptography.ts";
import type {
  CardChallenge,
  CardLookup,
  CardResponse,
  CardResult,
  CardTransaction,
  PersonalisedCard,
} from "../../../wire/card-verification.ts";
import type { ReasonCode } from "../../../wire/common.ts";
import type { TransferStatus } from "../../core/ledger/index.ts";
import type { FeatureMessage, Reply, ServiceCore } from "../../service.ts";
import type { Reading, Within } from "../../store/store.ts";
import { createVault, type Vault } from "./personalisation.ts";
import { type CardRow, cardStore, type TransactionKey, type TransactionRow } from "./store.ts";

/** P0 account, P1 key, P2 data, P3 posting. */
export type Process = "P0" | "P1" | "P2" | "P3";

/** The stored answer of an ended transaction. */
type Outcome = Pick<CardResult, "failedProcess" | "reason" | "detail" | "authCode"> & {
  readonly status: "approved" | "declined";
};

/** Consecutive failures of P1 or P2 that block a card. */
export const FAILURES_MAX = 3;
/** The ledger's code of these transfers; those of authorisation are below it. */
const TRANSFER_CODE = 20;
const AUTH_CODE_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUV";
const AUTH_CODE_LENGTH = 6;

export interface CardVerification {
  answer(within: Within, message: FeatureMessage): Promise<Reply>;
  /** Makes a card for the account. What it gives is secret and kept nowhere else in clear. */
  addCard(within: Within, accountId: string): Promise<Result<PersonalisedCard, "no-such-account">>;
  /** Takes the block away; false for a card unknown here. */
  unblock(within: Within, cardId: string): Promise<boolean>;
  cards(reading: Reading, page: { readonly after: string; readonly limit: number }): Promise<readonly CardRow[]>;
  transactions(
    reading: Reading,
    page: { readonly afterNumber: number; readonly limit: number },
  ): Promise<readonly TransactionRow[]>;
}

interface Parts extends ServiceCore {
  readonly vault: Vault;
}

export function createCardVerification(core: ServiceCore): CardVerification {
  const parts: Parts = { ...core, vault: createVault(core.secret, core.random) };
  return {
    answer: (within, message) => answer(parts, within, message),
    async addCard(within, accountId) {
      if (!(await core.ledger.account(within, accountId))) return fail("no-such-account");
      const { row, card } = parts.vault.personalise(accountId, core.clock.now());
      await cardStore.insertCard(within, row);
      return ok(card);
    },
    async unblock(within, cardId) {
      if (!(await cardStore.card(within, cardId))) return false;
      await cardStore.setFailures(within, { cardId, failures: 0, blockedAt: null });
      return true;
    },
    cards: (reading, page) => cardStore.cards(reading, page),
    transactions: (reading, page) => cardStore.transactions(reading, page),
  };
}

type Content = Omit<CardResult, "replyTo" | "txnId">;

async function answer(parts: Parts, within: Within, message: FeatureMessage): Promise<Reply> {
  const { terminalId, id: replyTo } = message;
  const txnId = message.type === "card.transaction" ? message.body.transaction.txnId : message.body.txnId;
  const key: TransactionKey = { terminalId, txnId };
  const reply = (content: Content): Reply => ({ type: "card.result", body: { replyTo, txnId, ...content } });
  switch (message.type) {
    case "card.lookup":
      return reply(await lookUp(within, key, message.body));
    case "card.transaction": {
      const begun = await begin(parts, within, { key, body: message.body });
      return begun.ok ? { type: "card.challenge", body: { replyTo, txnId, ...begun.value } } : reply(begun.error);
    }
    case "card.response":
      return reply(await respond(parts, within, { key, body: message.body }));
  }
}

const OPEN: Content = { status: "open" };
const refused = (reason: ReasonCode, detail: string, field?: string): Content & Outcome => ({
  status: "declined",
  reason,
  detail,
  ...(field === undefined ? {} : { field }),
});
const conflict = (field: string): Content =>
  refused("E_CONFLICT", `${field} differs from what came under this id before`, field);

/** What became of it. An open challenge is withdrawn first, so that `open` stays true. */
async function lookUp(within: Within, key: TransactionKey, body: CardLookup): Promise<Content> {
  const known = await cardStore.transaction(within, key);
  if (!known) return OPEN;
  const field = differingField(known, body);
  if (field !== undefined) return conflict(field);
  if (known.state !== "open") return storedAnswer(known);
  await cardStore.withdraw(within, key);
  return { ...OPEN, ...factsOf(known) };
}

interface Said<Body> {
  readonly key: TransactionKey;
  readonly body: Body;
}

/** Message 1: P0, then a challenge. */
async function begin(
  parts: Parts,
  within: Within,
  { key, body }: Said<CardTransaction>,
): Promise<Result<NewChallenge, Content>> {
  const { amount, payeeAccount, terminalId } = body.transaction;
  if (terminalId !== key.terminalId)
    return fail(refused("E_DENIED", "a terminal speaks for itself alone", "terminalId"));
  if (amount.minor === "0") return fail(refused("E_FORMAT", "an amount of nothing cannot be paid", "amount.minor"));
  const known = await cardStore.transaction(within, key);
  if (known) {
    const field = differingField(known, { amount, payeeAccount });
    if (field !== undefined) return fail(conflict(field));
    if (known.state !== "open") return fail(known.cardId === body.cardId ? storedAnswer(known) : conflict("cardId"));
  } else {
    const { cardId } = body;
    const createdAt = parts.clock.now();
    const { currency } = amount;
    await cardStore.insert(within, { ...key, minor: Number(amount.minor), currency, payeeAccount, cardId, createdAt });
  }
  const trace: Process[] = [];
  const found = await findAccount(parts, within, { cardId: body.cardId, trace });
  if (!found.ok) return fail(await end(parts, within, { key, cardId: body.cardId, trace, outcome: found.error }));
  return ok(await challenge(parts, within, { key, body, card: found.value, trace }));
}

/** P0: the account that the card is linked to. */
async function findAccount(
  { ledger }: Parts,
  reading: Reading,
  { cardId, trace }: { readonly cardId: string; readonly trace: Process[] },
): Promise<Result<CardRow, Outcome>> {
  trace.push("P0");
  const card = await cardStore.card(reading, cardId);
  const account = card && (await ledger.account(reading, card.accountId));
  if (!account) return fail(refused("E_UNKNOWN", "no account is linked to this card"));
  if (card.blockedAt !== null) return fail(refused("E_DENIED", "this card is blocked"));
  return ok(card);
}

type NewChallenge = Pick<CardChallenge, "challengeId" | "cipherChallenge" | "expiresAt">;

interface ToChallenge extends Said<CardTransaction> {
  readonly card: CardRow;
  readonly trace: readonly Process[];
}

/** A fresh secret for each; the one before, if any, is gone with it. */
async function challenge(parts: Parts, within: Within, { key, body, card, trace }: ToChallenge): Promise<NewChallenge> {
  const { vault, random, clock } = parts;
  const { cardId } = card;
  const challengeId = newMessageId(random);
  const challengeSecret = random(CHALLENGE_SECRET_BYTES);
  const issuedAt = clock.now();
  const expiresAt = issuedAt + parts.cardChallengeTtlMs;
  const encryptedData = fromHex(body.encryptedCardData);
  await cardStore.challenge(within, {
    ...key,
    cardId,
    challengeId,
    challengeSecret,
    encryptedData,
    issuedAt,
    expiresAt,
    trace: JSON.stringify(trace),
  });
  const { dataKey } = vault.keysOf(card);
  const asked = { secret: challengeSecret, txnId: key.txnId, amountMinor: BigInt(body.transaction.amount.minor) };
  return {
    challengeId,
    cipherChallenge: toHex(sealChallenge({ cardId: fromHex(cardId), dataKey }, asked, random)),
    expiresAt: new Date(expiresAt).toISOString(),
  };
}

/** Message 4: P1, P2, P3. Whatever the answer, the challenge is spent. */
async function respond(parts: Parts, within: Within, { key, body }: Said<CardResponse>): Promise<Content> {
  const known = await cardStore.transaction(within, key);
  if (!known) return { ...OPEN, reason: "E_UNKNOWN", detail: "no such transaction was begun here" };
  if (known.state !== "open") return storedAnswer(known);
  if (known.challengeId !== body.challengeId || known.challengeSecret === null) {
    await cardStore.withdraw(within, key);
    return { ...OPEN, reason: "E_UNKNOWN", detail: "this challenge is not open", ...factsOf(known) };
  }
  const trace = JSON.parse(known.trace) as Process[];
  const { cardId } = known;
  const card = await cardStore.card(within, cardId);
  if (!card || card.blockedAt !== null) {
    return await end(parts, within, { key, cardId, trace, outcome: refused("E_DENIED", "this card is blocked") });
  }
  const failure = proveKey(parts, { known, card, body, trace }) ?? compareData(parts, { known, card, trace });
  if (failure) {
    const blocked = await countFailure(parts, within, card);
    const detail = blocked ? `${failure.detail}; the card is blocked now` : failure.detail;
    return await end(parts, within, { key, cardId, trace, outcome: { ...failure, detail } });
  }
  if (card.failures > 0) await cardStore.setFailures(within, { cardId, failures: 0, blockedAt: null });
  const outcome = await post(parts, within, { known, card, trace });
  return await end(parts, within, { key, cardId, trace, outcome });
}

interface Verifying {
  readonly known: TransactionRow;
  readonly card: CardRow;
  readonly trace: Process[];
}
type Failure = Outcome & { readonly detail: string };
const failedIn = (failedProcess: 1 | 2, reason: ReasonCode, detail: string): Failure => ({
  status: "declined",
  failedProcess,
  reason,
  detail,
});

/** P1: does the card hold the right key, and did it answer for this very transaction in time? */
function proveKey(parts: Parts, { known, card, body, trace }: Verifying & { readonly body: CardResponse }) {
  trace.push("P1");
  const now = parts.clock.now();
  if (now > (known.expiresAt ?? 0) || now < (known.issuedAt ?? 0))
    return failedIn(1, "E_EXPIRED", "the card's answer came too late");
  if (body.answer === undefined) return failedIn(1, "E_DENIED", "the card refused the challenge");
  const expected = answerOf(parts.vault.keysOf(card).macKey, known.challengeSecret ?? new Uint8Array(0), {
    txnId: known.txnId,
    amountMinor: BigInt(known.minor),
    currency: known.currency,
    payeeAccount: known.payeeAccount,
    terminalId: known.terminalId,
  });
  return sameSecretBytes(expected, fromHex(body.answer))
    ? undefined
    : failedIn(1, "E_DENIED", "the card's answer is wrong");
}

/** P2: are the data those that the card was given? */
function compareData({ vault }: Parts, { known, card, trace }: Verifying): Failure | undefined {
  trace.push("P2");
  const { dataKey } = vault.keysOf(card);
  const cardId = fromHex(card.cardId);
  const data = openCardData({ cardId, dataKey }, known.encryptedData ?? new Uint8Array(0));
  // Digests are compared, so that not even the length of the stored data shows.
  const same = data && sameSecretBytes(hash("sha256", data, "buffer"), hash("sha256", vault.dataOf(card), "buffer"));
  return same ? undefined : failedIn(2, "E_DENIED", "the card's data are not its own");
}

/** True when this failure blocks the card. */
async function countFailure({ clock, log }: Parts, within: Within, { cardId, failures }: CardRow): Promise<boolean> {
  const blocked = failures + 1 >= FAILURES_MAX;
  await cardStore.setFailures(within, { cardId, failures: failures + 1, blockedAt: blocked ? clock.now() : null });
  if (blocked) log.warn("a card is blocked after consecutive failures", { cardId, failures: failures + 1 });
  return blocked;
}

/** P3: one transfer, payer to payee, under an id that is used once for ever. */
async function post(parts: Parts, within: Within, { known, card, trace }: Verifying): Promise<Outcome> {
  const { ledger } = parts;
  trace.push("P3");
  const currency = currencyOf(known.currency);
  // The ledger knows amounts without a currency: that the two accounts have the same one does not make it this one.
  const payer = await ledger.account(within, card.accountId);
  if (payer?.currency !== currency) return OTHER_CURRENCY;
  const own = await ledger.account(within, await parts.merchantAccount(within, currency));
  const payee = await ledger.account(within, known.payeeAccount);
  // A terminal names the payee: it moves a customer's money to a shop, and to no customer and none of the hub's own accounts.
  if (payee && payee.code !== own?.code) return NO_MERCHANT;
  const [status] = await ledger.createTransfers(within, [
    {
      id: `card-verification/${known.terminalId}/${known.txnId}`,
      kind: "single",
      debitAccount: card.accountId,
      creditAccount: known.payeeAccount,
      amount: BigInt(known.minor),
      code: TRANSFER_CODE,
    },
  ]);
  assert(status !== undefined, "one transfer has one status");
  return status === "created" ? { status: "approved", authCode: authCode(parts.random) } : refusalOf(status);
}

const OTHER_CURRENCY: Outcome = refused("E_DENIED", "the accounts are in another currency");

const NO_MERCHANT: Outcome = refused("E_DENIED", "the payee is no merchant");

function refusalOf(status: TransferStatus): Outcome {
  switch (status) {
    case "exceeds-credits":
      return refused("E_LIMIT", "the account has not enough money");
    case "credit-account-not-found":
      return refused("E_UNKNOWN", "there is no such payee account");
    case "accounts-must-have-the-same-currency":
      return OTHER_CURRENCY;
    case "accounts-must-be-different":
      return refused("E_DENIED", "payer and payee are the same account");
    default:
      return refused("E_STATE", `the ledger refuses: ${status}`);
  }
}

const authCode = (random: RandomBytes): string =>
  Array.from(random(AUTH_CODE_LENGTH), (byte) => AUTH_CODE_CHARACTERS[byte % AUTH_CODE_CHARACTERS.length]).join("");

interface ToEnd {
  readonly key: TransactionKey;
  readonly cardId: string;
  readonly trace: readonly Process[];
  readonly outcome: Outcome;
}

/** Stores the one answer of this id, and gives it. */
async function end({ clock }: Parts, within: Within, { key, cardId, trace, outcome }: ToEnd): Promise<Content> {
  const { status: state } = outcome;
  await cardStore.end(within, {
    ...key,
    state,
    cardId,
    outcome: JSON.stringify(outcome),
    trace: JSON.stringify(trace),
    endedAt: clock.now(),
  });
  const known = await cardStore.transaction(within, key);
  assert(known?.state === state, "an open transaction ends once");
  return storedAnswer(known);
}

const factsOf = ({ minor, currency, payeeAccount }: TransactionRow): Pick<CardResult, "amount" | "payeeAccount"> => ({
  amount: { minor: String(minor), currency: currencyOf(currency) },
  payeeAccount,
});
const storedAnswer = (row: TransactionRow): Content => ({
  ...(JSON.parse(row.outcome ?? "{}") as Outcome),
  ...factsOf(row),
});

function differingField(row: TransactionRow, { amount, payeeAccount }: Pick<CardLookup, "amount" | "payeeAccount">) {
  if (amount && amount.currency !== row.currency) return "amount.currency";
  if (amount && BigInt(amount.minor) !== BigInt(row.minor)) return "amount.minor";
  return payeeAccount !== undefined && payeeAccount !== row.payeeAccount ? "payeeAccount" : undefined;
}
