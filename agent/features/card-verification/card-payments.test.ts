import { expect, test } from "vitest";
import { ManualClock } from "../../../base/clock.ts";
import { Fault } from "../../../base/fault.ts";
import type { TerminalId } from "../../../base/ids.ts";
import { silentLog } from "../../../base/log.ts";
import { money } from "../../../base/money.ts";
import type { CardSession } from "../../../drivers/capability.ts";
import type { CardAnswer, CardQuestion } from "./card-hub.ts";
import { type CardPaymentRequest, CardPayments } from "./card-payments.ts";

const REQUEST: CardPaymentRequest = { id: "CP-1", amount: money(1250n, "EUR"), payeeAccount: "merchant:shop:EUR" };
const OPEN: CardAnswer = { type: "card.result", replyTo: "0".repeat(24), txnId: "CP-1", status: "open" };
const APPROVED: CardAnswer = { ...OPEN, status: "approved", authCode: "ABC123" };
const CHALLENGE: CardAnswer = {
  type: "card.challenge",
  replyTo: "0".repeat(24),
  txnId: "CP-1",
  challengeId: "1".repeat(24),
  cipherChallenge: "ef".repeat(57),
  expiresAt: "2026-01-05T09:00:05.000Z",
};

/** SELECT, two times GET DATA, VERIFY CHALLENGE. */
const GENUINE: readonly string[] = [
  "6f009000",
  "df0108c0ffee00112233449000",
  "df0202abcd9000",
  `${"5a".repeat(32)}9000`,
];

interface Scene {
  readonly hub: (question: CardQuestion) => Promise<CardAnswer>;
  /** Answers of the card in hex; absent: nobody presents one. */
  readonly card?: readonly string[];
}

