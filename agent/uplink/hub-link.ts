/** Puts the hub side of the agent together: uplinks, session, hub clock and lease, ready for the composition root. */
import { type Clock, eitherOf, sleep } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import type { RandomBytes } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { type CardHub, UplinkCardHub } from "../features/card-verification/card-hub.ts";
import type { Identity } from "../identity.ts";
import type { Journal } from "../journal/journal.ts";
import { type Boot, SignedHubClock, wallTime } from "../lease/hub-clock.ts";
import { LeaseKeeper } from "../lease/lease-keeper.ts";
import { type DayHub, UplinkDayHub } from "../reconciliation/day-hub.ts";
import { CertificateKeeper } from "./certificate-keeper.ts";
import { PreferringUplink } from "./choose-uplink.ts";
import { Credential } from "./credential.ts";
import { EnvelopeMaker } from "./envelopes.ts";
import { HttpsUplink } from "./https-uplink.ts";
import { HubSession } from "./hub-session.ts";
import { MqttUplink } from "./mqtt-uplink.ts";
import type { RunningUplink } from "./uplink.ts";

/** How often the high-water of hub time is looked at while nothing is heard (RM8). */
const HIGH_WATER_EVERY_MS = 60_000;
/** A renewed certificate waits for a moment without requests under way, and no longer than ten minutes. */
const QUIET_LOOK_MS = 1_000;
const QUIET_LOOKS_MAX = 600;

export interface HubLinkSettings {
  /** The agent's version, told to the hub. */
  readonly version: string;
  /** `mqtt` and `https` fall back to each other; the `-only` ones do not. */
  readonly prefer: "mqtt" | "https" | "mqtt-only" | "https-only";
  /** In place of the addresses of the enrolment. */
  readonly mqttUrl?: string;
  readonly httpsUrl?: string;
  /** 5,000 by default, never under 4,000 (RM2). */
  readonly onlineTimeoutMs?: number;
  /** Free bytes on the journal's disk, and how many must stay free for offline sales. */
  readonly disk: { freeBytes(): number; readonly reserveBytes: number };
}

export interface HubLinkOptions {
  readonly identity: Identity;
  readonly journal: Pick<Journal, "epoch" | "head" | "outstanding" | "outstandingOf" | "recall" | "keep">;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly boot: Boot;
  readonly options: HubLinkSettings;
  /** Where the identity's file lies: its certificate is then renewed. */
  readonly dataDir?: string;
  /** A way to the hub in the place of MQTT and HTTPS. */
  readonly uplink?: (envelopes: EnvelopeMaker) => RunningUplink;
}

export interface HubLink extends AsyncDisposable {
  readonly hub: HubSession;
  readonly cards: CardHub;
  readonly days: DayHub;
  readonly clock: SignedHubClock;
  readonly leases: LeaseKeeper;
  readonly credential: Credential;
  /** Connects and keeps the link until the signal ends it, or this is disposed of. */
  start(signal: AbortSignal): Promise<void>;
}

