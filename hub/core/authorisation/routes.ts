/** The operator's view of payments and accounts over HTTPS. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { AMOUNT_MINOR_MAX, currencyOf, isCurrency } from "../../../base/money.ts";
import { OperationSchema } from "../../../wire/common.ts";
import { HttpRefusal, isoTime, jsonSchema, LimitSchema, parseInput } from "../../http.ts";
import type { HubStore } from "../../store/store.ts";
import type { Transfer } from "../ledger/index.ts";
import type { AccountView, Authorisation } from "./service.ts";
import type { TransactionView } from "./view.ts";

const MinorText = z.string().describe("minor units as a decimal string");
const TransferShape = z.object({
  id: z.string(),
  kind: z.enum(["single", "pending", "post-pending", "void-pending"]),
  debitAccount: z.string(),
  creditAccount: z.string(),
  minor: MinorText,
  at: z.string(),
});
const TransactionShape = z.object({
  terminalId: z.string(),
  paymentId: z.string(),
  operation: OperationSchema.optional(),
  status: z.enum(["confirmed", "voided", "asked", "authorised", "declined", "reversed", "expired"]),
  amount: z.object({ minor: MinorText, currency: z.string() }).optional(),
  cashbackMinor: MinorText.optional().describe("the part of the amount that was given in cash"),
  mode: z.enum(["online", "offline"]).optional(),
  approvalCode: z.string().optional(),
  maskedPan: z.string().optional(),
  businessDate: z.string().optional(),
  originalPaymentId: z.string().optional(),
  accountId: z.string().optional(),
  postedMinor: MinorText.describe("what reached the merchant for good; negative for a refund"),
  postings: z.int().describe("transfers that moved money for good"),
  exposure: z.object({ minor: MinorText, party: z.string() }).optional(),
  deferred: z.literal(true).optional().describe("sold at the merchant's risk and asked for afterwards"),
  merchantLoss: z
    .object({ minor: MinorText, reason: z.string().optional(), detail: z.string().optional() })
    .optional()
    .describe("sold at the merchant's risk, and refused afterwards"),
  heldUntil: z.string().optional().describe("of a pre-authorisation"),
  cryptogram: z.enum(["held", "failed"]).optional().describe("of the card, where this hub is its issuer"),
  attempts: z.array(z.object({ attempt: z.int(), state: z.string(), responseCode: z.string().optional() })),
  transfers: z.array(TransferShape),
  firstHeardAt: z.string(),
  endedAt: z.string().optional(),
});
const TransactionsShape = z.object({ transactions: z.array(TransactionShape), cursor: z.string().optional() });

const TransactionQuery = z.strictObject({
  terminalId: z.string().max(64).optional(),
  paymentId: z.string().max(64).optional(),
  from: z.iso.datetime().optional(),
  to: z.iso.datetime().optional(),
  cursor: z
    .string()
    .regex(/^\d{1,15}$/, "not a cursor that this list gave")
    .optional(),
  limit: LimitSchema,
});

const AccountShape = z.object({
  id: z.string(),
  currency: z.string(),
  name: z.string().optional(),
  cardExpiry: z.string().optional(),
  limit: z.string(),
  balanceMinor: MinorText.describe("credits less debits, posted"),
  availableMinor: MinorText.describe("the balance less what is held"),
  debitsPendingMinor: MinorText,
  debitsPostedMinor: MinorText,
  creditsPendingMinor: MinorText,
  creditsPostedMinor: MinorText,
});
const AccountsShape = z.object({ accounts: z.array(AccountShape), cursor: z.string().optional() });
const AccountQuery = z.strictObject({ cursor: z.string().max(200).optional(), limit: LimitSchema });

const NewAccountBody = z.strictObject({
  /** A test number; it is kept as a token only. */
  pan: z.string().regex(/^\d{12,19}$/, "12 to 19 digits"),
  expiry: z.string().regex(/^\d{2}(?:0[1-9]|1[0-2])$/, "YYMM"),
  balance: z.strictObject({
    minor: z
      .string()
      .regex(/^(?:0|[1-9]\d{0,11})$/, "a whole number of minor units, at most 12 digits")
      .refine((minor) => BigInt(minor) <= AMOUNT_MINOR_MAX),
    currency: z.string().refine(isCurrency, "not an ISO 4217 code known here"),
  }),
  name: z.string().max(64).optional(),
});

export interface AuthorisationRouteParts {
  readonly store: HubStore;
  readonly authorisation: Authorisation;
}

