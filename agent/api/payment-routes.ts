/** The routes that act: payments, pre-authorisations and their completions, refunds, tips, cancellations, voids and copies of receipts. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Clock } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import type { PaymentId } from "../../base/ids.ts";
import type { Currency, Money } from "../../base/money.ts";
import type { Result } from "../../base/result.ts";
import type { Dialogues } from "../dialogues/dialogue-recorder.ts";
import type {
  Payments,
  PaymentView,
  ReprintRefusal,
  SignatureRefusal,
  StartRefusal,
  VoidRefusal,
} from "../payment/payments.ts";
import { parse, refusalError, refuse } from "./api-errors.ts";
import {
  CompletionBodySchema,
  type ErrorJson,
  LimitQuerySchema,
  NoBodySchema,
  PaymentBodySchema,
  type PaymentJson,
  PaymentParamsSchema,
  paymentJson,
  RefundBodySchema,
  SignatureBodySchema,
  TipBodySchema,
  VoidBodySchema,
  WaitQuerySchema,
} from "./api-schemas.ts";
import { whileWaiting } from "./while-waiting.ts";

export interface PaymentRoutesOptions {
  readonly payments: Payments;
  readonly dialogues: Dialogues;
  readonly clock: Clock;
  /** The shop's currency; others are refused before anybody is asked for a card. */
  readonly currency: Currency;
  /** Ends the waits when the API stops; what is paid goes on. */
  readonly stopping: AbortSignal;
}

type Answer = PaymentJson | ErrorJson;

const PAID_BY_CARD = [
  ["/v1/payments", "purchase"],
  ["/v1/pre-authorisations", "pre-authorisation"],
] as const;

export function paymentRoutes(app: FastifyInstance, options: PaymentRoutesOptions): void {
  const { payments } = options;
  for (const [path, operation] of PAID_BY_CARD)
    app.post(path, (request, reply) => {
      const body = parse(reply, PaymentBodySchema, request.body);
      if (body === undefined) return reply;
      const { cashback, reference, ...rest } = body;
      const more = { ...(cashback && { cashback }), ...(reference !== undefined && { reference }) };
      return start({
        request,
        reply,
        options,
        id: body.id,
        amount: body.amount,
        begin: () => payments.begin({ ...rest, operation, ...more }),
      });
    });
  app.post("/v1/completions", (request, reply) => {
    const body = parse(reply, CompletionBodySchema, request.body);
    if (body === undefined) return reply;
    const { id, amount } = body;
    return start({ request, reply, options, id, amount, begin: () => payments.beginCompletion(body) });
  });
  app.post("/v1/refunds", (request, reply) => {
    const body = parse(reply, RefundBodySchema, request.body);
    if (body === undefined) return reply;
    const { amount, ...rest } = body;
    return start({
      request,
      reply,
      options,
      id: body.id,
      amount,
      begin: () => payments.beginRefund({ ...rest, ...(amount && { amount }) }),
    });
  });
  app.post("/v1/tips", (request, reply) => {
    const body = parse(reply, TipBodySchema, request.body);
    if (body === undefined) return reply;
    const { id, amount } = body;
    return start({ request, reply, options, id, amount, begin: () => payments.beginTip(body) });
  });
  app.get("/v1/payments", (request, reply) => {
    const query = parse(reply, LimitQuerySchema, request.query);
    return query === undefined ? reply : { payments: payments.recent(query.limit).map(paymentJson) };
  });
  app.get("/v1/payments/:id", (request, reply) => {
    const params = parse(reply, PaymentParamsSchema, request.params);
    if (params === undefined) return reply;
    const view = payments.get(params.id);
    return view ? paymentJson(view) : refuse(reply, unknownPayment(params.id));
  });
  app.get("/v1/payments/:id/timings", (request, reply) => {
    const params = parse(reply, PaymentParamsSchema, request.params);
    if (params === undefined) return reply;
    return payments.timingsOf(params.id) ?? refuse(reply, unknownPayment(params.id));
  });
  app.get("/v1/payments/:id/dialogue", (request, reply) => {
    const params = parse(reply, PaymentParamsSchema, request.params);
    if (params === undefined) return reply;
    const message = `no dialogue with a card is kept for payment ${params.id}`;
    return options.dialogues.dialogueOf(params.id) ?? refuse(reply, { status: 404, code: "E_UNKNOWN", message });
  });
  actionRoutes(app, payments);
}

