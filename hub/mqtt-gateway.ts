/**
 * MQTT 3.1.1 over TLS: envelopes in, the hub's commit, then the acknowledgement. Sessions end with their connection and
 * nothing is retained or queued, so that no old request or answer is ever delivered late (RM2).
 */
import type { AddressInfo } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { Aedes, type AuthenticateError, type Client, type PublishPacket } from "aedes";
import type { Clock } from "../base/clock.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import type { TerminalId } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import { type DownEnvelope, decodeUp, encodeEnvelope, MESSAGE_BYTES_MAX } from "../wire/envelope.ts";
import { DOWN_STREAM_OF, downFilter, downTopic, readTopic, UP_STREAM_OF } from "../wire/topics.ts";
import type { HubCore } from "./hub-core.ts";
import { MqttSizeGuard } from "./mqtt-size-guard.ts";
import { createRefusals, type Refusals, refusalOf } from "./refusals.ts";

/** PEM. */
export interface ServerTls {
  readonly key: string;
  readonly chain: string;
}

export interface MqttGatewayOptions {
  readonly hub: HubCore;
  readonly tls: ServerTls;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly clock: Clock;
  readonly log: Log;
}

export interface MqttGateway extends AsyncDisposable {
  readonly port: number;
  /** The certificate of connections from now on. */
  renewTls(tls: ServerTls): void;
  isConnected(terminalId: TerminalId): boolean;
  connected(): readonly TerminalId[];
  /** To the terminal's session, if it has one. */
  push(envelope: DownEnvelope): void;
}

const CONNECTIONS_MAX = 10_000;
const CONNECT_WITHIN_MS = 10_000;
/** Messages of QoS 2 are kept in memory until they are released; terminals send none. */
const QOS_2_KEPT_MAX = 1;
/** A message of full size with its topic and headers; what is longer ends the connection. */
const PACKET_BYTES_MAX = MESSAGE_BYTES_MAX + 65_536;
/** What a stranger may have the hub keep: a CONNECT with its Last Will. */
const STRANGERS_PACKET_BYTES_MAX = 16_384;
/** Return codes of CONNACK (MQTT 3.1.1, 3.2.2.3). */
const SERVER_UNAVAILABLE = 3;
const BAD_CREDENTIALS = 4;

interface Gateway {
  readonly hub: HubCore;
  readonly log: Log;
  readonly refusals: Refusals;
  /** Who each connection has proven to be. */
  readonly identities: WeakMap<Client, TerminalId>;
  readonly sessions: Map<string, Client>;
  readonly guards: WeakMap<object, MqttSizeGuard>;
}

