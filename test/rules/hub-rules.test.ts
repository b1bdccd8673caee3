/** The hub's share of the rules of money, below its gateways. */
import { expect, test } from "vitest";
import type { PaymentId, TerminalId } from "../../base/ids.ts";
import type { NewTransfer } from "../../hub/core/ledger/index.ts";
import type { HubCore } from "../../hub/hub-core.ts";
import type { UpEnvelope } from "../../wire/envelope.ts";
import { GENESIS_HASH } from "../../wire/journal-entry.ts";
import { HubTimeSchema, LeaseSchema } from "../../wire/lease.ts";
import { openSigned } from "../../wire/signing.ts";
import { EUR, enrolTerminal, type HubFixture, hubFixture, only, seededRandom } from "./hub-fixture.ts";

const eur = (minor: string) => ({ minor, currency: EUR });
const list = ({ hub }: HubFixture, paymentId?: string) =>
  hub.store.read((reading) => hub.authorisation.transactions(reading, { paymentId, afterNumber: 0, limit: 100 }));
const accountOf = ({ store, ledger }: HubCore, id: string) => store.read((reading) => ledger.account(reading, id));
const secondTerminal = ({ hub, clock }: HubFixture) =>
  enrolTerminal({ hub, clock, random: seededRandom("T2"), terminalId: "T2" as TerminalId });

test("RM1 the same advice under another number is a duplicate, and with another amount it is set aside", async () => {
  const fixture = await hubFixture();
  const { terminal } = fixture;
  await terminal.tell(terminal.advice("sale-1"));
  expect(await terminal.tell(terminal.advice("sale-1"))).toMatchObject([{ status: "duplicate" }]);
  const [other] = await terminal.tell(terminal.advice("sale-1", { amount: eur("900") }));
  expect(other).toMatchObject({
    status: "quarantined",
    reason: "E_CONFLICT",
    detail: expect.stringContaining("amount.minor"),
  });
  expect(await list(fixture)).toMatchObject([{ postings: 1, postedMinor: 1_000n }]);
});

test("RM1 the same payment id at two terminals is two payments", async () => {
  const fixture = await hubFixture();
  const other = await secondTerminal(fixture);
  await fixture.terminal.tell(fixture.terminal.advice("sale-1"));
  await other.tell(other.advice("sale-1", { amount: eur("700") }));
  expect((await list(fixture, "sale-1")).map(({ postedMinor }) => postedMinor)).toEqual([1_000n, 700n]);
});

test("RM1 a newer attempt takes the older one's hold back, so that one sale never holds twice", async () => {
  const { hub, terminal, customer } = await hubFixture({ balanceMinor: 1_500n });
  await terminal.ask(terminal.request("sale-1", { attempt: 1 }));
  expect((await terminal.ask(terminal.request("sale-1", { attempt: 2 }))).outcome).toBe("approved");
  expect((await accountOf(hub, customer))?.debitsPending).toBe(1_000n);
});

test("RM2 a request that comes after its answerBy is stale, does nothing, and brings signed hub time", async () => {
  const fixture = await hubFixture();
  const { clock, terminal } = fixture;
  const request = terminal.request("sale-1");
  await clock.advance(5_001);
  const answer = await terminal.ask(request);
  expect(answer).toMatchObject({ outcome: "stale", reason: "E_STALE" });
  expect(JSON.parse(answer.time.text)).toEqual({ terminalId: "T1", at: new Date(clock.now()).toISOString() });
  expect(await list(fixture)).toEqual([]);
  expect((await terminal.ask(terminal.request("sale-1"))).outcome).toBe("approved");
});

