/** Opens the way on which terminals hold a connection, as the configuration says. */

import { sleep } from "../base/clock.ts";
import { reasonOf } from "../base/fault.ts";
import type { RandomBytes } from "../base/ids.ts";
import { RECONNECT_POLICY, retrySchedule } from "../base/retry-schedule.ts";
import type { HubConfig } from "./config.ts";
import type { DeviceGateway } from "./device-gateway.ts";
import { type MqttGatewayOptions, openMqttGateway } from "./mqtt-gateway.ts";
import { AccountKeeper } from "./nats/account-keeper.ts";
import type { BrokerAuthority } from "./nats/broker-authority.ts";
import { openNatsGateway } from "./nats/nats-gateway.ts";
import { type LinkOptions, openNatsLink, requestOnce } from "./nats/nats-link.ts";
import { createRefusals } from "./refusals.ts";

export interface GatewayParts extends Omit<MqttGatewayOptions, "host" | "port"> {
  readonly config: HubConfig;
  /** There when the ingest is `nats`. */
  readonly broker: BrokerAuthority | undefined;
  readonly random: RandomBytes;
}

/** Throws Fault `transport.failed`. */
export async function openDeviceGateway({ broker, random, config, ...parts }: GatewayParts): Promise<DeviceGateway> {
  const { host, mqttPort } = config.listen;
  const { ingest } = config;
  if (ingest.kind === "embedded" || !broker) return await openMqttGateway({ ...parts, host, port: mqttPort });
  const { replicas } = ingest;
  const port = config.public.mqttPort ?? mqttPort;
  return await openNats({
    ...parts,
    broker,
    random,
    servers: ingest.servers,
    replicas,
    host: config.public.host,
    port,
  });
}

type NatsParts = Omit<GatewayParts, "config" | "broker"> & {
  readonly broker: BrokerAuthority;
  readonly servers: readonly string[];
  readonly replicas: number;
  readonly host: string;
  readonly port: number;
};

/** Brokers that start beside the hub take a while to agree on a leader. */
const START_WITHIN_MS = 60_000;
const ENDED_LOGINS_MAX = 10_000;
/** Where a server takes an account (NATS, full resolver). */
const CLAIMS_SUBJECT = "$SYS.REQ.CLAIMS.UPDATE";

async function openNats(parts: NatsParts): Promise<DeviceGateway> {
  const { hub, broker, servers, clock, random, tls } = parts;
  const log = parts.log.for("nats");
  const refusals = createRefusals({ clock, log, metrics: hub.metrics });
  const chance = () => (random(1)[0] ?? 0) / 0x100;
  const common = { servers, caCertificate: tls.caCertificate, clock, chance, log };
  const system: LinkOptions = { ...common, authenticator: broker.systemUser(clock.now()) };
  const accounts = new AccountKeeper({
    authority: broker,
    ended: () => hub.store.read((reading) => hub.terminals.endedLogins(reading, ENDED_LOGINS_MAX)),
    push: (body) => requestOnce(system, { subject: CLAIMS_SUBJECT, body }),
    clock,
    log,
  });
  const delays = retrySchedule(RECONNECT_POLICY, chance);
  const endsAt = clock.monotonic() + START_WITHIN_MS;
  for (;;) {
    await using stack = new AsyncDisposableStack();
    try {
      await accounts.bring();
      const link = stack.use(await openNatsLink({ ...common, authenticator: broker.hubUser(clock.now()) }));
      const gateway = await openNatsGateway({ ...parts, link, accounts, refusals, chance });
      stack.move();
      return gateway;
    } catch (error) {
      if (clock.monotonic() > endsAt) throw error;
      log.info("waiting for the brokers", { why: reasonOf(error) });
    }
    await sleep(clock, delays.next().value, NEVER);
  }
}
const NEVER = new AbortController().signal;