export async function openMqttGateway(options: MqttGatewayOptions): Promise<MqttGateway> {
  const { hub, clock } = options;
  const log = options.log.for("mqtt");
  const refusals = createRefusals({ clock, log, metrics: hub.metrics });
  const gateway: Gateway = {
    hub,
    log,
    refusals,
    identities: new WeakMap(),
    sessions: new Map(),
    guards: new WeakMap(),
  };
  const broker = await Aedes.createBroker({ connectTimeout: CONNECT_WITHIN_MS, maxInflightInbound: QOS_2_KEPT_MAX });
  wire(broker, gateway);
  hub.metrics.gauge("tillway_hub_connected_terminals", () => gateway.sessions.size);

  const { key, chain } = options.tls;
  const server = createServer({ key, cert: chain, handshakeTimeout: CONNECT_WITHIN_MS }, (socket) => {
    const guard = new MqttSizeGuard(STRANGERS_PACKET_BYTES_MAX);
    gateway.guards.set(socket, guard);
    socket.on("data", (chunk: Buffer) => {
      if (guard.accepts(chunk)) return;
      refusals.note(sourceOf(socket), "too-long", { limit: guard.limit });
      socket.destroy();
    });
    broker.handle(socket);
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.on("tlsClientError", (error, socket) =>
    refusals.note(sourceOf(socket), "connection", { why: reasonOf(error) }),
  );
  const port = await listen(server, options);
  return {
    port,
    renewTls: (tls) => server.setSecureContext({ key: tls.key, cert: tls.chain }),
    isConnected: (terminalId) => gateway.sessions.has(terminalId),
    connected: () => [...gateway.sessions.keys()] as TerminalId[],
    push(envelope) {
      const client = gateway.sessions.get(envelope.terminalId);
      if (client) deliver(client, envelope);
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await new Promise<void>((resolve) => broker.close(() => resolve()));
      await closed;
    },
  };
}

function listen(server: Server, { host, port }: MqttGatewayOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        new Fault(
          "transport.failed",
          `listen.mqttPort: cannot listen on ${host}:${port}: ${reasonOf(error)}; free it or name another`,
        ),
      ),
    );
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

const sourceOf = (socket: { readonly remoteAddress?: string | undefined } | TLSSocket): string =>
  socket.remoteAddress ?? "unknown";
const addressOf = (client: Client): string =>
  "remoteAddress" in client.conn ? (client.conn.remoteAddress ?? "unknown") : "unknown";

function wire(broker: Aedes, gateway: Gateway): void {
  const { hub, log, refusals, identities, sessions } = gateway;
  broker.preConnect = (_client, packet, done) => {
    // One session per terminal, named by who it proves to be: no terminal can take over the session of another.
    packet.clientId = packet.username ?? packet.clientId;
    packet.clean = true;
    done(null, true);
  };
  broker.authenticate = (client, username, password, done) => {
    void isTerminal(hub, username, password?.toString("utf8")).then(
      (known) => {
        if (known && username !== undefined) {
          identities.set(client, username as TerminalId);
          gateway.guards.get(client.conn)?.raise(PACKET_BYTES_MAX);
          return done(null, true);
        }
        refusals.note(addressOf(client), "identity", { username });
        const refusal: AuthenticateError = Object.assign(new Error("unknown terminal or wrong secret"), {
          returnCode: BAD_CREDENTIALS,
        });
        done(refusal, null);
      },
      (error: unknown) => {
        refusals.trouble(error);
        done(Object.assign(new Error("the hub cannot tell who this is"), { returnCode: SERVER_UNAVAILABLE }), null);
      },
    );
  };
  broker.authorizeSubscribe = (client, subscription, done) => {
    const terminalId = identities.get(client);
    const own = terminalId !== undefined && mayHear(terminalId, subscription.topic);
    if (!own) refusals.note(client.id, "topic", { subscription: subscription.topic });
    // A null subscription is answered with the failure code 0x80 and the connection stays.
    done(null, own ? subscription : null);
  };
  broker.authorizePublish = (client, packet, done) => {
    if (!client) return done(null);
    void take(gateway, client, packet).then(
      () => done(null),
      (error: unknown) => {
        refusals.trouble(error);
        done(error instanceof Error ? error : new Error(reasonOf(error)));
      },
    );
  };
  // What terminals publish is for the hub alone: nothing of it is ever handed to another client.
  broker.authorizeForward = (_client, packet) => ("clientId" in packet && packet.clientId ? null : packet);

  broker.on("client", (client) => {
    if (sessions.has(client.id)) refusals.note(client.id, "taken-over");
    sessions.set(client.id, client);
    hub.metrics.count("tillway_hub_connections_total", { event: "opened" });
  });
  broker.on("clientDisconnect", (client) => {
    if (sessions.get(client.id) === client) sessions.delete(client.id);
    hub.metrics.count("tillway_hub_connections_total", { event: "closed" });
  });
  broker.on("clientError", (client, error) =>
    log.debug("connection ended", { terminal: client.id, why: reasonOf(error) }),
  );
  broker.on("connectionError", (client, error) =>
    refusals.note(addressOf(client), "connection", { why: reasonOf(error) }),
  );
  (broker as NodeJS.EventEmitter).on("error", (error: unknown) =>
    log.error("the broker failed in its own work", { reason: reasonOf(error) }),
  );
}

async function isTerminal(
  { store, terminals }: Gateway["hub"],
  username: string | undefined,
  password: string | undefined,
): Promise<boolean> {
  if (username === undefined || !password) return false;
  return await store.read((reading) => terminals.authenticate(reading, username, password));
}

function mayHear(terminalId: TerminalId, filter: string): boolean {
  if (filter === downFilter(terminalId)) return true;
  const topic = readTopic(filter);
  return topic?.direction === "down" && topic.terminalId === terminalId;
}

/** Resolves when the message is committed, or refused for good; rejects when it should be sent again. */
async function take(gateway: Gateway, client: Client, packet: PublishPacket): Promise<void> {
  packet.retain = false;
  const terminalId = gateway.identities.get(client);
  const topic = readTopic(packet.topic);
  if (!terminalId || topic?.direction !== "up" || topic.terminalId !== terminalId) {
    gateway.refusals.note(client.id, "topic", { topic: packet.topic });
    return;
  }
  let answers: readonly DownEnvelope[];
  try {
    const envelope = decodeUp(Buffer.from(packet.payload));
    if (envelope.terminalId !== terminalId || UP_STREAM_OF[envelope.type] !== topic.stream)
      throw new Fault("message.invalid", `a ${envelope.type} of ${envelope.terminalId} does not belong on this topic`);
    answers = await gateway.hub.receive(envelope);
  } catch (error) {
    const reason = refusalOf(error);
    if (reason === undefined) throw error;
    gateway.refusals.note(client.id, reason, { why: reasonOf(error) });
    return;
  }
  for (const answer of answers) deliver(client, answer);
}

/** To the session that asked, while it lasts; whoever has gone sends again and gets the same answer. */
function deliver(client: Client, envelope: DownEnvelope): void {
  if (client.closed || !client.connected) return;
  client.publish(
    {
      cmd: "publish",
      topic: downTopic(envelope.terminalId, DOWN_STREAM_OF[envelope.type]),
      payload: encodeEnvelope(envelope),
      qos: 1,
      retain: false,
      dup: false,
    },
    () => {},
  );
}
