/** What a hub says to its terminals besides receipts: what is denied, which key to seal to, and that one is revoked. */
import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import type { Epoch, TerminalId } from "../../base/ids.ts";
import type { DeniedSubject } from "../../hub/core/terminals/deny-list.ts";
import { sql } from "../../hub/store/store.ts";
import type { DownEnvelope } from "../../wire/envelope.ts";
import { type Lease, LeaseSchema } from "../../wire/lease.ts";
import { openSigned, publicKeyText } from "../../wire/signing.ts";
import type { EnrolRequest, Presence } from "../../wire/terminal.ts";
import {
  enrolTerminal,
  type FakeTerminal,
  type HubFixture,
  hubFixture,
  only,
  seededRandom,
  TEST_PAN,
} from "./hub-fixture.ts";

const HOUR_MS = 3_600_000;
const PERSON = { by: "ann", why: "it was stolen" };

async function hear(
  { hub, clock }: Pick<HubFixture, "hub" | "clock">,
  terminal: FakeTerminal,
  told: Partial<Presence> = {},
): Promise<Lease | undefined> {
  const body: Presence = { status: "online", version: "1", clock: new Date(clock.now()).toISOString(), ...told };
  const answer = only(await hub.receive({ ...terminal.head(), type: "presence", body }), "lease");
  return answer.body.lease && openSigned("lease", answer.body.lease, hub.signingKey, LeaseSchema);
}
const head = (forward: number) => ({ sequence: forward, forward, hash: "0".repeat(64) });
const accountOf = ({ hub }: HubFixture, id: string) => hub.store.read((reading) => hub.ledger.account(reading, id));
const deny = ({ hub }: HubFixture, subject: DeniedSubject) =>
  hub.store.transaction((within) => hub.terminals.denyList.add(within, subject));
const revoke = ({ hub }: HubFixture, terminalId: TerminalId) =>
  hub.store.transaction((within) => hub.terminals.revoke(within, { terminalId, ...PERSON }));
const restore = ({ hub }: HubFixture, terminalId: TerminalId, person = PERSON) =>
  hub.store.transaction((within) => hub.terminals.restore(within, { terminalId, ...person }));
const claim = ({ hub }: HubFixture, terminalId: TerminalId) =>
  hub.store.transaction((within) => hub.terminals.createClaim(within, { terminalId, validMs: HOUR_MS }));
const enrol = ({ hub }: HubFixture, request: Omit<EnrolRequest, "csr">) =>
  hub.store.transaction((within) => hub.terminals.enrol(within, request));
const enrolled = ({ hub, clock }: HubFixture, id: string) =>
  enrolTerminal({ hub, clock, random: seededRandom(id), terminalId: id as TerminalId });

test("RM8 a lease names denied cards under its terminal's own key, with a version and a hash that rise and fit", async () => {
  const fixture = await hubFixture();
  const { hub, terminal } = fixture;
  const other = await enrolled(fixture, "T2");
  expect((await hear(fixture, terminal))?.denyList).toMatchObject({ version: 0, tokens: [] });
  await deny(fixture, { kind: "card", id: TEST_PAN });
  const [mine, others] = [await hear(fixture, terminal), await hear(fixture, other)];
  expect(mine?.denyList.version).toBe(1);
  expect(mine?.denyList.tokens).toHaveLength(1);
  expect(mine?.denyList.tokens).not.toEqual(others?.denyList.tokens);
  const again = await enrol(fixture, {
    ...(await claim(fixture, other.terminalId)),
    signingKey: publicKeyText(hub.signingKey),
  });
  if (!again.ok) throw new Error(again.error.detail);
  expect(others?.denyList.tokens).toEqual([
    createHmac("sha256", again.value.cardTokenKey).update(TEST_PAN).digest("hex"),
  ]);
  expect(await fixture.dump()).not.toContain(TEST_PAN);
});

test("a denied card and a denied account are refused online, and a sale made offline before is posted all the same", async () => {
  const fixture = await hubFixture();
  const { hub, terminal, customer } = fixture;
  const card: DeniedSubject = { kind: "card", id: TEST_PAN };
  await deny(fixture, card);
  expect(await terminal.ask(terminal.request("sale-1"))).toMatchObject({ outcome: "declined", reason: "E_DENIED" });
  expect(await terminal.tell(terminal.advice("sale-2"))).toMatchObject([{ status: "processed" }]);
  await hub.store.transaction((within) => hub.terminals.denyList.remove(within, card));
  expect(await terminal.ask(terminal.request("sale-3"))).toMatchObject({ outcome: "approved" });
  await deny(fixture, { kind: "account", id: customer });
  expect(await terminal.ask(terminal.request("sale-4"))).toMatchObject({ outcome: "declined", reason: "E_DENIED" });
  // What was approved before keeps its first answer.
  expect(await terminal.ask(terminal.request("sale-3"))).toMatchObject({ outcome: "approved" });
});

