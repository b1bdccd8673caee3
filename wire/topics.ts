/** Where messages go: MQTT topics as functions, HTTPS paths as constants. */
import { ID_PATTERN, type TerminalId } from "../base/ids.ts";
import type { DownEnvelope, UpEnvelope } from "./envelope.ts";

export type UpStream =
  | "authorisation"
  | "advice"
  | "telemetry"
  | "surroundings"
  | "health"
  | "presence"
  | "reconciliation"
  | "card";
export type DownStream = "receipt" | "authorisation" | "lease" | "policy" | "command" | "reconciliation" | "card";

const ROOT = "tillway/v1";
export const upTopic = (terminalId: TerminalId, stream: UpStream): string => `${ROOT}/${terminalId}/up/${stream}`;
export const downTopic = (terminalId: TerminalId, stream: DownStream): string => `${ROOT}/${terminalId}/down/${stream}`;
/** What a terminal subscribes to. */
export const downFilter = (terminalId: TerminalId): string => `${ROOT}/${terminalId}/down/+`;

export const UP_STREAM_OF: Readonly<Record<UpEnvelope["type"], UpStream>> = {
  "authorisation.request": "authorisation",
  "advice.batch": "advice",
  presence: "presence",
  health: "health",
  "day.summary": "reconciliation",
  "card.lookup": "card",
  "card.transaction": "card",
  "card.response": "card",
};
export const DOWN_STREAM_OF: Readonly<Record<DownEnvelope["type"], DownStream>> = {
  "authorisation.response": "authorisation",
  receipt: "receipt",
  lease: "lease",
  "day.report": "reconciliation",
  "card.challenge": "card",
  "card.result": "card",
};

/** Whose topic it is and which way it goes; undefined for any other topic. */
export function readTopic(
  topic: string,
): { terminalId: TerminalId; direction: "up" | "down"; stream: string } | undefined {
  const match = /^tillway\/v1\/([^/]+)\/(up|down)\/([a-z]+)$/.exec(topic);
  if (!match?.[1] || !match[3] || !ID_PATTERN.test(match[1])) return undefined;
  return { terminalId: match[1] as TerminalId, direction: match[2] === "up" ? "up" : "down", stream: match[3] };
}

/** POST an up envelope; the answer is `{"messages": [down envelopes]}`. */
export const UPLINK_PATH = "/v1/uplink";
export const ENROL_PATH = "/v1/enrol";
/** POST a RenewalRequest for the terminal's next certificate. */
export const CERTIFICATE_PATH = "/v1/certificate";
/** POST a Signed text of domain `phone`; the answer is a PhoneAnswer. */
export const PHONE_PATH = "/v1/phone";
export const PHONE_ENROL_PATH = "/v1/phone/enrol";
