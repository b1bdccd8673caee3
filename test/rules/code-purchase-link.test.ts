/** A code whose approval was on its way when the link was cut: the repeat waits for the link, for a while. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { preAuthorisedCodeText } from "../../protocols/codes/own-codes.ts";
import { Till } from "./till.ts";

const text = preAuthorisedCodeText({
  userId: "user-1",
  secureCode: "ABCDEFGHIJKLMNOPQRSTUVWXYA",
  expiresAt: Date.UTC(2026, 0, 6),
});

let till: Till;
beforeEach(() => {
  till = new Till({
    onStage: (stage) => {
      if (stage === "online-request-sent" && till.hub.requests.length === 1) till.hub.linkIs("down");
    },
  });
  till.cardComes = false;
  till.hub.lost = 1;
  till.scanner.codes.push(text);
});
afterEach(() => till[Symbol.asyncDispose]());

test("AC1.5 an approval that was lost with its link is asked for again when the link is back", async () => {
  const sold = till.sell("p-1");
  await vi.waitUntil(() => till.hub.isWaitedFor);
  await till.clock.advance(5_999);
  expect(till.hub.requests).toHaveLength(1);
  till.hub.linkIs("up");
  expect(await sold).toMatchObject({ status: "approved", mode: "online" });
  expect(till.hub.requests.map(({ attempt }) => attempt)).toEqual([1, 1]);
});

test("RM1 a link that stays away ends the wait, and the attempt is reversed", async () => {
  till.hub.answer = "silence";
  const sold = till.sell("p-1");
  await vi.waitUntil(() => till.hub.isWaitedFor);
  await till.clock.advance(6_000);
  expect(await sold).toMatchObject({ status: "declined", reason: "E_TIMEOUT" });
  expect(till.kinds("p-1").slice(-2)).toEqual(["decision", "reversal"]);
});
