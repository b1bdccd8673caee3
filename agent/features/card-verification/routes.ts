/** The local API of payments by smart-card verification. */
import type { FastifyInstance, FastifyReply } from "fastify";
import { z } from "zod";
import type { Clock } from "../../../base/clock.ts";
import type { Currency } from "../../../base/money.ts";
import { CardTxnIdSchema, PayeeAccountSchema } from "../../../wire/card-verification.ts";
import { toWireMoney } from "../../../wire/common.ts";
import { type ApiError, parse, refuse } from "../../api/api-errors.ts";
import { type ErrorJson, NoBodySchema, PaymentBodySchema, WaitQuerySchema } from "../../api/api-schemas.ts";
import { whileWaiting } from "../../api/while-waiting.ts";
import type { CardPaymentRefusal, CardPayments, CardPaymentView } from "./card-payments.ts";

export const CardPaymentBodySchema = z.strictObject({
  id: CardTxnIdSchema,
  amount: PaymentBodySchema.shape.amount,
  /** Who is paid: an account at the hub. */
  payeeAccount: PayeeAccountSchema,
});
const ParamsSchema = z.strictObject({ id: CardTxnIdSchema });

export const CardPaymentViewSchema = z.strictObject({
  id: z.string(),
  status: z.enum(["processing", "approved", "declined", "failed", "unknown"]),
  amount: z.strictObject({ minor: z.string(), currency: z.string() }).optional(),
  payeeAccount: z.string().optional(),
  stage: z.enum(["asking-hub", "awaiting-card", "verifying", "concluding"]).optional(),
  failedProcess: z.union([z.literal(1), z.literal(2)]).optional(),
  reason: z.string().optional(),
  detail: z.string().optional(),
  authCode: z.string().optional(),
});
export type CardPaymentJson = z.infer<typeof CardPaymentViewSchema>;

export interface CardPaymentRoutesOptions {
  readonly cardPayments: CardPayments;
  readonly clock: Clock;
  /** The shop's currency. */
  readonly currency: Currency;
  /** Ends the waits when the API stops; what is paid goes on. */
  readonly stopping: AbortSignal;
}

type Answer = CardPaymentJson | ErrorJson;

export function cardPaymentRoutes(app: FastifyInstance, options: CardPaymentRoutesOptions): void {
  const { cardPayments, currency } = options;
  app.post("/v1/card-payments", async (request, reply): Promise<Answer | FastifyReply> => {
    const body = parse(reply, CardPaymentBodySchema, request.body);
    const query = body && parse(reply, WaitQuerySchema, request.query);
    if (body === undefined || query === undefined) return reply;
    if (body.amount.currency !== currency) {
      const message = `this terminal takes ${currency} only`;
      return refuse(reply, { status: 422, code: "E_DENIED", path: "amount.currency", message });
    }
    return await whileWaiting(reply, { ...options, waitMs: query.wait * 1_000 }, async (signal) => {
      try {
        const taken = await cardPayments.take(body, signal);
        return taken.ok ? show(taken.value) : refuse(reply, errorOf(taken.error));
      } catch (error) {
        if (!signal.aborted) throw error;
        reply.status(202);
        return show(cardPayments.running(body.id) ?? { ...body, status: "unknown", detail: "ask again" });
      }
    });
  });
  app.get("/v1/card-payments/:id", async (request, reply): Promise<Answer | FastifyReply> => {
    const params = parse(reply, ParamsSchema, request.params);
    if (params === undefined) return reply;
    const running = cardPayments.running(params.id);
    if (running) return show(running);
    return await whileWaiting(reply, { ...options, waitMs: LOOK_UP_LIMIT_MS }, async (signal) => {
      const known = await cardPayments.lookUp(params.id, signal);
      const message = `no card payment ${params.id} is known to the hub`;
      return known ? show(known) : refuse(reply, { status: 404, code: "E_UNKNOWN", message });
    });
  });
  app.post("/v1/card-payments/:id/cancel", (request, reply) => {
    const params = parse(reply, ParamsSchema, request.params);
    if (params === undefined || parse(reply, NoBodySchema, request.body) === undefined) return reply;
    const cancelled = cardPayments.cancel(params.id);
    return cancelled.ok ? show(cancelled.value) : refuse(reply, errorOf(cancelled.error));
  });
}

const LOOK_UP_LIMIT_MS = 5_000;

const show = ({ amount, ...rest }: CardPaymentView): CardPaymentJson => ({
  ...rest,
  ...(amount && { amount: toWireMoney(amount) }),
});

function errorOf(refusal: CardPaymentRefusal): ApiError {
  switch (refusal.why) {
    case "conflict": {
      const message = `a card payment with this id exists with another ${refusal.field}; use a new id`;
      return { status: 409, code: "E_CONFLICT", path: refusal.field, message };
    }
    case "busy":
      return { status: 409, code: "E_LIMIT", message: refusal.detail };
    case "too-late":
      return { status: 409, code: "E_STATE", message: refusal.detail };
    case "not-found":
      return { status: 404, code: "E_UNKNOWN", message: refusal.detail };
    case "draining":
      return { status: 503, code: "E_UNAVAILABLE", message: refusal.detail };
  }
}
