import { expect, test } from "vitest";
import { money } from "../../base/money.ts";
import { toWireMoney } from "../../wire/common.ts";
import { type PhoneAnswer, PhoneMessageSchema } from "../../wire/phone.ts";
import { EUR, seededRandom } from "./hub-fixture.ts";
import { CODE_TTL_MS, counter, enrolPhone, eur, registered, scan, wrongCode } from "./phone-fixture.ts";

test("AC1.1 a code with a cap of 50.00 pays 32.00 while the phone has no network, and the receipt shows a masked account only", async () => {
  const at = await counter();
  await at.phone.register({ capMinor: "5000" });
  at.phone.offline = true;
  const answer = await at.pay("p1", scan(at.phone.show().text));
  expect(answer).toMatchObject({ outcome: "approved", responseCode: "00" });
  expect(answer.maskedAccount).toMatch(/^\*{4}[0-9a-f]{4}$/);
  expect(at.customer.endsWith(answer.maskedAccount?.slice(4) ?? "?")).toBe(true);
  expect(JSON.stringify(answer)).not.toContain(at.customer);
  expect(await at.statuses()).toEqual(["USED"]);
  expect(await at.balance()).toEqual({ held: 3_200n, posted: 0n });
  const { maskedAccount = "" } = answer;
  const decision = at.terminal.decision("p1", {
    mode: "online",
    amount: eur(3_200),
    attempts: [1],
    code: { maskedAccount },
  });
  expect(await at.terminal.tell(at.terminal.entry(decision))).toMatchObject([{ status: "processed" }]);
  expect(await at.balance()).toEqual({ held: 0n, posted: 3_200n });
  expect((await at.account(at.merchant))?.creditsPosted).toBe(3_200n);
  expect(await at.statuses()).toEqual(["USED"]);
});

test("AC1.1 the phone hears of it when it has a network again, once", async () => {
  const at = await counter();
  await at.phone.register();
  at.phone.offline = true;
  const shown = at.phone.show();
  await at.pay("p1", scan(shown.text));
  await expect(at.phone.fetchNotices()).rejects.toThrow("no network");
  expect(at.phone.show()).toEqual(shown);
  at.phone.offline = false;
  expect(await at.phone.fetchNotices()).toMatchObject([
    { status: "paid", txnId: "p1", grantId: shown.grantId, amountMinor: "3200", currency: "EUR", merchantName: "shop" },
  ]);
  expect(await at.phone.fetchNotices()).toEqual([]);
  expect(at.phone.usable()).toEqual([]);
});

test("AC1.2 the same code in another transaction is E_USED and moves nothing", async () => {
  const at = await counter();
  const code = await registered(at);
  await at.pay("p1", code);
  const money = await at.balance();
  expect(await at.pay("p2", code)).toMatchObject({ outcome: "declined", reason: "E_USED" });
  expect(await at.pay("p2", code, { at: at.other })).toMatchObject({ outcome: "declined", reason: "E_USED" });
  expect(await at.balance()).toEqual(money);
  expect(await at.transfersUnder("T1/p2/")).toEqual([]);
});

test("AC1.3 the right code under another user's id is E_UNKNOWN, counts for him, and the fifth revokes all his codes", async () => {
  const at = await counter();
  const ben = await enrolPhone(at.fixture, { userId: "ben" });
  const code = await registered(at);
  await ben.phone.register();
  await ben.phone.register();
  const wrongCodesOf = async (user: string) => (await at.grants()).find(({ userId }) => userId === user)?.wrongCodes;
  for (let wrong = 1; wrong <= 4; wrong += 1) {
    expect(await at.pay(`w${wrong}`, { ...code, userId: "ben" })).toMatchObject({ reason: "E_UNKNOWN" });
    expect(await wrongCodesOf("ben")).toBe(wrong);
  }
  expect(await at.statuses()).toEqual(["ISSUED", "ISSUED", "ISSUED"]);
  expect(await at.pay("w5", { ...code, userId: "ben" })).toMatchObject({ reason: "E_UNKNOWN" });
  expect(await at.statuses()).toEqual(["ISSUED", "REVOKED", "REVOKED"]);
  expect(await at.pay("b1", scan(ben.phone.show().text))).toMatchObject({ outcome: "declined", reason: "E_DENIED" });
  expect(await wrongCodesOf("anna")).toBe(0);
  expect(await at.pay("p1", code)).toMatchObject({ outcome: "approved" });
});