test("RM2 a request whose time ends between its receipt and the commit is stale and leaves nothing, beside one that is not", async () => {
  const fixture = await hubFixture();
  const { hub, clock, terminal, customer } = fixture;
  const late = hub.receive(terminal.request("late", { answerBy: new Date(clock.now() + 100).toISOString() }));
  const good = hub.receive(terminal.request("good"));
  // Both are received; the commit waits for the end of this turn.
  clock.setWall(clock.now() + 101);
  expect(only(await late, "authorisation.response").body.outcome).toBe("stale");
  expect(only(await good, "authorisation.response").body.outcome).toBe("approved");
  expect((await list(fixture)).map(({ payment }) => payment.paymentId)).toEqual(["good"]);
  expect((await accountOf(hub, customer))?.debitsPending).toBe(1_000n);
});

test("RM2 a request that was late on receipt is stale, even when the clock is set back before the commit", async () => {
  const { hub, clock, terminal } = await hubFixture();
  const request = terminal.request("sale-1");
  const sentAt = clock.now();
  clock.setWall(sentAt + 5_001);
  const answer = hub.receive(request);
  clock.setWall(sentAt);
  expect(only(await answer, "authorisation.response").body.outcome).toBe("stale");
});

test("RM2 a request whose time ends while it is decided is taken back before the commit", async () => {
  const fixture = await hubFixture();
  const { clock, terminal, hub, customer } = fixture;
  fixture.onChance = (length) => {
    // The approval code is drawn when the hold stands already; here that takes long.
    if (length === 6) clock.setWall(clock.now() + 5_001);
  };
  expect((await terminal.ask(terminal.request("sale-1"))).outcome).toBe("stale");
  expect(await list(fixture)).toEqual([]);
  expect((await accountOf(hub, customer))?.debitsPending).toBe(0n);
  expect(await hub.store.read((reading) => hub.ledger.transfersUnder(reading, "T1/", 10))).toEqual([]);
});

test("RM2 the repeat of an attempt that was decided in time gets its first answer, however late it comes", async () => {
  const { clock, terminal } = await hubFixture();
  const request = terminal.request("sale-1");
  const first = await terminal.ask(request);
  await clock.advance(60_000);
  expect(await terminal.ask(request)).toMatchObject({ outcome: "approved", approvalCode: first.approvalCode });
});

test("RM4 an attempt repeated with other content is a conflict that names the field", async () => {
  const { terminal } = await hubFixture();
  await terminal.ask(terminal.request("sale-1"));
  for (const [changes, field] of [
    [{ amount: eur("999") }, "amount.minor"],
    [{ iccData: "9f2608" }, "iccData"],
    [{ card: terminal.seal("sale-1", "9999990000000023") }, "card"],
  ] as const) {
    const answer = await terminal.ask(terminal.request("sale-1", changes));
    expect(answer).toMatchObject({ outcome: "declined", responseCode: "94", reason: "E_CONFLICT" });
    expect(answer.detail).toMatch(new RegExp(`^${field} `));
  }
  const second = await terminal.ask(terminal.request("sale-1", { attempt: 2, amount: eur("999") }));
  expect(second).toMatchObject({ outcome: "declined", reason: "E_CONFLICT" });
  expect(await terminal.ask(terminal.request("sale-1"))).toMatchObject({ outcome: "approved" });
});

test.each([
  ["a card that no account has", { pan: "9999990000000031" }, { responseCode: "14", reason: "E_UNKNOWN" }],
  ["more than the account has", { minor: "10001" }, { responseCode: "51", reason: "E_LIMIT" }],
  ["nothing", { minor: "0" }, { responseCode: "13", reason: "E_FORMAT" }],
  ["no card data", { pan: "" }, { responseCode: "30", reason: "E_FORMAT" }],
])(
  "a purchase with %s is declined with the code that says so",
  async (_, { pan, minor }: { pan?: string; minor?: string }, expected) => {
    const { terminal } = await hubFixture();
    const { card: _card, ...request } = only1(
      terminal.request("sale-1", minor === undefined ? {} : { amount: eur(minor) }),
    );
    const card = pan === "" ? {} : { card: terminal.seal("sale-1", pan) };
    const envelope = { ...terminal.head(), type: "authorisation.request", body: { ...request, ...card } } as UpEnvelope;
    expect(await terminal.ask(envelope)).toMatchObject({ outcome: "declined", ...expected });
  },
);
function only1(envelope: UpEnvelope) {
  if (envelope.type !== "authorisation.request") throw new Error("not a request");
  return envelope.body;
}

