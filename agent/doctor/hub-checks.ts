/** The way to the hub, step by step: its name, its port, its certificate, its word on this terminal, its clock. */
import { lookup } from "node:dns/promises";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { abortable, abortFault, type Clock, deadline } from "../../base/clock.ts";
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import { newMessageId, systemRandom } from "../../base/ids.ts";
import type { UpEnvelope } from "../../wire/envelope.ts";
import { UPLINK_PATH } from "../../wire/topics.ts";
import { TILLWAY_VERSION } from "../../wire/version.ts";
import type { Identity } from "../identity.ts";
import { connectTls, targetOf } from "../uplink/tls-connect.ts";

import type { Finding } from "./finding.ts";

export interface HubChecks {
  readonly identity: Pick<Identity, "mqttUrl" | "httpsUrl" | "caCertificate" | "tls" | "terminalId">;
  /** What the configuration overrides. */
  readonly urls: {
    readonly prefer: "mqtt" | "https";
    readonly mqttUrl?: string | undefined;
    readonly httpsUrl?: string | undefined;
  };
  readonly clock: Clock;
  /** No agent is linked as this terminal, so that saying so to the hub is true. */
  readonly unlinked: boolean;
}

const STEP_LIMIT_MS = 5_000;
const MQTTS_PORT = 8_883;
const HTTPS_PORT = 443;
/** Clocks further apart than this are told: receipts would show a wrong time. */
const CLOCK_TOLERANCE_MS = 30_000;

/** Sales still go offline while a lease lasts, so a hub out of reach fails the check but not the shop. */
export async function* examineHub({ identity, urls, clock, unlinked }: HubChecks): AsyncGenerator<Finding, void> {
  const mqttUrl = urls.mqttUrl ?? identity.mqttUrl;
  const httpsUrl = urls.httpsUrl ?? identity.httpsUrl;
  const { caCertificate } = identity;
  yield await examineTarget("hub mqtt", { url: mqttUrl, port: MQTTS_PORT, caCertificate, clock });
  const https = await examineTarget("hub https", { url: httpsUrl, port: HTTPS_PORT, caCertificate, clock });
  yield https;
  if (unlinked && https.level === "ok") yield* examineWelcome({ identity, url: httpsUrl, clock });
}

interface Target {
  readonly url: string;
  readonly port: number;
  readonly caCertificate: string;
  readonly clock: Clock;
}

async function examineTarget(name: string, { url, port: fallback, caCertificate, clock }: Target): Promise<Finding> {
  const { host, port } = targetOf(url, fallback);
  const failed = (what: string): Finding => ({ level: "FAIL", name, what });
  using limit = deadline(clock, STEP_LIMIT_MS);
  try {
    await abortable(lookup(host), limit.signal);
  } catch {
    return failed(
      `the name ${host} is not found; check the network and its DNS, or set uplink.mqttUrl and uplink.httpsUrl`,
    );
  }
  try {
    await reachPort({ host, port, signal: limit.signal });
  } catch (error) {
    return failed(reachWords({ host, port, error }));
  }
  try {
    const socket = await connectTls({ host, port, caCertificate, signal: limit.signal });
    socket.destroy();
    return { level: "ok", name, what: `${host}:${port} answers with the certificate of its authority` };
  } catch (error) {
    return failed(reasonOf(error));
  }
}

interface Reach {
  readonly host: string;
  readonly port: number;
}

function reachPort({ host, port, signal }: Reach & { signal: AbortSignal }): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const onAbort = () => {
      socket.destroy();
      reject(abortFault(signal));
    };
    socket.once("connect", () => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      resolve();
    });
    socket.once("error", (error) => {
      signal.removeEventListener("abort", onAbort);
      reject(error);
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

function reachWords({ host, port, error }: Reach & { error: unknown }): string {
  const code = error instanceof Error && "code" in error ? error.code : "";
  if (code === "ECONNREFUSED") return `nothing listens on ${host}:${port}; start the hub, or check the port`;
  if (isFault(error, "transport.timeout")) {
    return `${host}:${port} does not answer; check that a firewall lets the port through`;
  }
  return `${host}:${port} cannot be reached (${reasonOf(error)}); check the network`;
}

interface Welcome {
  readonly identity: HubChecks["identity"];
  readonly url: string;
  readonly clock: Clock;
}

async function* examineWelcome({ identity, url, clock }: Welcome): AsyncGenerator<Finding, void> {
  const name = "hub identity";
  using limit = deadline(clock, STEP_LIMIT_MS);
  let answer: IncomingMessage;
  try {
    answer = await postPresence({ identity, url, now: clock.now(), signal: limit.signal });
  } catch (error) {
    yield {
      level: "FAIL",
      name,
      what: `the hub does not answer this terminal: ${reasonOf(error)}; look at the hub's log`,
    };
    return;
  }
  const status = answer.statusCode ?? 0;
  answer.destroy();
  if (status === 401 || status === 403) {
    const what = `the hub does not take the certificate of ${identity.terminalId}; if the running agent does not renew it, ask for a claim, stop the agent and run: tillway agent enrol CLAIM --force`;
    yield { level: "FAIL", name, what };
  } else if (status >= 300) {
    yield { level: "FAIL", name, what: `the hub answers with status ${status}; is its version as new as this one's?` };
  } else {
    yield { level: "ok", name, what: `the hub knows ${identity.terminalId}` };
  }
  const date = Date.parse(answer.headers.date ?? "");
  if (!Number.isNaN(date)) yield clockFinding(clock.now() - date);
}

function clockFinding(aheadMs: number): Finding {
  const name = "clock";
  if (Math.abs(aheadMs) <= CLOCK_TOLERANCE_MS) return { level: "ok", name, what: "agrees with the hub's" };
  const words = `${Math.round(Math.abs(aheadMs) / 1_000)} s ${aheadMs < 0 ? "behind" : "ahead of"} the hub's`;
  return { level: "warn", name, what: `${words}; turn on time synchronisation: timedatectl set-ntp true` };
}

interface Post extends Omit<Welcome, "clock"> {
  readonly now: number;
  readonly signal: AbortSignal;
}

/** The presence of a terminal that is not linked, which is true when this is asked: it changes no money and no order. */
function postPresence({ identity, url, now, signal }: Post): Promise<IncomingMessage> {
  const envelope: UpEnvelope = {
    v: 1,
    id: newMessageId(systemRandom),
    type: "presence",
    terminalId: identity.terminalId,
    epoch: "0000000000000000" as UpEnvelope["epoch"],
    sequence: 0,
    sentAt: new Date(now).toISOString(),
    body: { status: "offline", version: TILLWAY_VERSION, clock: new Date(now).toISOString() },
  };
  return new Promise((resolve, reject) => {
    const request = httpsRequest(new URL(UPLINK_PATH, url), {
      method: "POST",
      ca: identity.caCertificate,
      ...(identity.tls && { key: identity.tls.key, cert: identity.tls.certificate }),
      agent: false,
      headers: { "content-type": "application/json" },
      signal,
    });
    request.once("response", resolve);
    request.on("error", (error) =>
      reject(signal.aborted ? new Fault("transport.timeout", "no answer in time") : error),
    );
    request.end(JSON.stringify(envelope));
  });
}
