import { expect, test } from "vitest";
import { ManualClock } from "../../../base/clock.ts";
import { systemRandom, type TerminalId } from "../../../base/ids.ts";
import { openSqlite } from "../../../base/sqlite.ts";
import { newSigningKeys, publicKeyText } from "../../../wire/signing.ts";
import { newSealingKeys, SealingRing, sealingGeneration } from "../../sealing-ring.ts";
import { createTerminals, terminalMigrations } from "./index.ts";

const T1 = "T1" as TerminalId;
const HOUR_MS = 3_600_000;

function world() {
  const clock = new ManualClock();
  const database = openSqlite(":memory:", { migrations: terminalMigrations });
  const terminals = createTerminals({
    database,
    clock,
    random: systemRandom,
    signingKey: newSigningKeys().privateKey,
    sealing: new SealingRing([sealingGeneration(1, newSealingKeys())]),
    tokenKey: systemRandom(32),
    devicesOf: () => [],
    leasePolicy: () => undefined,
  });
  const signingKey = publicKeyText(newSigningKeys().publicKey);
  return { clock, database, terminals, signingKey };
}

test("a claim is refused when it has expired, and used up by its first use", () => {
  const { clock, terminals, signingKey } = world();
  const [old, good] = [1, 2].map(() => terminals.createClaim({ terminalId: T1, validMs: HOUR_MS }));
  if (!old || !good) throw new Error("no claims");
  expect(terminals.enrol({ ...good, signingKey })).toMatchObject({ ok: true });
  expect(terminals.enrol({ ...good, signingKey })).toMatchObject({ ok: false, error: { reason: "E_USED" } });
  clock.setWall(clock.now() + HOUR_MS);
  expect(terminals.enrol({ ...old, signingKey })).toMatchObject({ ok: false, error: { reason: "E_EXPIRED" } });
});

test("a wrong secret and an unknown claim get the same answer, and leave the claim good", () => {
  const { terminals, signingKey } = world();
  const claim = terminals.createClaim({ terminalId: T1, validMs: HOUR_MS });
  const wrong = terminals.enrol({ ...claim, secret: `${claim.secret}x`, signingKey });
  const unknown = terminals.enrol({ claimId: "0".repeat(16), secret: claim.secret, signingKey });
  expect(wrong).toMatchObject({ ok: false, error: { reason: "E_UNKNOWN" } });
  expect(unknown).toEqual(wrong);
  expect(terminals.enrol({ ...claim, signingKey: "AAAA" })).toMatchObject({ error: { reason: "E_FORMAT" } });
  expect(terminals.enrol({ ...claim, signingKey }).ok).toBe(true);
});

test("a bearer is believed for its own terminal only, until the terminal enrols again; its card-token key stays", () => {
  const { terminals, signingKey } = world();
  const enrol = (terminalId: string) => {
    const claim = terminals.createClaim({ terminalId: terminalId as TerminalId, validMs: HOUR_MS });
    const enrolled = terminals.enrol({ ...claim, signingKey });
    if (!enrolled.ok) throw new Error(enrolled.error.detail);
    return enrolled.value;
  };
  const [first, other] = [enrol("T1"), enrol("T2")];
  expect(terminals.authenticate("T1", first.bearer)).toBe(true);
  expect(terminals.authenticate("T1", other.bearer)).toBe(false);
  expect(terminals.authenticate("T3", first.bearer)).toBe(false);
  expect(terminals.authenticate("T3", "")).toBe(false);
  const again = enrol("T1");
  expect(terminals.authenticate("T1", first.bearer)).toBe(false);
  expect(terminals.authenticate("T1", again.bearer)).toBe(true);
  expect(new Uint8Array(again.cardTokenKey)).toEqual(first.cardTokenKey);
});

test("neither the secret of a claim nor a bearer is stored", () => {
  const { database, terminals, signingKey } = world();
  const claim = terminals.createClaim({ terminalId: T1, validMs: HOUR_MS });
  const enrolled = terminals.enrol({ ...claim, signingKey });
  if (!enrolled.ok) throw new Error(enrolled.error.detail);
  const bytes = database.serialize();
  for (const secret of [claim.secret, enrolled.value.bearer]) {
    expect(bytes.includes(secret)).toBe(false);
    expect(bytes.includes(Buffer.from(secret, "base64url"))).toBe(false);
  }
  expect(bytes.includes(claim.claimId)).toBe(true);
});

test("a terminal for which policy gives no lease gets none", () => {
  const { terminals, signingKey } = world();
  terminals.enrol({ ...terminals.createClaim({ terminalId: T1, validMs: HOUR_MS }), signingKey });
  expect(terminals.grantLease(T1, "0".repeat(16) as never)).toBeUndefined();
});
