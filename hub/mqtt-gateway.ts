/**
 * MQTT 3.1.1 over mutual TLS: envelopes in, the hub's commit, then the acknowledgement. A terminal's certificate is its one
 * credential. Sessions end with their connection and nothing is retained or queued, so that no old request or answer is ever
 * delivered late (RM2).
 */
import type { AddressInfo } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { Aedes, type AuthenticateError, type Client, type PublishPacket } from "aedes";
import type { Clock } from "../base/clock.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import type { TerminalId } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import { fail, ok, type Result } from "../base/result.ts";
import { type DownEnvelope, decodeUp, encodeEnvelope, MESSAGE_BYTES_MAX } from "../wire/envelope.ts";
import { DOWN_STREAM_OF, downFilter, downTopic, readTopic, UP_STREAM_OF } from "../wire/topics.ts";
import { CloneWatch } from "./clone-watch.ts";
import type { DeviceGateway, ServerTls } from "./device-gateway.ts";
import type { HubCore } from "./hub-core.ts";
import { MqttSizeGuard } from "./mqtt-size-guard.ts";
import { createRefusals, type Refusals, refusalOf } from "./refusals.ts";
import { foreignWords, LATE, REVOKED, type ShownBy, type TerminalDoor, type TurnedAway } from "./terminal-door.ts";

/** Certificates are asked for here and judged by the door, which says in words what is wrong with one. */
export const secureOptions = ({ key, chain, caCertificate }: ServerTls) => ({
  key,
  cert: chain,
  ca: caCertificate,
  requestCert: true,
  rejectUnauthorized: false,
});

export interface MqttGatewayOptions {
  readonly hub: HubCore;
  readonly door: Pick<TerminalDoor, "admit">;
  readonly tls: ServerTls;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly clock: Clock;
  readonly log: Log;
}

const CONNECTIONS_MAX = 10_000;
const CONNECT_WITHIN_MS = 10_000;
/** Messages of QoS 2 are kept in memory until they are released; terminals send none. */
const QOS_2_KEPT_MAX = 1;
/** A message of full size with its topic and headers; what is longer ends the connection. */
const PACKET_BYTES_MAX = MESSAGE_BYTES_MAX + 65_536;
/** What a stranger may have the hub keep: a CONNECT with its Last Will. */
const STRANGERS_PACKET_BYTES_MAX = 16_384;
/** For a terminal that is ended to take what was pushed before. */
const END_WITHIN_MS = 1_000;
/** Return codes of CONNACK (MQTT 3.1.1, 3.2.2.3). */
const IDENTIFIER_REJECTED = 2;
const SERVER_UNAVAILABLE = 3;
const NOT_AUTHORISED = 5;

/** Who a connection has proven to be. */
interface Speaker {
  readonly terminalId: TerminalId;
  /** Of its certificate. */
  readonly endsAt: number;
}

interface Gateway {
  readonly hub: HubCore;
  readonly log: Log;
  readonly clock: Clock;
  readonly door: Pick<TerminalDoor, "admit">;
  readonly refusals: Refusals;
  readonly speakers: WeakMap<Client, Speaker>;
  /** The newest connection of each terminal. */
  readonly sessions: Map<TerminalId, Client>;
  readonly watch: CloneWatch<Client>;
  /** These go when they have acknowledged what they were told last. */
  readonly ending: WeakSet<Client>;
  readonly guards: WeakMap<object, MqttSizeGuard>;
}

