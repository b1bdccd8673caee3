/** The description of the local API for integrators, made from the schemas that validate it. Loaded only when asked for. */
import { z } from "zod";
import { DayReportSchema } from "../../wire/reconciliation.ts";
import { CardPaymentBodySchema, CardPaymentViewSchema } from "../features/card-verification/routes.ts";
import { StatusSchema } from "../health/health.ts";
import { ReconciliationBodySchema } from "../reconciliation/routes.ts";
import {
  CompletionBodySchema,
  ErrorSchema,
  PaymentBodySchema,
  PaymentViewSchema,
  RefundBodySchema,
  TipBodySchema,
  VoidBodySchema,
} from "./api-schemas.ts";
import { QueueActionBodySchema, QueueDetailSchema, QueueViewSchema } from "./queue-schemas.ts";

type Json = Record<string, unknown>;
const input = (schema: z.ZodType): Json =>
  strip(z.toJSONSchema(schema, { io: "input", unrepresentable: "any", target: "openapi-3.0" }));
const output = (schema: z.ZodType): Json =>
  strip(z.toJSONSchema(schema, { unrepresentable: "any", target: "openapi-3.0" }));
const strip = (schema: object): Json => Object.fromEntries(Object.entries(schema).filter(([key]) => key !== "$schema"));
const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: Json): Json => ({ "application/json": { schema } });
const answer = (description: string, schema: Json): Json => ({ description, content: json(schema) });
const body = (name: string): Json => ({ required: true, content: json(ref(name)) });
const path = (name: string): Json => ({ name, in: "path", required: true, schema: { type: "string" } });
const query = (name: string, description: string): Json => ({
  name,
  in: "query",
  description,
  schema: { type: "string" },
});
const listOf = (key: string, item: string): Json => ({
  type: "object",
  properties: { [key]: { type: "array", items: ref(item) } },
});

const ERRORS: Readonly<Record<number, string>> = {
  400: "the request is malformed; `path` names the field",
  401: "the bearer token is missing or wrong",
  404: "not known here",
  409: "the state, or the content under this id, forbids it; `path` names the field that differs",
  422: "not allowed",
  503: "the agent is stopping, or its journal failed",
};
const responses = (good: Json, ...codes: readonly number[]): Json => ({
  ...good,
  ...Object.fromEntries([400, 401, ...codes].map((code) => [code, answer(ERRORS[code] ?? "", ref("Error"))])),
});
const PAYMENT = { 200: answer("the payment, ended", ref("Payment")) };
const RUNNING = { ...PAYMENT, 202: answer("the payment, still running", ref("Payment")) };
const WAIT = query("wait", "seconds to wait for the end, 0 to 120 (default 120)");

function paymentPaths(): Json {
  const act = (summary: string, extra: Json = {}): Json => ({
    post: { summary, parameters: [path("id")], ...extra, responses: responses(PAYMENT, 404, 409) },
  });
  return {
    "/v1/payments": {
      post: {
        summary: "Take a payment. The caller owns the id; the same id again gives the first answer.",
        parameters: [WAIT],
        requestBody: body("PaymentRequest"),
        responses: responses(RUNNING, 409, 422, 503),
      },
      get: {
        summary: "The newest payments first.",
        parameters: [query("limit", "1 to 200 (default 20)")],
        responses: responses({ 200: answer("payments", listOf("payments", "Payment")) }),
      },
    },
    "/v1/payments/{id}": {
      get: { summary: "One payment.", parameters: [path("id")], responses: responses(PAYMENT, 404) },
    },
    "/v1/payments/{id}/timings": {
      get: {
        summary: "Where the time of a recent sale went: cardMs, journalMs, hubMs.",
        parameters: [path("id")],
        responses: responses({ 200: answer("milliseconds", { type: "object" }) }, 404),
      },
    },
    "/v1/payments/{id}/dialogue": {
      get: {
        summary: "What was said to the card: masked for people, and sealed to the hub's key.",
        parameters: [path("id")],
        responses: responses({ 200: answer("dialogue", { type: "object" }) }, 404),
      },
    },
    "/v1/payments/{id}/cancel": act("Cancel while the card is waited for."),
    "/v1/payments/{id}/void": act(
      "Take back an approved payment that the hub has not got yet, or cancel a pre-authorisation.",
      {
        requestBody: { content: json(ref("VoidRequest")) },
      },
    ),
    "/v1/payments/{id}/signature": act(
      "The cashier's word on the customer's signature; a refused one voids the sale.",
      {
        requestBody: {
          content: json({ type: "object", required: ["accepted"], properties: { accepted: { type: "boolean" } } }),
        },
      },
    ),
    "/v1/payments/{id}/challenge": act("Print what a phone scans to pay with a note of staged value."),
    "/v1/payments/{id}/reprint": act("Print a copy, marked as one."),
    "/v1/pre-authorisations": {
      post: {
        summary: "Hold an amount on a card, always online; nothing is charged before its completion.",
        parameters: [WAIT],
        requestBody: body("PaymentRequest"),
        responses: responses(RUNNING, 409, 422, 503),
      },
    },
    "/v1/completions": {
      post: {
        summary: "Charge what a pre-authorisation holds, in all or in part, once; works without the hub.",
        parameters: [WAIT],
        requestBody: body("CompletionRequest"),
        responses: responses(RUNNING, 404, 409, 422, 503),
      },
    },
    "/v1/tips": {
      post: {
        summary: "A tip on an approved sale by card, once, while the hub's batch of the sale is open; needs the hub.",
        parameters: [WAIT],
        requestBody: body("TipRequest"),
        responses: responses(RUNNING, 409, 422, 503),
      },
    },
    "/v1/refunds": {
      post: {
        summary: "Give money back for a payment; without an amount, all that is left of it.",
        parameters: [WAIT],
        requestBody: body("RefundRequest"),
        responses: responses(RUNNING, 404, 409, 422, 503),
      },
    },
  };
}

