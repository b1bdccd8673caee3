/** RM9 at the till: a card that declines for want of an answer is taken only where the lease says so, and marked. */
import { expect, test } from "vitest";
import { LeaseKeeper } from "../../agent/lease/lease-keeper.ts";
import { fromHex, toHex } from "../../base/bytes.ts";
import type { PaymentId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { decodeTlv } from "../../protocols/emv/ber-tlv.ts";
import { openCardData } from "../../wire/card-data.ts";
import { LeaseSchema } from "../../wire/lease.ts";
import { signText } from "../../wire/signing.ts";
import { hubKeys, leaseOf, MemoryJournal, NINE, saleOf, sealingKeys, signedLease, TERMINAL } from "./lease-fixture.ts";
import { Till } from "./till.ts";

const id = "P-1" as PaymentId;

/** A till without its hub, with a card that never approves by itself. */
function lonelyTill(): Till {
  const till = new Till();
  till.hub.state = "down";
  till.slot.profile = "online-only";
  return till;
}
const decisionOf = (till: Till) => {
  const body = till.journal.entriesOf(id).find((entry) => entry.body.kind === "decision")?.body;
  if (body?.kind !== "decision") throw new Error("no decision");
  return body;
};
const objectsOf = (iccData: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    decodeTlv(fromHex(iccData)).map((object) => [
      object.tag.toString(16),
      "value" in object ? toHex(object.value) : "",
    ]),
  );

test("RM9 without the lease's word a card that declines for want of an answer is declined", async () => {
  await using till = lonelyTill();
  expect(await till.sell("P-1")).toMatchObject({ status: "declined", reason: "E_DENIED", ticket: "none" });
  expect(decisionOf(till).deferred).toBeUndefined();
  expect(till.journal.queue()).toEqual([]);
  expect(till.reservations).toEqual({ made: 1, committed: 0, released: 1 });
});

test.each(["wrong-ca", "expired"])("RM9 no merchant's risk covers a card that failed a check: %s", async (profile) => {
  await using till = lonelyTill();
  till.deferrable = true;
  till.slot.profile = profile;
  expect(await till.sell("P-1")).toMatchObject({ status: "declined", responseCode: "Z3" });
  expect(till.journal.queue()).toEqual([]);
});

test("RM9 with it the sale is made, and the journal holds the card's ARQC, its DE 55 and the sealed card", async () => {
  await using till = lonelyTill();
  till.deferrable = true;
  expect(await till.sell("P-1")).toMatchObject({ status: "approved", mode: "offline", deferred: true });
  const { card, deferred, leaseId, attempts } = decisionOf(till);
  expect({ deferred, leaseId, attempts }).toEqual({ deferred: true, leaseId: "L-1", attempts: [] });
  expect(card?.cryptogramType).toBe("ARQC");
  const objects = objectsOf(card?.iccData ?? "");
  expect(Number.parseInt(objects["9f27"] ?? "", 16) & 0xc0).toBe(0x80);
  expect(objects["9f26"]).toMatch(/^[0-9a-f]{16}$/);
  expect(objects["9f02"]).toBe("000000001234");
  for (const tag of ["82", "95", "9a", "9c", "9f10", "9f1a", "9f36", "9f37", "5f2a"])
    expect(objects).toHaveProperty(tag);
  for (const tag of ["57", "5a", "5f20", "9f1f", "9f20"]) expect(objects).not.toHaveProperty(tag);
  const [entry] = till.journal.nextToForward(10);
  if (!entry?.sealed) throw new Error("nothing sealed");
  const { terminalId } = till.journal;
  const opened = openCardData({ sealed: entry.sealed, terminalId, paymentId: id, privateKey: till.sealing.privateKey });
  expect(opened.pan.slice(-4)).toBe(card?.maskedPan.slice(-4));
});

test("RM9 the sale counts against the lease, and its receipt says that it is not yet authorised and whose risk it is", async () => {
  await using till = lonelyTill();
  till.deferrable = true;
  await till.sell("P-1");
  expect(till.reservations).toEqual({ made: 1, committed: 1, released: 0 });
  expect(till.journal.outstanding()).toMatchObject({ count: 1, minor: 1_234n });
  await till.printed("P-1");
  const text = JSON.stringify(till.paper.documents[0]);
  for (const words of ["*** NOT YET AUTHORISED ***", "At the merchant's risk.", '"value":"ARQC"'])
    expect(text).toContain(words);
  expect(text).not.toContain("ACCEPTED OFFLINE");
});

test("RM9 a card that approves by itself is no deferred sale, whatever the lease permits", async () => {
  await using till = lonelyTill();
  till.deferrable = true;
  till.slot.profile = "standard";
  const sale = await till.sell("P-1");
  expect(sale).toMatchObject({ status: "approved", mode: "offline", card: { cryptogramType: "TC" } });
  expect(sale.deferred).toBeUndefined();
  await till.printed("P-1");
  expect(JSON.stringify(till.paper.documents[0])).not.toContain("NOT YET AUTHORISED");
});

test.each(["declining", "offline-only"])(
  "RM9 a card that refuses for a reason of its own (%s) is not taken",
  async (name) => {
    await using till = lonelyTill();
    till.deferrable = true;
    till.slot.profile = name;
    const sale = await till.sell("P-1", 20_000n);
    expect(sale.status).toBe("declined");
    expect(till.journal.queue()).toEqual([]);
  },
);

test("RM9 a card that is pulled before its last word is not taken: what it was about to say is not known", async () => {
  await using whole = lonelyTill();
  await whole.sell("P-1");
  await using till = lonelyTill();
  till.deferrable = true;
  till.slot.pullAfter = whole.slot.commands.length - 1;
  expect(await till.sell("P-1")).toMatchObject({ status: "declined", reason: "E_TIMEOUT" });
  expect(till.journal.queue()).toEqual([]);
});

test("RM9 RM13 a card whose signature over its approval does not hold is not taken at the merchant's risk either", async () => {
  await using whole = lonelyTill();
  whole.slot.profile = "standard";
  expect(await whole.sell("P-1")).toMatchObject({ status: "approved" });
  await using till = lonelyTill();
  till.deferrable = true;
  till.slot.profile = "standard";
  const last = whole.slot.commands.length - 1;
  till.slot.garble = (response, index) =>
    index === last ? response.map((byte, at) => (at === response.length - 20 ? byte ^ 1 : byte)) : response;
  const sale = await till.sell("P-1");
  expect(sale).toMatchObject({ status: "declined", detail: "the card's signature does not hold" });
  expect(sale.deferred).toBeUndefined();
  expect(till.journal.queue()).toEqual([]);
});

test("RM8 RM9 a lease that has no room refuses a sale that it would let be deferred", async () => {
  await using till = lonelyTill();
  till.deferrable = true;
  till.leaseRefusal = "per-sale";
  expect(await till.sell("P-1")).toMatchObject({ status: "declined", reason: "E_LIMIT" });
});

test("RM1 RM9 a request that had no answer is no deferred sale: the hub may have decided it", async () => {
  await using till = lonelyTill();
  till.deferrable = true;
  till.hub.state = "up";
  till.hub.answer = "silence";
  expect(await till.sell("P-1")).toMatchObject({ status: "declined" });
  expect(till.journal.queue().map((entry) => entry.kind)).toEqual(["reversal"]);
});

test("RM12 a deferred sale is taken back while it is not forwarded", async () => {
  await using till = lonelyTill();
  till.deferrable = true;
  await till.sell("P-1");
  expect(await till.desk.void(id, "wrong amount")).toMatchObject({ ok: true, value: { status: "voided" } });
  expect(till.journal.outstanding()).toMatchObject({ count: 0 });
});

const keeper = () =>
  new LeaseKeeper({
    terminalId: TERMINAL,
    hubSigningKey: hubKeys.publicKey,
    sealingKey: { keyId: "enrolled", publicKey: sealingKeys.publicKey },
    journal: new MemoryJournal(),
    hubClock: { now: () => ({ at: NINE, proven: true }) },
    log: silentLog,
    disk: { freeBytes: () => 1_000_000, reserveBytes: 1_000 },
  });

test("RM9 a reservation lets a sale be deferred when its lease says so, and only then", () => {
  const leases = keeper();
  leases.offer(signedLease());
  expect(leases.reserve(saleOf(1n))).toMatchObject({ ok: true, value: { deferrable: false } });
  leases.offer(signedLease({ counter: 2, deferredAuthorisation: true }));
  expect(leases.reserve(saleOf(1n))).toMatchObject({ ok: true, value: { deferrable: true } });
  leases.offer(signedLease({ counter: 3 }));
  expect(leases.reserve(saleOf(1n))).toMatchObject({ ok: true, value: { deferrable: false } });
});

test("RM9 a lease of a hub that knows nothing of it permits none", () => {
  const { deferredAuthorisation: _, ...older } = leaseOf();
  expect(LeaseSchema.parse(older).deferredAuthorisation).toBe(false);
  const leases = keeper();
  expect(leases.offer(signText("lease", JSON.stringify(older), hubKeys.privateKey))).toBe("taken");
  expect(leases.reserve(saleOf(1n))).toMatchObject({ ok: true, value: { deferrable: false } });
});
