/** One reader and several customers: who stops waiting is answered at once, whoever has the reader. */
import { expect, test } from "vitest";
import { Fault } from "../../base/fault.ts";
import type { CapabilityMap, CapabilityName, CardSession } from "../../drivers/capability.ts";
import { ReaderLane } from "./reader-lane.ts";

function laneWithNoCard(): ReaderLane {
  const map: Partial<CapabilityMap> = { "card-reader": { awaitCard: () => new Promise<CardSession>(() => {}) } };
  const lend = <N extends CapabilityName>(name: N) => map[name];
  return new ReaderLane({ lend, list: () => [], onChange: () => () => {} }, (then) => then());
}
const work = () => Promise.resolve("worked");

test("a payment that was cancelled before it came to the lane does not wait for the one that has the reader", async () => {
  const lane = laneWithNoCard();
  void lane.withCard(new AbortController().signal, () => {}, work);
  const outcomes: unknown[] = [];
  const cancelled = AbortSignal.abort(new Fault("aborted", "cancelled"));
  lane.withCard(cancelled, () => outcomes.push("seen"), work).catch((error: unknown) => outcomes.push(error));
  await new Promise(setImmediate);
  expect(outcomes).toEqual([expect.objectContaining({ code: "aborted", message: "cancelled" })]);
});

test("a payment that is cancelled while another has the reader does not wait for it", async () => {
  const lane = laneWithNoCard();
  void lane.withCard(new AbortController().signal, () => {}, work);
  const second = new AbortController();
  const waiting = lane.withCard(second.signal, () => {}, work);
  second.abort(new Fault("aborted", "cancelled"));
  await expect(waiting).rejects.toMatchObject({ code: "aborted" });
});
