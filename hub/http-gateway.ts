/** HTTPS: the terminals' second way in, enrolment, and the operator's API with its documents and metrics. */

import type { Server as HttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import Fastify, { type FastifyInstance } from "fastify";
import { z } from "zod";
import type { Clock } from "../base/clock.ts";
import { Fault, isFault, reasonOf } from "../base/fault.ts";
import type { Log } from "../base/log.ts";
import { MESSAGE_BYTES_MAX } from "../wire/envelope.ts";
import { registerAuthorisationRoutes } from "./core/authorisation/index.ts";
import { registerIngestRoutes } from "./core/ingest/index.ts";
import {
  guardRoutes,
  type Operators,
  registerAuditRoutes,
  registerLogInRoute,
  registerOperatorRoutes,
} from "./core/operators/index.ts";
import { type PayerRouteParts, registerPayerRoutes, registerPhoneRoutes } from "./core/payers/index.ts";
import { registerReconciliationRoutes } from "./core/reconciliation/index.ts";
import { registerSettlementRoutes } from "./core/settlement/index.ts";
import { registerIssuerRoutes } from "./core/switch/index.ts";
import {
  registerEnrolRoute,
  registerTerminalOperatorRoutes,
  registerTerminalRoutes,
  type TerminalRouteParts,
} from "./core/terminals/index.ts";
import type { ServerTls } from "./device-gateway.ts";
import { HttpRefusal, jsonSchema, TooOften } from "./http.ts";
import type { HubCore } from "./hub-core.ts";
import { registerImportRoutes } from "./import-routes.ts";
import { secureOptions } from "./mqtt-gateway.ts";
import { createRefusals, type Refusals, refusalOf } from "./refusals.ts";
import { isStoreFailure } from "./store/failure.ts";
import type { TerminalDoor } from "./terminal-door.ts";
import { registerTerminalDoorRoutes } from "./uplink-routes.ts";

export interface HttpGatewayOptions {
  readonly hub: HubCore;
  readonly door: TerminalDoor;
  readonly tls: ServerTls;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly operators: Operators;
  readonly version: string;
  readonly terminalParts: TerminalRouteParts;
  readonly payerParts: Omit<PayerRouteParts, "refused">;
  readonly clock: Clock;
  readonly log: Log;
}

type AppOptions = Omit<HttpGatewayOptions, "host" | "port">;

export interface HttpGateway extends AsyncDisposable {
  readonly port: number;
  /** The certificate of connections from now on. */
  renewTls(tls: ServerTls): void;
}

const REQUEST_WITHIN_MS = 10_000;
const CONNECTIONS_MAX = 10_000;
/** What a sender waits after the hub could not store: nothing was done, and the same may be sent again. */
const RETRY_AFTER_SEC = 1;

export async function openHttpGateway(options: HttpGatewayOptions): Promise<HttpGateway> {
  const app = await buildHttpApp(options);
  await listen(app, options);
  return {
    port: (app.server.address() as AddressInfo).port,
    renewTls: (tls) => (app.server as unknown as HttpsServer).setSecureContext(secureOptions(tls)),
    [Symbol.asyncDispose]: () => app.close(),
  };
}

/** All routes, without a port. */
export async function buildHttpApp(options: AppOptions): Promise<FastifyInstance> {
  const { operators, clock } = options;
  const log = options.log.for("https");
  const refusals = createRefusals({ clock: options.clock, log, metrics: options.hub.metrics });
  const app: FastifyInstance = Fastify({
    https: { ...secureOptions(options.tls), handshakeTimeout: REQUEST_WITHIN_MS },
    bodyLimit: MESSAGE_BYTES_MAX,
    requestTimeout: REQUEST_WITHIN_MS,
    forceCloseConnections: true,
  }) as unknown as FastifyInstance;
  app.server.maxConnections = CONNECTIONS_MAX;
  // Zod checks what comes in and names the path; the schemas of the routes are for the documents.
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  handleErrors(app, { log, refusals });
  await app.register(swagger, {
    openapi: {
      info: { title: "Tillway hub", version: options.version },
      components: {
        securitySchemes: {
          operator: { type: "http", scheme: "bearer" },
        },
      },
    },
  });
  await app.register(swaggerUi, { routePrefix: "/docs" });
  await app.register((scope, _, done) => {
    registerOpenRoutes(scope, options, refusals);
    registerLogInRoute(scope, { operators, clock });
    registerTerminalDoorRoutes(scope, { ...options, refusals });
    done();
  });
  const payerParts: PayerRouteParts = {
    ...options.payerParts,
    refused: (source, error) => refusals.note(source, refusalOf(error) ?? "identity", { why: reasonOf(error) }),
  };
  await app.register((scope, _, done) => {
    registerPhoneRoutes(scope, payerParts);
    done();
  });
  await app.register((scope, _, done) => {
    guardRoutes(scope, { operators, clock, refused: (address) => refusals.note(address, "identity") });
    registerAuthorisationRoutes(scope, options.hub);
    registerReconciliationRoutes(scope, options.hub.reconciliation);
    registerImportRoutes(scope, options.hub.imports);
    registerIngestRoutes(scope, { ...options.hub, clock: options.clock });
    registerTerminalRoutes(scope, options.terminalParts);
    registerTerminalOperatorRoutes(scope, options.terminalParts);
    registerPayerRoutes(scope, payerParts);
    registerSettlementRoutes(scope, options.hub);
    registerIssuerRoutes(scope, {
      store: options.hub.store,
      issuers: options.hub.switch.issuers,
      renewal: options.terminalParts.renewal,
    });
    registerFeatureRoutes(scope, options.hub);
    registerOperatorRoutes(scope, { operators, clock });
    registerAuditRoutes(scope, operators);
    done();
  });
  return app;
}

async function listen(app: FastifyInstance, { host, port }: HttpGatewayOptions): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    throw new Fault(
      "transport.failed",
      `listen.httpsPort: cannot listen on ${host}:${port}: ${reasonOf(error)}; free it or name another`,
    );
  }
}

