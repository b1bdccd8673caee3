import { expect, test } from "vitest";
import type { TerminalId } from "../../../base/ids.ts";
import { openSqlite } from "../../../base/sqlite.ts";
import { sqliteStore } from "../../store/sqlite-store.ts";
import type { TerminalCertificate } from "./certificate-store.ts";
import { CERTIFICATES_KEPT_MAX, createCertificates, type Standing } from "./certificates.ts";
import { terminalMigrations } from "./index.ts";

const T1 = "T1" as TerminalId;
const DAY_MS = 86_400_000;

function world() {
  const store = sqliteStore(openSqlite(":memory:", { migrations: terminalMigrations }));
  const revoked = new Set<string>();
  const used: string[] = [];
  const book = createCertificates({
    terminal: async (_reading, id) => (id === "T9" ? undefined : { revokedAt: revoked.has(id) ? 1 : null }),
    onUse: async (_within, id) => void used.push(id),
  });
  /** Each in a transaction of its own. */
  const certificates = {
    /** As somebody who shows it finds it; a first use is noted. */
    standing: (one: TerminalCertificate, now: number) =>
      store.transaction(async (within) => {
        const judged = await book.standing(within, one, now);
        const standing = await book.use(within, one, now);
        expect(standing).toBe(judged.standing);
        expect((await book.standing(within, one, now)).isFirst).toBe(false);
        return standing;
      }),
    renewed: (one: TerminalCertificate) => store.transaction((within) => book.renewed(within, one)),
    waiting: (id: TerminalId, keyDigest: string) => store.read((reading) => book.waiting(reading, id, keyDigest)),
    list: (id: TerminalId) => store.read((reading) => book.list(reading, id)),
  };
  const enrolled = (one: TerminalCertificate) =>
    store.transaction((within) => book.enrolled(within, one, one.issuedAt));
  /** In their order. */
  async function standings(all: readonly TerminalCertificate[], now: number): Promise<readonly Standing[]> {
    const found: Standing[] = [];
    for (const one of all) found.push(await certificates.standing(one, now));
    return found;
  }
  return { certificates, standings, enrolled, revoked, used };
}

const issued = (issuedAt: number, changes: Partial<TerminalCertificate> = {}): TerminalCertificate => ({
  terminalId: T1,
  serial: `serial-${issuedAt}`,
  fingerprint: `fingerprint-${issuedAt}`,
  keyDigest: `key-${issuedAt}`,
  pem: `pem-${issuedAt}`,
  issuedAt,
  endsAt: issuedAt + 90 * DAY_MS,
  ...changes,
});

test("a certificate is good until it ends, late after that, and told so while its terminal is revoked", async () => {
  const { certificates, enrolled, revoked, used } = world();
  const one = issued(1_000);
  await enrolled(one);
  expect(await certificates.standing(one, one.endsAt - 1)).toBe("all");
  expect(used).toEqual(["T1"]);
  expect(await certificates.standing(one, one.endsAt)).toBe("late");
  revoked.add("T1");
  expect(await certificates.standing(one, one.endsAt)).toBe("revoked");
  expect(await certificates.standing(issued(1, { terminalId: "T9" as TerminalId }), 2)).toBe("unknown");
  expect(used).toEqual(["T1"]);
});

test("two are good side by side until the next one is used; the one before is a copy in other hands from then on", async () => {
  const { certificates, enrolled } = world();
  const [one, two] = [issued(1_000), issued(2_000)];
  await enrolled(one);
  await certificates.standing(one, 1_001);
  await certificates.renewed(two);
  expect(await certificates.standing(one, 2_001)).toBe("all");
  expect(await certificates.standing(two, 2_002)).toBe("all");
  expect(await certificates.standing(one, 2_003)).toBe("copy");
  expect(await certificates.standing(two, 2_004)).toBe("all");
});

test("a renewal for the same key is the same certificate until it is used; with another key there are two holders", async () => {
  const { certificates, standings, enrolled } = world();
  const [one, two, three] = [issued(1_000), issued(2_000), issued(3_000)];
  await enrolled(one);
  await certificates.standing(one, 1_001);
  await certificates.renewed(two);
  expect(await certificates.waiting(T1, two.keyDigest)).toMatchObject({ pem: two.pem });
  expect(await certificates.waiting(T1, three.keyDigest)).toBeUndefined();
  await certificates.renewed(three);
  expect(await standings([one, three], 3_001)).toEqual(["all", "all"]);
  expect(await standings([one, two], 3_002)).toEqual(["copy", "copy"]);
  expect(await certificates.waiting(T1, three.keyDigest)).toBeUndefined();
});

test("whoever asks with ever new keys never drives out the certificate in use", async () => {
  const { certificates, enrolled } = world();
  const one = issued(1_000);
  await enrolled(one);
  await certificates.standing(one, 1_001);
  for (let n = 2; n < 50; n += 1) await certificates.renewed(issued(1_000 * n));
  expect(await certificates.standing(one, 60_000)).toBe("all");
  expect(await certificates.standing(issued(2_000), 60_001)).toBe("closed");
});

test("a new enrolment closes all that was given before, used or not", async () => {
  const { certificates, standings, enrolled } = world();
  const [one, two, three] = [issued(1_000), issued(2_000), issued(3_000)];
  await enrolled(one);
  await certificates.standing(one, 1_001);
  await certificates.renewed(two);
  await enrolled(three);
  expect(await standings([one, two, three], 3_001)).toEqual(["closed", "closed", "all"]);
});

test("RM18 a hub that was restored takes a certificate newer than all it knows, and none that is older", async () => {
  const { certificates, enrolled } = world();
  const known = issued(5_000);
  await enrolled(known);
  await certificates.standing(known, 5_001);
  expect(await certificates.standing(issued(4_999), 5_002)).toBe("closed");
  expect(await certificates.standing({ ...known, fingerprint: "another" }, 5_003)).toBe("closed");
  const later = issued(6_000);
  expect(await certificates.standing(later, 6_001)).toBe("all");
  expect(await certificates.standing(known, 6_002)).toBe("copy");
});

test("however often a terminal renews, few rows are kept, and what has gone from them stays closed", async () => {
  const { certificates, enrolled } = world();
  const all = Array.from({ length: 3 * CERTIFICATES_KEPT_MAX }, (_, index) => issued(1_000 * (index + 1)));
  const [first, ...later] = all;
  if (!first) throw new Error("none");
  await enrolled(first);
  await certificates.standing(first, 1_001);
  for (const one of later) {
    await certificates.renewed(one);
    expect(await certificates.standing(one, one.issuedAt + 1)).toBe("all");
  }
  expect(await certificates.list(T1)).toHaveLength(CERTIFICATES_KEPT_MAX);
  expect(await certificates.standing(first, 1e6)).toBe("closed");
  expect(await certificates.standing(all.at(-2) ?? first, 1e6)).toBe("copy");
});
