import { expect, test } from "vitest";
import type { PaymentId, TerminalId } from "../../../base/ids.ts";
import { money } from "../../../base/money.ts";
import { DE, textOf } from "../../../protocols/iso8583/message.ts";
import { paymentReference } from "../../../protocols/iso8583/payment-reference.ts";
import type { Operation } from "../../../wire/common.ts";
import { NEW_ADVICE } from "../standin/recovery.ts";
import type { Advice } from "./advice-store.ts";
import type { Exchange } from "./exchange-store.ts";
import { type FactsInput, factsOf, messageOf, requestOf } from "./payment-facts.ts";

const key = { terminalId: "T1" as TerminalId, paymentId: "hotel" as PaymentId };
const asked = { stan: "000007", transmittedAt: Date.UTC(2026, 0, 5, 9, 15, 7) };
const told = { stan: "000008", transmittedAt: Date.UTC(2026, 0, 6, 9, 15, 7) };
const card = { pan: "4761739001010119", expiry: "3012" };
const acquirer = { id: "100000", merchant: "SHOP", category: "5411" };
const version = "0";

function exchangeOf(operation: Operation, more: Pick<FactsInput, "completes"> & Partial<Exchange> = {}): Exchange {
  const { completes, ...rest } = more;
  const question = { key, operation, amount: money(9_000n, "EUR"), at: asked.transmittedAt };
  const facts = factsOf({ question, completes, acquirer, rrn: "600509000007" });
  const exchange = { ...key, institutionId: "bank-1", account: "a", facts, card: new Uint8Array(), trace: asked };
  return {
    ...exchange,
    attempt: 1,
    sent: true,
    open: false,
    known: true,
    day: "2026-01-05",
    at: asked.transmittedAt,
    ...rest,
  };
}

const adviceOf = (more: Partial<Advice>): Advice => ({
  ...{
    ...key,
    number: 1,
    institutionId: "bank-1",
    account: "a",
    attempt: 1,
    kind: "advice",
    reason: "stand-in-timeout",
  },
  ...{ approved: true, responseCode: "00", at: told.transmittedAt, trace: told, state: NEW_ADVICE, ...more },
});

test.each([
  ["purchase", "0200"],
  ["refund", "0200"],
  ["pre-authorisation", "0100"],
] as const)("RM14 a %s is asked for by %s", (operation, mti) => {
  expect(requestOf({ version, exchange: exchangeOf(operation), card }).mti).toBe(mti);
});

test.each([
  ["a stood-in pre-authorisation", "pre-authorisation", {}, "0120", "0100"],
  ["a stood-in purchase", "purchase", {}, "0220", "0200"],
  ["the reversal of a pre-authorisation", "pre-authorisation", { kind: "reversal", reason: "voided" }, "0420", "0100"],
  ["the reversal of a purchase", "purchase", { kind: "reversal", reason: "voided" }, "0420", "0200"],
] as const)("RM14 %s names its original", (_what, operation, more, mti, original) => {
  const message = messageOf({ version, advice: adviceOf(more), exchange: exchangeOf(operation), card });
  expect(message.mti).toBe(mti);
  expect(textOf(message, DE.originalDataElements)?.slice(0, 10)).toBe(`${original}${asked.stan}`);
});

test("RM14 a completion is a 0220 about the payment of its pre-authorisation, whose 0100 it names", () => {
  const exchange = exchangeOf("completion", { completes: asked, attempt: 0, sent: false, trace: told });
  const advice = adviceOf({ attempt: 0, reason: "completion", approvalCode: "A1B2C3" });
  const message = messageOf({ version, advice, exchange, card });
  expect(message.mti).toBe("0220");
  expect(paymentReference(message)).toEqual({ ...key, reason: "completion" });
  expect(textOf(message, DE.originalDataElements)?.slice(0, 10)).toBe(`0100${asked.stan}`);
  expect(textOf(message, DE.processingCode)).toBe("000000");
});

test("RM14 a completion names no original where its issuer never saw one", () => {
  const exchange = exchangeOf("completion", { attempt: 0, sent: false });
  const message = messageOf({ version, advice: adviceOf({ attempt: 0, reason: "completion" }), exchange, card });
  expect(textOf(message, DE.originalDataElements)).toBeUndefined();
});