function handleErrors(app: FastifyInstance, { log, refusals }: { log: Log; refusals: Refusals }): void {
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send({ code: "E_UNKNOWN", message: `there is no ${request.method} ${request.url}; see /docs` }),
  );
  app.setErrorHandler((error, request, reply) => {
    if (error instanceof HttpRefusal) {
      const { status, code, message, path } = error;
      if (error instanceof TooOften) void reply.header("retry-after", error.retryAfterSec);
      return reply.code(status).send({ code, message, ...(path === undefined ? {} : { path }) });
    }
    const status = statusOf(error);
    if (status < 500) return reply.code(status).send({ code: "E_FORMAT", message: reasonOf(error), path: "(whole)" });
    if (status === 503) refusals.trouble(error);
    else log.error("a request failed", { route: request.routeOptions.url, reason: reasonOf(error) });
    if (status === 503) void reply.header("retry-after", RETRY_AFTER_SEC);
    return reply.code(status).send({ code: "E_UNAVAILABLE", message: "the hub cannot do this now; try again later" });
  });
}

function statusOf(error: unknown): number {
  if (isFault(error) || isStoreFailure(error)) return 503;
  const status = error instanceof Error && "statusCode" in error ? error.statusCode : undefined;
  return typeof status === "number" ? status : 500;
}

const HealthShape = z.object({ status: z.literal("ok"), version: z.string(), hubEpoch: z.string(), waiting: z.int() });

function registerOpenRoutes(
  app: FastifyInstance,
  { hub, door, version, terminalParts }: AppOptions,
  refusals: Refusals,
): void {
  registerEnrolRoute(app, terminalParts, {
    desk: door,
    refused: (source, { reason, detail }) => refusals.note(source, "claim", { code: reason, why: detail }),
  });
  app.get(
    "/v1/health",
    { schema: { summary: "Whether the hub serves", response: { 200: jsonSchema(HealthShape) } } },
    () => ({ status: "ok", version, hubEpoch: hub.hubEpoch, waiting: hub.waiting }),
  );
  app.get("/metrics", { schema: { summary: "Counters for Prometheus" } }, async (_request, reply) =>
    reply
      .type("text/plain; version=0.0.4")
      .serializer(String)
      .send(await hub.metrics.text()),
  );
}

function registerFeatureRoutes(app: FastifyInstance, { store, featureRoutes }: HubCore): void {
  for (const route of featureRoutes) {
    const { path, summary, body, query, answer, status, role, idempotent, named = [] } = route;
    app.route({
      method: route.method,
      url: path,
      config: { role, named, ...(idempotent && { idempotent }) },
      schema: {
        summary,
        ...(body === undefined ? {} : { body: jsonSchema(body) }),
        ...(query === undefined ? {} : { querystring: jsonSchema(query) }),
        response: { [status]: jsonSchema(answer) },
        security: [{ operator: [] }],
      },
      handler: async (request, reply) => {
        const asked = { body: request.body, query: request.query };
        void reply.code(status);
        return route.method === "GET"
          ? await store.read((reading) => route.handle(asked, reading))
          : await request.change((within) => route.handle(asked, within));
      },
    });
  }
}