test("AC1.3 repeats of one wrong request count once, a payment forgets the count, and users unknown here have none", async () => {
  const at = await counter();
  const code = await registered(at);
  const guess = wrongCode("anna", seededRandom("guess"));
  const request = at.terminal.request("w1", { code: guess, amount: eur(100) });
  for (let times = 0; times < 9; times += 1)
    expect(await at.terminal.ask(request)).toMatchObject({ reason: "E_UNKNOWN" });
  for (let wrong = 2; wrong <= 4; wrong += 1) await at.pay(`w${wrong}`, guess);
  expect(await at.pay("p1", code)).toMatchObject({ outcome: "approved" });
  expect((await at.grants())[0]?.wrongCodes).toBe(0);
  for (let wrong = 0; wrong < 6; wrong += 1) await at.pay(`n${wrong}`, { ...guess, userId: "carl" });
  expect(await at.dump()).not.toContain("carl");
});

test("AC1.4 with any one byte of the registration altered after signing there is no approval and no stored row", async () => {
  const at = await counter();
  const { signed } = at.phone.sign({
    type: "authorisation-request",
    body: {
      userId: "anna",
      secureCode: "A".repeat(26),
      accountRef: at.customer,
      capMinor: "5000",
      currency: EUR,
      deviceId: at.phone.identity.deviceId,
    },
  });
  const rows = await at.dump();
  for (let index = 0; index < signed.text.length; index += 1) {
    for (const replacement of ["0", "~"]) {
      const text = signed.text.slice(0, index) + replacement + signed.text.slice(index + 1);
      if (text === signed.text) continue;
      const refusal = await at.hub.receivePhone({ ...signed, text }).catch((error: unknown) => error);
      expect(refusal).toHaveProperty("code", expect.stringMatching(/^(?:signature|identity)\.invalid$/));
    }
  }
  for (let index = 0; index < signed.signature.length; index += 1) {
    const character = signed.signature[index] === "A" ? "B" : "A";
    const signature = signed.signature.slice(0, index) + character + signed.signature.slice(index + 1);
    await expect(at.hub.receivePhone({ ...signed, signature })).rejects.toHaveProperty("code", "signature.invalid");
  }
  expect(await at.dump()).toBe(rows);
  expect((await at.hub.receivePhone(signed)).type).toBe("first-approval");
  expect(await at.dump()).not.toBe(rows);
});

test("AC1.4 what another phone signed, or a phone unknown or blocked here, leaves no row", async () => {
  const at = await counter();
  const ben = await enrolPhone(at.fixture, { userId: "ben" });
  const words = { type: "notices", body: { since: 0 } } as const;
  const rows = await at.dump();
  const { text } = at.phone.sign(words).signed;
  const { signature } = ben.phone.sign(words).signed;
  await expect(at.hub.receivePhone({ text, signature })).rejects.toHaveProperty("code", "signature.invalid");
  const unknown = JSON.stringify({ ...JSON.parse(text), deviceId: "0".repeat(16) });
  await expect(at.hub.receivePhone({ text: unknown, signature })).rejects.toHaveProperty("code", "identity.invalid");
  expect(await at.dump()).toBe(rows);
  await at.setStatus(ben.phone, "blocked");
  const blocked = await at.dump();
  await expect(ben.phone.register()).rejects.toHaveProperty("code", "identity.invalid");
  expect(await at.dump()).toBe(blocked);
});

