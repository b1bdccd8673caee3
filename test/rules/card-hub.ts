/** A hub with one personalised card, and what a terminal says to both. */
import { fromHex, toHex } from "../../base/bytes.ts";
import type { ManualClock } from "../../base/clock.ts";
import type { TerminalId } from "../../base/ids.ts";
import { currencyOf } from "../../base/money.ts";
import type { HubCore } from "../../hub/hub-core.ts";
import { verifyChallengeCommand } from "../../protocols/card-verification/commands.ts";
import { VerificationApp } from "../../sim/card/verification-app.ts";
import type {
  CardChallenge,
  CardLookup,
  CardResponse,
  CardResult,
  CardTransactionInfo,
  PersonalisedCard,
} from "../../wire/card-verification.ts";
import type { UpEnvelope } from "../../wire/envelope.ts";
import { type FakeTerminal, hubFixture } from "./hub-fixture.ts";
import { askOperator } from "./operator.ts";

/** Of no hub. */
export const CARD: PersonalisedCard = {
  cardId: "c0ffee0011223344",
  encryptedCardData: "ab".repeat(60),
  dataKey: "01".repeat(32),
  macKey: "02".repeat(32),
};

/** A challenge with what was shown for it. */
export interface Begun extends Pick<CardChallenge, "txnId" | "challengeId" | "cipherChallenge"> {
  readonly amountMinor: bigint;
  readonly currency: string;
  readonly payeeAccount: string;
  readonly terminalId: string;
}

export interface CardHubParts {
  readonly hub: HubCore;
  readonly clock: ManualClock;
  readonly terminal: FakeTerminal;
  readonly customer: string;
  /** A fresh one when absent. */
  readonly card?: PersonalisedCard;
}

type Said = Pick<Extract<UpEnvelope, { type: `card.${string}` }>, "type" | "body">;
interface Changes {
  readonly card?: PersonalisedCard;
  readonly payeeAccount?: string;
  readonly currency?: string;
  readonly terminalId?: TerminalId;
}
export type Result = Omit<CardResult, "replyTo">;

export const cardHub = async () => {
  const { hub, clock, terminal, customer, dump } = await hubFixture({ balanceMinor: 100_000n });
  return { ...(await hubOf({ hub, clock, terminal, customer })), dump };
};
export type CardHub = Awaited<ReturnType<typeof cardHub>>;

export async function hubOf(parts: CardHubParts) {
  const { hub, terminal, customer, clock } = parts;
  const operator = (method: "GET" | "POST", path: string, body?: unknown) =>
    askOperator(hub, `${method} ${path}`, body);
  const addCard = async () =>
    (await operator("POST", "/v1/card-verification/cards", { accountId: customer })) as PersonalisedCard;
  const card = parts.card ?? (await addCard());
  const app = new VerificationApp(card);
  const send = async (said: Said) => {
    const [message] = await hub.receive({ ...terminal.head(), ...said } as UpEnvelope);
    if (message?.type !== "card.result" && message?.type !== "card.challenge") throw new Error("no answer for a card");
    return message;
  };
  const say = async (said: Said): Promise<Result> => {
    const message = await send(said);
    if (message.type !== "card.result") throw new Error("a challenge where a result was expected");
    const { replyTo: _, ...result } = message.body;
    return result;
  };
  const transactionOf = (txnId: string, minor: bigint, changes: Changes = {}) => {
    const from = changes.card ?? card;
    const transaction: CardTransactionInfo = {
      txnId,
      amount: { minor: minor.toString(), currency: currencyOf(changes.currency ?? "EUR") },
      payeeAccount: changes.payeeAccount ?? "merchant:shop:EUR",
      terminalId: changes.terminalId ?? terminal.terminalId,
      at: new Date(clock.now()).toISOString(),
    };
    const body = { cardId: from.cardId, encryptedCardData: from.encryptedCardData, transaction };
    return { type: "card.transaction", body } as const;
  };
  const challenged = async (said: ReturnType<typeof transactionOf>): Promise<Begun | Result> => {
    const message = await send(said);
    if (message.type === "card.result") return message.body;
    const { amount, payeeAccount, terminalId } = said.body.transaction;
    const { txnId, challengeId, cipherChallenge } = message.body;
    const shown = { amountMinor: BigInt(amount.minor), currency: amount.currency, payeeAccount, terminalId };
    return { txnId, challengeId, cipherChallenge, ...shown };
  };
  const begin = async (txnId: string, minor: bigint, changes: Changes = {}): Promise<Begun> => {
    const begun = await challenged(transactionOf(txnId, minor, changes));
    if ("status" in begun) throw new Error(`no challenge: ${begun.detail}`);
    return begun;
  };
  const ask = (asked: VerificationApp, begun: Begun) => {
    const { cipherChallenge, challengeId: _, ...shown } = begun;
    const command = verifyChallengeCommand({ cipherChallenge: fromHex(cipherChallenge), shown });
    const { status, data } = asked.respond(command);
    return { status, data: toHex(data) };
  };
  const respond = ({ txnId, challengeId }: Begun, answer: Pick<CardResponse, "answer" | "refused">) =>
    say({ type: "card.response", body: { txnId, challengeId, ...answer } });
  const pay = async (txnId: string, minor: bigint, changes: Changes = {}): Promise<Result> => {
    const begun = await challenged(transactionOf(txnId, minor, changes));
    if ("status" in begun) return begun;
    return await respond(begun, { answer: ask(new VerificationApp(changes.card ?? card), begun).data });
  };
  return {
    ...parts,
    card,
    app,
    operator,
    addCard,
    say,
    transactionOf,
    begin,
    ask,
    respond,
    pay,
    beginAgain: (txnId: string, minor: bigint, from = card) => say(transactionOf(txnId, minor, { card: from })),
    lookUp: (txnId: string, content: Omit<CardLookup, "txnId"> = {}) =>
      say({ type: "card.lookup", body: { txnId, ...content } }),
    async trace(txnId: string): Promise<readonly string[] | undefined> {
      const { transactions } = (await operator("GET", "/v1/card-verification/transactions")) as {
        transactions: { txnId: string; trace: string[] }[];
      };
      return transactions.find((one) => one.txnId === txnId)?.trace;
    },
    async balance(id: string): Promise<bigint> {
      const account = await hub.store.read((reading) => hub.ledger.account(reading, id));
      return account ? account.creditsPosted - account.debitsPosted : 0n;
    },
    transfers: () => hub.store.read((reading) => hub.ledger.transfers(reading, { limit: 100 })),
  };
}
