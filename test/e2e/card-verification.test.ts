/**
 * System 2 through the real reader: pcscd with its virtual reader, the agent's driver, lane and dialogue, and the card's
 * second application. The hub is in memory here, so that a test can stand between it and the agent.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DeviceManager } from "../../agent/devices/device-manager.ts";
import type { CardAnswer, CardQuestion } from "../../agent/features/card-verification/card-hub.ts";
import { CardPayments, type CardPaymentView } from "../../agent/features/card-verification/card-payments.ts";
import { ReaderLane } from "../../agent/payment/reader-lane.ts";
import { systemClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { silentLog } from "../../base/log.ts";
import { money } from "../../base/money.ts";
import { deviceCatalogue } from "../../drivers/catalogue.ts";
import type { CommandApdu, ResponseApdu } from "../../protocols/emv/apdu.ts";
import { type CardSim, startCardSim } from "../../sim/card/card-sim.ts";
import { VerificationApp } from "../../sim/card/verification-app.ts";
import { type Pcscd, startPcscd } from "../../sim/reader/pcscd.ts";
import type { UpEnvelope } from "../../wire/envelope.ts";
import { type CardHub, cardHub } from "../rules/card-hub.ts";

interface Card {
  select(): ResponseApdu;
  respond(command: CommandApdu): ResponseApdu;
}

const PAYEE = "merchant:shop:EUR";
const CARD_TIMEOUT_MS = 20_000;
/** More than all limits of one dialogue together. */
const WITHIN_MS = 60_000;

const folder = mkdtempSync(join(tmpdir(), "tw-ver-"));
let pcscd: Pcscd;
let sim: CardSim;
let devices: DeviceManager;
let lane: ReaderLane;
/** What lies on the chip in the reader. */
let onChip: Card;

let hub: CardHub;
let payments: CardPayments;
/** What stands between agent and hub: sees each message up, and may change it or its answer. */
let onTheWay: { up(question: CardQuestion): CardQuestion; down(answer: CardAnswer): CardAnswer };
/** Types of the messages that the hub was sent. */
let said: string[];

beforeAll(async () => {
  pcscd = await startPcscd({ folder });
  const application: Card = { select: () => onChip.select(), respond: (command) => onChip.respond(command) };
  const { aid } = new VerificationApp((await cardHub()).card);
  sim = await startCardSim({ port: pcscd.vpcdPort, extraApplications: [{ aid, application }] });
  devices = new DeviceManager({
    specs: [{ id: "reader", uri: `pcsc:*?socket=${pcscd.socket}` }],
    open: deviceCatalogue({ clock: systemClock, log: silentLog }),
    clock: systemClock,
    log: silentLog,
    chance: () => 0.5,
  });
  lane = new ReaderLane(devices, (then) => then());
});

