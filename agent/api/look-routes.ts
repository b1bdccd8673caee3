/** The routes that look: devices, status, events, metrics and the description of the API itself. */
import type { FastifyInstance } from "fastify";
import type { Devices } from "../devices/devices.ts";
import type { Health } from "../health/health.ts";
import { refuse } from "./api-errors.ts";
import { CLIENTS_MAX, type EventStream } from "./event-stream.ts";
import { METRICS_TYPE, metricsText, type PaymentCounter } from "./metrics.ts";

export interface LookRoutesOptions {
  readonly devices: Pick<Devices, "list">;
  readonly health: Health;
  readonly events: EventStream;
  readonly counter: PaymentCounter;
}

export function lookRoutes(app: FastifyInstance, options: LookRoutesOptions): void {
  const { devices, health, events, counter } = options;
  app.get("/v1/health", () => ({ ok: true }));
  app.get("/v1/status", () => health.status());
  app.get("/v1/devices", () => ({ devices: devices.list() }));
  app.get("/v1/openapi.json", async () => {
    const { openApiDocument } = await import("./openapi.ts");
    return openApiDocument(health.status().version);
  });
  app.get("/metrics", (_request, reply) => {
    void reply.type(METRICS_TYPE);
    return metricsText({ status: health.status(), counter, eventClientsDropped: events.dropped });
  });
  app.get("/v1/events", (_request, reply) => {
    if (events.size >= CLIENTS_MAX) {
      const message = `${CLIENTS_MAX} clients listen to events already`;
      return refuse(reply, { status: 503, code: "E_LIMIT", message });
    }
    reply.hijack();
    reply.raw.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    events.add(reply.raw);
    return reply;
  });
}