test("RM8 a revoked terminal gets no lease, its requests and its journal are refused, and it can be restored", async () => {
  const fixture = await hubFixture();
  const { hub, terminal, merchant } = fixture;
  await hear(fixture, terminal);
  expect(await revoke(fixture, terminal.terminalId)).toEqual({ ok: true, value: true });
  expect(await hear(fixture, terminal)).toBeUndefined();
  expect(await terminal.ask(terminal.request("sale-1"))).toMatchObject({ outcome: "declined", reason: "E_DENIED" });
  const advice = terminal.advice("sale-2");
  await expect(hub.receive(terminal.batch([advice]))).rejects.toMatchObject({ code: "identity.revoked" });
  expect(await accountOf(fixture, merchant)).toBeUndefined();
  // Its key is kept: what it signed can still be checked.
  expect(await hub.store.read((reading) => hub.terminals.signingKeyOf(reading, terminal.terminalId))).toBeDefined();
  const unasked = await hub.leaseUnasked(terminal.terminalId);
  expect((unasked as Extract<DownEnvelope, { type: "lease" }>).body.lease).toBeUndefined();
  await restore(fixture, terminal.terminalId, { by: "ben", why: "it was found" });
  expect((await hear(fixture, terminal))?.counter).toBe(2);
  expect(await terminal.tell(advice)).toMatchObject([{ status: "processed" }]);
  expect(await hub.store.read((reading) => hub.terminals.actions(reading, terminal.terminalId))).toMatchObject([
    { action: "restore", by: "ben", why: "it was found" },
    { action: "revoke", ...PERSON },
  ]);
});

test("RM4 an attempt keeps its first answer whether its terminal is revoked or restored between two of its requests", async () => {
  const fixture = await hubFixture();
  const { terminal } = fixture;
  const { terminalId } = terminal;
  const approved = terminal.request("sale-1");
  expect(await terminal.ask(approved)).toMatchObject({ outcome: "approved" });
  await revoke(fixture, terminalId);
  expect(await terminal.ask(approved)).toMatchObject({ outcome: "approved" });
  const refused = terminal.request("sale-2");
  expect(await terminal.ask(refused)).toMatchObject({ outcome: "declined", detail: "this terminal is revoked" });
  await restore(fixture, terminalId);
  expect(await terminal.ask(refused)).toMatchObject({ outcome: "declined", detail: "this terminal is revoked" });
  expect(await terminal.ask(terminal.request("sale-3"))).toMatchObject({ outcome: "approved" });
});

test("a revoked terminal cannot enrol again, even with a claim that it got before", async () => {
  const fixture = await hubFixture();
  const { terminalId } = fixture.terminal;
  const early = await claim(fixture, terminalId);
  await revoke(fixture, terminalId);
  expect(await enrol(fixture, { ...early, signingKey: "AAAA" })).toMatchObject({ error: { reason: "E_DENIED" } });
});

test("RM8 the bound of the fleet is the sum of the leases in force, times the copies that are known of each", async () => {
  const fixture = await hubFixture();
  const { hub, clock, terminal } = fixture;
  const exposure = async (copies = 1) => {
    const copiesOf = () => Promise.resolve(copies);
    return (await hub.store.read((reading) => hub.terminals.exposure(reading, copiesOf))).currencies;
  };
  expect(await exposure()).toEqual([]);
  await hear(fixture, terminal);
  await hear(fixture, terminal);
  const other = await enrolled(fixture, "T2");
  await hear(fixture, other);
  expect(await exposure()).toEqual([{ currency: "EUR", leases: 2, boundMinor: 40_000n, payerBoundMinor: 40_000n }]);
  expect(await exposure(3)).toMatchObject([{ boundMinor: 120_000n }]);
  // A lease once given is good to its end, whatever becomes of its terminal.
  await revoke(fixture, other.terminalId);
  expect(await exposure()).toMatchObject([{ boundMinor: 40_000n }]);
  clock.setWall(clock.now() + 24 * HOUR_MS);
  expect(await exposure()).toEqual([]);
});

test("new leases name the new sealing key, and what was sealed to the older one is still opened", async () => {
  const fixture = await hubFixture();
  const { hub, terminal, customer } = fixture;
  const earlier = await hear(fixture, terminal);
  const old = hub.sealingKey;
  hub.terminals.rotateSealing();
  expect((await hear(fixture, terminal))?.sealingKey.keyId).toBe(hub.sealingKey.keyId);
  expect(earlier?.sealingKey.keyId).toBe(old.keyId);
  expect(hub.sealingKey.keyId).not.toBe(old.keyId);
  const sealed = [terminal.seal("sale-1", TEST_PAN, old), terminal.seal("sale-2", TEST_PAN, hub.sealingKey)];
  const entries = sealed.map((one, index) => terminal.entry(terminal.decision(`sale-${index + 1}`), { sealed: one }));
  expect(await terminal.tell(...entries)).toMatchObject([{ status: "processed" }, { status: "processed" }]);
  expect((await accountOf(fixture, customer))?.debitsPosted).toBe(2_000n);
});