test("AC1.5 a repeat of an approval that was lost gets the identical answer, and one debit stands", async () => {
  const at = await counter();
  const code = await registered(at);
  const request = at.terminal.request("p1", { code, amount: eur(3_200) });
  const { time: _, ...lost } = await at.terminal.ask(request);
  const rows = await at.balance();
  await at.clock.advance(60_000);
  const { time: __, ...again } = await at.terminal.ask(request);
  expect(again).toEqual(lost);
  expect(await at.balance()).toEqual(rows);
  expect(await at.transfersUnder("T1/p1/")).toHaveLength(1);
  const conflict = await at.pay("p1", { ...code, secureCode: "A".repeat(26) });
  expect(conflict).toMatchObject({ outcome: "declined", reason: "E_CONFLICT" });
  expect(conflict.detail).toContain("code");
});

test.each([
  ["one millisecond before its end", CODE_TTL_MS - 1, { outcome: "approved" }],
  ["in its last millisecond", CODE_TTL_MS, { outcome: "approved" }],
  ["one millisecond after its end", CODE_TTL_MS + 1, { outcome: "declined", reason: "E_EXPIRED", responseCode: "54" }],
])("AC1.6 %s a code is answered for by the hub's clock alone", async (_when, afterMs, answer) => {
  const at = await counter();
  const { expiresAt } = await at.phone.register();
  expect(Date.parse(expiresAt) - at.clock.now()).toBe(CODE_TTL_MS);
  const code = scan(at.phone.show().text);
  await at.clock.advance(afterMs);
  expect(await at.pay("p1", code)).toMatchObject(answer);
  expect((await at.balance()).held).toBe(answer.outcome === "approved" ? 3_200n : 0n);
});

test("AC1.6 what has expired stays so, though the hub's clock is put back", async () => {
  const at = await counter();
  const code = await registered(at);
  await at.clock.advance(CODE_TTL_MS + 1);
  await at.pay("p1", code);
  at.clock.setWall(at.clock.now() - CODE_TTL_MS);
  expect(await at.pay("p2", code)).toMatchObject({ reason: "E_EXPIRED" });
  expect(await at.statuses()).toEqual(["EXPIRED"]);
});

test("R4 each bound has its own reason, in order, and a refused code pays afterwards", async () => {
  const at = await counter({ balanceMinor: 4_000n });
  const code = await registered(at, "5000");
  expect(await at.pay("p1", code, { minor: 5_001 })).toMatchObject({ reason: "E_LIMIT", responseCode: "61" });
  expect(await at.statuses()).toEqual(["ISSUED"]);
  expect(await at.pay("p2", code, { minor: 5_000 })).toMatchObject({ reason: "E_DENIED", responseCode: "51" });
  expect(await at.statuses()).toEqual(["ISSUED"]);
  const dollars = toWireMoney(money(100n, "USD"));
  expect(await at.pay("p3", code, { amount: dollars })).toMatchObject({ reason: "E_DENIED" });
  expect(await at.pay("p4", code, { minor: 0 })).toMatchObject({ reason: "E_FORMAT" });
  const both = at.terminal.request("p5", { code, amount: eur(100), card: at.terminal.seal("p5") });
  expect(await at.terminal.ask(both)).toMatchObject({ reason: "E_FORMAT" });
  await at.setStatus(at.phone, "blocked");
  expect(await at.pay("p6", code)).toMatchObject({ reason: "E_DENIED" });
  await at.setStatus(at.phone, "active");
  const device = { kind: "device", id: at.phone.identity.deviceId } as const;
  await at.hub.store.transaction((within) => at.hub.terminals.denyList.add(within, device));
  expect(await at.pay("p6b", code)).toMatchObject({ reason: "E_DENIED" });
  expect(await at.statuses()).toEqual(["ISSUED"]);
  await at.hub.store.transaction((within) => at.hub.terminals.denyList.remove(within, device));
  expect(await at.pay("p7", code, { minor: 4_000 })).toMatchObject({ outcome: "approved" });
  expect(await at.pay("p8", code, { minor: 9_999_999 })).toMatchObject({ reason: "E_USED" });
});

