/**
 * The device host: a process of its own around one native driver, so that a driver that blocks or crashes takes nothing else
 * with it. Says every half second that its event loop turns, and ends when its parent does.
 */
import { systemClock } from "../../base/clock.ts";
import { type Fault, isFault, reasonOf } from "../../base/fault.ts";
import { openPcsc, type Pcsc } from "../transports/pcsc.ts";
import { ALIVE_EVERY_MS } from "./heartbeat.ts";
import { type HostEvent, type HostRequest, readHostRequest } from "./messages.ts";

let pcsc: Pcsc | undefined;

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
      leave();
      return;
  }
}

async function open(request: HostRequest & { do: "open" }): Promise<void> {
  try {
    pcsc = await openPcsc({
      reader: request.reader,
      socket: request.socket,
      clock: systemClock,
      on: {
        cardIn: (card, atr) => say({ on: "card-in", card, atr }),
        cardOut: (card) => say({ on: "card-out", card }),
        cardUnreadable: (reader) => say({ on: "card-unreadable", reader }),
        lost: (fault) => say({ on: "lost", code: fault.code, message: fault.message }),
      },
    });
    say({ on: "opened", description: pcsc.readers.join(", ") });
  } catch (error) {
    say({ on: "lost", code: codeOf(error), message: reasonOf(error) });
  }
}

async function transmit({ call, card, command }: HostRequest & { do: "transmit" }): Promise<void> {
  try {
    if (!pcsc) throw new Error("nothing is open");
    say({ on: "response", call, response: await pcsc.transmit(card, command) });
  } catch (error) {
    say({ on: "refused", call, code: codeOf(error), message: reasonOf(error) });
  }
}

/** Closing waits for a card that owes an answer, without end; then only the hard way out is left. */
function leave(): void {
  if (pcsc?.busy) process.kill(process.pid, "SIGKILL");
  pcsc?.close();
  process.exit(0);
}

// The terminal sends these to the whole group; the parent decides when its driver closes.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => undefined);
process.on("disconnect", leave);
process.on("message", (message) => receive(readHostRequest(message)));
setInterval(() => say({ on: "alive" }), ALIVE_EVERY_MS);