test("an expired card is declined with 54", async () => {
  const { clock, terminal } = await hubFixture();
  clock.setWall(Date.UTC(2030, 11, 31, 23, 59, 59));
  expect((await terminal.ask(terminal.request("sale-1"))).outcome).toBe("approved");
  clock.setWall(Date.UTC(2031, 0, 1));
  expect(await terminal.ask(terminal.request("sale-2"))).toMatchObject({ responseCode: "54", reason: "E_EXPIRED" });
});

test("RM5 card data sealed for another payment are not believed", async () => {
  const fixture = await hubFixture();
  const { terminal } = fixture;
  const card = terminal.seal("another");
  expect(await terminal.ask(terminal.request("sale-1", { card }))).toMatchObject({ responseCode: "30" });
  const moved = terminal.entry(terminal.decision("sale-2"), { sealed: card });
  expect(await terminal.tell(moved)).toMatchObject([{ status: "quarantined", reason: "E_FORMAT" }]);
  expect((await list(fixture)).every(({ postings }) => postings === 0)).toBe(true);
});

test("RM8 a lease is signed for its terminal, and its counter rises with each", async () => {
  const { hub, terminal } = await hubFixture();
  const identity = await hub.store.read((reading) => hub.terminals.get(reading, "T1"));
  const presence = (): UpEnvelope => ({
    ...terminal.head(),
    type: "presence",
    body: { status: "online", version: "1", clock: terminal.head().sentAt },
  });
  const [first, second] = [await hub.receive(presence()), await hub.receive(presence())].map(
    (m) => only(m, "lease").body,
  );
  expect(identity?.id).toBe("T1");
  if (!first?.lease || !second?.lease) throw new Error("no lease");
  const [a, b] = [first.lease, second.lease].map((lease) => openSigned("lease", lease, hub.signingKey, LeaseSchema));
  expect([a?.counter, b?.counter]).toEqual([1, 2]);
  expect(a).toMatchObject({ terminalId: "T1", epoch: terminal.epoch, perSaleMinor: "5000", sumMinor: "20000" });
  expect(openSigned("time", first.time, hub.signingKey, HubTimeSchema).terminalId).toBe("T1");
});

test("RM12 a refund needs a confirmed original, goes to the same account, and all refunds together never exceed it", async () => {
  const { hub, terminal, customer } = await hubFixture();
  const refund = (id: string, minor: string) =>
    terminal.request(id, {
      kind: "refund",
      amount: eur(minor),
      originalPaymentId: only1(terminal.request("sale-1")).paymentId,
    });
  expect(await terminal.ask(refund("r0", "100"))).toMatchObject({ responseCode: "25", reason: "E_UNKNOWN" });
  await terminal.ask(terminal.request("sale-1"));
  expect(await terminal.ask(refund("r1", "100"))).toMatchObject({ responseCode: "25" });
  await terminal.tell(terminal.advice("sale-1", { mode: "online", attempts: [1] }));

  expect((await terminal.ask(refund("r2", "600"))).outcome).toBe("approved");
  expect(await terminal.ask(refund("r3", "401"))).toMatchObject({ responseCode: "61", reason: "E_LIMIT" });
  await terminal.tell(
    terminal.entry(terminal.decision("r2", { operation: "refund", mode: "online", amount: eur("600"), attempts: [1] })),
  );
  expect(await terminal.ask(refund("r4", "401"))).toMatchObject({ responseCode: "61" });
  expect((await terminal.ask(refund("r5", "400"))).outcome).toBe("approved");
  // Its outcome was not known at the terminal: reversed, it frees what it held.
  await terminal.tell(terminal.entry(terminal.reversal("r5")));
  expect((await terminal.ask(refund("r6", "400"))).outcome).toBe("approved");
  const account = await accountOf(hub, customer);
  expect([account?.debitsPosted, account?.creditsPosted]).toEqual([1_000n, 10_600n]);
});

