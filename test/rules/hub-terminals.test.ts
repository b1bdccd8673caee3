/** What a hub says to its terminals besides receipts: what is denied, which key to seal to, and that one is revoked. */
import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import type { Epoch, TerminalId } from "../../base/ids.ts";
import type { DownEnvelope } from "../../wire/envelope.ts";
import { type Lease, LeaseSchema } from "../../wire/lease.ts";
import { openSigned, publicKeyText } from "../../wire/signing.ts";
import type { Presence } from "../../wire/terminal.ts";
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
const enrolled = ({ hub, clock }: HubFixture, id: string) =>
  enrolTerminal({ hub, clock, random: seededRandom(id), terminalId: id as TerminalId });

test("RM8 a lease names denied cards under its terminal's own key, with a version and a hash that rise and fit", async () => {
  const fixture = hubFixture();
  const { hub, terminal } = fixture;
  const other = enrolled(fixture, "T2");
  expect((await hear(fixture, terminal))?.denyList).toMatchObject({ version: 0, tokens: [] });
  hub.terminals.denyList.add({ kind: "card", id: TEST_PAN });
  const [mine, others] = [await hear(fixture, terminal), await hear(fixture, other)];
  expect(mine?.denyList.version).toBe(1);
  expect(mine?.denyList.tokens).toHaveLength(1);
  expect(mine?.denyList.tokens).not.toEqual(others?.denyList.tokens);
  const claim = hub.terminals.createClaim({ terminalId: "T2" as TerminalId, validMs: HOUR_MS });
  const again = hub.terminals.enrol({ ...claim, signingKey: publicKeyText(hub.signingKey) });
  if (!again.ok) throw new Error(again.error.detail);
  expect(others?.denyList.tokens).toEqual([
    createHmac("sha256", again.value.cardTokenKey).update(TEST_PAN).digest("hex"),
  ]);
  expect(fixture.dump()).not.toContain(TEST_PAN);
});

test("a denied card and a denied account are refused online, and a sale made offline before is posted all the same", async () => {
  const { hub, terminal, customer } = hubFixture();
  const { denyList } = hub.terminals;
  denyList.add({ kind: "card", id: TEST_PAN });
  expect(await terminal.ask(terminal.request("sale-1"))).toMatchObject({ outcome: "declined", reason: "E_DENIED" });
  expect(await terminal.tell(terminal.advice("sale-2"))).toMatchObject([{ status: "processed" }]);
  denyList.remove({ kind: "card", id: TEST_PAN });
  expect(await terminal.ask(terminal.request("sale-3"))).toMatchObject({ outcome: "approved" });
  denyList.add({ kind: "account", id: customer });
  expect(await terminal.ask(terminal.request("sale-4"))).toMatchObject({ outcome: "declined", reason: "E_DENIED" });
  // What was approved before keeps its first answer.
  expect(await terminal.ask(terminal.request("sale-3"))).toMatchObject({ outcome: "approved" });
});

test("RM8 a revoked terminal gets no lease, its requests and its journal are refused, and it can be restored", async () => {
  const fixture = hubFixture();
  const { hub, terminal, merchant } = fixture;
  await hear(fixture, terminal);
  expect(hub.terminals.revoke({ terminalId: terminal.terminalId, ...PERSON })).toEqual({ ok: true, value: true });
  expect(await hear(fixture, terminal)).toBeUndefined();
  expect(await terminal.ask(terminal.request("sale-1"))).toMatchObject({ outcome: "declined", reason: "E_DENIED" });
  const advice = terminal.advice("sale-2");
  await expect(hub.receive(terminal.batch([advice]))).rejects.toMatchObject({ code: "identity.revoked" });
  expect(hub.ledger.account(merchant)).toBeUndefined();
  // Its key is kept: what it signed can still be checked.
  expect(hub.terminals.signingKeyOf(terminal.terminalId)).toBeDefined();
  const unasked = await hub.leaseUnasked(terminal.terminalId);
  expect((unasked as Extract<DownEnvelope, { type: "lease" }>).body.lease).toBeUndefined();
  hub.terminals.restore({ terminalId: terminal.terminalId, by: "ben", why: "it was found" });
  expect((await hear(fixture, terminal))?.counter).toBe(2);
  expect(await terminal.tell(advice)).toMatchObject([{ status: "processed" }]);
  expect(hub.terminals.actions(terminal.terminalId)).toMatchObject([
    { action: "restore", by: "ben", why: "it was found" },
    { action: "revoke", ...PERSON },
  ]);
});

