/** RM8: what a lease permits, one limit at a time. */
import { describe, expect, test } from "vitest";
import { LeaseKeeper } from "../../agent/lease/lease-keeper.ts";
import type { Epoch, TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { money } from "../../base/money.ts";
import { ok } from "../../base/result.ts";
import type { Lease } from "../../wire/lease.ts";
import { publicKeyText, signText } from "../../wire/signing.ts";
import type { StandInParameters } from "../../wire/stand-in.ts";
import { PARAMETERS } from "../../wire/stand-in-fixture.ts";
import {
  denyList,
  HOUR,
  hubKeys,
  leaseOf,
  MemoryJournal,
  NINE,
  saleOf,
  sealingKeys,
  signedLease,
  signedTime,
  strangerKeys,
  TERMINAL,
} from "./lease-fixture.ts";

const world = () => {
  const journal = new MemoryJournal();
  const time = { at: NINE, proven: true };
  const disk = { free: 1_000_000, freeBytes: () => disk.free, reserveBytes: 1_000 };
  const open = () =>
    new LeaseKeeper({
      terminalId: TERMINAL,
      hubSigningKey: hubKeys.publicKey,
      sealingKey: { keyId: "enrolled", publicKey: sealingKeys.publicKey },
      journal,
      hubClock: { now: () => time },
      log: silentLog,
      disk,
    });
  return { journal, time, disk, open, leases: open() };
};
const refused = (error: string) => ({ ok: false, error });

test("RM8 without a lease nothing is sold offline", () => {
  const { leases } = world();
  expect(leases.reserve(saleOf(1n))).toEqual(refused("no-lease"));
  expect(leases.refusesAll()).toBe("no-lease");
});

test("RM8 a sale within the lease is granted and names the lease", () => {
  const { leases } = world();
  expect(leases.offer(signedLease())).toBe("taken");
  const granted = leases.reserve(saleOf(5_000n));
  expect(granted).toMatchObject(ok({ leaseId: "lease-1" }));
  expect(leases.view()).toMatchObject({ remainingMinor: 5_000n, remainingCount: 4 });
});

test("RM8 each limit refuses by its own name", () => {
  const { leases, journal, time, disk } = world();
  const denied = "d".repeat(64);
  leases.offer(signedLease({ denyList: denyList(denied) }));
  expect(leases.reserve(saleOf(5_001n))).toEqual(refused("per-sale"));
  expect(leases.reserve(saleOf(1n, { amount: money(1n, "USD") }))).toEqual(refused("currency"));
  expect(leases.reserve(saleOf(1n, { means: "contactless" }))).toEqual(refused("means"));
  expect(leases.reserve(saleOf(1n, { payerToken: denied }))).toEqual(refused("denied-card"));
  disk.free = 999;
  expect(leases.reserve(saleOf(1n))).toEqual(refused("disk-reserve"));
  disk.free = 1_000;
  journal.unreceipted.push(4_000n, 4_000n);
  expect(leases.reserve(saleOf(2_001n))).toEqual(refused("sum"));
  journal.unreceipted.push(0n, 0n, 0n);
  expect(leases.reserve(saleOf(1n))).toEqual(refused("count"));
  time.proven = false;
  expect(leases.reserve(saleOf(1n))).toEqual(refused("time-unproven"));
  time.at = NINE + 8 * HOUR;
  expect(leases.reserve(saleOf(1n))).toEqual(refused("expired"));
});

test("RM8 concurrent sales cannot share the same room", () => {
  const { leases } = world();
  leases.offer(signedLease({ sumMinor: "5000" }));
  expect(leases.reserve(saleOf(3_000n)).ok).toBe(true);
  expect(leases.reserve(saleOf(3_000n))).toEqual(refused("sum"));
});

test("RM8 released room is free again, committed room is the journal's to count", () => {
  const { leases, journal } = world();
  leases.offer(signedLease({ sumMinor: "5000" }));
  const first = leases.reserve(saleOf(5_000n));
  if (!first.ok) throw new Error("refused");
  first.value.release();
  const second = leases.reserve(saleOf(5_000n));
  if (!second.ok) throw new Error("refused");
  journal.unreceipted.push(5_000n);
  second.value.commit();
  expect(leases.reserve(saleOf(1n))).toEqual(refused("sum"));
  journal.unreceipted.pop();
  expect(leases.reserve(saleOf(5_000n)).ok).toBe(true);
});

test("RM8 a reservation ended twice frees its room once", () => {
  const { leases } = world();
  leases.offer(signedLease({ sumMinor: "5000" }));
  const sale = saleOf(5_000n);
  const first = leases.reserve(sale);
  if (!first.ok) throw new Error("refused");
  first.value.release();
  expect(leases.reserve(sale).ok).toBe(true);
  first.value.release();
  expect(leases.reserve(saleOf(1n))).toEqual(refused("sum"));
});

test("RM8 a renewal brings no fresh room for what is not yet receipted", () => {
  const { leases, journal } = world();
  leases.offer(signedLease());
  journal.unreceipted.push(4_000n, 4_000n);
  expect(leases.offer(signedLease({ counter: 2 }))).toBe("taken");
  expect(leases.view()).toMatchObject({ remainingMinor: 2_000n, remainingCount: 3 });
  expect(leases.reserve(saleOf(2_001n))).toEqual(refused("sum"));
});

test("RM8 a smaller renewal than what is outstanding leaves nothing, not less", () => {
  const { leases, journal } = world();
  journal.unreceipted.push(4_000n, 4_000n);
  leases.offer(signedLease({ sumMinor: "100", countMax: 1 }));
  expect(leases.view()).toMatchObject({ remainingMinor: 0n, remainingCount: 0 });
});

test("RM8 an older lease never replaces a newer one", () => {
  const { leases } = world();
  leases.offer(signedLease({ counter: 7 }));
  expect(leases.offer(signedLease({ counter: 6, sumMinor: "99999" }))).toBe("replayed");
  expect(leases.offer(signedLease({ counter: 7, sumMinor: "99999" }))).toBe("held");
  expect(leases.view()?.lease.sumMinor).toBe("10000");
  expect(leases.counter).toBe(7);
});

test("RM8 a forged, foreign, altered or expired lease is refused, each by its own name, and leaves no lease", () => {
  const { leases, journal, time } = world();
  expect(leases.offer(signedLease({}, strangerKeys))).toBe("forged");
  const { text, signature } = signedLease();
  expect(leases.offer({ text: text.replace('"5000"', '"9000"'), signature })).toBe("forged");
  expect(leases.offer({ text, signature: "AAAA" })).toBe("forged");
  expect(leases.offer(signedTime(NINE))).toBe("forged");
  expect(leases.offer(signText("lease", "{}", hubKeys.privateKey))).toBe("malformed");
  expect(leases.offer(signedLease({ terminalId: "till-2" as TerminalId }))).toBe("other-terminal");
  expect(leases.offer(signedLease({ epoch: "ffffffffffffffff" as Epoch }))).toBe("other-epoch");
  const ed25519 = { keyId: "k", publicKey: publicKeyText(hubKeys.publicKey) };
  expect(leases.offer(signedLease({ sealingKey: ed25519 }))).toBe("malformed");
  const shortened = { ...denyList("d".repeat(64)), tokens: [] };
  expect(leases.offer(signedLease({ denyList: shortened }))).toBe("deny-list-altered");
  time.at = NINE + 8 * HOUR;
  expect(leases.offer(signedLease())).toBe("expired");
  expect(leases.view()).toBeUndefined();
  expect(journal.keeps).toBe(0);
});

test("RM8 an expired or replayed lease does not displace the one in force", () => {
  const { leases, time } = world();
  leases.offer(signedLease({ counter: 7, expiresAt: new Date(NINE + 20 * HOUR).toISOString() }));
  time.at = NINE + 9 * HOUR;
  expect(leases.offer(signedLease({ counter: 8 }))).toBe("expired");
  expect(leases.offer(signedLease({ counter: 3, expiresAt: new Date(NINE + 30 * HOUR).toISOString() }))).toBe(
    "replayed",
  );
  expect(leases.counter).toBe(7);
});

test("RM8 the lease outlives the process, and is checked again when it is read back", () => {
  const { leases, journal, open } = world();
  leases.offer(signedLease());
  expect(open().view()?.lease).toEqual(leaseOf());
  journal.kept.set("lease", JSON.stringify({ lease: signedLease({}, strangerKeys) }));
  expect(open().view()).toBeUndefined();
});

test("RM8 a withdrawn lease stays withdrawn after a restart, and an older one does not come back", () => {
  const { leases, open } = world();
  leases.offer(signedLease({ counter: 3 }));
  leases.withdraw();
  expect(leases.reserve(saleOf(1n))).toEqual(refused("no-lease"));
  const restarted = open();
  expect(restarted.reserve(saleOf(1n))).toEqual(refused("no-lease"));
  expect(restarted.offer(signedLease({ counter: 2 }))).toBe("replayed");
  expect(restarted.offer(signedLease({ counter: 4 }))).toBe("taken");
});

test("card data are sealed under the lease's key, before the first lease under the enrolment's", () => {
  const { leases } = world();
  expect(leases.sealingKey.keyId).toBe("enrolled");
  leases.offer(signedLease());
  expect(leases.sealingKey.keyId).toBe("k1");
  leases.withdraw();
  expect(leases.sealingKey.keyId).toBe("k1");
});

test("RM8 what holds for any sale is told without one, and what is one payer's or one amount's is not", () => {
  const { leases, time, disk, journal } = world();
  leases.offer(signedLease({ perPayer: { countMax: 1, sumMinor: "10" }, denyList: denyList("d".repeat(64)) }));
  expect(leases.reserve(saleOf(11n))).toEqual(refused("velocity"));
  expect(leases.refusesAll()).toBeUndefined();
  disk.free = 999;
  expect(leases.refusesAll()).toBe("disk-reserve");
  journal.unreceipted.push(10_000n);
  expect(leases.refusesAll()).toBe("sum");
  time.proven = false;
  expect(leases.refusesAll()).toBe("time-unproven");
  time.at = NINE + 8 * HOUR;
  expect(leases.refusesAll()).toBe("expired");
  leases.withdraw();
  expect(leases.refusesAll()).toBe("no-lease");
});

test("RM8 a lease for nothing at all refuses every sale", () => {
  const { leases } = world();
  leases.offer(signedLease({ means: [] }));
  expect(leases.refusesAll()).toBe("means");
  leases.offer(signedLease({ counter: 2, perSaleMinor: "0" }));
  expect(leases.refusesAll()).toBe("per-sale");
});

const MINUTE = 60_000;

test("RM8 while the oldest unreceipted sale is older than the lease allows, no more is sold, and then again", () => {
  const { leases, journal, time } = world();
  leases.offer(signedLease({ ageMaxSec: 600 }));
  journal.unreceipted.push(1_000n);
  journal.oldestAt = new Date(NINE).toISOString();
  time.at = NINE + 10 * MINUTE;
  const last = leases.reserve(saleOf(1n));
  expect(last.ok).toBe(true);
  expect(leases.refusesAll()).toBeUndefined();
  time.at += 1;
  expect(leases.reserve(saleOf(1n))).toEqual(refused("age"));
  expect(leases.refusesAll()).toBe("age");
  journal.oldestAt = new Date(NINE + MINUTE).toISOString();
  expect(leases.reserve(saleOf(1n)).ok).toBe(true);
});

test("RM8 one payer buys so often and so much before the receipts come; others are not held up by it", () => {
  const { leases, journal } = world();
  const [ann, ben] = ["a".repeat(64), "b".repeat(64)];
  leases.offer(signedLease({ perPayer: { countMax: 2, sumMinor: "3000" } }));
  journal.unreceipted.push(1_000n);
  journal.byPayer.set(ann, [1_000n]);
  expect(leases.reserve(saleOf(2_001n, { payerToken: ann }))).toEqual(refused("velocity"));
  const second = leases.reserve(saleOf(2_000n, { payerToken: ann }));
  expect(second.ok).toBe(true);
  expect(leases.spentBy(ann)).toBe(3_000n);
  expect(leases.reserve(saleOf(1n, { payerToken: ann }))).toEqual(refused("velocity"));
  expect(leases.reserve(saleOf(3_000n, { payerToken: ben })).ok).toBe(true);
  if (second.ok) second.value.release();
  expect(leases.reserve(saleOf(2_000n, { payerToken: ann })).ok).toBe(true);
});

test("RM8 RM11 a paying device is counted by its own name, and matched with the deny list by its keyed hash", () => {
  const { leases, journal } = world();
  const hashed = "c".repeat(64);
  leases.offer(signedLease({ perPayer: { countMax: 1, sumMinor: "5000" }, means: ["chip", "note"] }));
  journal.byPayer.set("device-7", [500n]);
  const sale = { means: "note", payerToken: hashed, deviceId: "device-7" } as const;
  expect(leases.reserve(saleOf(1n, sale))).toEqual(refused("velocity"));
  expect(leases.reserve(saleOf(1n, { ...sale, deviceId: "device-8" })).ok).toBe(true);
  expect(leases.spentBy("device-7")).toBe(500n);
});

test("RM8 RM11 room for a note is what a payer who bought nothing here yet would be given, and asking takes none of it", () => {
  const { leases, journal, time } = world();
  const room = (minor: bigint) => leases.hasRoom({ amount: money(minor, "EUR"), means: "note" });
  expect(room(1n)).toBe(false);
  leases.offer(signedLease({ perPayer: { countMax: 1, sumMinor: "4000" }, means: ["note"] }));
  expect([room(4_000n), room(4_000n), room(4_001n)]).toEqual([true, true, false]);
  expect(leases.hasRoom({ amount: money(1n, "EUR"), means: "chip" })).toBe(false);
  expect(leases.view()).toMatchObject({ remainingMinor: 10_000n });
  journal.unreceipted.push(8_000n);
  expect([room(2_000n), room(2_001n)]).toEqual([true, false]);
  time.proven = false;
  expect(room(1n)).toBe(false);
});

describe("system 3: what institutions let a terminal decide", () => {
  const SET: StandInParameters = {
    ...PARAMETERS,
    acquirer: { allow: ["100000"], deny: [] },
    account: { range: ["476173"], stopList: { keyId: "stop-1", tokens: [] } },
    limit: { single: "3000", accountCount: 2, accountSum: "4000", institutionSum: "9000" },
  };
  const holding = (set: Partial<StandInParameters> = {}, more: Partial<Lease> = {}) => {
    const opened = world();
    const standIn = {
      acquirerId: "100000",
      mcc: "5411",
      sets: [{ ranges: ["476173"], parameters: { ...SET, ...set } }],
    };
    expect(opened.leases.offer(signedLease({ standIn, ...more }))).toBe("taken");
    return opened;
  };
  const card = { leadingDigits: "47617390" };

  test("a sale on its card must pass its checks as well as the lease, and the one that refuses is named", () => {
    const { leases, journal } = holding();
    expect(leases.reserve(saleOf(3_001n, card))).toEqual(refused("stand-in limit.single"));
    expect(leases.reserve(saleOf(3_000n, card)).ok).toBe(true);
    expect(leases.reserve(saleOf(1_001n, card))).toEqual(refused("stand-in limit.accountSum"));
    expect(leases.reserve(saleOf(1_000n, card)).ok).toBe(true);
    expect(leases.reserve(saleOf(1n, card))).toEqual(refused("stand-in limit.accountCount"));
    journal.unreceipted.push(4_000n);
    const another = { ...card, payerToken: "b".repeat(64) };
    expect(leases.reserve(saleOf(1_001n, another))).toEqual(refused("stand-in limit.institutionSum"));
  });

  test("beyond what the lease allows it allows nothing", () => {
    const limit = { single: "900000", accountCount: 99, accountSum: "900000", institutionSum: "900000" };
    const { leases } = holding({ limit });
    expect(leases.reserve(saleOf(5_001n, card))).toEqual(refused("per-sale"));
  });

  test("outside its window, or once its parameters are over, its cards buy nothing", () => {
    const { leases, time } = holding({ validTo: new Date(NINE + HOUR).toISOString() });
    time.at = NINE + HOUR;
    expect(leases.reserve(saleOf(1n, card))).toEqual(refused("stand-in validTo"));
    const window = [{ from: new Date(NINE + HOUR).toISOString(), to: new Date(NINE + 2 * HOUR).toISOString() }];
    const early = holding({ institution: { ...SET.institution, window } });
    expect(early.leases.reserve(saleOf(1n, card))).toEqual(refused("stand-in institution.window"));
  });

  test("of an institution that has given no parameters, or whose others delegate, each card is judged by its own", () => {
    const { leases } = world();
    const sets = [{ ranges: ["4761"], parameters: SET }, { ranges: ["476174"] }];
    expect(leases.offer(signedLease({ standIn: { acquirerId: "100000", mcc: "5411", sets } }))).toBe("taken");
    expect(leases.reserve(saleOf(1n, { leadingDigits: "47617490" }))).toEqual(refused("stand-in parameters"));
    expect(leases.reserve(saleOf(1n, { leadingDigits: "47617500" }))).toEqual(refused("stand-in account.range"));
    expect(leases.reserve(saleOf(1n, card)).ok).toBe(true);
  });

  test("cards of others, and phones' notes, are bound by the lease alone", () => {
    const { leases } = holding({}, { means: ["chip", "note"] });
    expect(leases.reserve(saleOf(4_000n, { leadingDigits: "99999900" })).ok).toBe(true);
    expect(leases.reserve(saleOf(4_000n, { means: "note", deviceId: "phone-1" })).ok).toBe(true);
  });
});