function cardPaymentPaths(): Json {
  const ended = { 200: answer("the card payment, ended", ref("CardPayment")) };
  const running = { ...ended, 202: answer("the card payment, still running", ref("CardPayment")) };
  return {
    "/v1/card-payments": {
      post: {
        summary:
          "Take a payment by smart-card verification. The caller owns the id; the same id again gives what became of it.",
        parameters: [WAIT],
        requestBody: body("CardPaymentRequest"),
        responses: responses(running, 409, 422, 503),
      },
    },
    "/v1/card-payments/{id}": {
      get: {
        summary: "One card payment, as the hub knows it.",
        parameters: [path("id")],
        responses: responses(ended, 404, 503),
      },
    },
    "/v1/card-payments/{id}/cancel": {
      post: {
        summary: "Cancel while the card is waited for.",
        parameters: [path("id")],
        responses: responses(running, 404, 409),
      },
    },
  };
}

function queuePaths(): Json {
  const act = (summary: string): Json => ({
    post: {
      summary,
      parameters: [path("id")],
      requestBody: body("QueueActionRequest"),
      responses: responses({ 200: answer("the entry as it is now", ref("QueueEntryDetail")) }, 404, 409, 503),
    },
  });
  const entries = { type: "array", items: ref("QueueEntry") };
  const listed = { type: "object", properties: { summary: { type: "object" }, entries } };
  return {
    "/v1/queue": {
      get: {
        summary: "The store-and-forward queue, oldest entry first.",
        parameters: [
          query("state", "eligible, forwarding, processed, declined, expired, quarantined or voided"),
          query("paymentId", "of one payment"),
          query("limit", "1 to 1000 (default 100)"),
        ],
        responses: responses({ 200: answer("entries, and the queue in a few figures", listed) }),
      },
    },
    "/v1/queue/{id}": {
      get: {
        summary:
          "The entry with this sequence, also written #12, or those of the payment with this id; what was done to each, by whom and why.",
        parameters: [path("id")],
        responses: responses({ 200: answer("entries", listOf("entries", "QueueEntryDetail")) }, 404, 409),
      },
    },
    "/v1/queue/retry": {
      post: { summary: "Try the hub now.", responses: responses({ 202: { description: "trying" } }) },
    },
    "/v1/queue/{id}/force": act("Send this entry now, ahead of others, whatever rest it is in."),
    "/v1/queue/{id}/retry": act("Ask the hub again about an entry that it set aside."),
    "/v1/queue/{id}/cancel": act("End an entry that was never sent, or that the hub set aside."),
  };
}

function lookPaths(): Json {
  const get = (summary: string, content: Json, parameters: readonly Json[] = []): Json => ({
    get: { summary, parameters, responses: responses({ 200: { description: summary, content } }) },
  });
  return {
    "/v1/status": get("How the terminal is.", json(ref("Status"))),
    "/v1/devices": get("The configured devices.", json({ type: "object" })),
    "/v1/events": get("payment.stage, payment.hint, payment.ended, payment.ticket, device.changed, hub.state", {
      "text/event-stream": { schema: { type: "string" } },
    }),
    "/v1/health": get("The process answers.", json({ type: "object" })),
    "/metrics": get("Prometheus.", { "text/plain": { schema: { type: "string" } } }),
  };
}

export function openApiDocument(version: string): Json {
  return {
    openapi: "3.0.3",
    info: { title: "Tillway agent: local API", version },
    security: [{ token: [] }],
    paths: { ...paymentPaths(), ...cardPaymentPaths(), ...queuePaths(), ...lookPaths() },
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
      schemas: {
        PaymentRequest: input(PaymentBodySchema),
        RefundRequest: input(RefundBodySchema),
        CompletionRequest: input(CompletionBodySchema),
        TipRequest: input(TipBodySchema),
        VoidRequest: input(VoidBodySchema),
        Payment: output(PaymentViewSchema),
        QueueEntry: output(QueueViewSchema),
        QueueEntryDetail: output(QueueDetailSchema),
        QueueActionRequest: input(QueueActionBodySchema),
        Status: output(StatusSchema),
        ReconciliationRequest: input(ReconciliationBodySchema),
        DayReport: output(DayReportSchema),
        CardPaymentRequest: input(CardPaymentBodySchema),
        CardPayment: output(CardPaymentViewSchema),
        Error: output(ErrorSchema),
      },
    },
  };
}
