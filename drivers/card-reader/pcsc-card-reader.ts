/**
 * Card readers by PC/SC: `pcsc:*`, `pcsc:Some%20Reader`, with `?socket=` for a pcscd elsewhere. The native part lives in a
 * device host, a child process.
 *
 * A card is offered once. After its session ended it must be taken out before it is offered again, so that no second
 * transaction runs on a card that was only left in the slot (RM3).
 */
import type { Clock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import type { CapabilityMap, Device, DeviceSpec } from "../capability.ts";
import { integerOption, parseDeviceUri, refuseUnknownOptions } from "../device-uri.ts";
import { openHosted } from "../host/hosted-device.ts";
import { PCSCD_SOCKET } from "../transports/pcsc.ts";
import { CardsInReaders } from "./cards-in-readers.ts";

export interface CardReaderContext {
  readonly clock: Clock;
  readonly log: Log;
  /** Ends the wait for the reader to open. */
  readonly signal: AbortSignal;
}

const OPTIONS = ["socket", "answer-within-ms"];
/** Longer than any command of an EMV card takes; a real reader's own limit is usually shorter. */
const ANSWER_WITHIN = { key: "answer-within-ms", min: 100, max: 60_000, fallback: 5_000 } as const;

/** Throws Fault `config.invalid`, `package.missing`, `device.absent` (no pcscd, no reader) or `device.hung`. */
export async function openPcscCardReader(spec: DeviceSpec, context: CardReaderContext): Promise<Device> {
  const uri = parseDeviceUri(spec.uri);
  if (uri.scheme !== "pcsc") throw new Fault("config.invalid", `${spec.uri} is not a PC/SC reader: write pcsc:*`);
  refuseUnknownOptions(uri, OPTIONS);
  const socket = uri.options["socket"] ?? PCSCD_SOCKET;
  const cards = new CardsInReaders({ ...context, answerWithinMs: integerOption(uri, ANSWER_WITHIN) });
  const host = await openHosted({
    ...context,
    open: { do: "open", driver: "pcsc", reader: uri.target, socket },
    environment: { PCSCLITE_CSOCK_NAME: socket },
    onEvent: (event) => cards.handle(event),
  });
  cards.attach(host);
  const capabilities: Partial<CapabilityMap> = { "card-reader": cards };
  return {
    id: spec.id,
    lost: host.lost,
    description: `${host.description} (PC/SC, device host ${host.pid})`,
    capability: (name) => capabilities[name],
    [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
  };
}