function actionRoutes(app: FastifyInstance, payments: Payments): void {
  app.post("/v1/payments/:id/cancel", (request, reply) => {
    const params = parse(reply, PaymentParamsSchema, request.params);
    if (params === undefined || parse(reply, NoBodySchema, request.body) === undefined) return reply;
    const cancelled = payments.cancel(params.id);
    return cancelled.ok ? paymentJson(cancelled.value) : refuse(reply, refusalError(cancelled.error));
  });
  app.post("/v1/payments/:id/void", async (request, reply) => {
    const params = parse(reply, PaymentParamsSchema, request.params);
    const body = params && parse(reply, VoidBodySchema, request.body);
    if (params === undefined || body === undefined) return reply;
    return outcome(reply, await payments.void(params.id, body.reason));
  });
  app.post("/v1/payments/:id/signature", async (request, reply) => {
    const params = parse(reply, PaymentParamsSchema, request.params);
    const body = params && parse(reply, SignatureBodySchema, request.body);
    if (params === undefined || body === undefined) return reply;
    return outcome(reply, await payments.checkSignature({ id: params.id, accepted: body.accepted }));
  });
  app.post("/v1/payments/:id/challenge", async (request, reply) => {
    const params = parse(reply, PaymentParamsSchema, request.params);
    if (params === undefined || parse(reply, NoBodySchema, request.body) === undefined) return reply;
    return outcome(reply, await payments.printChallenge(params.id));
  });
  app.post("/v1/payments/:id/reprint", async (request, reply) => {
    const params = parse(reply, PaymentParamsSchema, request.params);
    if (params === undefined || parse(reply, NoBodySchema, request.body) === undefined) return reply;
    return outcome(reply, await payments.reprint(params.id));
  });
}

const outcome = (
  reply: FastifyReply,
  result: Result<PaymentView, VoidRefusal | ReprintRefusal | SignatureRefusal>,
): Answer => (result.ok ? paymentJson(result.value) : refuse(reply, refusalError(result.error)));

const unknownPayment = (id: string) =>
  ({ status: 404, code: "E_UNKNOWN", message: `no payment ${id} is known here` }) as const;

interface Start {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly options: PaymentRoutesOptions;
  readonly id: PaymentId;
  readonly amount: Money | undefined;
  begin(): Result<PaymentView, StartRefusal>;
}

async function start({ request, reply, options, id, amount, begin }: Start): Promise<Answer | FastifyReply> {
  const query = parse(reply, WaitQuerySchema, request.query);
  if (query === undefined) return reply;
  // A payment that is known is never begun anew: there another currency is a conflict with what was asked first (RM4).
  if (amount && amount.currency !== options.currency && !options.payments.get(id)) {
    const message = `this terminal takes ${options.currency} only`;
    return refuse(reply, { status: 422, code: "E_DENIED", path: "amount.currency", message });
  }
  const begun = begin();
  if (!begun.ok) return refuse(reply, refusalError(begun.error));
  if (begun.value.status !== "processing") return paymentJson(begun.value);
  const view =
    query.wait === 0 ? begun.value : await waitForEnd(begun.value, { reply, options, waitMs: query.wait * 1_000 });
  if (view.status === "processing") reply.status(202);
  return paymentJson(view);
}

interface Wait {
  readonly reply: FastifyReply;
  readonly options: PaymentRoutesOptions;
  readonly waitMs: number;
}

/** The payment at its end, or as it is when the limit is over, the caller left or the API stops. None of them cancels it. */
async function waitForEnd(begun: PaymentView, { reply, options, waitMs }: Wait): Promise<PaymentView> {
  const { payments } = options;
  try {
    return await whileWaiting(reply, { ...options, waitMs }, (signal) => payments.ended(begun.id, signal));
  } catch (error) {
    if (isFault(error, "aborted", "transport.timeout")) return payments.get(begun.id) ?? begun;
    throw error;
  }
}