test("RM12 a refund makes good what exposure bore of the original before the customer gets back what his account gave", async () => {
  const fixture = await hubFixture({ balanceMinor: 300n });
  const { hub, terminal, customer } = fixture;
  await terminal.tell(terminal.advice("sale-1"));
  const exposedAndAvailable = async () => {
    const account = await accountOf(hub, "exposure:operator:EUR");
    const exposed = (account?.debitsPosted ?? 0n) - (account?.creditsPosted ?? 0n);
    return [exposed, await hub.store.read((reading) => hub.ledger.available(reading, customer))];
  };
  expect(await exposedAndAvailable()).toEqual([700n, 0n]);
  for (const [id, minor, bears, has] of [
    ["back-1", "600", 100n, 0n],
    ["back-2", "300", 0n, 200n],
    ["back-3", "100", 0n, 300n],
  ] as const) {
    const originalPaymentId = "sale-1" as PaymentId;
    const request = terminal.request(id, { kind: "refund", originalPaymentId, amount: eur(minor) });
    expect(await terminal.ask(request)).toMatchObject({ outcome: "approved" });
    const decision = terminal.decision(id, { operation: "refund", mode: "online", attempts: [1], amount: eur(minor) });
    expect(await terminal.tell(terminal.entry(decision))).toMatchObject([{ status: "processed" }]);
    expect(await exposedAndAvailable()).toEqual([bears, has]);
    expect((await list(fixture, id))[0]?.postedMinor).toBe(-BigInt(minor));
  }
  expect(await accountOf(hub, "merchant:shop:EUR")).toMatchObject({ debitsPending: 0n, debitsPosted: 1_000n });
});

test("RM12 a refund that this hub never authorised is set aside", async () => {
  const fixture = await hubFixture();
  const { terminal } = fixture;
  const entry = terminal.entry(terminal.decision("r1", { operation: "refund" }));
  expect(await terminal.tell(entry)).toMatchObject([{ status: "quarantined", reason: "E_UNKNOWN" }]);
  expect((await accountOf(fixture.hub, fixture.customer))?.creditsPosted).toBe(10_000n);
});

test("RM12 a void ends the payment, frees its hold, and leaves no number missing", async () => {
  const fixture = await hubFixture();
  const { hub, terminal, customer } = fixture;
  await terminal.ask(terminal.request("sale-1"));
  terminal.advice("sale-1"); // Number 1 is written, and voided before it was ever sent.
  const receipt = only(await hub.receive(terminal.batch([terminal.entry(terminal.voided("sale-1", 1))])), "receipt");
  expect(receipt.body).toMatchObject({ results: [{ status: "processed" }], watermark: 2 });
  expect(await list(fixture)).toMatchObject([{ status: "voided", postings: 0 }]);
  expect((await accountOf(hub, customer))?.debitsPending).toBe(0n);
  expect(await terminal.tell(terminal.advice("sale-1"))).toMatchObject([{ status: "declined", reason: "E_STATE" }]);
});

test("RM16 an honoured advice posts in full: what the account has, and the rest from the exposure account that is named", async () => {
  const fixture = await hubFixture({ balanceMinor: 300n });
  const { hub, terminal, customer, merchant } = fixture;
  expect(await terminal.tell(terminal.advice("sale-1"))).toMatchObject([{ status: "processed" }]);
  expect((await accountOf(hub, customer))?.debitsPosted).toBe(300n);
  expect((await accountOf(hub, "exposure:operator:EUR"))?.debitsPosted).toBe(700n);
  expect((await accountOf(hub, merchant))?.creditsPosted).toBe(1_000n);
  expect(await list(fixture)).toMatchObject([
    { postedMinor: 1_000n, payment: { exposureMinor: 700n, exposureParty: "operator" } },
  ]);
});

