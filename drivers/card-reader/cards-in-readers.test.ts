import { expect, test } from "vitest";
import { fromHex } from "../../base/bytes.ts";
import { ManualClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { silentLog } from "../../base/log.ts";
import { type CardPort, CardsInReaders } from "./cards-in-readers.ts";

const ATR = fromHex("3B00");
const ASK = fromHex("00A40400");
const never = new AbortController().signal;

function stand() {
  const clock = new ManualClock();
  const lost = new AbortController();
  const sent: { command: Uint8Array; answer: (response: Uint8Array) => void }[] = [];
  const released: number[] = [];
  const port: CardPort = {
    lost: lost.signal,
    transmit: (_, command, signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        sent.push({ command, answer: resolve });
      }),
    release: (card) => released.push(card),
  };
  const cards = new CardsInReaders({ clock, log: silentLog, answerWithinMs: 5_000 });
  cards.attach(port);
  return { clock, lost, sent, released, cards };
}

async function withCard() {
  const world = stand();
  world.cards.handle({ on: "card-in", card: 1, atr: ATR });
  return { ...world, session: await world.cards.awaitCard(never) };
}

test("a card that is in already, and one that comes later, are both offered", async () => {
  const { cards } = stand();
  cards.handle({ on: "card-in", card: 1, atr: ATR });
  expect((await cards.awaitCard(never)).atr).toEqual(ATR);
  const later = cards.awaitCard(never);
  cards.handle({ on: "card-in", card: 2, atr: fromHex("3B01") });
  expect((await later).atr).toEqual(fromHex("3B01"));
});

test("RM3 a card that was offered is not offered again before it was out", async () => {
  const { cards, session } = await withCard();
  await session[Symbol.asyncDispose]();
  let offered = 0;
  const waiting = cards.awaitCard(never).then(() => {
    offered += 1;
  });
  await new Promise((turn) => setImmediate(turn));
  expect(offered).toBe(0);
  cards.handle({ on: "card-out", card: 1 });
  cards.handle({ on: "card-in", card: 2, atr: ATR });
  await waiting;
  expect(offered).toBe(1);
});

test("an answer is waited for five seconds and no longer", async () => {
  const { clock, session, released } = await withCard();
  const answer = session.transceive(ASK, never).catch((error: unknown) => error);
  await clock.advance(4_999);
  expect(released).toEqual([]);
  await clock.advance(1);
  expect(await answer).toMatchObject({ code: "card.mute" });
  // A mute card holds the reader: asking it for anything more would only queue behind the answer that never comes.
  await session[Symbol.asyncDispose]();
  expect(released).toEqual([]);
});

test("RM3 after a failure no second command leaves, whoever asks", async () => {
  const { clock, session, sent } = await withCard();
  const answer = session.transceive(ASK, never).catch((error: unknown) => error);
  await clock.advance(5_000);
  await answer;
  await expect(session.transceive(ASK, never)).rejects.toMatchObject({ code: "card.mute" });
  expect(sent).toHaveLength(1);
});

test("one command at a time, within its length", async () => {
  const { session, sent } = await withCard();
  const first = session.transceive(ASK, never);
  await expect(session.transceive(ASK, never)).rejects.toMatchObject({ code: "device.busy" });
  sent[0]?.answer(fromHex("9000"));
  expect(await first).toEqual(fromHex("9000"));
  await expect(session.transceive(new Uint8Array(3), never)).rejects.toMatchObject({ code: "codec.invalid" });
  await expect(session.transceive(new Uint8Array(262), never)).rejects.toMatchObject({ code: "codec.invalid" });
});

test.each([0, 1])("an answer of %i bytes is a card that left", async (length) => {
  const { session, sent } = await withCard();
  const answer = session.transceive(ASK, never);
  sent[0]?.answer(new Uint8Array(length));
  await expect(answer).rejects.toMatchObject({ code: "card.removed" });
});

test("a lost reader takes its cards with it, and answers every waiting call", async () => {
  const { cards, session, lost } = await withCard();
  const waiting = cards.awaitCard(never);
  const answer = session.transceive(ASK, never);
  lost.abort(new Fault("device.hung", "no sign of life"));
  await expect(answer).rejects.toMatchObject({ code: "card.removed" });
  await expect(waiting).rejects.toMatchObject({ code: "device.hung" });
  expect(session.removed.reason).toMatchObject({ code: "card.removed" });
});

test("the power is taken off a card whose session ends in good order", async () => {
  const { session, released } = await withCard();
  await session[Symbol.asyncDispose]();
  expect(released).toEqual([1]);
  await expect(session.transceive(ASK, never)).rejects.toMatchObject({ code: "transport.closed" });
});