test("RM4 an attempt keeps its first answer whether its terminal is revoked or restored between two of its requests", async () => {
  const fixture = hubFixture();
  const { hub, terminal } = fixture;
  const { terminalId } = terminal;
  const approved = terminal.request("sale-1");
  expect(await terminal.ask(approved)).toMatchObject({ outcome: "approved" });
  hub.terminals.revoke({ terminalId, ...PERSON });
  expect(await terminal.ask(approved)).toMatchObject({ outcome: "approved" });
  const refused = terminal.request("sale-2");
  expect(await terminal.ask(refused)).toMatchObject({ outcome: "declined", detail: "this terminal is revoked" });
  hub.terminals.restore({ terminalId, ...PERSON });
  expect(await terminal.ask(refused)).toMatchObject({ outcome: "declined", detail: "this terminal is revoked" });
  expect(await terminal.ask(terminal.request("sale-3"))).toMatchObject({ outcome: "approved" });
});

test("a revoked terminal cannot enrol again, even with a claim that it got before", () => {
  const { hub, terminal } = hubFixture();
  const { terminalId } = terminal;
  const claim = hub.terminals.createClaim({ terminalId, validMs: HOUR_MS });
  hub.terminals.revoke({ terminalId, ...PERSON });
  expect(hub.terminals.enrol({ ...claim, signingKey: "AAAA" })).toMatchObject({ error: { reason: "E_DENIED" } });
});

test("RM8 the bound of the fleet is the sum of the leases in force, times the copies that are known of each", async () => {
  const fixture = hubFixture();
  const { hub, clock, terminal } = fixture;
  const exposure = (copies = 1) => hub.terminals.exposure(() => copies).currencies;
  expect(exposure()).toEqual([]);
  await hear(fixture, terminal);
  await hear(fixture, terminal);
  const other = enrolled(fixture, "T2");
  await hear(fixture, other);
  expect(exposure()).toEqual([{ currency: "EUR", leases: 2, boundMinor: 40_000n, payerBoundMinor: 40_000n }]);
  expect(exposure(3)).toMatchObject([{ boundMinor: 120_000n }]);
  // A lease once given is good to its end, whatever becomes of its terminal.
  hub.terminals.revoke({ terminalId: other.terminalId, ...PERSON });
  expect(exposure()).toMatchObject([{ boundMinor: 40_000n }]);
  clock.setWall(clock.now() + 24 * HOUR_MS);
  expect(exposure()).toEqual([]);
});

test("new leases name the new sealing key, and what was sealed to the older one is still opened", async () => {
  const fixture = hubFixture();
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
  expect(hub.ledger.account(customer)?.debitsPosted).toBe(2_000n);
});

test("an older key is needed until every journal has told of a newer one and all that it had written is here", async () => {
  const fixture = hubFixture();
  const { hub, clock, terminal } = fixture;
  const old = hub.sealingKey.keyId;
  const needs = () =>
    hub.terminals.needsOfKey(old, (terminalId, epoch) => hub.ingest.taken({ terminalId, epoch })).map(({ why }) => why);
  await hear(fixture, terminal);
  hub.terminals.rotateSealing();
  expect(needs()).toEqual([expect.stringContaining("has not told that it holds a lease with a newer key")]);
  const lease = await hear(fixture, terminal, { leaseCounter: 1 });
  const leaseCounter = lease?.counter ?? 0;
  await hear(fixture, terminal, { leaseCounter, head: head(1) });
  expect(needs()).toEqual([expect.stringContaining("took the newer key only now")]);
  clock.setWall(clock.now() + HOUR_MS);
  await hear(fixture, terminal, { leaseCounter });
  expect(needs()).toEqual([expect.stringContaining("does not tell how many")]);
  await hear(fixture, terminal, { leaseCounter, head: head(1) });
  expect(needs()).toEqual([expect.stringContaining("1 of its entries are not here yet")]);
  await terminal.tell(terminal.advice("sale-1"));
  expect(needs()).toEqual([]);
  const unreadable = { ...terminal.seal("sale-2"), keyId: "hub-99" };
  await terminal.tell(terminal.entry(terminal.decision("sale-2"), { sealed: unreadable }));
  expect(needs()).toEqual([expect.stringContaining("set aside; decide on them first")]);
  const [aside] = hub.ingest.quarantine.list({ only: "open", afterNumber: 0, limit: 9 });
  expect(hub.ingest.quarantine.drop(aside?.number ?? 0, { ...PERSON, now: clock.now() })).toMatchObject({ ok: true });
  expect(needs()).toEqual([]);
  // A terminal that enrols now never had the older key; one of which nothing was heard since the rotation may have.
  enrolled(fixture, "T2");
  expect(needs()).toEqual([]);
});

test("an entry sealed to a key that was removed is set aside with that reason", async () => {
  const fixture = hubFixture();
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
  const fixture = hubFixture();
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
  expect(hub.terminals.needsOfKey(old, () => ({ watermark: 0, setAside: false }))).toEqual([
    { terminalId: "T1", why: "journal ffffffffffffffff: it has not told that it holds a lease with a newer key" },
  ]);
});
