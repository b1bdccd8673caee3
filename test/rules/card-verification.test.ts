/** System 2 at the hub's core: the card is the simulator's application, spoken to without a reader. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../base/bytes.ts";
import { ManualClock } from "../../base/clock.ts";
import type { TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { money } from "../../base/money.ts";
import { createHubCore, openHubDatabase } from "../../hub/hub-core.ts";
import { newHubKeys } from "../../hub/keys.ts";
import { sqliteStore } from "../../hub/store/sqlite-store.ts";
import { sql } from "../../hub/store/store.ts";
import { sealCardData } from "../../protocols/card-verification/cryptography.ts";
import { STATUS } from "../../protocols/emv/apdu.ts";
import { VerificationApp } from "../../sim/card/verification-app.ts";
import { type Begun, CARD, cardHub, hubOf } from "./card-hub.ts";
import { enrolTerminal, seededRandom, TEST_EXPIRY, TEST_PAN, TEST_POLICY } from "./hub-fixture.ts";

const RANDOM_ANSWER = "5a".repeat(32);

describe("the four processes", () => {
  test("AC2.1 a genuine card pays 12.50: P0 to P3 in order, one transfer, and all balances sum to nothing", async () => {
    const hub = await cardHub();
    const result = await hub.pay("CP-1", 1250n);
    expect(result).toMatchObject({ status: "approved", authCode: expect.stringMatching(/^[0-9A-V]{6}$/) });
    expect(await hub.trace("CP-1")).toEqual(["P0", "P1", "P2", "P3"]);
    expect(await hub.balance(hub.customer)).toBe(100_000n - 1250n);
    expect(await hub.balance("merchant:shop:EUR")).toBe(1250n);
    expect((await hub.transfers()).filter(({ amount }) => amount === 1250n)).toHaveLength(1);
  });

  test("AC2.2 a clone with copied number and data but no key fails in P1, and P2 does not run", async () => {
    const hub = await cardHub();
    const clone = new VerificationApp({ ...hub.card, dataKey: "11".repeat(32), macKey: "22".repeat(32) });
    const begun = await hub.begin("CP-1", 1250n);
    expect(hub.ask(clone, begun)).toEqual({ status: 0x6988, data: "" });
    expect(await hub.respond(begun, { answer: RANDOM_ANSWER })).toMatchObject({ status: "declined", failedProcess: 1 });
    expect(await hub.trace("CP-1")).toEqual(["P0", "P1"]);
    expect(await hub.balance(hub.customer)).toBe(100_000n);
  });

  test("AC2.2 a clone that holds the right data key but guesses at the MAC key fails in P1 all the same", async () => {
    const hub = await cardHub();
    const clone = new VerificationApp({ ...hub.card, macKey: hub.card.dataKey });
    const begun = await hub.begin("CP-1", 1250n);
    const { data } = hub.ask(clone, begun);
    expect(data).toHaveLength(64);
    expect(await hub.respond(begun, { answer: data })).toMatchObject({ failedProcess: 1, reason: "E_DENIED" });
    expect(await hub.trace("CP-1")).toEqual(["P0", "P1"]);
  });

  test("AC2.3 the right key with another card's data passes P1 and fails P2; nothing moves", async () => {
    const hub = await cardHub();
    const other = await hub.addCard();
    const swapped = { ...hub.card, encryptedCardData: other.encryptedCardData };
    expect(await hub.pay("CP-1", 1250n, { card: swapped })).toMatchObject({ status: "declined", failedProcess: 2 });
    expect(await hub.trace("CP-1")).toEqual(["P0", "P1", "P2"]);
    expect(await hub.balance(hub.customer)).toBe(100_000n);
  });

  test("AC2.3 data well encrypted under the right key, but not the stored ones, fail P2", async () => {
    const hub = await cardHub();
    const key = { cardId: fromHex(hub.card.cardId), dataKey: fromHex(hub.card.dataKey) };
    const forged = toHex(sealCardData(key, new Uint8Array(32), seededRandom("forger")));
    const swapped = { ...hub.card, encryptedCardData: forged };
    expect(await hub.pay("CP-1", 1250n, { card: swapped })).toMatchObject({ status: "declined", failedProcess: 2 });
  });

  test("AC2.4 a recorded answer replayed for a new transaction fails P1", async () => {
    const hub = await cardHub();
    const first = await hub.begin("CP-1", 1250n);
    const recorded = hub.ask(hub.app, first).data;
    expect(await hub.respond(first, { answer: recorded })).toMatchObject({ status: "approved" });
    const second = await hub.begin("CP-2", 1250n);
    expect(await hub.respond(second, { answer: recorded })).toMatchObject({ status: "declined", failedProcess: 1 });
    expect(await hub.balance(hub.customer)).toBe(100_000n - 1250n);
  });

  test("AC2.5 an amount changed on its way to the hub: the card refuses, and P1 fails", async () => {
    const hub = await cardHub();
    const begun = await hub.begin("CP-1", 125_000n);
    const shown = { ...begun, amountMinor: 1250n };
    expect(hub.ask(hub.app, shown)).toEqual({ status: 0x6985, data: "" });
    expect(await hub.respond(begun, { refused: "6985" })).toMatchObject({ status: "declined", failedProcess: 1 });
  });

  test.each(["payeeAccount", "terminalId", "currency"] as const)(
    "RM7 AC2.5 a card that was shown another %s answers, and P1 fails",
    async (field) => {
      const hub = await cardHub();
      const begun = await hub.begin("CP-1", 1250n);
      const other = { payeeAccount: "merchant:shop:SEK", terminalId: "T2", currency: "SEK" }[field];
      const { data } = hub.ask(hub.app, { ...begun, [field]: other });
      expect(await hub.respond(begun, { answer: data })).toMatchObject({ status: "declined", failedProcess: 1 });
    },
  );
});

describe("the card is no oracle (RM7)", () => {
  test("RM7 it answers a challenge once, and not again with another amount after a refusal", async () => {
    const hub = await cardHub();
    const begun = await hub.begin("CP-1", 1250n);
    expect(hub.ask(hub.app, { ...begun, amountMinor: 1n }).status).toBe(0x6985);
    expect(hub.ask(hub.app, begun).status).toBe(0x6984);
    const next = await hub.begin("CP-1", 1250n);
    expect(hub.ask(hub.app, next).status).toBe(STATUS.ok);
    expect(hub.ask(hub.app, next).status).toBe(0x6984);
  });

  test("RM7 it gives no plaintext: neither its encrypted data nor a challenge of another card is answered", async () => {
    const hub = await cardHub();
    const begun = await hub.begin("CP-1", 1250n);
    const asData: Begun = { ...begun, cipherChallenge: hub.card.encryptedCardData };
    expect(hub.ask(hub.app, asData)).toEqual({ status: 0x6988, data: "" });
    expect(hub.ask(new VerificationApp(await hub.addCard()), begun)).toEqual({ status: 0x6988, data: "" });
  });
});

describe("time and repetition", () => {
  test("an answer at the last millisecond counts, one later fails P1", async () => {
    const inTime = await cardHub();
    const begun = await inTime.begin("CP-1", 1250n);
    const answer = inTime.ask(inTime.app, begun).data;
    await inTime.clock.advance(5_000);
    expect(await inTime.respond(begun, { answer })).toMatchObject({ status: "approved" });

    const late = await cardHub();
    const again = await late.begin("CP-1", 1250n);
    const lateAnswer = late.ask(late.app, again).data;
    await late.clock.advance(5_001);
    expect(await late.respond(again, { answer: lateAnswer })).toMatchObject({ failedProcess: 1, reason: "E_EXPIRED" });
    expect(await late.balance(late.customer)).toBe(100_000n);
  });

  test("RM4 a repeat gives the first answer and moves nothing; other content names its field", async () => {
    const hub = await cardHub();
    const begun = await hub.begin("CP-1", 1250n);
    const answer = hub.ask(hub.app, begun).data;
    const first = await hub.respond(begun, { answer });
    expect(await hub.respond(begun, { answer })).toEqual(first);
    expect(await hub.respond(begun, { answer: RANDOM_ANSWER })).toEqual(first);
    expect(await hub.beginAgain("CP-1", 1250n)).toEqual(first);
    expect(await hub.lookUp("CP-1")).toEqual(first);
    expect(await hub.beginAgain("CP-1", 1251n)).toMatchObject({ reason: "E_CONFLICT", field: "amount.minor" });
    expect(await hub.lookUp("CP-1", { payeeAccount: "merchant:other:EUR" })).toMatchObject({ field: "payeeAccount" });
    expect(await hub.beginAgain("CP-1", 1250n, await hub.addCard())).toMatchObject({ field: "cardId" });
    expect(await hub.balance(hub.customer)).toBe(100_000n - 1250n);
  });

  test("a question withdraws the open challenge, so that open means that nothing can move", async () => {
    const hub = await cardHub();
    const begun = await hub.begin("CP-1", 1250n);
    const answer = hub.ask(hub.app, begun).data;
    expect(await hub.lookUp("CP-1")).toMatchObject({ status: "open" });
    expect(await hub.respond(begun, { answer })).toMatchObject({ status: "open", reason: "E_UNKNOWN" });
    expect(await hub.balance(hub.customer)).toBe(100_000n);
    expect(await hub.pay("CP-1", 1250n)).toMatchObject({ status: "approved" });
  });

  test("a new challenge spends the one before, whose late answer moves nothing and counts as no failure", async () => {
    const hub = await cardHub();
    const first = await hub.begin("CP-1", 1250n);
    const answer = hub.ask(hub.app, first).data;
    const second = await hub.begin("CP-1", 1250n);
    expect(second.challengeId).not.toBe(first.challengeId);
    expect(await hub.respond(first, { answer })).toMatchObject({ status: "open", reason: "E_UNKNOWN" });
    expect(await hub.balance(hub.customer)).toBe(100_000n);
    expect(await hub.operator("GET", "/v1/card-verification/cards")).toMatchObject({ cards: [{ failures: 0 }] });
  });

  test("the answer to one terminal's challenge is nothing from another", async () => {
    const hub = await cardHub();
    const begun = await hub.begin("CP-1", 1250n);
    const answer = hub.ask(hub.app, begun).data;
    const other = await enrolTerminal({ ...hub, random: seededRandom("T2"), terminalId: "T2" as TerminalId });
    const [message] = await hub.hub.receive({
      ...other.head(),
      type: "card.response",
      body: { txnId: "CP-1", challengeId: begun.challengeId, answer },
    });
    expect(message?.body).toMatchObject({ status: "open", reason: "E_UNKNOWN" });
    expect(await hub.balance(hub.customer)).toBe(100_000n);
  });

  test("a hub that was stopped and started again still knows the challenge, and the secret is erased once spent", async () => {
    const folder = mkdtempSync(join(tmpdir(), "card-hub-"));
    try {
      const clock = new ManualClock();
      const random = seededRandom("restart");
      const keys = newHubKeys(random);
      const path = join(folder, "hub.db");
      const start = async () => {
        const database = openHubDatabase(path);
        const store = sqliteStore(database);
        const hub = await createHubCore({ store, keys, policy: TEST_POLICY, clock, random, log: silentLog });
        return { database, hub };
      };
      const before = await start();
      const account = { pan: TEST_PAN, expiry: TEST_EXPIRY, balance: money(100_000n, "EUR") };
      const opened = await before.hub.store.transaction((within) =>
        before.hub.authorisation.openAccount(within, account),
      );
      if (!opened.ok) throw new Error(opened.error);
      const customer = opened.value.id;
      const terminal = await enrolTerminal({ hub: before.hub, clock, random, terminalId: "T1" as TerminalId });
      const first = await hubOf({ ...before, clock, terminal, customer });
      const begun = await first.begin("CP-1", 1250n);
      const answer = first.ask(first.app, begun).data;
      before.database.close();
      const after = await start();
      const second = await hubOf({ ...after, clock, terminal, customer, card: first.card });
      expect(await second.respond(begun, { answer })).toMatchObject({ status: "approved" });
      const kept = after.database.prepare(
        "SELECT challenge_secret, encrypted_data FROM card_verification__transaction",
      );
      expect(kept.all()).toEqual([{ challenge_secret: null, encrypted_data: null }]);
      after.database.close();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("failures", () => {
  test("a card whose keys cannot be opened fails no other card's transaction in the same commit", async () => {
    const hub = await cardHub();
    const broken = await hub.addCard();
    const takeAnothers = sql<[string, string]>(
      `UPDATE card_verification__card SET sealed_keys =
         (SELECT sealed_keys FROM card_verification__card WHERE card_id = ?) WHERE card_id = ?`,
    );
    await hub.hub.store.transaction((within) => within.run(takeAnothers, [hub.card.cardId, broken.cardId]));
    const [first, second] = await Promise.allSettled([
      hub.begin("CP-1", 1250n, { card: broken }),
      hub.begin("CP-2", 1250n),
    ]);
    expect(first).toMatchObject({ reason: { code: "identity.invalid" } });
    expect(second).toMatchObject({ value: { txnId: "CP-2" } });
  });

  test("three in a row block the card, before any process but P0; the operator takes the block away", async () => {
    const hub = await cardHub();
    for (const id of ["CP-1", "CP-2", "CP-3"]) {
      expect(await hub.respond(await hub.begin(id, 1250n), { answer: RANDOM_ANSWER })).toMatchObject({
        failedProcess: 1,
      });
    }
    expect(await hub.beginAgain("CP-4", 1250n)).toMatchObject({ status: "declined", reason: "E_DENIED" });
    expect(await hub.trace("CP-4")).toEqual(["P0"]);
    await hub.operator("POST", "/v1/card-verification/unblock", { cardId: hub.card.cardId });
    expect(await hub.pay("CP-5", 1250n)).toMatchObject({ status: "approved" });
  });

  test("a block ends the card's open challenges too", async () => {
    const hub = await cardHub();
    const open = await hub.begin("CP-0", 1250n);
    const answer = hub.ask(hub.app, open).data;
    for (const id of ["CP-1", "CP-2", "CP-3"]) await hub.respond(await hub.begin(id, 1250n), { answer: RANDOM_ANSWER });
    expect(await hub.respond(open, { answer })).toMatchObject({ status: "declined", reason: "E_DENIED" });
    expect(await hub.trace("CP-0")).toEqual(["P0"]);
  });

  test("a success between them forgets the failures", async () => {
    const hub = await cardHub();
    const wrong = async (id: string) => await hub.respond(await hub.begin(id, 100n), { answer: RANDOM_ANSWER });
    await wrong("CP-1");
    await wrong("CP-2");
    expect(await hub.pay("CP-3", 1250n)).toMatchObject({ status: "approved" });
    await wrong("CP-4");
    await wrong("CP-5");
    expect(await hub.pay("CP-6", 1250n)).toMatchObject({ status: "approved" });
  });

  test.each([
    ["a card unknown here", { card: { ...CARD } }, "E_UNKNOWN", ["P0"]],
    ["a payee unknown here", { payeeAccount: "merchant:nobody:EUR" }, "E_UNKNOWN", ["P0", "P1", "P2", "P3"]],
    ["a payee that is the hub's own equity", { payeeAccount: "equity:EUR" }, "E_DENIED", ["P0", "P1", "P2", "P3"]],
    ["more than the account has", { minor: 100_001n }, "E_LIMIT", ["P0", "P1", "P2", "P3"]],
    ["a currency that is not the account's", { currency: "SEK" }, "E_DENIED", ["P0", "P1", "P2", "P3"]],
  ] as const)("%s: declined, nothing moved", async (_what, changes, reason, trace) => {
    const hub = await cardHub();
    const { minor = 1250n, ...rest } = changes as { minor?: bigint };
    const result = await hub.pay("CP-1", minor, rest);
    expect(result).toMatchObject({ status: "declined", reason });
    expect(await hub.trace("CP-1")).toEqual(trace);
    expect(await hub.balance(hub.customer)).toBe(100_000n);
  });

  test("a payee is a merchant: a terminal moves no customer's money to another customer", async () => {
    const hub = await cardHub();
    const account = { pan: "4761739001010119", expiry: "3112", balance: money(0n, "EUR") };
    const opened = await hub.hub.store.transaction((within) => hub.hub.authorisation.openAccount(within, account));
    if (!opened.ok) throw new Error(opened.error);
    const { id } = opened.value;
    expect(await hub.pay("CP-1", 1250n, { payeeAccount: id })).toMatchObject({
      status: "declined",
      reason: "E_DENIED",
      detail: "the payee is no merchant",
    });
    expect([await hub.balance(hub.customer), await hub.balance(id)]).toEqual([100_000n, 0n]);
  });

  test("neither an amount of nothing nor another terminal's name is taken, and both may be said right afterwards", async () => {
    const hub = await cardHub();
    expect(await hub.beginAgain("CP-1", 0n)).toMatchObject({ reason: "E_FORMAT", field: "amount.minor" });
    const other = hub.transactionOf("CP-1", 1250n, { terminalId: "T2" as TerminalId });
    expect(await hub.say(other)).toMatchObject({ reason: "E_DENIED", field: "terminalId" });
    expect(await hub.pay("CP-1", 1250n)).toMatchObject({ status: "approved" });
  });
});

test("no key and no clear data of a card lie in the hub's database in clear", async () => {
  const hub = await cardHub();
  await hub.pay("CP-1", 1250n);
  const dump = await hub.dump();
  for (const secret of [hub.card.dataKey, hub.card.macKey]) {
    expect(dump).not.toContain(secret);
    expect(dump).not.toContain(JSON.stringify([...fromHex(secret)]).slice(1, -1));
  }
});
