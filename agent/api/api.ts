/** The local API: HTTP on loopback with a bearer token, for the till, the command line and Prometheus. */
import { rmSync, writeFileSync } from "node:fs";
import { type FastifyRequest, fastify } from "fastify";
import type { Clock } from "../../base/clock.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import { systemRandom } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { type AgentConfig, addressFileOf, tokenFileOf } from "../config.ts";
import type { Devices } from "../devices/devices.ts";
import type { Dialogues } from "../dialogues/dialogue-recorder.ts";
import type { CardPayments } from "../features/card-verification/card-payments.ts";
import { cardPaymentRoutes } from "../features/card-verification/routes.ts";
import type { Health } from "../health/health.ts";
import type { Payments } from "../payment/payments.ts";
import type { Reconciler } from "../reconciliation/reconciler.ts";
import { reconciliationRoutes } from "../reconciliation/routes.ts";
import { QueueActions, type QueueActionsOptions } from "../saf/queue-actions.ts";
import type { Hub } from "../uplink/hub.ts";
import { refuse, thrownError } from "./api-errors.ts";
import { paymentEventJson, paymentJson } from "./api-schemas.ts";
import { bearerCheck, ensureApiToken } from "./api-token.ts";
import { EventStream } from "./event-stream.ts";
import { lookRoutes } from "./look-routes.ts";
import { PaymentCounter } from "./metrics.ts";
import { paymentRoutes } from "./payment-routes.ts";
import { type QueueRoutesOptions, queueRoutes } from "./queue-routes.ts";

export interface ApiOptions {
  /** `api.port` 0 takes any free one. */
  readonly config: Pick<AgentConfig, "dataDir" | "api"> & { readonly site: Pick<AgentConfig["site"], "currency"> };
  readonly payments: Payments;
  readonly dialogues: Dialogues;
  readonly cardPayments: CardPayments;
  readonly devices: Devices;
  readonly health: Health;
  readonly journal: QueueActionsOptions["journal"];
  readonly forwarder: QueueRoutesOptions["forwarder"] & QueueActionsOptions["forwarder"];
  readonly reconciler?: Reconciler;
  readonly hub?: Pick<Hub, "onState">;
  readonly clock: Clock;
  /** Milliseconds since 1970 as well as they are known; the clock's own when absent. */
  readonly now?: () => number;
  readonly log: Log;
}

export interface RunningApi extends AsyncDisposable {
  readonly port: number;
}

export const BODY_BYTES_MAX = 16_384;
const CONNECTIONS_MAX = 256;
const REQUEST_LIMIT_MS = 10_000;
/** What is still being answered when the API stops gets this long; the rest of the agent must stop in order too. */
export const CLOSE_LIMIT_MS = 3_000;

/** Listens, or throws a Fault that names the port. Disposing answers those who wait with the payment as it is. */
export async function startApi(options: ApiOptions): Promise<RunningApi> {
  const { config, payments, devices, clock, log } = options;
  const tokenFile = tokenFileOf(config);
  const authorised = bearerCheck(ensureApiToken(tokenFile, systemRandom));
  const stopping = new AbortController();
  using stack = new DisposableStack();
  const events = stack.use(new EventStream(clock));
  const counter = new PaymentCounter();
  const app = fastify({
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_LIMIT_MS,
    forceCloseConnections: "idle",
    exposeHeadRoutes: false,
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  app.addHook("onRequest", (request, reply, done) => {
    if (authorised(request.headers.authorization)) return done();
    const message = `the bearer token is missing or wrong; it lies in ${tokenFile}`;
    void reply.send(refuse(reply, { status: 401, code: "E_DENIED", message }));
  });
  app.setNotFoundHandler((request, reply) =>
    reply.send(
      refuse(reply, { status: 404, code: "E_UNKNOWN", message: `no route ${request.method} ${pathOf(request.url)}` }),
    ),
  );
  app.setErrorHandler((error, _request, reply) => reply.send(refuse(reply, thrownError(error, log))));
  acceptEmptyJson(app);
  paymentRoutes(app, {
    payments,
    dialogues: options.dialogues,
    clock,
    currency: config.site.currency,
    stopping: stopping.signal,
  });
  const { cardPayments } = options;
  cardPaymentRoutes(app, { cardPayments, clock, currency: config.site.currency, stopping: stopping.signal });
  const { reconciler } = options;
  if (reconciler) reconciliationRoutes(app, { reconciler, stopping: stopping.signal });
  lookRoutes(app, { ...options, events, counter });
  queueRoutes(app, {
    queue: new QueueActions({ ...options, now: options.now ?? (() => clock.now()) }),
    forwarder: options.forwarder,
    health: options.health,
    onCancelled: ({ paymentId }) => {
      const payment = payments.get(paymentId);
      if (payment) events.send("payment.ended", { payment: paymentJson(payment) });
    },
  });
  stack.defer(
    payments.onEvent((event) => {
      counter.count(event);
      events.send(event.type, paymentEventJson(event));
    }),
  );
  stack.defer(devices.onChange((device) => events.send("device.changed", device)));
  if (options.hub) stack.defer(options.hub.onState((state) => events.send("hub.state", { state })));
  const port = await listen(app, config.api);
  stack.defer(publishAddress(addressFileOf(config), `http://${config.api.host}:${port}`));
  log.info("local API listens", { host: config.api.host, port });
  const owned = stack.move();
  return {
    port,
    async [Symbol.asyncDispose]() {
      stopping.abort(new Fault("aborted", "the agent is stopping"));
      owned.dispose();
      const cancel = clock.after(CLOSE_LIMIT_MS, () => app.server.closeAllConnections());
      await app.close();
      cancel();
    },
  };
}

type App = ReturnType<typeof fastify>;
type ParserDone = (error: Error | null, body?: unknown) => void;

/** A POST without a body may say that it is JSON, as many clients do. */
function acceptEmptyJson(app: App): void {
  const parseJson = app.getDefaultJsonParser("error", "error");
  app.removeContentTypeParser("application/json");
  app.addContentTypeParser(
    "application/json",
    { parseAs: "string" },
    (request: FastifyRequest, text: string, done: ParserDone) => {
      if (text === "") done(null, undefined);
      else parseJson(request, text, done);
    },
  );
}

const pathOf = (url: string): string => url.split("?")[0] ?? url;

async function listen(app: App, { host, port }: AgentConfig["api"]): Promise<number> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EADDRINUSE") {
      throw new Fault("transport.failed", `${host}:${port} is in use; stop what listens there or change api.port`);
    }
    const mend = code === "EACCES" ? "; take a port above 1023" : "";
    throw new Fault("transport.failed", `the local API cannot listen on ${host}:${port}: ${reasonOf(error)}${mend}`);
  }
  const address = app.server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}

/** With `api.port` 0 nobody could know the port: the command line reads it here. */
function publishAddress(path: string, address: string): () => void {
  writeFileSync(path, `${address}\n`, { mode: 0o600 });
  return () => rmSync(path, { force: true });
}
