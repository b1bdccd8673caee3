/** The life of a link to an issuer: connected, signed on, watched by echoes, signed off, and back again. It decides; it does nothing. */
import type { Step } from "../../../base/machine.ts";
import type { NetworkRequest } from "../../../protocols/iso8583/editions.ts";

/** `refused`: answered, with a response code that is not an approval. */
export type ExchangeResult = "accepted" | "refused" | "unanswered";

/** `missed`: exchanges in a row that the issuer left unanswered. */
export type LinkState =
  | { readonly at: "stopped" }
  /** Waits for its next try. */
  | { readonly at: "disconnected" }
  | { readonly at: "connecting" }
  | { readonly at: "signing-on" }
  | { readonly at: "up"; readonly missed: number }
  /** Connected, and the issuer takes no financial messages: it said so, or it refused the sign-on. */
  | { readonly at: "signed-off"; readonly missed: number }
  /** Says its own sign-off before it goes. */
  | { readonly at: "leaving" };

export type LinkEvent =
  | { readonly on: "start" }
  | { readonly on: "retry-due" }
  | { readonly on: "connected" }
  /** Not to be had, or lost. */
  | { readonly on: "connection-ended" }
  | { readonly on: "exchanged"; readonly what: NetworkRequest; readonly result: ExchangeResult }
  /** The issuer said it by itself. */
  | { readonly on: "notice"; readonly what: "sign-on" | "sign-off" }
  | { readonly on: "echo-due" }
  | { readonly on: "stop" };

export type LinkEffect =
  | { readonly do: "connect" }
  | { readonly do: "retry-later" }
  | { readonly do: "exchange"; readonly what: NetworkRequest }
  /** `echo-due` after one interval; an earlier one is called off. */
  | { readonly do: "watch" }
  | { readonly do: "close" };

/** Exchanges in a row without an answer after which the connection counts as dead: TCP alone would not say so for minutes. */
export const MISSED_MAX = 2;

type LinkStep = Step<LinkState, LinkEffect>;

const UP: LinkStep = { state: { at: "up", missed: 0 }, effects: [{ do: "watch" }] };
const SIGNED_OFF: LinkStep = { state: { at: "signed-off", missed: 0 }, effects: [{ do: "watch" }] };
const CONNECT: LinkStep = { state: { at: "connecting" }, effects: [{ do: "connect" }] };
const LOST: LinkStep = { state: { at: "disconnected" }, effects: [{ do: "retry-later" }] };
const GIVEN_UP: LinkStep = { state: { at: "disconnected" }, effects: [{ do: "close" }, { do: "retry-later" }] };
const STOPPED: LinkStep = { state: { at: "stopped" }, effects: [{ do: "close" }] };

const exchange = (state: LinkState, what: NetworkRequest): LinkStep => ({ state, effects: [{ do: "exchange", what }] });
const unchanged = (state: LinkState): LinkStep => ({ state, effects: [] });

export function linkMachine(state: LinkState, event: LinkEvent): LinkStep {
  switch (state.at) {
    case "stopped":
      return event.on === "start" ? CONNECT : unchanged(state);
    case "disconnected":
      return disconnected(state, event);
    case "connecting":
      return connecting(state, event);
    case "signing-on":
      return signingOn(state, event);
    case "up":
    case "signed-off":
      return connected(state, event);
    case "leaving":
      return event.on === "exchanged" || event.on === "connection-ended" || event.on === "stop"
        ? STOPPED
        : unchanged(state);
  }
}

function disconnected(state: LinkState, { on }: LinkEvent): LinkStep {
  if (on === "retry-due") return CONNECT;
  return on === "stop" ? STOPPED : unchanged(state);
}

function connecting(state: LinkState, { on }: LinkEvent): LinkStep {
  if (on === "connected") return exchange({ at: "signing-on" }, "sign-on");
  if (on === "connection-ended") return LOST;
  return on === "stop" ? STOPPED : unchanged(state);
}

function signingOn(state: LinkState, event: LinkEvent): LinkStep {
  switch (event.on) {
    case "exchanged":
      if (event.what !== "sign-on") return unchanged(state);
      if (event.result === "unanswered") return GIVEN_UP;
      return event.result === "accepted" ? UP : SIGNED_OFF;
    case "notice":
      return event.what === "sign-off" ? SIGNED_OFF : unchanged(state);
    case "connection-ended":
      return LOST;
    case "stop":
      return STOPPED;
    case "start":
    case "retry-due":
    case "connected":
    case "echo-due":
      return unchanged(state);
  }
}

type Connected = Extract<LinkState, { at: "up" | "signed-off" }>;

function connected(state: Connected, event: LinkEvent): LinkStep {
  switch (event.on) {
    case "exchanged":
      return exchanged(state, event);
    case "notice":
      if (event.what === "sign-off") return SIGNED_OFF;
      // He may have refused our own sign-on while he was away: until one is accepted he serves nobody.
      return state.at === "up" ? unchanged(state) : exchange(state, "sign-on");
    case "echo-due":
      return exchange(state, state.at === "up" ? "echo" : "sign-on");
    case "connection-ended":
      return LOST;
    case "stop":
      return exchange({ at: "leaving" }, "sign-off");
    case "start":
    case "retry-due":
    case "connected":
      return unchanged(state);
  }
}

/** An echo that is refused shows all the same that the link lives; whether the issuer is able is for requests to find out. */
function exchanged(state: Connected, { what, result }: Extract<LinkEvent, { on: "exchanged" }>): LinkStep {
  if (result === "unanswered") {
    const missed = state.missed + 1;
    return missed >= MISSED_MAX ? GIVEN_UP : { state: { ...state, missed }, effects: [{ do: "watch" }] };
  }
  if (state.at === "signed-off") return what === "sign-on" && result === "accepted" ? UP : SIGNED_OFF;
  return what === "sign-on" && result === "refused" ? SIGNED_OFF : UP;
}
