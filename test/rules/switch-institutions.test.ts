/** What a hub knows of institutions: their parameters, those that were taken out of its configuration, questions left by one that died. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { createHubCore } from "../../hub/hub-core.ts";
import type { ForwardedEntry } from "../../wire/advice.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import { LeaseSchema } from "../../wire/lease.ts";
import { signStandInParameters } from "../../wire/stand-in.ts";
import { seededRandom, TEST_EXPIRY, TEST_POLICY } from "./hub-fixture.ts";
import { cardFacts } from "./issuer-fixture.ts";
import {
  ANNA,
  advicesOf,
  BANK,
  BANK_PARAMETERS,
  bankKeys,
  euros,
  type SwitchStand,
  switchStand,
  until,
  viewOf,
} from "./switch-stand.ts";

let stand: SwitchStand;
beforeEach(async () => {
  stand = await switchStand();
});
afterEach(() => stand[Symbol.asyncDispose]());

const idOf = (text: string): PaymentId => text as PaymentId;

describe("a hub that died while it asked", () => {
  test("RM1 the question is taken back at the issuer, and its repeat is refused", async () => {
    const { terminal, clock, hub } = stand.fixture;
    const envelope = terminal.request("p-1", { card: terminal.seal("p-1", ANNA) });
    if (envelope.type !== "authorisation.request") throw new Error("it asks");
    const { body: request, terminalId } = envelope;
    const data = { pan: ANNA, expiry: TEST_EXPIRY };
    const routed = hub.switch.routed(data);
    const card = { token: hub.authorisation.tokenOf(ANNA), expiry: TEST_EXPIRY, ...(routed && { routed }) };
    const key = { terminalId, paymentId: request.paymentId };
    const now = clock.now();
    const noted = await hub.store.transaction((within) =>
      hub.authorisation.request(within, { key, request, card, receivedAt: now, now }),
    );
    expect(noted).toHaveProperty("asking");
    expect(await terminal.ask(envelope)).toMatchObject({ outcome: "stale" });
    await until(stand, async () => (await advicesOf(stand))[0]?.state.at === "delivered");
    expect(clock.now() - now).toBeGreaterThanOrEqual(10_000);
    expect(stand.booked("p-1")).toMatchObject({ postedMinor: "0", attempts: { "1": "tombstone" } });
    const late = { answerBy: new Date(clock.now() + 5_000).toISOString() };
    expect(await terminal.ask(terminal.request("p-1", { ...request, ...late }))).toMatchObject({ reason: "E_STATE" });
  });
});

async function withoutIssuers() {
  const { keys, clock, anotherStore } = stand.fixture;
  const random = seededRandom("without issuers");
  return await createHubCore({ store: await anotherStore(), keys, clock, random, policy: TEST_POLICY, log: silentLog });
}

describe("an institution that is not configured any more", () => {
  test("keeps a hub from starting while it has something yet to hear", async () => {
    const hub = await withoutIssuers();
    const check = () => hub.store.read((reading) => hub.switch.mustKnowAll(reading));
    await check();
    await stand.goDown();
    await expect(check()).rejects.toMatchObject({
      code: "config.invalid",
      message: expect.stringMatching(/bank-1 is not among them, and has yet to hear of 3 decisions/),
    });
    await stand.comeBack();
    await check();
  });

  test("RM12 gives nothing back, and what is reversed is noted for when it is configured again", async () => {
    await stand.buy("p-1", euros(5_000));
    await stand.buy("p-2");
    const { terminal } = stand.fixture;
    await terminal.tell(terminal.advice("p-1", { ...euros(5_000), mode: "online" }));
    terminal.connect(await withoutIssuers());
    const refund = terminal.request("r-1", { kind: "refund", originalPaymentId: idOf("p-1"), ...euros(2_000) });
    expect(await terminal.ask(refund)).toMatchObject({ outcome: "declined", reason: "E_UNAVAILABLE" });
    await terminal.tell(terminal.entry(terminal.reversal("p-2")));
    expect(await advicesOf(stand)).toMatchObject([{ kind: "reversal", paymentId: "p-2" }]);
    await until(stand, async () => stand.booked("p-2")?.postedMinor === "0");
  });
});

describe("what is told afterwards of an institution's card, while it is not configured,", () => {
  const online = { mode: "online" } as const;
  const told = (paymentId: string, of: Partial<EntryOf<"decision">>) => {
    const { terminal } = stand.fixture;
    return terminal.entry(terminal.decision(paymentId, { ...online, ...of }));
  };
  const issuerAccount = () => {
    const { hub } = stand.fixture;
    return hub.store.read((reading) => hub.ledger.account(reading, `issuer:${BANK}:EUR`));
  };
  const setAside = async (entry: ForwardedEntry) => {
    const { terminal, hub } = stand.fixture;
    const untold = await issuerAccount();
    terminal.connect(await withoutIssuers());
    expect(await terminal.tell(entry)).toMatchObject([
      { status: "quarantined", detail: expect.stringContaining("cannot be told") },
    ]);
    expect(await issuerAccount()).toEqual(untold);
    terminal.connect(hub);
  };
  const taken = async (entry: ForwardedEntry) => {
    expect(await stand.fixture.terminal.tell(entry)).toMatchObject([{ status: "processed" }]);
    await until(stand, async () => (await viewOf(stand)).advices.open === 0);
  };

  test("RM14 a completion posts nothing, and is told and posted when it comes again", async () => {
    await stand.buy("hotel", { kind: "pre-authorisation", ...euros(9_000) });
    const bill = told("bill", { operation: "completion", originalPaymentId: idOf("hotel"), ...euros(7_000) });
    await setAside(bill);
    await taken(bill);
    expect(stand.booked("hotel")).toMatchObject({ heldMinor: "0", postedMinor: "7000", advised: "completion" });
  });

  test.each(["refund", "tip"] as const)(
    "RM12 a %s whose hold ran out moves nothing, and is told and booked when it comes again",
    async (operation) => {
      const { terminal, hub, clock } = stand.fixture;
      await stand.buy("p-1", euros(5_000));
      await terminal.tell(terminal.advice("p-1", { ...euros(5_000), ...online, card: cardFacts("00") }));
      const asked = { kind: operation, originalPaymentId: idOf("p-1"), ...euros(500) };
      expect(await terminal.ask(terminal.request("x-1", asked))).toMatchObject({ outcome: "approved" });
      clock.setWall(clock.now() + 25 * 3_600_000);
      expect(await hub.expireHolds()).toBe(1);
      await until(stand, async () => stand.booked("x-1")?.postedMinor === "0");
      const entry = told("x-1", { operation, ...euros(500) });
      await setAside(entry);
      await taken(entry);
      expect(stand.booked("x-1")?.postedMinor).toBe("500");
    },
  );
});

describe("stand-in parameters", () => {
  const offer = (text: string) =>
    stand.fixture.hub.store.transaction(async (within) =>
      stand.fixture.hub.switch.issuers.offerParameters(within, BANK, text),
    );

  test("AC3.4 with one changed byte they are refused, those before stay in force, and it is counted", async () => {
    const newer = { ...BANK_PARAMETERS, version: 8, limit: { ...BANK_PARAMETERS.limit, single: "1" } };
    const signed = signStandInParameters(newer, bankKeys.privateKey);
    const at = signed.indexOf("version") + 'version\\":'.length;
    const altered = `${signed.slice(0, at)}9${signed.slice(at + 1)}`;
    expect(await offer(altered)).toMatchObject({ on: "refused", refusal: { reason: "E_SIG" } });
    expect(stand.counts.of("stand_in_parameters", { end: "refused" })).toBe(1);
    expect((await viewOf(stand)).parametersVersion).toBe(7);
    await stand.goDown();
    expect((await stand.buyInTime("p-1", euros(9_000))).answer.outcome).toBe("approved");
    expect(await offer(signed)).toMatchObject({ on: "taken", version: 8 });
    expect((await stand.buyInTime("p-2", euros(9_000))).answer).toMatchObject({
      detail: expect.stringContaining("limit.single"),
    });
  });

  test("terminals are told them with their lease, without the stop list and without other acquirers", async () => {
    const { lease } = await stand.fixture.terminal.arrive();
    const { standIn } = LeaseSchema.parse(JSON.parse(lease?.text ?? "{}"));
    expect(standIn).toMatchObject({ acquirerId: "100000", mcc: "5411" });
    const account = { range: ["476173"], stopList: { tokens: [] } };
    const parameters = { version: 7, acquirer: { allow: ["100000"], deny: [] }, account };
    expect(standIn?.sets).toMatchObject([{ ranges: ["476173"], parameters }]);
  });

  test("an institution that is not configured is given none", async () => {
    const { hub } = stand.fixture;
    const text = signStandInParameters(BANK_PARAMETERS, bankKeys.privateKey);
    const event = await hub.store.transaction(async (within) =>
      hub.switch.issuers.offerParameters(within, "bank-2", text),
    );
    expect(event).toBeUndefined();
  });
});