test("RM16 an advice with a card that nobody knows, or with none any more, is posted from exposure alone", async () => {
  const { hub, terminal } = await hubFixture();
  const unknown = terminal.entry(terminal.decision("sale-1"), { sealed: terminal.seal("sale-1", "9999990000000031") });
  const bare = terminal.entry(terminal.decision("sale-2"));
  expect(await terminal.tell(unknown, bare)).toMatchObject([{ status: "processed" }, { status: "processed" }]);
  expect((await accountOf(hub, "exposure:operator:EUR"))?.debitsPosted).toBe(2_000n);
});

test("RM16 an advice of what the hub authorised posts even when its sealed card cannot be opened", async () => {
  const { hub, terminal, merchant } = await hubFixture();
  expect(await terminal.ask(terminal.request("sale-1"))).toMatchObject({ outcome: "approved" });
  const decision = terminal.decision("sale-1", { mode: "online", attempts: [1] });
  const advice = terminal.entry(decision, { sealed: terminal.seal("another") });
  expect(await terminal.tell(advice)).toMatchObject([{ status: "processed" }]);
  expect(await accountOf(hub, merchant)).toMatchObject({ creditsPosted: 1_000n, creditsPending: 0n });
});

test("RM16 an advice that comes after its hold has expired is posted directly", async () => {
  const fixture = await hubFixture();
  const { hub, clock, terminal, customer } = fixture;
  await terminal.ask(terminal.request("sale-1"));
  await clock.advance(24 * 3_600_000);
  expect(await hub.expireHolds()).toBe(1);
  expect((await accountOf(hub, customer))?.debitsPending).toBe(0n);
  expect(await list(fixture)).toMatchObject([{ status: "expired" }]);
  expect(await terminal.tell(terminal.advice("sale-1", { attempts: [1] }))).toMatchObject([{ status: "processed" }]);
  expect((await accountOf(hub, customer))?.debitsPosted).toBe(1_000n);
});

test("RM16 an expired hold that was not swept yet makes no exposure of what its customer can pay", async () => {
  const { hub, clock, terminal, customer } = await hubFixture({ balanceMinor: 1_000n });
  await terminal.ask(terminal.request("sale-1"));
  await clock.advance(24 * 3_600_000);
  const [receipt] = await terminal.tell(terminal.advice("sale-1", { attempts: [1] }));
  expect(receipt).toMatchObject({ status: "processed" });
  expect(receipt?.detail).toBeUndefined();
  expect(await accountOf(hub, customer)).toMatchObject({ debitsPosted: 1_000n, debitsPending: 0n });
  expect(await accountOf(hub, "exposure:operator:EUR")).toBeUndefined();
});

test("RM16 a refused attempt never blocks the next", async () => {
  const { hub, terminal } = await hubFixture({ balanceMinor: 500n });
  expect((await terminal.ask(terminal.request("sale-1"))).responseCode).toBe("51");
  const page = { after: "customer:", limit: 1 };
  const [account] = await hub.store.read((reading) => hub.authorisation.accounts(reading, page));
  const sides = { debitAccount: "equity:EUR", creditAccount: account?.id ?? "" };
  const topUp: NewTransfer = { id: "top-up", kind: "single", ...sides, amount: 500n, code: 8 };
  await hub.store.transaction((within) => hub.ledger.createTransfers(within, [topUp]));
  expect((await terminal.ask(terminal.request("sale-1", { attempt: 2 }))).outcome).toBe("approved");
});