afterAll(async () => {
  await devices[Symbol.asyncDispose]();
  await sim[Symbol.asyncDispose]();
  await pcscd[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  hub = await cardHub();
  onChip = hub.app;
  said = [];
  onTheWay = { up: (question) => question, down: (answer) => answer };
  payments = new CardPayments({
    terminalId: hub.terminal.terminalId,
    hub: {
      async ask(question) {
        said.push(question.type);
        const [message] = await hub.hub.receive({ ...hub.terminal.head(), ...onTheWay.up(question) } as UpEnvelope);
        return onTheWay.down({ ...message?.body, type: message?.type } as CardAnswer);
      },
    },
    lane,
    clock: systemClock,
    log: silentLog,
    now: () => systemClock.now(),
    cardTimeoutMs: CARD_TIMEOUT_MS,
  });
});

/** One payment with the card put in for it and taken out after. */
async function pay(id: string, minor: bigint): Promise<CardPaymentView> {
  const taken = payments.take({ id, amount: money(minor, "EUR"), payeeAccount: PAYEE }, AbortSignal.timeout(WITHIN_MS));
  await sim.insert();
  const result = await taken;
  await sim.pull();
  if (!result.ok) throw new Error(`refused: ${JSON.stringify(result.error)}`);
  return result.value;
}

const moved = async (): Promise<bigint> => 100_000n - (await hub.balance(hub.customer));

describe("through the real reader", () => {
  test("AC2.1 a genuine card pays 12.50: P1 and P2 pass, payer less and payee more in one atomic transfer", async () => {
    const view = await pay("CP-1", 1250n);
    expect(view).toMatchObject({ status: "approved", authCode: expect.stringMatching(/^[0-9A-V]{6}$/) });
    expect(await hub.trace("CP-1")).toEqual(["P0", "P1", "P2", "P3"]);
    expect(await moved()).toBe(1250n);
    expect(await hub.balance(PAYEE)).toBe(1250n);
    const transfers = (await hub.transfers()).filter(({ creditAccount }) => creditAccount === PAYEE);
    expect(transfers).toMatchObject([{ kind: "single", debitAccount: hub.customer, amount: 1250n }]);
  });

  test("AC2.2 a clone with copied number and data but no key fails in P1, and P2 is not executed", async () => {
    onChip = new VerificationApp({ ...hub.card, dataKey: "11".repeat(32), macKey: "22".repeat(32) });
    expect(await pay("CP-1", 1250n)).toMatchObject({ status: "declined", failedProcess: 1 });
    expect(await hub.trace("CP-1")).toEqual(["P0", "P1"]);
    expect(await moved()).toBe(0n);
  });

  test("AC2.2 a clone that answers every challenge at random fails in P1, and P2 is not executed", async () => {
    onChip = answeringAlways(new Uint8Array(32).fill(0x5a));
    expect(await pay("CP-1", 1250n)).toMatchObject({ status: "declined", failedProcess: 1 });
    expect(await hub.trace("CP-1")).toEqual(["P0", "P1"]);
  });

  test("AC2.3 the right key with the encrypted data of another card: P1 passes, P2 fails, no money moves", async () => {
    onChip = new VerificationApp({ ...hub.card, encryptedCardData: (await hub.addCard()).encryptedCardData });
    expect(await pay("CP-1", 1250n)).toMatchObject({ status: "declined", failedProcess: 2 });
    expect(await hub.trace("CP-1")).toEqual(["P0", "P1", "P2"]);
    expect(await moved()).toBe(0n);
  });

  test("AC2.4 an answer that was recorded at the reader and is replayed for a new transaction fails P1", async () => {
    const recorded: Uint8Array[] = [];
    const genuine = hub.app;
    onChip = {
      select: () => genuine.select(),
      respond(command) {
        const response = genuine.respond(command);
        if (command.ins === 0x88) recorded.push(response.data);
        return response;
      },
    };
    expect(await pay("CP-1", 1250n)).toMatchObject({ status: "approved" });
    const [answer] = recorded;
    if (!answer) throw new Error("nothing was recorded");
    onChip = answeringAlways(answer);
    expect(await pay("CP-2", 1250n)).toMatchObject({ status: "declined", failedProcess: 1 });
    expect(await hub.trace("CP-2")).toEqual(["P0", "P1"]);
    expect(await moved()).toBe(1250n);
  });

  test("AC2.5 an amount changed on its way to the hub: the card refuses what it was not shown, P1 fails", async () => {
    onTheWay.up = (question) => withAmount(question, "125000");
    expect(await pay("CP-1", 1250n)).toMatchObject({ status: "declined", failedProcess: 1 });
    expect(await hub.trace("CP-1")).toEqual(["P0", "P1"]);
    expect(await moved()).toBe(0n);
  });

  test("AC2.5 the genuine answer for one amount, presented for another under the same id, fails P1", async () => {
    // The terminal is told a challenge for 12.50 and the card answers it; the hub has the transaction with 1,250.00.
    const small = await hub.begin("CP-0", 1250n);
    const answer = hub.ask(hub.app, small).data;
    onTheWay.up = (question) => {
      if (question.type !== "card.response") return withAmount(question, "125000");
      return { type: "card.response", body: { ...question.body, refused: undefined, answer } } as CardQuestion;
    };
    expect(await pay("CP-1", 1250n)).toMatchObject({ status: "declined", failedProcess: 1 });
    expect(await moved()).toBe(0n);
  });

  test.each([0, 1, 2, 3])(
    "AC2.6 the card leaves in mid-exchange, at command %i: a clean E_TIMEOUT, nothing moved, and the next card works",
    async (apdus) => {
      sim.pullAfter(apdus);
      expect(await pay("CP-1", 1250n)).toMatchObject({ status: "failed", reason: "E_TIMEOUT" });
      expect(said).not.toContain("card.response");
      expect(await moved()).toBe(0n);
      expect(await pay("CP-2", 1250n)).toMatchObject({ status: "approved" });
      expect(await pay("CP-1", 1250n)).toMatchObject({ status: "approved" });
      expect(await moved()).toBe(2500n);
    },
  );

  test("RM4 an answer that was lost on its way back is had again under the same id, without a card and without moving more", async () => {
    let lost = 0;
    onTheWay.down = (answer) => {
      if (answer.type === "card.result" && answer.status === "approved" && lost < 3) {
        lost += 1;
        throw new Fault("uplink.timeout", "no answer from the hub");
      }
      return answer;
    };
    expect(await pay("CP-1", 1250n)).toMatchObject({ status: "unknown", reason: "E_TIMEOUT" });
    expect(lost).toBe(3);
    const again = await payments.take(
      { id: "CP-1", amount: money(1250n, "EUR"), payeeAccount: PAYEE },
      AbortSignal.timeout(WITHIN_MS),
    );
    expect(again).toMatchObject({ ok: true, value: { status: "approved" } });
    const other = { id: "CP-1", amount: money(1251n, "EUR"), payeeAccount: PAYEE };
    expect(await payments.take(other, AbortSignal.timeout(WITHIN_MS))).toEqual({
      ok: false,
      error: { why: "conflict", field: "amount.minor" },
    });
    expect(await moved()).toBe(1250n);
  });

  test("a card without the application is named as such, and the hub is told of no transaction", async () => {
    onChip = { select: () => ({ data: new Uint8Array(0), status: 0x6a82 }), respond: (c) => hub.app.respond(c) };
    expect(await pay("CP-1", 1250n)).toMatchObject({ status: "failed", reason: "E_UNKNOWN" });
    expect(said).toEqual(["card.lookup"]);
  });
});

/** Copied number and data, and one answer for all challenges. */
function answeringAlways(answer: Uint8Array): Card {
  const copied = hub.app;
  return {
    select: () => copied.select(),
    respond: (command) => (command.ins === 0x88 ? { data: answer, status: 0x9000 } : copied.respond(command)),
  };
}

function withAmount(question: CardQuestion, minor: string): CardQuestion {
  const amount = { minor, currency: "EUR" };
  if (question.type === "card.lookup") return { ...question, body: { ...question.body, amount } } as CardQuestion;
  if (question.type === "card.response") return question;
  const transaction = { ...question.body.transaction, amount };
  return { ...question, body: { ...question.body, transaction } } as CardQuestion;
}
