/**
 * The hub's connection to NATS: what it publishes and hears, requests to JetStream, and pulls of a bounded number of messages
 * that end within a bounded time. It reconnects by itself, and publishes nothing while it is not connected: an answer that
 * waited would be an old one (RM2).
 */
import { connect, createInbox, type JwtAuth, type Msg, type NatsConnection } from "@nats-io/transport-node";
import { abortFault, type Clock } from "../../base/clock.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import { RECONNECT_POLICY, retrySchedule } from "../../base/retry-schedule.ts";

/** Signs what the server wants signed. */
export type Authenticator = (nonce?: string) => JwtAuth;

export interface LinkOptions {
  /** `nats://host:port`, or `tls://host:port` for servers whose certificate is of this hub's authority. */
  readonly servers: readonly string[];
  /** PEM of the only authority believed. */
  readonly caCertificate: string;
  readonly authenticator: Authenticator;
  readonly clock: Clock;
  /** From 0 to below 1, for jitter. */
  readonly chance: () => number;
  readonly log: Log;
}

/** One message out of a stream, which keeps it until it is acknowledged and else gives it to somebody again. */
export interface Delivery {
  readonly subject: string;
  readonly bytes: Uint8Array;
  ack(): void;
  again(afterMs: number): void;
}

export interface Pull {
  /** Part of the subject on which JetStream takes the request. */
  readonly stream: string;
  readonly consumer: string;
  readonly max: number;
  /** How long the server may wait for more. */
  readonly withinMs: number;
}

export interface BrokerLink extends AsyncDisposable {
  /** Dropped while there is no connection. */
  publish(subject: string, text: string): void;
  hear(subject: string, take: (bytes: Uint8Array) => void): void;
  /** Throws Fault `transport.failed` where nobody answers. */
  request(subject: string, body: string): Promise<string>;
  /** Resolves when there is no more to come. Throws Fault `transport.failed`, or what the signal was aborted with. */
  pull(pull: Pull, take: (delivery: Delivery) => void, signal: AbortSignal): Promise<void>;
}

const CONNECT_MS = 3_000;
const REQUEST_MS = 3_000;
const PING_EVERY_MS = 5_000;
const PINGS_OUT_MAX = 2;
/** For the words on a pull's end to come back. */
const PULL_MARGIN_MS = 1_000;
const CLOSE_MS = 1_000;
export const NS_PER_MS = 1_000_000;
/** Status codes that JetStream ends a pull with when nothing is wrong: no messages; the time is over. */
const NOTHING_MORE = [404, 408];

/** Throws Fault `transport.failed` where no server takes this. */
export async function openNatsLink(options: LinkOptions): Promise<BrokerLink> {
  const { clock, log } = options;
  const connection = await connectTo(options, true);
  let up = true;
  void follow(connection, log, (now) => {
    up = now;
  });
  return {
    publish(subject, text) {
      if (up && !connection.isClosed()) connection.publish(subject, text);
    },
    hear(subject, take) {
      connection.subscribe(subject, { callback: (error, message) => void (error ?? take(message.data)) });
    },
    async request(subject, body) {
      try {
        return (await connection.request(subject, body, { timeout: REQUEST_MS })).string();
      } catch (error) {
        throw new Fault("transport.failed", `NATS did not answer on ${subject}: ${reasonOf(error)}`, { cause: error });
      }
    },
    pull: (pull, take, signal) => pullFrom({ connection, clock }, { pull, take, signal }),
    async [Symbol.asyncDispose]() {
      const closed = connection.drain().catch(() => connection.close());
      const late = new Promise<void>((resolve) => void clock.after(CLOSE_MS, () => resolve(connection.close())));
      await Promise.race([closed, late]);
    },
  };
}