test("RM18 a receipt carries the hub's epoch and the watermark below which no number is missing", async () => {
  const { hub, terminal } = await hubFixture();
  const [one, two, three, four] = ["a", "b", "c", "d"].map((id) => terminal.advice(id));
  if (!one || !two || !three || !four) throw new Error("no entries");
  const watermarkAfter = async (...entries: (typeof one)[]) =>
    only(await hub.receive(terminal.batch(entries)), "receipt").body;
  expect(await watermarkAfter(one, four)).toMatchObject({ hubEpoch: hub.hubEpoch, watermark: 1 });
  expect(await hub.store.read((reading) => hub.ingest.epochs(reading, "T1"))).toMatchObject([
    { watermark: 1, ahead: [4] },
  ]);
  expect((await watermarkAfter(three)).watermark).toBe(1);
  expect((await watermarkAfter(two)).watermark).toBe(4);
});

test("an entry that cannot be taken is set aside and the rest of its batch moves on", async () => {
  const fixture = await hubFixture();
  const { terminal } = fixture;
  const good = terminal.advice("good");
  const altered = {
    ...terminal.advice("altered"),
    text: JSON.stringify(terminal.decision("altered", { amount: eur("1") })),
  };
  const swapped = { ...terminal.advice("swapped"), sealed: terminal.seal("swapped") };
  const foreign = terminal.entry({ ...terminal.decision("foreign"), kind: "surprise" } as never);
  const intent = terminal.entry({ ...terminal.reversal("x"), kind: "online-unknown", reason: undefined } as never);
  const last = terminal.advice("last");
  const results = await terminal.tell(good, altered, swapped, foreign, intent, last);
  expect(results.map(({ status, reason }) => [status, reason])).toEqual([
    ["processed", undefined],
    ["quarantined", "E_SIG"],
    ["quarantined", "E_SIG"],
    ["quarantined", "E_FORMAT"],
    ["quarantined", "E_FORMAT"],
    ["processed", undefined],
  ]);
  expect((await list(fixture)).map(({ payment }) => payment.paymentId)).toEqual(["good", "last"]);
});

test("two entries of one number show a copied disk: the second is set aside and moves nothing", async () => {
  const fixture = await hubFixture();
  const { hub, terminal } = fixture;
  await terminal.tell(terminal.advice("first"));
  const copy = hubFixtureTwin(fixture);
  const [receipt] = only(await hub.receive(copy), "receipt").body.results;
  expect(receipt).toMatchObject({ sequence: 1, status: "quarantined", reason: "E_CONFLICT" });
  expect((await list(fixture)).map(({ payment }) => payment.paymentId)).toEqual(["first"]);
});

/** What a terminal with the same identity and epoch, but another disk, would send as its first entry. */
function hubFixtureTwin({ terminal }: HubFixture): UpEnvelope {
  const twin = terminal.twin();
  const entry = twin.advice("second");
  expect(entry.previousHash).toBe(GENESIS_HASH);
  return twin.batch([entry]);
}

test("a batch that the terminal did not sign is refused as a whole", async () => {
  const fixture = await hubFixture();
  const other = await secondTerminal(fixture);
  const batch = fixture.terminal.batch([fixture.terminal.advice("sale-1")]);
  if (batch.type !== "advice.batch") throw new Error("not a batch");
  const stolen = { ...batch, ...other.head(), body: batch.body } as UpEnvelope;
  await expect(fixture.hub.receive(stolen)).rejects.toMatchObject({ code: "signature.invalid" });
  expect(await list(fixture)).toEqual([]);
});

test("no table of the hub holds a card number", async () => {
  const { hub, terminal, dump } = await hubFixture();
  await terminal.ask(terminal.request("sale-1"));
  await terminal.tell(terminal.advice("sale-1", { attempts: [1] }), terminal.advice("sale-2"));
  await hub.idle();
  const text = await dump();
  expect(text).toContain("sale-2");
  expect(text).not.toContain("9999990000000015");
});
