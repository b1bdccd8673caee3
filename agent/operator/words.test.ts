import { expect, test } from "vitest";
import type { PaymentJson } from "../api/api-schemas.ts";
import type { Status } from "../health/health.ts";
import { PAYMENT_STAGES } from "../payment/payments.ts";
import {
  amountText,
  devicesText,
  durationText,
  eventText,
  holdStageWords,
  outcomeText,
  queueSummary,
  refundStageWords,
  stageWords,
  statusText,
  table,
} from "./words.ts";

const PAYMENT: PaymentJson = {
  id: "p-1",
  operation: "purchase",
  status: "approved",
  amount: { minor: "1234", currency: "EUR" },
  mode: "offline",
  approvalCode: "123456",
  card: { entryMode: "chip", maskedPan: "************0010", label: "VISA", aid: "a0" },
  ticket: "printed",
  startedAt: "2026-01-05T09:00:00.000Z",
};

test("amounts have the decimals of their currency", () => {
  expect(amountText({ minor: "1234", currency: "EUR" })).toBe("12.34 EUR");
  expect(amountText({ minor: "1234", currency: "JPY" })).toBe("1234 JPY");
  expect(amountText({ minor: "5", currency: "KWD" })).toBe("0.005 KWD");
});

test("a payment ends in one line", () => {
  expect(outcomeText(PAYMENT)).toBe(
    "approved 12.34 EUR, offline, VISA ************0010, code 123456, receipt printed, id p-1",
  );
  const { card: _card, approvalCode: _code, mode: _mode, ...bare } = PAYMENT;
  expect(outcomeText({ ...bare, operation: "refund", status: "aborted", ticket: "none", detail: "no card came" })).toBe(
    "refund aborted 12.34 EUR, no card came, id p-1",
  );
  const held = { operation: "pre-authorisation", heldUntil: "2026-01-12T09:00:00.000Z", ticket: "none" } as const;
  expect(outcomeText({ ...bare, ...held, completedBy: "p-2" })).toBe(
    "pre-authorisation approved 12.34 EUR, held until 2026-01-12T09:00:00.000Z, completed by p-2, id p-1",
  );
  expect(outcomeText({ ...bare, ...held, status: "voided" })).toBe("pre-authorisation voided 12.34 EUR, id p-1");
  expect(outcomeText({ ...bare, operation: "tip" })).toBe("tip approved 12.34 EUR, receipt printed, id p-1");
});

test("only stages that matter to the cashier have words", () => {
  expect(PAYMENT_STAGES.flatMap((stage) => stageWords(stage) ?? [])).toEqual([
    "present card or code",
    "reading the card, leave it in",
    "checking the code",
    "going online",
    "no answer from the hub, deciding offline",
    "printing",
  ]);
  expect(stageWords("toString")).toBeUndefined();
  expect(PAYMENT_STAGES.flatMap((stage) => refundStageWords(stage) ?? [])).not.toContain("present card or code");
  expect(refundStageWords("online-request-sent")).toBe("going online");
  expect(PAYMENT_STAGES.flatMap((stage) => holdStageWords(stage) ?? []).slice(0, 1)).toEqual(["present card"]);
  expect(holdStageWords("online-unknown-stored")).toBe("no answer from the hub");
});

test("tables are aligned and end without blanks", () => {
  expect(
    table([
      ["a", "bbb", "c"],
      ["aaa", "b", ""],
    ]),
  ).toBe("a    bbb  c\naaa  b");
  expect(devicesText([])).toBe("no devices are configured");
});

test("the status leads with whether it sells", () => {
  const status: Status = {
    selling: "offline until 2026-01-05 14:30, 12 sales or 340.00 EUR left",
    version: "0.1.0",
    terminalId: "till-1",
    uptimeSec: 3_700,
    running: 0,
    hub: { state: "down", via: "mqtt", silent: false, advicesOnly: false },
    queue: { depth: 3, oldestAgeSec: 90, quarantined: 1, outstandingCount: 3, outstandingMinor: "1" },
    journal: { epoch: "e", sequence: 9, hash: "h" },
    devices: [{ id: "reader", uri: "pcsc:*", state: "ready", detail: "a reader", since: "now" }],
    disk: { freeMb: 900, reserveMb: 64 },
    clock: { now: "2026-01-05T09:00:00.000Z", aheadOfHubMs: -1_500 },
  };
  expect(statusText(status).split("\n")).toEqual([
    "selling   offline until 2026-01-05 14:30, 12 sales or 340.00 EUR left",
    "terminal  till-1, version 0.1.0, up 1 h",
    "hub       down (mqtt)",
    "lease     none",
    "queue     3 waiting, oldest 1 min, 1 quarantined",
    "journal   entry 9 of e",
    "disk      900 MB free, 64 MB kept",
    "clock     2026-01-05T09:00:00.000Z, 1.5 s behind the hub",
    "reader    ready: a reader",
  ]);
  expect(statusText({ ...status, hub: { ...status.hub, silent: true } })).toContain(
    "hub       down (mqtt): connected, but the hub does not answer\n",
  );
  expect(statusText({ ...status, hub: { ...status.hub, advicesOnly: true } })).toContain(
    "hub       down (mqtt): this terminal's certificate has ended, so the hub takes only what is stored\n",
  );
  expect(durationText(200_000)).toBe("2 days");
});

test("the queue's words say how much waits, since when, worth what, and how long it takes", () => {
  const queue = { depth: 3, oldestAgeSec: 90, quarantined: 1, outstandingCount: 3, outstandingMinor: "4500" };
  expect(queueSummary({ ...queue, ratePerSec: 1.5, etaSec: 2 }, "EUR")).toBe(
    "3 waiting, oldest 1 min, 45.00 EUR sold offline, about 2 s at 1.5 a second, 1 quarantined",
  );
  expect(queueSummary({ ...queue, depth: 0, quarantined: 0, outstandingMinor: "0" }, "EUR")).toBe("empty");
});

test("events are one line each", () => {
  expect(eventText({ type: "payment.stage", data: { id: "p-1", stage: "accepted" } })).toBe(
    "payment.stage  p-1  accepted",
  );
  expect(eventText({ type: "payment.hint", data: { id: "p-1", detail: "a product code" } })).toBe(
    "payment.hint  p-1  a product code",
  );
  expect(eventText({ type: "hub.state", data: { state: "down" } })).toBe("hub.state  down");
  expect(eventText({ type: "payment.ended", data: { payment: PAYMENT } })).toMatch(
    /^payment\.ended {2}approved 12\.34 EUR/,
  );
});