const refusalOf = (answer: PhoneAnswer) => (answer.type === "refused" ? answer.body.reason : answer.type);

test("R5 a user has three active codes at most, each within the hub's bounds, for his own account", async () => {
  const at = await counter();
  const body = {
    userId: "anna",
    secureCode: `${"B".repeat(25)}A`,
    accountRef: at.customer,
    currency: EUR,
    deviceId: at.phone.identity.deviceId,
  };
  const ask = async (changes: object) =>
    refusalOf(await at.phone.say({ type: "authorisation-request", body: { ...body, ...changes } }));
  expect(await ask({ capMinor: "20001" })).toBe("E_LIMIT");
  expect(await ask({ capMinor: "0" })).toBe("E_FORMAT");
  expect(await ask({ validitySec: 86_401 })).toBe("E_LIMIT");
  expect(await ask({ userId: "ben" })).toBe("E_DENIED");
  expect(await ask({ accountRef: at.merchant })).toBe("E_UNKNOWN");
  expect(await ask({ currency: "USD" })).toBe("E_DENIED");
  expect(await at.statuses()).toEqual([]);
  const first = await registered(at);
  await at.phone.register();
  await at.phone.register();
  await expect(at.phone.register()).rejects.toThrow("E_LIMIT");
  expect(at.phone.usable()).toHaveLength(3);
  await at.pay("p1", first);
  await at.phone.register();
  await at.clock.advance(CODE_TTL_MS + 1_000);
  await at.phone.register();
  expect(await at.statuses()).toEqual(["USED", "EXPIRED", "EXPIRED", "EXPIRED", "ISSUED"]);
});

test("R6 registering again gives the first answer and the first end; other content for the same code is a conflict", async () => {
  const at = await counter();
  const first = await at.phone.register({ capMinor: "5000" });
  const [sent] = at.sent;
  if (!sent) throw new Error("nothing was sent");
  await at.clock.advance(3_600_000);
  const again = await at.hub.receivePhone(sent);
  expect(again).toMatchObject({ type: "first-approval", body: first });
  const said = PhoneMessageSchema.parse(JSON.parse(sent.text));
  if (said.type !== "authorisation-request") throw new Error("it registers");
  const changed = await at.phone.say({ type: said.type, body: { ...said.body, capMinor: "6000" } });
  expect(refusalOf(changed)).toBe("E_CONFLICT");
  await at.phone.register({ capMinor: "5000" });
  expect(await at.statuses()).toEqual(["ISSUED", "ISSUED"]);
  await at.clock.advance(CODE_TTL_MS - 3_600_000 + 1);
  expect(at.phone.usable()).toHaveLength(1);
});

test("R1 a code whose answer was lost is registered once by asking again", async () => {
  const at = await counter();
  const losing = await enrolPhone(at.fixture, { userId: "ben" });
  losing.losing = true;
  await expect(losing.phone.register()).rejects.toThrow("lost");
  expect(losing.phone.usable()).toEqual([]);
  losing.losing = false;
  await losing.phone.settle();
  expect(await at.statuses()).toEqual(["ISSUED"]);
  expect(await at.pay("p1", scan(losing.phone.show().text))).toMatchObject({ outcome: "approved" });
});

test("R3 the code stands nowhere in the database, whether it was right or wrong", async () => {
  const at = await counter();
  const code = await registered(at);
  const rows = await at.dump();
  for (const secret of [code.secureCode, Buffer.from(code.secureCode).toString("hex"), code.secureCode.toLowerCase()])
    expect(rows).not.toContain(secret);
  await at.pay("p1", code);
  await at.pay("w1", { ...code, userId: "ben" });
  expect(await at.dump()).not.toContain(code.secureCode);
});