export async function openMqttGateway(options: MqttGatewayOptions): Promise<DeviceGateway> {
  const { hub, clock, door } = options;
  const log = options.log.for("mqtt");
  const refusals = createRefusals({ clock, log, metrics: hub.metrics });
  const watch = new CloneWatch<Client>({
    clock,
    close: (client) => client.close(),
    onClone: (terminalId) => hub.nameClone(terminalId, "connections"),
  });
  const gateway: Gateway = {
    hub,
    log,
    clock,
    door,
    refusals,
    speakers: new WeakMap(),
    sessions: new Map(),
    watch,
    ending: new WeakSet(),
    guards: new WeakMap(),
  };
  const broker = await Aedes.createBroker({ connectTimeout: CONNECT_WITHIN_MS, maxInflightInbound: QOS_2_KEPT_MAX });
  wire(broker, gateway);
  hub.metrics.gauge("tillway_hub_connected_terminals", () => gateway.sessions.size);

  const server = createServer(
    { ...secureOptions(options.tls), handshakeTimeout: CONNECT_WITHIN_MS, noDelay: true },
    (socket) => greet(socket, broker, gateway),
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.on("tlsClientError", (error, socket) =>
    refusals.note(sourceOf(socket), "connection", { why: reasonOf(error) }),
  );
  const port = await listen(server, options);
  return {
    port,
    renewTls: (tls) => server.setSecureContext(secureOptions(tls)),
    isConnected: (terminalId) => gateway.sessions.has(terminalId),
    connected: () => [...gateway.sessions.keys()],
    push(envelope) {
      const client = gateway.sessions.get(envelope.terminalId);
      if (client) deliver(client, envelope);
    },
    end(terminalId) {
      const client = gateway.sessions.get(terminalId);
      if (!client) return;
      gateway.ending.add(client);
      clock.after(END_WITHIN_MS, () => client.close());
    },
    async [Symbol.asyncDispose]() {
      watch[Symbol.dispose]();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await new Promise<void>((resolve) => broker.close(() => resolve()));
      await closed;
    },
  };
}

function greet(socket: TLSSocket, broker: Aedes, { guards, refusals, speakers, watch }: Gateway): void {
  const guard = new MqttSizeGuard(STRANGERS_PACKET_BYTES_MAX);
  guards.set(socket, guard);
  socket.on("data", (chunk: Buffer) => {
    const speaker = speakers.get(client);
    if (speaker) watch.spoke(speaker.terminalId, client);
    if (guard.accepts(chunk)) return;
    refusals.note(sourceOf(socket), "too-long", { limit: guard.limit });
    socket.destroy();
  });
  const client = broker.handle(socket);
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

let connections = 0;

function wire(broker: Aedes, gateway: Gateway): void {
  const { hub, log, refusals, speakers, sessions, watch } = gateway;
  const claimed = new WeakMap<Client, string>();
  broker.preConnect = (client, packet, done) => {
    claimed.set(client, packet.clientId);
    // A name of its own for each connection: which of two goes on is for the clone watch to say, and never for who came last.
    connections += 1;
    packet.clientId = `${connections}`;
    packet.clean = true;
    done(null, true);
  };
  broker.authenticate = (client, _username, _password, done) => {
    void speakerOf(gateway, client, claimed.get(client) ?? "").then(
      (speaker) => {
        if (speaker.ok) {
          speakers.set(client, speaker.value);
          gateway.guards.get(client.conn)?.raise(PACKET_BYTES_MAX);
          return done(null, true);
        }
        const { reason, words, terminalId, returnCode } = speaker.error;
        refusals.note(terminalId ?? addressOf(client), reason, { why: words, from: addressOf(client) });
        const refusal: AuthenticateError = Object.assign(new Error(words), { returnCode });
        done(refusal, null);
      },
      (error: unknown) => {
        refusals.trouble(error);
        done(Object.assign(new Error("the hub cannot tell who this is"), { returnCode: SERVER_UNAVAILABLE }), null);
      },
    );
  };
  broker.authorizeSubscribe = (client, subscription, done) => {
    const terminalId = speakers.get(client)?.terminalId;
    const own = terminalId !== undefined && mayHear(terminalId, subscription.topic);
    if (!own) refusals.note(sourceFor(gateway, client), "topic", { subscription: subscription.topic });
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
    const speaker = speakers.get(client);
    if (!speaker) return;
    const { terminalId } = speaker;
    const older = sessions.get(terminalId);
    sessions.set(terminalId, client);
    hub.metrics.count("tillway_hub_connections_total", { event: "opened" });
    if (!older) return;
    refusals.note(terminalId, "taken-over");
    watch.followed(terminalId, older);
  });
  broker.on("clientDisconnect", (client) => {
    const speaker = speakers.get(client);
    if (!speaker) return;
    watch.closed(speaker.terminalId, client);
    if (sessions.get(speaker.terminalId) === client) sessions.delete(speaker.terminalId);
    hub.metrics.count("tillway_hub_connections_total", { event: "closed" });
  });
  broker.on("ack", (_packet, client) => {
    if (gateway.ending.has(client)) client.close();
  });
  broker.on("clientError", (client, error) =>
    log.debug("connection ended", { terminal: sourceFor(gateway, client), why: reasonOf(error) }),
  );
  broker.on("connectionError", (client, error) =>
    refusals.note(addressOf(client), "connection", { why: reasonOf(error) }),
  );
  (broker as NodeJS.EventEmitter).on("error", (error: unknown) =>
    log.error("the broker failed in its own work", { reason: reasonOf(error) }),
  );
}

type Refused = TurnedAway & { readonly returnCode: number };

/** Only a terminal in good standing: one that must be renewed first, or told why not, is heard over HTTPS. */
async function speakerOf({ door }: Gateway, client: Client, clientId: string): Promise<Result<Speaker, Refused>> {
  const admitted = await door.admit(client.conn as unknown as ShownBy);
  if (!admitted.ok) return fail({ ...admitted.error, returnCode: NOT_AUTHORISED });
  const { terminalId, standing, endsAt } = admitted.value;
  if (standing === "late") return fail({ ...LATE, terminalId, returnCode: NOT_AUTHORISED });
  if (standing === "revoked") return fail({ ...REVOKED, terminalId, returnCode: NOT_AUTHORISED });
  if (clientId !== terminalId)
    return fail({ ...foreignWords(terminalId, clientId), terminalId, returnCode: IDENTIFIER_REJECTED });
  return ok({ terminalId, endsAt });
}

/** A terminal by its name, anybody else by his address. */
const sourceFor = ({ speakers }: Gateway, client: Client): string =>
  speakers.get(client)?.terminalId ?? addressOf(client);

function mayHear(terminalId: TerminalId, filter: string): boolean {
  if (filter === downFilter(terminalId)) return true;
  const topic = readTopic(filter);
  return topic?.direction === "down" && topic.terminalId === terminalId;
}

/** Resolves when the message is committed, or refused for good; rejects when it should be sent again. */
async function take(gateway: Gateway, client: Client, packet: PublishPacket): Promise<void> {
  packet.retain = false;
  const speaker = gateway.speakers.get(client);
  const topic = readTopic(packet.topic);
  if (!speaker || topic?.direction !== "up" || topic.terminalId !== speaker.terminalId) {
    gateway.refusals.note(sourceFor(gateway, client), "topic", { topic: packet.topic });
    return;
  }
  const { terminalId, endsAt } = speaker;
  if (gateway.ending.has(client)) return client.close();
  if (gateway.clock.now() >= endsAt) {
    client.close();
    throw new Fault("identity.invalid", LATE.words);
  }
  let answers: readonly DownEnvelope[];
  try {
    const envelope = decodeUp(Buffer.from(packet.payload));
    if (envelope.terminalId !== terminalId || UP_STREAM_OF[envelope.type] !== topic.stream)
      throw new Fault("message.invalid", `a ${envelope.type} of ${envelope.terminalId} does not belong on this topic`);
    // The Last Will of a connection that another has followed: the terminal is there.
    if (envelope.type === "presence" && (gateway.sessions.get(terminalId) ?? client) !== client) return;
    answers = await gateway.hub.receive(envelope);
  } catch (error) {
    const reason = refusalOf(error);
    if (reason === undefined) throw error;
    gateway.refusals.note(terminalId, reason, { why: reasonOf(error) });
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
