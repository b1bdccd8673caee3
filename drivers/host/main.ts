/**
 * The device host: a process of its own around one native driver, so that a driver that blocks or crashes takes nothing else
 * with it. Says every half second that its event loop turns, and ends when its parent does.
 */
import { systemClock } from "../../base/clock.ts";
import { type Fault, isFault, reasonOf } from "../../base/fault.ts";
import { type Hid, openHid } from "../transports/hid.ts";
import { openPcsc, type Pcsc } from "../transports/pcsc.ts";
import { ALIVE_EVERY_MS } from "./heartbeat.ts";
import { type HostEvent, type HostRequest, readHostRequest } from "./messages.ts";

let pcsc: Pcsc | undefined;
let hid: Hid | undefined;

const say = (event: HostEvent): void => {
  if (process.connected) process.send?.(event, undefined, undefined, () => undefined);
};

const codeOf = (error: unknown): Fault["code"] => (isFault(error) ? error.code : "transport.failed");

function receive(request: HostRequest): void {
  switch (request.do) {
    case "open":
      void open(request);
      return;
    case "transmit":
      void transmit(request);
      return;
    case "release":
      pcsc?.release(request.card);
      return;
    case "close":
      void leave();
      return;
  }
}

async function open(request: HostRequest & { do: "open" }): Promise<void> {
  try {
    const description = request.driver === "hid" ? await openScanner(request) : await openReaders(request);
    say({ on: "opened", description });
  } catch (error) {
    say({ on: "lost", code: codeOf(error), message: reasonOf(error) });
  }
}

const lost = (fault: Fault): void => say({ on: "lost", code: fault.code, message: fault.message });

async function openReaders({ reader, socket }: Extract<HostRequest, { driver: "pcsc" }>): Promise<string> {
  pcsc = await openPcsc({
    reader,
    socket,
    clock: systemClock,
    on: {
      cardIn: (card, atr) => say({ on: "card-in", card, atr }),
      cardOut: (card) => say({ on: "card-out", card }),
      cardUnreadable: (name) => say({ on: "card-unreadable", reader: name }),
      lost,
    },
  });
  return pcsc.readers.join(", ");
}

async function openScanner(request: Extract<HostRequest, { driver: "hid" }>): Promise<string> {
  hid = await openHid({ ...request, on: { report: (report) => say({ on: "report", report }), lost } });
  const { path, name, usagePage, usage, descriptor } = hid.device;
  say({ on: "hid-interface", usagePage, usage, descriptor: descriptor ?? new Uint8Array() });
  return `${name} at ${path}`;
}

async function transmit({ call, card, command }: HostRequest & { do: "transmit" }): Promise<void> {
  try {
    if (!pcsc) throw new Error("nothing is open");
    say({ on: "response", call, response: await pcsc.transmit(card, command) });
  } catch (error) {
    say({ on: "refused", call, code: codeOf(error), message: reasonOf(error) });
  }
}

const CLOSE_WITHIN_MS = 1_000;

/** Closing waits for a card that owes an answer, without end; then only the hard way out is left. */
async function leave(): Promise<void> {
  if (pcsc?.busy) endAtOnce();
  pcsc?.close();
  setTimeout(endAtOnce, CLOSE_WITHIN_MS);
  await hid?.close().catch(() => undefined);
  process.exit(0);
}

const endAtOnce = (): void => {
  process.kill(process.pid, "SIGKILL");
};

// The terminal sends these to the whole group; the parent decides when its driver closes.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => undefined);
// Nobody is left to end a host that hangs, and closing PC/SC hangs for good where its service has gone: what was open ends
// with the process.
process.on("disconnect", endAtOnce);
process.on("message", (message) => receive(readHostRequest(message)));
setInterval(() => say({ on: "alive" }), ALIVE_EVERY_MS);
