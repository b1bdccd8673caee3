import fc from "fast-check";
import { expect, test } from "vitest";
import { isFault } from "../../base/fault.ts";
import { type HostEvent, type HostRequest, readHostEvent, readHostRequest } from "./messages.ts";

const BYTES = Uint8Array.of(0x90, 0x00);
const REQUESTS: readonly HostRequest[] = [
  { do: "open", driver: "pcsc", reader: "*", socket: "/run/pcscd/pcscd.comm" },
  { do: "open", driver: "hid", vendor: 0x0c2e, product: 0x0b62, kind: "any" },
  { do: "open", driver: "hid", vendor: 1, product: 2, serial: "S1", path: "/dev/hidraw0", kind: "pos" },
  { do: "transmit", call: 1, card: 2, command: BYTES },
  { do: "release", card: 2 },
  { do: "close" },
];
const EVENTS: readonly HostEvent[] = [
  { on: "alive" },
  { on: "opened", description: "Reader 00 00" },
  { on: "card-in", card: 1, atr: BYTES },
  { on: "card-out", card: 1 },
  { on: "card-unreadable", reader: "Reader 00 00" },
  { on: "hid-interface", usagePage: 0x8c, usage: 2, descriptor: BYTES },
  { on: "report", report: BYTES },
  { on: "response", call: 1, response: BYTES },
  { on: "refused", call: 1, code: "card.removed", message: "gone" },
  { on: "lost", code: "transport.closed", message: "gone" },
];

test.each(REQUESTS)("the request $do is read as it was sent", (request) => {
  expect(readHostRequest(structuredClone(request))).toEqual(request);
});

test.each(EVENTS)("the event $on is read as it was sent", (event) => {
  expect(readHostEvent(structuredClone(event))).toEqual(event);
});

test("a message that lacks a field, or has it of another type, is refused", () => {
  for (const message of EVENTS) {
    for (const field of Object.keys(message)) {
      expect(() => readHostEvent({ ...message, [field]: undefined })).toThrow(`a wrong "${field}"`);
    }
  }
  expect(() => readHostRequest({ do: "transmit", call: -1, card: 1, command: BYTES })).toThrow('a wrong "call"');
  expect(() => readHostEvent({ on: "response", call: 1, response: new Uint8Array(5_000) })).toThrow("response");
  expect(() => readHostEvent({ on: "lost", code: "made.up", message: "" })).toThrow('a wrong "code"');
});

test("anything at all is read or refused with a Fault", () => {
  fc.assert(
    fc.property(fc.anything(), (message) => {
      for (const read of [readHostEvent, readHostRequest]) {
        try {
          read(message);
        } catch (error) {
          if (!isFault(error)) throw error;
        }
      }
    }),
  );
});