export function registerAuthorisationRoutes(
  app: FastifyInstance,
  { store, authorisation }: AuthorisationRouteParts,
): void {
  const security = [{ operator: [] }];
  app.get(
    "/v1/transactions",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Payments with their outcome, attempts and transfers, oldest first",
        querystring: jsonSchema(TransactionQuery),
        response: { 200: jsonSchema(TransactionsShape) },
        security,
      },
    },
    async (request) => {
      const query = parseInput(TransactionQuery, request.query);
      const filter = {
        terminalId: query.terminalId,
        paymentId: query.paymentId,
        from: query.from === undefined ? undefined : Date.parse(query.from),
        to: query.to === undefined ? undefined : Date.parse(query.to),
        afterNumber: Number(query.cursor ?? 0),
        limit: query.limit,
      };
      const found = await store.read((reading) => authorisation.transactions(reading, filter));
      const last = found.length === query.limit ? found.at(-1) : undefined;
      return { transactions: found.map(showTransaction), ...(last ? { cursor: String(last.payment.number) } : {}) };
    },
  );
  app.get(
    "/v1/accounts",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Accounts of the ledger with their balances",
        querystring: jsonSchema(AccountQuery),
        response: { 200: jsonSchema(AccountsShape) },
        security,
      },
    },
    async (request) => {
      const query = parseInput(AccountQuery, request.query);
      const page = { after: query.cursor ?? "", limit: query.limit };
      const accounts = await store.read((reading) => authorisation.accounts(reading, page));
      const last = accounts.length === query.limit ? accounts.at(-1) : undefined;
      return { accounts: accounts.map(showAccount), ...(last ? { cursor: last.id } : {}) };
    },
  );
  app.post(
    "/v1/accounts",
    {
      config: { role: "admin", idempotent: true, named: ["answer.id", "body.balance.minor", "body.balance.currency"] },
      schema: {
        summary: "Opens a customer's account for a test card, funded from equity",
        body: jsonSchema(NewAccountBody),
        response: { 201: jsonSchema(AccountShape) },
        security,
      },
    },
    async (request, reply) => {
      const { pan, expiry, balance, name } = parseInput(NewAccountBody, request.body);
      const money = { minor: BigInt(balance.minor), currency: currencyOf(balance.currency) };
      const customer = { pan, expiry, balance: money, name };
      void reply.code(201);
      return await request.change(async (within) => {
        const opened = await authorisation.openAccount(within, customer);
        if (!opened.ok) throw new HttpRefusal(409, "E_CONFLICT", "pan: this card has an account already", "pan");
        return showAccount(opened.value);
      });
    },
  );
}

function showTransaction(view: TransactionView): z.output<typeof TransactionShape> {
  const { payment } = view;
  const { content } = payment;
  return {
    terminalId: payment.terminalId,
    paymentId: payment.paymentId,
    status: view.status,
    ...(content === undefined
      ? {}
      : { operation: content.operation, amount: { minor: content.minor.toString(), currency: content.currency } }),
    ...(content?.cashbackMinor === undefined ? {} : { cashbackMinor: content.cashbackMinor.toString() }),
    ...(content?.accountId === undefined ? {} : { accountId: content.accountId }),
    ...(payment.mode === undefined ? {} : { mode: payment.mode }),
    ...(payment.approvalCode === undefined ? {} : { approvalCode: payment.approvalCode }),
    ...(payment.maskedPan === undefined ? {} : { maskedPan: payment.maskedPan }),
    ...(payment.businessDate === undefined ? {} : { businessDate: payment.businessDate }),
    ...(view.originalPaymentId === undefined ? {} : { originalPaymentId: view.originalPaymentId }),
    ...(payment.exposureMinor === undefined
      ? {}
      : { exposure: { minor: payment.exposureMinor.toString(), party: payment.exposureParty ?? "" } }),
    ...(payment.cryptogram === undefined ? {} : { cryptogram: payment.cryptogram }),
    ...(payment.deferred ? { deferred: payment.deferred } : {}),
    ...(view.merchantLoss ? { merchantLoss: { ...view.merchantLoss, minor: view.merchantLoss.minor.toString() } } : {}),
    ...(view.heldUntil === undefined ? {} : { heldUntil: view.heldUntil }),
    postedMinor: view.postedMinor.toString(),
    postings: view.postings,
    attempts: view.attempts.map(({ attempt, state, answer }) => ({ attempt, state, ...codeOf(answer) })),
    transfers: view.transfers.map(showTransfer),
    firstHeardAt: isoTime(payment.createdAt),
    ...(payment.endedAt === undefined ? {} : { endedAt: isoTime(payment.endedAt) }),
  };
}

const AnswerShape = z.object({ responseCode: z.string() });
function codeOf(answer: string | undefined): { responseCode?: string } {
  const parsed = answer === undefined ? undefined : AnswerShape.safeParse(JSON.parse(answer)).data;
  return parsed === undefined ? {} : { responseCode: parsed.responseCode };
}

const showTransfer = (transfer: Transfer): z.output<typeof TransferShape> => ({
  id: transfer.id,
  kind: transfer.kind,
  debitAccount: transfer.debitAccount,
  creditAccount: transfer.creditAccount,
  minor: transfer.amount.toString(),
  at: isoTime(Math.floor(transfer.timestampUs / 1_000)),
});

const showAccount = (account: AccountView): z.output<typeof AccountShape> => ({
  id: account.id,
  currency: account.currency,
  ...(account.name === undefined ? {} : { name: account.name }),
  ...(account.cardExpiry === undefined ? {} : { cardExpiry: account.cardExpiry }),
  limit: account.limit,
  balanceMinor: (account.creditsPosted - account.debitsPosted).toString(),
  availableMinor: (account.creditsPosted - account.debitsPosted - account.debitsPending).toString(),
  debitsPendingMinor: account.debitsPending.toString(),
  debitsPostedMinor: account.debitsPosted.toString(),
  creditsPendingMinor: account.creditsPending.toString(),
  creditsPostedMinor: account.creditsPosted.toString(),
});
