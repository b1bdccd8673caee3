/** Payment with both sides offline (RM11): one phone, its allowance, and tills with no hub in reach. */
import { expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { createNoteWallet, memoryStore } from "../../sim/phone/notes.ts";
import type { EntryOf, NoteFacts } from "../../wire/journal-entry.ts";
import { decodeChallenge, openNote, signAllowance, signNote } from "../../wire/offline-note.ts";
import { EUR } from "./hub-fixture.ts";
import { ALLOWANCE, NOTE_POLICY, type NoteTill, NoteWorld } from "./note-fixture.ts";
import { Till } from "./till.ts";

const TTL_MS = NOTE_POLICY.ttlSec * 1_000;
const GRACE_MS = NOTE_POLICY.graceSec * 1_000;

async function loaded(options: Parameters<typeof NoteWorld.open>[0] = {}) {
  const world = await NoteWorld.open(options);
  const phone = await world.phone();
  const till = await world.till("till-1");
  const answer = await phone.load();
  if (answer.type !== "allowance") throw new Error(JSON.stringify(answer));
  const { allowanceId } = answer.body;
  return { world, phone, till, allowanceId, staged: `staged:${allowanceId}` };
}

test("RM11 an allowance leaves the account at once, and what is paid with it comes out of it", async () => {
  const { world, phone, till, staged } = await loaded();
  expect(await world.balances(world.customer, staged)).toEqual([5_000n, 5_000n]);
  expect(till.sell(phone.wallet, 1_250n).ok).toBe(true);
  expect(till.sell(phone.wallet, 50n).ok).toBe(true);
  expect(await world.balance("merchant:shop:EUR")).toBe(0n);
  const receipts = await till.sync();
  expect(receipts.map(({ status, detail }) => [status, detail])).toEqual([
    ["processed", undefined],
    ["processed", undefined],
  ]);
  expect([await world.balance("merchant:shop:EUR"), await world.balance(staged), await world.exposure()]).toEqual([
    1_300n,
    3_700n,
    0n,
  ]);
  expect(phone.wallet.left()).toBe(3_700n);
  expect([await world.conflicts(), await world.sum()]).toEqual([[], 0n]);
});

test("RM11 the payer reads what is asked for before the phone answers", async () => {
  const { phone, till } = await loaded();
  const sale = till.newSale(990n);
  expect(phone.wallet.read(till.desk.challenge(sale))).toEqual({
    amount: sale.amount,
    payee: "Corner shop",
    terminalId: "till-1",
  });
});

test("RM11 a payment shows one challenge however often it is looked at, and its note is shown again without spending", async () => {
  const { phone, till } = await loaded();
  const sale = till.newSale(100n);
  const challenge = till.desk.challenge(sale);
  expect(till.desk.challenge(sale)).toBe(challenge);
  expect(phone.wallet.answer(challenge)).toBe(phone.wallet.answer(challenge));
  expect(phone.wallet.left()).toBe(4_900n);
});

test("RM11 a lost answer costs nothing: the same request gets the same allowance, and the money moves once", async () => {
  const world = await NoteWorld.open();
  const phone = await world.phone();
  const { wallet } = phone;
  const asked = () => wallet.ask({ minor: 3_000n, currency: EUR }, world.random);
  const first = await phone.say({ type: "allowance-request", body: asked() });
  const again = await phone.say({ type: "allowance-request", body: asked() });
  expect({ ...again, replyTo: "" }).toEqual({ ...first, replyTo: "" });
  expect(await world.balance(world.customer)).toBe(7_000n);
  const other = await phone.say({ type: "allowance-request", body: { ...asked(), amountMinor: "3001" } });
  expect(other).toMatchObject({ type: "refused", body: { reason: "E_CONFLICT" } });
});

test("RM11 a phone has one allowance at a time, also when it says that it lost it", async () => {
  const { world, phone } = await loaded({ balanceMinor: 50_000n });
  expect(await phone.load(100n)).toMatchObject({ type: "refused", body: { reason: "E_STATE" } });
  await world.advance(TTL_MS);
  expect(await phone.load(100n)).toMatchObject({ type: "refused", body: { reason: "E_STATE" } });
  await world.advance(1);
  expect(await phone.load(100n)).toMatchObject({ type: "allowance" });
});

test.each([
  [0n, 10_000n, "E_FORMAT"],
  [ALLOWANCE + 1n, 10_000n, "E_LIMIT"],
  [4_000n, 3_999n, "E_DENIED"],
])(
  "RM11 an allowance of %s out of an account with %s is refused and nothing moves",
  async (minor, balanceMinor, reason) => {
    const world = await NoteWorld.open({ balanceMinor });
    expect(await (await world.phone()).load(minor)).toMatchObject({ type: "refused", body: { reason } });
    expect(await world.balance(world.customer)).toBe(balanceMinor);
  },
);

test("RM11 an allowance in a currency that the account is not kept in is refused", async () => {
  const world = await NoteWorld.open();
  const body = { requestId: "0".repeat(24), amountMinor: "100", currency: "USD" };
  const phone = await world.phone();
  const answer = await phone.say({ type: "allowance-request", body });
  expect(answer).toMatchObject({ type: "refused", body: { reason: "E_DENIED" } });
});

test("RM11 a note for one terminal is refused at another, and the same note twice at its own", async () => {
  const { world, phone, till } = await loaded();
  const other = await world.till("till-2");
  const sale = till.newSale(500n);
  const note = phone.wallet.answer(till.desk.challenge(sale));
  other.desk.challenge(sale);
  expect(other.take(note, sale)).toMatchObject({
    ok: false,
    error: { reason: "E_REPLAY", detail: expect.stringMatching(/another terminal/) },
  });
  expect(till.take(note, sale).ok).toBe(true);
  expect(till.take(note, sale)).toMatchObject({ ok: false, error: { reason: "E_REPLAY" } });
  const next = till.newSale(500n);
  till.desk.challenge(next);
  expect(till.take(note, next)).toMatchObject({
    ok: false,
    error: { reason: "E_REPLAY", detail: expect.stringMatching(/another payment/) },
  });
});

test("RM11 a terminal that was restored or copied has not asked for the note that its twin asked for", async () => {
  const { phone, till } = await loaded();
  const sale = till.newSale(500n);
  const note = phone.wallet.answer(till.desk.challenge(sale));
  till.desk = till.newDesk();
  expect(till.take(note, sale)).toMatchObject({ ok: false, error: { reason: "E_REPLAY" } });
  till.desk.challenge(sale);
  expect(till.take(note, sale)).toMatchObject({
    ok: false,
    error: { reason: "E_REPLAY", detail: expect.stringMatching(/another challenge/) },
  });
});

test("RM11 a challenge for another amount is another challenge", async () => {
  const { phone, till } = await loaded();
  const sale = till.newSale(500n);
  const note = phone.wallet.answer(till.desk.challenge(sale));
  const dearer = { ...sale, amount: { ...sale.amount, minor: 600n } };
  expect(till.take(note, dearer)).toMatchObject({ ok: false, error: { reason: "E_REPLAY" } });
});

test("RM11 an allowance is taken to its last millisecond", async () => {
  const { world, phone, till } = await loaded();
  await world.advance(TTL_MS);
  expect(till.sell(phone.wallet, 10n).ok).toBe(true);
  await world.advance(1);
  expect(till.sell(phone.wallet, 10n)).toMatchObject({ ok: false, error: { reason: "E_EXPIRED" } });
});

test("RM8 a terminal that cannot prove the time takes no note", async () => {
  const { phone, till } = await loaded();
  till.proven = false;
  expect(till.sell(phone.wallet, 10n)).toMatchObject({ ok: false, error: { reason: "E_UNAVAILABLE" } });
});

test("RM8 a lease without notes takes none, and one that is used up no more", async () => {
  const without = await loaded({ means: ["chip"] });
  expect(without.till.sell(without.phone.wallet, 10n)).toMatchObject({ ok: false, error: { reason: "means" } });
  const small = await loaded({ leaseSumMinor: 1_000n });
  expect(small.till.sell(small.phone.wallet, 900n).ok).toBe(true);
  expect(small.till.sell(small.phone.wallet, 101n)).toMatchObject({ ok: false, error: { reason: "sum" } });
});

test("RM11 a phone that has less than the amount gives no note", async () => {
  const { phone, till } = await loaded();
  expect(() => till.sell(phone.wallet, ALLOWANCE + 1n)).toThrow(/less than 50.01 EUR/);
  expect(phone.wallet.left()).toBe(ALLOWANCE);
});

test("RM11 a phone shows no note that it could not keep, and after a crash the one that it kept", async () => {
  const { world, phone, till } = await loaded();
  const store = memoryStore(phone.stored());
  const options = { payerKey: phone.privateKey, hubSigningKey: world.hub.signingKey };
  const challenge = till.desk.challenge(till.newSale(10n));
  const full = { load: store.load, save: () => expect.fail("no space") };
  expect(() => createNoteWallet({ ...options, store: full }).answer(challenge)).toThrow("no space");
  const wallet = createNoteWallet({ ...options, store });
  const note = wallet.answer(challenge);
  expect(createNoteWallet({ ...options, store }).answer(challenge)).toBe(note);
  expect(wallet.left()).toBe(ALLOWANCE - 10n);
});

test("RM11 a copied phone is refused where the original paid, also after a restart of that till", async () => {
  const { phone, till } = await loaded();
  const clone = phone.wallet.clone();
  const untouched = phone.wallet.clone();
  expect(till.sell(phone.wallet, 2_000n).ok).toBe(true);
  expect(till.sell(clone, 2_000n)).toMatchObject({ ok: false, error: { reason: "E_USED" } });
  const [sold] = till.queue;
  if (!sold) throw new Error("nothing was sold");
  await using restarted = new Till();
  const stored = (id: string, changes: Partial<EntryOf<"decision">>) =>
    restarted.journal.append([{ body: till.fake.decision(id, changes), forward: true }]);
  await stored(sold.paymentId, { note: sold.facts });
  const waiting = restarted.journal.nextToForward(1);
  await restarted.journal.settle(waiting.map(({ sequence, hash }) => ({ sequence, hash, status: "processed" })));
  till.desk = till.newDesk(restarted.journal);
  expect(till.sell(untouched, ALLOWANCE)).toMatchObject({ ok: false, error: { reason: "E_USED" } });
  expect(till.sell(clone, 1_500n)).toMatchObject({ ok: false, error: { reason: "E_USED" } });
  expect(till.sell(phone.wallet.clone(), 1_000n).ok).toBe(true);
});

test("RM11 what a phone gives back is in its account at once, and there is nothing left to spend", async () => {
  const { world, phone, till, staged } = await loaded();
  till.sell(phone.wallet, 2_000n);
  const statement = phone.wallet.statement();
  const answer = await phone.giveBack();
  expect(answer).toMatchObject({ type: "allowance-returned", body: { returnedMinor: "3000" } });
  expect({ ...(await phone.giveBack(statement)), replyTo: "" }).toEqual({ ...answer, replyTo: "" });
  expect(await world.balances(world.customer, staged)).toEqual([8_000n, 2_000n]);
  await till.sync();
  expect([await world.balance("merchant:shop:EUR"), await world.balance(staged), await world.exposure()]).toEqual([
    2_000n,
    0n,
    0n,
  ]);
  expect([await world.conflicts(), await world.sum()]).toEqual([[], 0n]);
});

test("RM11 a phone that says what it spent spends nothing after it, whether or not an answer comes", async () => {
  const { phone, till } = await loaded();
  phone.wallet.statement();
  expect(phone.wallet.left()).toBe(0n);
  expect(() => till.sell(phone.wallet, 1n)).toThrow(/given back/);
});

test("RM11 a phone cannot give back what the hub knows it spent, nor another's allowance, nor state it twice differently", async () => {
  const { world, phone, till, allowanceId } = await loaded();
  till.sell(phone.wallet, 2_000n);
  await till.sync();
  const say = (notes: number, spentMinor: string, from = phone) => from.giveBack({ allowanceId, notes, spentMinor });
  expect(await say(0, "0")).toMatchObject({ type: "refused", body: { reason: "E_CONFLICT" } });
  expect(await say(1, "1999")).toMatchObject({ type: "refused", body: { reason: "E_CONFLICT" } });
  expect(await say(1, "5001")).toMatchObject({ type: "refused", body: { reason: "E_LIMIT" } });
  expect(await say(3, "2")).toMatchObject({ type: "refused", body: { reason: "E_FORMAT" } });
  expect(await say(1, "2000", await world.phone("berta"))).toMatchObject({
    type: "refused",
    body: { reason: "E_UNKNOWN" },
  });
  expect(await say(1, "2000")).toMatchObject({ type: "allowance-returned" });
  expect(await say(2, "2500")).toMatchObject({ type: "refused", body: { reason: "E_CONFLICT" } });
  expect(await world.sum()).toBe(0n);
});

test("RM11 what nobody claimed goes back once its notes had all their time", async () => {
  const { world, phone, till, staged } = await loaded();
  till.sell(phone.wallet, 2_000n);
  await till.sync();
  await world.advance(TTL_MS + GRACE_MS);
  await world.hub.expireHolds();
  expect(await world.balance(staged)).toBe(3_000n);
  await world.advance(1);
  await world.hub.expireHolds();
  await world.hub.expireHolds();
  expect([await world.balance(staged), await world.balance(world.customer), await world.sum()]).toEqual([
    0n,
    8_000n,
    0n,
  ]);
});

test("RM11 a note that comes after that is paid by the account that got the value back", async () => {
  const { world, phone, till, staged } = await loaded();
  till.sell(phone.wallet, 2_000n);
  await world.advance(TTL_MS + GRACE_MS + 1);
  await world.hub.expireHolds();
  expect(await world.balance(world.customer)).toBe(10_000n);
  expect(await till.sync()).toMatchObject([{ status: "processed" }]);
  expect([await world.balance(world.customer), await world.balance(staged), await world.exposure()]).toEqual([
    8_000n,
    0n,
    0n,
  ]);
  expect(await world.conflicts()).toEqual([]);
});

test("RM12 a sale that was voided before it was forwarded gives the staged value back, once", async () => {
  const { world, phone, till, staged } = await loaded();
  const sold = till.sell(phone.wallet, 2_000n);
  if (!sold.ok) throw new Error(sold.error.detail);
  till.queue = [];
  const { paymentId, entry } = sold.value;
  const voided = till.fake.entry(till.fake.voided(paymentId, entry.forward ?? 0));
  expect(await till.fake.tell(voided)).toMatchObject([{ status: "processed" }]);
  await phone.giveBack();
  expect(await world.balances(world.customer, staged)).toEqual([8_000n, 2_000n]);
  await world.advance(TTL_MS + GRACE_MS + 1);
  await world.hub.expireHolds();
  await world.hub.expireHolds();
  expect([await world.balance(world.customer), await world.balance(staged), await world.sum()]).toEqual([
    10_000n,
    0n,
    0n,
  ]);
  expect(await world.balance("merchant:shop:EUR")).toBe(0n);
});

test("RM12 a refund goes to the payer's account and not to value that is out on a phone", async () => {
  const { world, phone, till, staged } = await loaded();
  const sold = till.sell(phone.wallet, 2_000n);
  if (!sold.ok) throw new Error(sold.error.detail);
  await till.sync();
  const amount = { minor: "2000", currency: EUR };
  const originalPaymentId = sold.value.paymentId;
  const refund = { kind: "refund", originalPaymentId, amount } as const;
  const answer = await till.fake.ask(till.fake.request("r-1", refund));
  expect(answer.outcome).toBe("approved");
  const body = { operation: "refund" as const, mode: "online" as const, attempts: [1], amount };
  expect(await till.fake.tell(till.fake.entry(till.fake.decision("r-1", body)))).toMatchObject([
    { status: "processed" },
  ]);
  expect(await world.balances(world.customer, staged)).toEqual([7_000n, 3_000n]);
});

test("RM1 a repeat of the same entry moves nothing, and the payer hears of it once", async () => {
  const { world, phone, till } = await loaded();
  const sold = till.sell(phone.wallet, 700n);
  if (!sold.ok) throw new Error(sold.error.detail);
  await till.sync();
  expect(await till.fake.tell(sold.value.entry)).toMatchObject([{ status: "duplicate" }]);
  expect(await world.balance("merchant:shop:EUR")).toBe(700n);
  expect(await phone.say({ type: "notices", body: { since: 0 } })).toMatchObject({
    body: { notices: [{ status: "paid", txnId: sold.value.paymentId, amountMinor: "700" }] },
  });
});

function forwardFirst(till: NoteTill, facts: Partial<NoteFacts>, changes: Partial<EntryOf<"decision">>) {
  const [sold] = till.queue;
  if (!sold) throw new Error("nothing was sold");
  till.queue = [];
  const decision = till.fake.decision(sold.paymentId, { amount: { minor: "700", currency: EUR }, ...changes });
  return till.fake.tell(till.fake.entry({ ...decision, note: { ...sold.facts, ...facts } }));
}

test.each<[what: string, facts: Partial<NoteFacts>, changes: Partial<EntryOf<"decision">>, reason: string]>([
  ["that is none", { note: "OA1:AAAA" }, {}, "E_FORMAT"],
  ["that says another device than its entry", { deviceId: "0".repeat(16) }, {}, "E_FORMAT"],
  ["that says another counter than its entry", { counter: 9 }, {}, "E_FORMAT"],
  ["with another's countersignature", { countersignature: `${"A".repeat(86)}==` }, {}, "E_SIG"],
  ["for another payment", {}, { paymentId: "p-other" as PaymentId }, "E_REPLAY"],
  ["for another amount", {}, { amount: { minor: "701", currency: EUR } }, "E_CONFLICT"],
])("RM11 the hub sets aside a note %s, and no money moves", async (_what, facts, changes, reason) => {
  const { world, phone, till, staged } = await loaded();
  till.sell(phone.wallet, 700n);
  const [receipt] = await forwardFirst(till, facts, changes);
  expect(receipt).toMatchObject({ status: "quarantined", reason });
  expect([await world.balance(staged), await world.exposure(), await world.sum()]).toEqual([5_000n, 0n, 0n]);
});

test("RM11 the hub sets aside a note for another terminal, whoever forwards it", async () => {
  const { world, phone, till, staged } = await loaded();
  const other = await world.till("till-2");
  const sold = till.sell(phone.wallet, 700n);
  if (!sold.ok) throw new Error(sold.error.detail);
  const { paymentId, facts } = sold.value;
  const note = { ...facts, countersignature: other.sign(facts.note) };
  const decision = other.fake.decision(paymentId, { amount: { minor: "700", currency: EUR }, note });
  expect(await other.fake.tell(other.fake.entry(decision))).toMatchObject([
    { status: "quarantined", reason: "E_REPLAY" },
  ]);
  expect(await world.balance(staged)).toBe(5_000n);
});

test("RM11 a note beyond its allowance is refused at the till, and set aside at the hub if a till took it", async () => {
  const { world, phone, till, allowanceId, staged } = await loaded();
  const sale = till.newSale(700n);
  const { payee: _, ...asked } = decodeChallenge(till.desk.challenge(sale));
  const honest = phone.wallet.clone().answer(till.desk.challenge(sale));
  const opened = openNote(honest, world.hub.signingKey);
  if (!opened.ok) throw new Error(opened.error.detail);
  const { allowance } = opened.value;
  const signed = signAllowance(allowance, world.keys.signing.privateKey);
  const spending = { ...asked, counter: 9, spentAfter: ALLOWANCE + 1n, previousHash: "0".repeat(64) };
  const { text } = signNote(signed, allowance, { spending, payerKey: phone.privateKey });
  expect(till.take(text, sale)).toMatchObject({ ok: false, error: { reason: "E_LIMIT" } });
  const note = { allowanceId, deviceId: phone.deviceId, counter: 9, note: text, countersignature: till.sign(text) };
  const decision = till.fake.decision(sale.paymentId, { amount: { minor: "700", currency: EUR }, note });
  expect(await till.fake.tell(till.fake.entry(decision))).toMatchObject([{ status: "quarantined", reason: "E_LIMIT" }]);
  expect(await world.balance(staged)).toBe(5_000n);
});