export function createHubLink(parts: HubLinkOptions): HubLink {
  const { identity, journal, clock, random, boot, options } = parts;
  const log = parts.log.for("uplink");
  const { terminalId, hubSigningKey, sealingKey } = identity;
  const hubClock = new SignedHubClock({ terminalId, hubSigningKey, journal, boot, random, log });
  const leases = new LeaseKeeper({
    terminalId,
    hubSigningKey,
    sealingKey,
    journal,
    hubClock,
    log,
    disk: options.disk,
  });
  const envelopes = new EnvelopeMaker({
    terminalId,
    journal,
    clock,
    random,
    version: options.version,
    leaseCounter: () => leases.counter,
    question: (always) => hubClock.question(always),
  });
  const credential = new Credential(identity.tls);
  const keeper = keeperOf({ ...parts, log }, { credential, now: wallTimeOf(hubClock, clock), quiet });
  const onRefused = () => keeper?.ask();
  const uplink = parts.uplink?.(envelopes) ?? createUplink({ ...parts, log }, { envelopes, credential, onRefused });
  const { onlineTimeoutMs } = options;
  const hub = new HubSession({
    terminalId,
    signingKey: identity.signingKey,
    uplink,
    envelopes,
    hubClock,
    leases,
    clock,
    log,
    ...(onlineTimeoutMs === undefined ? {} : { onlineTimeoutMs }),
  });
  const cards = new UplinkCardHub({ uplink, envelopes, clock });
  const days = new UplinkDayHub({ uplink, envelopes, clock });
  /** A sale that waits for its answer is not to lose its connection. */
  async function quiet(signal: AbortSignal): Promise<void> {
    for (let looks = 0; hub.busy && looks < QUIET_LOOKS_MAX; looks += 1)
      await sleep(clock, QUIET_LOOK_MS, signal).catch(() => undefined);
  }
  const ending = new AbortController();
  let running: Promise<unknown> = Promise.resolve();
  return {
    hub,
    cards,
    days,
    clock: hubClock,
    leases,
    credential,
    async start(signal) {
      using either = eitherOf(signal, ending.signal);
      const until = either.signal;
      const renewing = keeper?.run(until);
      running = Promise.all([uplink.run(until), hub.run(until), keepHighWater(hubClock, clock, until), renewing]);
      await running;
    },
    async [Symbol.asyncDispose]() {
      cards[Symbol.dispose]();
      days[Symbol.dispose]();
      await hub[Symbol.asyncDispose]();
      ending.abort(new Fault("aborted", "the link to the hub was closed"));
      await running;
      await uplink[Symbol.asyncDispose]();
    },
  };
}

interface Keeping {
  readonly credential: Credential;
  now(): number;
  quiet(signal: AbortSignal): Promise<void>;
}

function keeperOf(parts: HubLinkOptions, keeping: Keeping): CertificateKeeper | undefined {
  const { identity, clock, random, log, options, dataDir } = parts;
  if (dataDir === undefined || parts.uplink) return undefined;
  const httpsUrl = options.httpsUrl ?? identity.httpsUrl;
  return new CertificateKeeper({ ...keeping, identity, dataDir, httpsUrl, clock, log, chance: () => chanceOf(random) });
}

interface Ways {
  readonly envelopes: EnvelopeMaker;
  readonly credential: Credential;
  onRefused(): void;
}

function createUplink(parts: HubLinkOptions, { envelopes, credential, onRefused }: Ways): RunningUplink {
  const { identity, clock, random, log, options } = parts;
  const { caCertificate, terminalId } = identity;
  const chance = () => chanceOf(random);
  const shared = { caCertificate, credential, onRefused, clock, chance, log };
  const mqtt = () =>
    new MqttUplink({
      ...shared,
      url: options.mqttUrl ?? identity.mqttUrl,
      terminalId,
      lastWill: () => envelopes.presence("offline"),
    });
  const https = () =>
    new HttpsUplink({
      ...shared,
      url: options.httpsUrl ?? identity.httpsUrl,
      probe: () => envelopes.presence("online"),
    });
  switch (options.prefer) {
    case "mqtt-only":
      return mqtt();
    case "https-only":
      return https();
    case "mqtt":
      return new PreferringUplink({ preferred: mqtt(), fallback: https(), clock, log });
    case "https":
      return new PreferringUplink({ preferred: https(), fallback: mqtt(), clock, log });
  }
}

const wallTimeOf = (hubClock: SignedHubClock, clock: Clock) => () => wallTime(hubClock, clock);

async function keepHighWater(hubClock: SignedHubClock, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(clock, HIGH_WATER_EVERY_MS, signal).catch(() => undefined);
    hubClock.keepHighWater();
  }
}

/** From 0 to below 1 out of four random bytes. */
function chanceOf(random: RandomBytes): number {
  const [a = 0, b = 0, c = 0, d = 0] = random(4);
  return (((a * 256 + b) * 256 + c) * 256 + d) / 2 ** 32;
}
