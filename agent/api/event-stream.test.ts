import { expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { CLIENT_BYTES_MAX, type EventSink, EventStream, HEARTBEAT_MS } from "./event-stream.ts";

function sink() {
  const written: string[] = [];
  const state = { writableLength: 0, destroyed: false, ended: false };
  const target = {
    get writableLength() {
      return state.writableLength;
    },
    write: (text: string) => written.push(text) > 0,
    end: () => {
      state.ended = true;
    },
    destroy: () => {
      state.destroyed = true;
    },
    on: () => undefined,
  } as unknown as EventSink;
  return { target, written, state };
}

test("a client that does not read is dropped, the others are not", () => {
  const stream = new EventStream(new ManualClock());
  const [slow, quick] = [sink(), sink()];
  stream.add(slow.target);
  stream.add(quick.target);
  slow.state.writableLength = CLIENT_BYTES_MAX + 1;
  stream.send("a", 1);
  stream.send("b", 2);
  expect(slow.state.destroyed).toBe(true);
  expect(slow.written).toHaveLength(1);
  expect(quick.written.slice(1)).toEqual(["event: a\ndata: 1\n\n", "event: b\ndata: 2\n\n"]);
  expect([stream.size, stream.dropped]).toEqual([1, 1]);
});

test("a quiet stream beats, and ends when it is disposed of", async () => {
  const clock = new ManualClock();
  const stream = new EventStream(clock);
  const { target, written, state } = sink();
  stream.add(target);
  await clock.advance(2 * HEARTBEAT_MS);
  expect(written.filter((text) => text === ": heartbeat\n\n")).toHaveLength(2);
  stream[Symbol.dispose]();
  await clock.advance(HEARTBEAT_MS);
  expect(state.ended).toBe(true);
  expect(written.filter((text) => text === ": heartbeat\n\n")).toHaveLength(2);
});
