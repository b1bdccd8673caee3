/** The operator's view of cards and verified transactions, and personalisation. */
import { z } from "zod";
import { CardIdSchema, PayeeAccountSchema, PersonalisedCardSchema } from "../../../wire/card-verification.ts";
import { HttpRefusal, isoTime, LimitSchema, parseInput } from "../../http.ts";
import type { OperatorRoute } from "../../service.ts";
import type { CardVerification } from "./service.ts";
import type { CardRow, TransactionRow } from "./store.ts";

const CardShape = z.object({
  cardId: z.string(),
  accountId: z.string(),
  failures: z.int().describe("of process 1 or 2, since the last success"),
  blockedAt: z.string().optional(),
  createdAt: z.string(),
});
const CardsShape = z.object({ cards: z.array(CardShape), cursor: z.string().optional() });
const CardQuery = z.strictObject({ cursor: z.string().max(64).optional(), limit: LimitSchema });
const NewCardBody = z.strictObject({ accountId: PayeeAccountSchema });
const UnblockBody = z.strictObject({ cardId: CardIdSchema });

const TransactionShape = z.object({
  terminalId: z.string(),
  txnId: z.string(),
  status: z.enum(["open", "approved", "declined"]),
  amount: z.object({ minor: z.string(), currency: z.string() }),
  payeeAccount: z.string(),
  cardId: z.string(),
  trace: z.array(z.string()).describe("the processes that ran, in order: P0 account, P1 key, P2 data, P3 posting"),
  failedProcess: z.int().optional(),
  reason: z.string().optional(),
  detail: z.string().optional(),
  authCode: z.string().optional(),
  begunAt: z.string(),
  endedAt: z.string().optional(),
});
const TransactionsShape = z.object({ transactions: z.array(TransactionShape), cursor: z.string().optional() });
const TransactionQuery = z.strictObject({
  cursor: z
    .string()
    .regex(/^\d{1,15}$/, "not a cursor that this list gave")
    .optional(),
  limit: LimitSchema,
});

export const operatorRoutes = (service: CardVerification): readonly OperatorRoute[] => [
  {
    method: "POST",
    path: "/v1/card-verification/cards",
    role: "admin",
    named: ["answer.cardId", "body.accountId"],
    summary: "Personalises a test card for an account; the answer holds its keys and is given once",
    body: NewCardBody,
    answer: PersonalisedCardSchema,
    status: 201,
    async handle({ body }, within) {
      const { accountId } = parseInput(NewCardBody, body);
      const added = await service.addCard(within, accountId);
      if (!added.ok)
        throw new HttpRefusal(404, "E_UNKNOWN", `accountId: there is no account ${accountId}`, "accountId");
      return added.value;
    },
  },
  {
    method: "GET",
    path: "/v1/card-verification/cards",
    role: "viewer",
    summary: "Cards with their failures and blocks",
    query: CardQuery,
    answer: CardsShape,
    status: 200,
    async handle({ query }, reading) {
      const { cursor = "", limit } = parseInput(CardQuery, query);
      const found = await service.cards(reading, { after: cursor, limit });
      const last = found.length === limit ? found.at(-1) : undefined;
      return { cards: found.map(showCard), ...(last ? { cursor: last.cardId } : {}) };
    },
  },
  {
    method: "POST",
    path: "/v1/card-verification/unblock",
    role: "operator",
    named: ["body.cardId"],
    summary: "Takes the block off a card and forgets its failures",
    body: UnblockBody,
    answer: UnblockBody,
    status: 200,
    async handle({ body }, within) {
      const { cardId } = parseInput(UnblockBody, body);
      if (!(await service.unblock(within, cardId)))
        throw new HttpRefusal(404, "E_UNKNOWN", `cardId: there is no card ${cardId}`, "cardId");
      return { cardId };
    },
  },
  {
    method: "GET",
    path: "/v1/card-verification/transactions",
    role: "viewer",
    summary: "Verified transactions with the processes that ran, oldest first",
    query: TransactionQuery,
    answer: TransactionsShape,
    status: 200,
    async handle({ query }, reading) {
      const { cursor, limit } = parseInput(TransactionQuery, query);
      const found = await service.transactions(reading, { afterNumber: Number(cursor ?? 0), limit });
      const last = found.length === limit ? found.at(-1) : undefined;
      return { transactions: found.map(showTransaction), ...(last ? { cursor: String(last.number) } : {}) };
    },
  },
];

const showCard = ({ cardId, accountId, failures, blockedAt, createdAt }: CardRow): z.output<typeof CardShape> => ({
  cardId,
  accountId,
  failures,
  ...(blockedAt === null ? {} : { blockedAt: isoTime(blockedAt) }),
  createdAt: isoTime(createdAt),
});

const OutcomeShape = TransactionShape.pick({ failedProcess: true, reason: true, detail: true, authCode: true });

function showTransaction(row: TransactionRow): z.output<typeof TransactionShape> {
  return {
    ...OutcomeShape.parse(JSON.parse(row.outcome ?? "{}")),
    terminalId: row.terminalId,
    txnId: row.txnId,
    status: row.state,
    amount: { minor: String(row.minor), currency: row.currency },
    payeeAccount: row.payeeAccount,
    cardId: row.cardId,
    trace: z.array(z.string()).parse(JSON.parse(row.trace)),
    begunAt: isoTime(row.createdAt),
    ...(row.endedAt === null ? {} : { endedAt: isoTime(row.endedAt) }),
  };
}