function scene({ hub, card }: Scene) {
  const clock = new ManualClock();
  const asked: CardQuestion[] = [];
  const sent: string[] = [];
  const never = new AbortController().signal;
  const session: CardSession = {
    atr: new Uint8Array(0),
    removed: never,
    transceive(command) {
      const answer = card?.[sent.length];
      sent.push(Buffer.from(command).toString("hex"));
      if (answer === undefined) return Promise.reject(new Fault("card.removed", "the card left"));
      return Promise.resolve(new Uint8Array(Buffer.from(answer, "hex")));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const payments = new CardPayments({
    terminalId: "T1" as TerminalId,
    hub: {
      ask(question) {
        asked.push(question);
        return hub(question);
      },
    },
    lane: {
      withCard: (signal, seen, work) => {
        seen();
        if (card) return work(session);
        return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
    },
    clock,
    log: silentLog,
    now: () => clock.now(),
    cardTimeoutMs: 30_000,
  });
  const take = (changes: Partial<CardPaymentRequest> = {}) => payments.take({ ...REQUEST, ...changes }, never);
  return { payments, take, asked, sent, clock };
}

const answering =
  (answers: Partial<Record<CardQuestion["type"], CardAnswer>>) =>
  ({ type }: CardQuestion): Promise<CardAnswer> => {
    const answer = answers[type];
    return answer ? Promise.resolve(answer) : Promise.reject(new Fault("uplink.timeout", "no answer from the hub"));
  };
const WELL = answering({ "card.lookup": OPEN, "card.transaction": CHALLENGE, "card.response": APPROVED });

test("the card's own words go to the hub, the hub's challenge to the card with what was shown, and its MAC back", async () => {
  const { take, asked, sent } = scene({ hub: WELL, card: GENUINE });
  expect(await take()).toMatchObject({ ok: true, value: { status: "approved", authCode: "ABC123" } });
  expect(asked.map(({ type }) => type)).toEqual(["card.lookup", "card.transaction", "card.response"]);
  expect(asked[1]?.body).toMatchObject({ cardId: "c0ffee0011223344", encryptedCardData: "abcd" });
  expect(asked[2]?.body).toEqual({ txnId: "CP-1", challengeId: "1".repeat(24), answer: "5a".repeat(32) });
  expect(sent).toHaveLength(4);
  for (const shown of ["CP-1", "EUR", "merchant:shop:EUR", "T1"])
    expect(sent[3]).toContain(Buffer.from(shown).toString("hex"));
});

test("RM4 a second caller under the same id attaches to the first; other content is a conflict that names its field", async () => {
  const gate = Promise.withResolvers<CardAnswer>();
  const { take, asked } = scene({
    hub: (question) => (question.type === "card.lookup" ? gate.promise : WELL(question)),
  });
  const first = take();
  const second = take();
  expect(await take({ amount: money(1251n, "EUR") })).toEqual({
    ok: false,
    error: { why: "conflict", field: "amount.minor" },
  });
  expect(await take({ payeeAccount: "merchant:b:EUR" })).toMatchObject({ error: { field: "payeeAccount" } });
  gate.resolve(APPROVED);
  expect(await first).toEqual(await second);
  expect(asked).toHaveLength(1);
});

test("what the hub decided before is told without asking for a card", async () => {
  const { take, sent } = scene({ hub: answering({ "card.lookup": APPROVED }) });
  expect(await take()).toMatchObject({ value: { status: "approved" } });
  expect(sent).toEqual([]);
});

test("a conflict that the hub finds is the caller's, with its field", async () => {
  const conflict: CardAnswer = { ...OPEN, status: "declined", reason: "E_CONFLICT", field: "amount.minor" };
  const { take } = scene({ hub: answering({ "card.lookup": conflict }) });
  expect(await take()).toEqual({ ok: false, error: { why: "conflict", field: "amount.minor" } });
});

test("RM3 a card that leaves is asked nothing again, and the hub is not told of an answer", async () => {
  const { take, asked, sent } = scene({ hub: WELL, card: GENUINE.slice(0, 3) });
  expect(await take()).toMatchObject({ value: { status: "failed", reason: "E_TIMEOUT" } });
  expect(sent).toHaveLength(4);
  expect(asked.map(({ type }) => type)).not.toContain("card.response");
});

test.each([
  ["an answer that is no TLV", ["6f009000", "ff9000"], "E_FORMAT"],
  ["a card number of three bytes", ["6f009000", "df0103c0ffee9000", "df0202abcd9000"], "E_UNKNOWN"],
  ["no such application", ["6a82"], "E_UNKNOWN"],
  ["more bytes than an answer may have", ["00".repeat(300)], "E_FORMAT"],
] as const)("a card with %s: failed, nothing moved", async (_what, card, reason) => {
  const { take, asked } = scene({ hub: WELL, card });
  expect(await take()).toMatchObject({ value: { status: "failed", reason } });
  expect(asked.map(({ type }) => type)).toEqual(["card.lookup"]);
});

test("a card that refuses the challenge is told to the hub with its status word", async () => {
  const { take, asked } = scene({ hub: WELL, card: [...GENUINE.slice(0, 3), "6985"] });
  await take();
  expect(asked[2]?.body).toEqual({ txnId: "CP-1", challengeId: "1".repeat(24), refused: "6985" });
});

test("a hub that takes the transaction but gives no challenge: failed, since nothing can have moved", async () => {
  const { take } = scene({ hub: answering({ "card.lookup": OPEN }), card: GENUINE });
  expect(await take()).toMatchObject({ value: { status: "failed", reason: "E_TIMEOUT" } });
});

test("the card's answer is told three times; without a result the outcome is called unknown, never failed", async () => {
  const { take, asked, clock } = scene({
    hub: answering({ "card.lookup": OPEN, "card.transaction": CHALLENGE }),
    card: GENUINE,
  });
  const taken = take();
  for (let pause = 0; pause < 4; pause += 1) await clock.advance(500);
  expect(await taken).toMatchObject({ value: { status: "unknown", reason: "E_TIMEOUT" } });
  expect(asked.filter(({ type }) => type === "card.response")).toHaveLength(3);
});

test("nobody presents a card: failed with E_TIMEOUT after the limit", async () => {
  const { take, clock, payments } = scene({ hub: WELL });
  const taken = take();
  // The hub is asked first; the limit is the customer's alone.
  await clock.advance(0);
  await clock.advance(29_999);
  expect(payments.running("CP-1")).toMatchObject({ status: "processing", stage: "awaiting-card" });
  await clock.advance(1);
  expect(await taken).toMatchObject({ value: { status: "failed", reason: "E_TIMEOUT" } });
  expect(payments.running("CP-1")).toBeUndefined();
});

test("cancelled while the card is waited for; stopping does the same and takes nothing new", async () => {
  const { take, payments, clock } = scene({ hub: WELL });
  const first = take();
  await clock.advance(1);
  expect(payments.cancel("CP-1")).toMatchObject({ ok: true });
  expect(await first).toMatchObject({ value: { status: "failed", reason: "E_STATE" } });
  expect(payments.cancel("CP-1")).toMatchObject({ error: { why: "not-found" } });
  const second = take();
  await clock.advance(1);
  await payments.drain(AbortSignal.timeout(5_000));
  expect(await second).toMatchObject({ value: { status: "failed" } });
  expect(await take()).toMatchObject({ error: { why: "draining" } });
});
