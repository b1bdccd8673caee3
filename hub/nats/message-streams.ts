/**
 * What JetStream keeps of terminals' messages until this hub has committed them: the stream of NATS' own MQTT side, with a
 * consumer for each of our streams that all replicas share. They are made before any terminal speaks: what nobody consumes
 * is not kept.
 */
import { z } from "zod";
import { Fault } from "../../base/fault.ts";
import { firstIssue, parseJson } from "../../wire/signing.ts";
import { UP_STREAM_OF, type UpStream } from "../../wire/topics.ts";
import { type BrokerLink, NS_PER_MS } from "./nats-link.ts";

/** Names that NATS gives (server/mqtt.go). */
export const MQTT_STREAM = "$MQTT_msgs";
export const MQTT_SUBJECTS = "$MQTT.msgs.";

export const CONSUMED_STREAMS: readonly UpStream[] = [...new Set(Object.values(UP_STREAM_OF))];
export const consumerOf = (stream: UpStream): string => `tillway-${stream}`;

/** Terminals repeat what matters until its receipt, and what is older than this answers nobody. */
const AGE_MAX_MS = 600_000;
const BYTES_MAX = 1_073_741_824;
/** Longer than a commit may take (10 s of PostgreSQL): a message is not given to a second replica while the first has it. */
const ACK_WAIT_MS = 15_000;
/** Of one message, so that one which kills a hub does not kill it for ever; a database may be away for some minutes. */
const DELIVERIES_MAX = 200;
/** In the hands of all replicas together, of one stream. */
const IN_HAND_MAX = 2_000;

const AnswerSchema = z.object({
  error: z.object({ code: z.int(), err_code: z.int().optional(), description: z.string().optional() }).optional(),
});

export interface StreamsOptions {
  /** Of how many servers each message is kept by. */
  readonly replicas: number;
}

/** Safe to repeat. Throws Fault `transport.failed`. */
export async function makeStreams(link: BrokerLink, { replicas }: StreamsOptions): Promise<void> {
  const stream = {
    name: MQTT_STREAM,
    subjects: [`${MQTT_SUBJECTS}>`],
    retention: "interest",
    storage: "file",
    num_replicas: replicas,
    discard: "old",
    max_age: AGE_MAX_MS * NS_PER_MS,
    max_bytes: BYTES_MAX,
  };
  // Where a terminal was quicker than the first hub NATS has made it, in a form of its own that serves as well.
  const isThere = await ask(link, { verb: `STREAM.INFO.${MQTT_STREAM}`, body: {}, absent: NOT_FOUND });
  if (!isThere) await ask(link, { verb: `STREAM.CREATE.${MQTT_STREAM}`, body: stream, absent: NAME_IN_USE });
  for (const one of CONSUMED_STREAMS) {
    const config = {
      durable_name: consumerOf(one),
      filter_subject: `${MQTT_SUBJECTS}tillway.v1.*.up.${one}`,
      deliver_policy: "all",
      ack_policy: "explicit",
      ack_wait: ACK_WAIT_MS * NS_PER_MS,
      max_deliver: DELIVERIES_MAX,
      max_ack_pending: IN_HAND_MAX,
      replay_policy: "instant",
    };
    const verb = `CONSUMER.DURABLE.CREATE.${MQTT_STREAM}.${consumerOf(one)}`;
    await ask(link, { verb, body: { stream_name: MQTT_STREAM, config } });
  }
}

/** Of JetStream's `err_code`. */
const NOT_FOUND = 10_059;
const NAME_IN_USE = 10_058;

interface Asked {
  readonly verb: string;
  readonly body: unknown;
  /** An error that is none here. */
  readonly absent?: number;
}

/** False where the answer was the error that is none here. */
async function ask(link: BrokerLink, { verb, body, absent }: Asked): Promise<boolean> {
  const answer = AnswerSchema.safeParse(parseJson(await link.request(`$JS.API.${verb}`, JSON.stringify(body))));
  if (!answer.success)
    throw new Fault("transport.failed", `JetStream answered ${verb} with ${firstIssue(answer.error)}`);
  const { error } = answer.data;
  if (error && error.err_code !== absent)
    throw new Fault("transport.failed", `JetStream refused ${verb}: ${error.description ?? error.code}`);
  return error === undefined;
}