/** One request as a user who is connected for it alone. Throws Fault `transport.failed`. */
export async function requestOnce(
  options: LinkOptions,
  { subject, body }: { readonly subject: string; readonly body: string },
): Promise<string> {
  const connection = await connectTo(options, false);
  try {
    return (await connection.request(subject, body, { timeout: REQUEST_MS })).string();
  } catch (error) {
    throw new Fault("transport.failed", `NATS did not answer on ${subject}: ${reasonOf(error)}`, { cause: error });
  } finally {
    await connection.close();
  }
}

async function connectTo(options: LinkOptions, reconnect: boolean): Promise<NatsConnection> {
  const { servers, caCertificate, authenticator, chance } = options;
  let delays = retrySchedule(RECONNECT_POLICY, chance);
  try {
    const connection = await connect({
      servers: servers.map((server) => server.replace(/^(?:nats|tls):\/\//, "")),
      name: "tillway hub",
      authenticator,
      timeout: CONNECT_MS,
      pingInterval: PING_EVERY_MS,
      maxPingOut: PINGS_OUT_MAX,
      reconnect,
      maxReconnectAttempts: -1,
      // An account that was not yet there is no reason to give up for good.
      ignoreAuthErrorAbort: true,
      reconnectDelayHandler: () => delays.next().value,
      ...(servers.some((server) => server.startsWith("tls://")) ? { tls: { ca: caCertificate } } : {}),
    });
    delays = retrySchedule(RECONNECT_POLICY, chance);
    return connection;
  } catch (error) {
    throw new Fault(
      "transport.failed",
      `ingest.servers: none of ${servers.join(", ")} takes this hub: ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

async function follow(connection: NatsConnection, log: Log, tell: (up: boolean) => void): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type === "disconnect") {
      tell(false);
      log.warn("the connection to NATS was lost", { server: status.server });
    } else if (status.type === "reconnect") {
      tell(true);
      log.info("connected to NATS again", { server: status.server });
    } else if (status.type === "error") {
      log.warn("NATS refused something", { why: reasonOf(status.error) });
    }
  }
}

interface Pulling {
  readonly pull: Pull;
  readonly take: (delivery: Delivery) => void;
  readonly signal: AbortSignal;
}

function pullFrom(
  { connection, clock }: { readonly connection: NatsConnection; readonly clock: Clock },
  { pull: { stream, consumer, max, withinMs }, take, signal }: Pulling,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortFault(signal));
    const inbox = createInbox();
    let left = max;
    const end = (fault?: Fault) => {
      subscription.unsubscribe();
      cancel();
      signal.removeEventListener("abort", onAbort);
      if (fault) reject(fault);
      else resolve();
    };
    const onAbort = () => end(abortFault(signal));
    const subscription = connection.subscribe(inbox, {
      callback(error, message) {
        if (error) return end(new Fault("transport.failed", `a pull was refused: ${error.message}`));
        if (message.reply === undefined || message.reply === "") return onStatus(message, end);
        left -= 1;
        take(deliveryOf(connection, message));
        if (left === 0) end();
      },
    });
    const cancel = clock.after(withinMs + PULL_MARGIN_MS, () => end());
    signal.addEventListener("abort", onAbort, { once: true });
    const body = JSON.stringify({ batch: max, expires: withinMs * NS_PER_MS });
    connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, body, { reply: inbox });
  });
}

const HEARTBEAT = 100;
function onStatus({ headers }: Msg, end: (fault?: Fault) => void): void {
  const code = headers?.code ?? 0;
  if (code === HEARTBEAT) return;
  if (NOTHING_MORE.includes(code)) end();
  else end(new Fault("transport.failed", `JetStream ended a pull: ${code} ${headers?.description ?? ""}`));
}

const deliveryOf = (connection: NatsConnection, { subject, data, reply }: Msg): Delivery => {
  const answer = (text: string) => {
    if (!connection.isClosed()) connection.publish(reply ?? "", text);
  };
  return {
    subject,
    bytes: data,
    ack: () => answer("+ACK"),
    again: (afterMs) => answer(`-NAK ${JSON.stringify({ delay: afterMs * NS_PER_MS })}`),
  };
};