test("an older key is needed until every journal has told of a newer one and all that it had written is here", async () => {
  const fixture = await hubFixture();
  const { hub, clock, terminal } = fixture;
  const old = hub.sealingKey.keyId;
  const needs = async () => {
    const all = await hub.store.read((reading) =>
      hub.terminals.needsOfKey(reading, old, (inner, terminalId, epoch) =>
        hub.ingest.taken(inner, { terminalId, epoch }),
      ),
    );
    return all.map(({ why }) => why);
  };
  await hear(fixture, terminal);
  hub.terminals.rotateSealing();
  expect(await needs()).toEqual([expect.stringContaining("has not told that it holds a lease with a newer key")]);
  const lease = await hear(fixture, terminal, { leaseCounter: 1 });
  const leaseCounter = lease?.counter ?? 0;
  await hear(fixture, terminal, { leaseCounter, head: head(1) });
  expect(await needs()).toEqual([expect.stringContaining("took the newer key only now")]);
  clock.setWall(clock.now() + HOUR_MS);
  await hear(fixture, terminal, { leaseCounter });
  expect(await needs()).toEqual([expect.stringContaining("does not tell how many")]);
  await hear(fixture, terminal, { leaseCounter, head: head(1) });
  expect(await needs()).toEqual([expect.stringContaining("1 of its entries are not here yet")]);
  await terminal.tell(terminal.advice("sale-1"));
  expect(await needs()).toEqual([]);
  const unreadable = { ...terminal.seal("sale-2"), keyId: "hub-99" };
  await terminal.tell(terminal.entry(terminal.decision("sale-2"), { sealed: unreadable }));
  expect(await needs()).toEqual([expect.stringContaining("set aside; decide on them first")]);
  const decided = await hub.store.transaction(async (within) => {
    const [aside] = await hub.ingest.quarantine.list(within, { only: "open", afterNumber: 0, limit: 9 });
    return await hub.ingest.quarantine.drop(within, aside?.number ?? 0, { ...PERSON, now: clock.now() });
  });
  expect(decided).toMatchObject({ ok: true });
  expect(await needs()).toEqual([]);
  // A terminal that enrols now never had the older key; one of which nothing was heard since the rotation may have.
  await enrolled(fixture, "T2");
  expect(await needs()).toEqual([]);
});

test("an entry sealed to a key that was removed is set aside with that reason", async () => {
  const fixture = await hubFixture();
  const { terminal, sealing, hub } = fixture;
  const old = hub.sealingKey;
  hub.terminals.rotateSealing();
  sealing.remove(old.keyId);
  const entry = terminal.entry(terminal.decision("sale-1"), { sealed: terminal.seal("sale-1", TEST_PAN, old) });
  expect(await terminal.tell(entry)).toMatchObject([
    { status: "quarantined", reason: "E_FORMAT", detail: expect.stringContaining("a key that this hub has not") },
  ]);
});

test("a journal that names the number of another journal's lease has shown nothing of its keys", async () => {
  const fixture = await hubFixture();
  const { hub, clock, terminal } = fixture;
  const old = hub.sealingKey.keyId;
  hub.terminals.rotateSealing();
  const leaseCounter = (await hear(fixture, terminal))?.counter ?? 0;
  await hear(fixture, terminal, { leaseCounter, head: head(0) });
  const stray = terminal.twin();
  stray.epoch = "f".repeat(16) as Epoch;
  await hear(fixture, stray, { leaseCounter, head: head(0) });
  clock.setWall(clock.now() + HOUR_MS);
  await hear(fixture, terminal, { leaseCounter, head: head(0) });
  await hear(fixture, stray, { leaseCounter, head: head(0) });
  const taken = () => Promise.resolve({ watermark: 0, setAside: false });
  expect(await hub.store.read((reading) => hub.terminals.needsOfKey(reading, old, taken))).toEqual([
    { terminalId: "T1", why: "journal ffffffffffffffff: it has not told that it holds a lease with a newer key" },
  ]);
});

test("a terminal whose key cannot be opened fails no sale of another in the same commit, and is enrolled again", async () => {
  const fixture = await hubFixture();
  const { hub, terminal } = fixture;
  const broken = await enrolled(fixture, "T2");
  const takeAnothers = sql<[string, string]>(
    `UPDATE terminals__terminal SET card_token_key = (SELECT card_token_key FROM terminals__terminal WHERE id = ?)
     WHERE id = ?`,
  );
  await hub.store.transaction((within) => within.run(takeAnothers, [terminal.terminalId, broken.terminalId]));
  const [lease, answer] = await Promise.allSettled([broken.arrive(), terminal.ask(terminal.request("sale-1"))]);
  expect(lease).toMatchObject({ reason: { code: "identity.invalid" } });
  expect(answer).toMatchObject({ value: { outcome: "approved" } });
  const again = await enrolled(fixture, "T2");
  expect(await hear(fixture, again)).toMatchObject({ counter: 1 });
});
