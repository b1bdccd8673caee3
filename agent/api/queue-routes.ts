/** The routes of the store-and-forward queue: looking at it, and what a person does to one entry of it. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Result } from "../../base/result.ts";
import type { Health } from "../health/health.ts";
import type { Forwarder } from "../saf/forwarder.ts";
import type { Actor, QueueActions, QueueDetail, QueueRefusal } from "../saf/queue-actions.ts";
import { type ApiError, parse, refuse } from "./api-errors.ts";
import { type ErrorJson, NoBodySchema, QueueQuerySchema } from "./api-schemas.ts";
import {
  QueueActionBodySchema,
  type QueueDetailJson,
  QueueParamsSchema,
  queueDetailJson,
  queueViewJson,
} from "./queue-schemas.ts";

export interface QueueRoutesOptions {
  readonly queue: QueueActions;
  readonly forwarder: Pick<Forwarder, "retry" | "stats">;
  readonly health: Pick<Health, "status">;
  /** An entry was cancelled: its payment has ended in another way. */
  readonly onCancelled: (entry: QueueDetail) => void;
}

export function queueRoutes(app: FastifyInstance, { queue, forwarder, health, onCancelled }: QueueRoutesOptions): void {
  app.get("/v1/queue", (request, reply) => {
    const query = parse(reply, QueueQuerySchema, request.query);
    if (query === undefined) return reply;
    const { state, paymentId, limit } = query;
    const filter = { limit, ...(state && { state }), ...(paymentId && { paymentId }) };
    const { queue: summary, lease } = health.status();
    const currency = lease && { currency: lease.remaining.currency };
    return { summary: { ...summary, ...currency }, entries: queue.list(filter).map(queueViewJson) };
  });
  app.get("/v1/queue/:id", (request, reply) => {
    const params = parse(reply, QueueParamsSchema, request.params);
    if (params === undefined) return reply;
    const found = queue.show(params.id);
    return found.ok ? { entries: found.value.map(queueDetailJson) } : refuse(reply, queueError(found.error));
  });
  app.post("/v1/queue/retry", (request, reply) => {
    if (parse(reply, NoBodySchema, request.body) === undefined) return reply;
    forwarder.retry();
    reply.status(202);
    return { depth: forwarder.stats.depth };
  });
  app.post("/v1/queue/:id/force", (request, reply) => act({ request, reply }, (id, actor) => queue.force(id, actor)));
  app.post("/v1/queue/:id/retry", (request, reply) => act({ request, reply }, (id, actor) => queue.retry(id, actor)));
  app.post("/v1/queue/:id/cancel", (request, reply) =>
    act({ request, reply }, async (id, actor) => {
      const cancelled = await queue.cancel(id, actor);
      if (cancelled.ok) onCancelled(cancelled.value);
      return cancelled;
    }),
  );
}

async function act(
  { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  work: (id: string, actor: Actor) => Promise<Result<QueueDetail, QueueRefusal>>,
): Promise<QueueDetailJson | ErrorJson | FastifyReply> {
  const params = parse(reply, QueueParamsSchema, request.params);
  const actor = params && parse(reply, QueueActionBodySchema, request.body);
  if (params === undefined || actor === undefined) return reply;
  const done = await work(params.id, actor);
  return done.ok ? queueDetailJson(done.value) : refuse(reply, queueError(done.error));
}

const STATUS: Readonly<Record<QueueRefusal["why"], Pick<ApiError, "status" | "code">>> = {
  "not-found": { status: 404, code: "E_UNKNOWN" },
  ambiguous: { status: 409, code: "E_CONFLICT" },
  state: { status: 409, code: "E_STATE" },
  "link-down": { status: 409, code: "E_UNAVAILABLE" },
};
const queueError = ({ why, detail }: QueueRefusal): ApiError => ({ ...STATUS[why], message: detail });
