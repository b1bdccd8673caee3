import { hash } from "node:crypto";
import { expect, test } from "vitest";
import { ManualClock } from "../../../base/clock.ts";
import { systemRandom, type TerminalId } from "../../../base/ids.ts";
import { openSqlite } from "../../../base/sqlite.ts";
import { newSigningKeys, publicKeyText } from "../../../wire/signing.ts";
import { newSealingKeys, SealingRing, sealingGeneration } from "../../sealing-ring.ts";
import { sqliteStore } from "../../store/sqlite-store.ts";
import type { Redemption } from "./enrolment.ts";
import { createTerminals, terminalMigrations } from "./index.ts";

const T1 = "T1" as TerminalId;
const HOUR_MS = 3_600_000;

function world() {
  const clock = new ManualClock();
  const database = openSqlite(":memory:", { migrations: terminalMigrations });
  const store = sqliteStore(database);
  const terminals = createTerminals({
    clock,
    random: systemRandom,
    signingKey: newSigningKeys().privateKey,
    sealing: new SealingRing([sealingGeneration(1, newSealingKeys())]),
    tokenKey: systemRandom(32),
    devicesOf: () => Promise.resolve([]),
    leasePolicy: () => undefined,
  });
  const signingKey = publicKeyText(newSigningKeys().publicKey);
  /** Each in a transaction of its own. */
  const claimFor = (terminalId: TerminalId) =>
    store.transaction((within) => terminals.createClaim(within, { terminalId, validMs: HOUR_MS }));
  const enrol = (request: Redemption) => store.transaction((within) => terminals.enrol(within, request));
  const enrolNew = async (terminalId: TerminalId) => {
    const enrolled = await enrol({ ...(await claimFor(terminalId)), signingKey });
    if (!enrolled.ok) throw new Error(enrolled.error.detail);
    return enrolled.value;
  };
  return { clock, database, store, terminals, signingKey, claimFor, enrol, enrolNew };
}

test("a claim is refused when it has expired, and used up by its first use", async () => {
  const { clock, claimFor, enrol, signingKey } = world();
  const old = await claimFor(T1);
  const good = await claimFor(T1);
  expect(await enrol({ ...good, signingKey })).toMatchObject({ ok: true });
  expect(await enrol({ ...good, signingKey })).toMatchObject({ ok: false, error: { reason: "E_USED" } });
  clock.setWall(clock.now() + HOUR_MS);
  expect(await enrol({ ...old, signingKey })).toMatchObject({ ok: false, error: { reason: "E_EXPIRED" } });
});

test("a wrong secret and an unknown claim get the same answer, and leave the claim good", async () => {
  const { claimFor, enrol, signingKey } = world();
  const claim = await claimFor(T1);
  const wrong = await enrol({ ...claim, secret: `${claim.secret}x`, signingKey });
  const unknown = await enrol({ claimId: "0".repeat(16), secret: claim.secret, signingKey });
  expect(wrong).toMatchObject({ ok: false, error: { reason: "E_UNKNOWN" } });
  expect(unknown).toEqual(wrong);
  expect(await enrol({ ...claim, signingKey: "AAAA" })).toMatchObject({ error: { reason: "E_FORMAT" } });
  expect((await enrol({ ...claim, signingKey })).ok).toBe(true);
});

test("the secret of an earlier version is believed for its own terminal, until the terminal enrols again", async () => {
  const { database, store, terminals, enrolNew } = world();
  const believed = (id: string, bearer: string) => store.read((reading) => terminals.holdsBearer(reading, id, bearer));
  const first = await enrolNew(T1);
  await enrolNew("T2" as TerminalId);
  expect(await believed("T1", "")).toBe(false);
  const of = (id: string, bearer: string) =>
    database
      .prepare("UPDATE terminals__terminal SET bearer_hash = ? WHERE id = ?")
      .run(hash("sha256", bearer, "buffer"), id);
  of("T1", "mine");
  of("T2", "another's");
  expect(await believed("T1", "mine")).toBe(true);
  expect(await believed("T1", "another's")).toBe(false);
  expect(await believed("T3", "mine")).toBe(false);
  expect(await believed("T3", "")).toBe(false);
  const again = await enrolNew(T1);
  expect(await believed("T1", "mine")).toBe(false);
  expect(new Uint8Array(again.cardTokenKey)).toEqual(first.cardTokenKey);
});

test("the secret of a claim is not stored", async () => {
  const { database, claimFor, enrol, signingKey } = world();
  const claim = await claimFor(T1);
  expect((await enrol({ ...claim, signingKey })).ok).toBe(true);
  const bytes = database.serialize();
  expect(bytes.includes(claim.secret)).toBe(false);
  expect(bytes.includes(Buffer.from(claim.secret, "base64url"))).toBe(false);
  expect(bytes.includes(claim.claimId)).toBe(true);
});

test("a terminal for which policy gives no lease gets none", async () => {
  const { store, terminals, enrolNew } = world();
  await enrolNew(T1);
  const lease = await store.transaction((within) => terminals.grantLease(within, T1, "0".repeat(16) as never));
  expect(lease).toBeUndefined();
});
