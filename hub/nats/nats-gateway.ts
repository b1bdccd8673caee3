/**
 * Terminals behind NATS: envelopes are pulled out of JetStream, committed, answered on the terminal's own topic, and only then
 * acknowledged. Any number of replicas pull from the same consumers; what one had in hand when it died is given to another,
 * which finds it done or does it. NATS keeps terminals to their own topics; the envelope is held against its topic here.
 */
import { abortable, type Clock, sleep } from "../../base/clock.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import type { TerminalId } from "../../base/ids.ts";
import { RECONNECT_POLICY, retrySchedule } from "../../base/retry-schedule.ts";
import { type DownEnvelope, decodeUp, encodeEnvelope } from "../../wire/envelope.ts";
import { DOWN_STREAM_OF, downTopic, readTopic, UP_STREAM_OF, type UpStream } from "../../wire/topics.ts";
import type { DeviceGateway } from "../device-gateway.ts";
import type { HubCore } from "../hub-core.ts";
import { type Refusals, refusalOf } from "../refusals.ts";
import type { AccountKeeper } from "./account-keeper.ts";
import { subjectOf } from "./broker-authority.ts";
import { ConnectedTerminals } from "./connected-terminals.ts";
import { CONSUMED_STREAMS, consumerOf, MQTT_STREAM, MQTT_SUBJECTS, makeStreams } from "./message-streams.ts";
import type { BrokerLink, Delivery } from "./nats-link.ts";
import { shownUntil } from "./shown-certificate.ts";

export interface NatsGatewayOptions {
  readonly hub: Pick<HubCore, "receive" | "metrics">;
  readonly link: BrokerLink;
  readonly accounts: Pick<AccountKeeper, "wake" | "run">;
  readonly refusals: Refusals;
  /** Both of the brokers' MQTT side, as terminals are told. */
  readonly host: string;
  readonly port: number;
  readonly replicas: number;
  readonly clock: Clock;
  /** From 0 to below 1, for jitter. */
  readonly chance: () => number;
}

/**
 * Messages of one stream that this replica works on at a time. Each stream has a consumer and a hand of its own, so that
 * whoever waits at a counter never stands behind a drain; a batch of a drain has up to 50 entries.
 */
const IN_HAND_MAX: Readonly<Record<UpStream, number>> = {
  authorisation: 256,
  card: 128,
  presence: 256,
  advice: 16,
  reconciliation: 8,
  health: 64,
  telemetry: 16,
  surroundings: 16,
};
const PULL_WITHIN_MS = 2_000;
/** For the hub's own trouble, such as a database that is away. */
const AGAIN_AFTER_MS = 1_000;
/** For a terminal that is ended to take what was pushed before. */
const END_WITHIN_MS = 1_000;

/** Throws Fault `transport.failed`. */
export async function openNatsGateway(options: NatsGatewayOptions): Promise<DeviceGateway> {
  const { hub, link, accounts, host, port, clock } = options;
  const ending = new AbortController();
  const connected = new ConnectedTerminals(clock);
  await makeStreams(link, options);
  link.hear("tillway.v1.*.up.presence", (bytes) => hearPresence(connected, bytes));
  hub.metrics.gauge("tillway_hub_connected_terminals", () => connected.count);
  const loops = [
    accounts.run(ending.signal),
    ...CONSUMED_STREAMS.map((stream) => consume(options, stream, ending.signal)),
  ];
  const cancels = new Set<() => void>();
  return {
    port,
    // Their certificate is a file of the brokers.
    renewTls: () => undefined,
    shownUntil: (signal) => shownUntil({ host, port, clock, signal }),
    isConnected: (terminalId) => connected.has(terminalId),
    connected: () => connected.list(),
    push: (envelope) => say(link, envelope),
    end() {
      const cancel = clock.after(END_WITHIN_MS, () => {
        cancels.delete(cancel);
        accounts.wake();
      });
      cancels.add(cancel);
    },
    async [Symbol.asyncDispose]() {
      for (const cancel of cancels) cancel();
      ending.abort(new Fault("aborted", "the hub stops"));
      await Promise.all(loops);
      await link[Symbol.asyncDispose]();
    },
  };
}

const say = (link: BrokerLink, envelope: DownEnvelope): void =>
  link.publish(subjectOf(downTopic(envelope.terminalId, DOWN_STREAM_OF[envelope.type])), encodeEnvelope(envelope));

/** Whatever is wrong with it is noted where it is taken from its stream. */
function hearPresence(connected: ConnectedTerminals, bytes: Uint8Array): void {
  try {
    const envelope = decodeUp(bytes);
    if (envelope.type === "presence") connected.hear(envelope.terminalId, envelope.body.status);
  } catch {
    return;
  }
}

/** Pulls until the signal, with as many messages in hand as the stream may have. Resolves when all of them are done. */
async function consume(options: NatsGatewayOptions, stream: UpStream, signal: AbortSignal): Promise<void> {
  const { link, refusals, clock, chance } = options;
  const hand = new Set<Promise<void>>();
  let delays = retrySchedule(RECONNECT_POLICY, chance);
  const hold = (delivery: Delivery) => {
    const work = take(options, delivery).finally(() => hand.delete(work));
    hand.add(work);
  };
  while (!signal.aborted) {
    try {
      if (hand.size >= IN_HAND_MAX[stream]) await abortable(Promise.race(hand), signal);
      const max = IN_HAND_MAX[stream] - hand.size;
      const pull = { stream: MQTT_STREAM, consumer: consumerOf(stream), max, withinMs: PULL_WITHIN_MS };
      await link.pull(pull, hold, signal);
      delays = retrySchedule(RECONNECT_POLICY, chance);
    } catch (error) {
      if (signal.aborted) break;
      refusals.trouble(error);
      await sleep(clock, delays.next().value, signal).catch(() => undefined);
      // Servers that lost their disks have no consumers any more.
      if (!signal.aborted) await makeStreams(link, options).catch(() => undefined);
    }
  }
  await Promise.all(hand);
}

/** Never rejects. */
async function take({ hub, link, refusals, clock }: NatsGatewayOptions, delivery: Delivery): Promise<void> {
  const topic = topicOf(delivery.subject);
  const source = topic?.terminalId ?? "nats";
  try {
    for (const answer of await hub.receive(envelopeFor(topic, delivery), clock.now())) say(link, answer);
    delivery.ack();
  } catch (error) {
    const reason = refusalOf(error);
    if (reason === undefined) {
      refusals.trouble(error);
      delivery.again(AGAIN_AFTER_MS);
    } else {
      refusals.note(source, reason, { why: reasonOf(error) });
      delivery.ack();
    }
  }
}

type UpTopic = { readonly terminalId: TerminalId; readonly stream: string };

function topicOf(subject: string): UpTopic | undefined {
  const topic = readTopic(subject.slice(MQTT_SUBJECTS.length).replaceAll(".", "/"));
  return topic?.direction === "up" ? topic : undefined;
}

function envelopeFor(topic: UpTopic | undefined, { bytes }: Delivery) {
  const envelope = decodeUp(bytes);
  if (topic && envelope.terminalId === topic.terminalId && UP_STREAM_OF[envelope.type] === topic.stream)
    return envelope;
  throw new Fault("message.invalid", `a ${envelope.type} of ${envelope.terminalId} does not belong on this topic`);
}
