import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { systemRandom, type TerminalId } from "../../base/ids.ts";
import { brokerAuthority } from "../../hub/nats/broker-authority.ts";
import { openTerminalAuthority } from "../../hub/terminal-authority.ts";
import { createTerminalDoor, type ShownBy } from "../../hub/terminal-door.ts";
import { loadHubTls } from "../../hub/tls.ts";
import { newSigningKeys, publicKeyText } from "../../wire/signing.ts";
import { newCsr } from "./csr-fixture.ts";
import { hubFixture } from "./hub-fixture.ts";

const TILL = "till" as TerminalId;
const PERSON = { terminalId: TILL, by: "ann", why: "a test" };

async function world() {
  const folder = mkdtempSync(join(tmpdir(), "tillway-door-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const { hub, clock } = await hubFixture();
  await loadHubTls({ folder, names: [], now: clock.now(), random: systemRandom });
  const authority = await openTerminalAuthority({ folder, days: 90, random: systemRandom });
  const copies: TerminalId[] = [];
  /** Runs while the next certificate is made. */
  const meanwhile: { run?: () => Promise<unknown> } = {};
  const door = createTerminalDoor({
    ...hub,
    clock,
    onCopy: (terminalId) => copies.push(terminalId),
    authority: {
      prove: authority.prove,
      async issue(request) {
        const { run } = meanwhile;
        delete meanwhile.run;
        await run?.();
        clock.setWall(clock.now() + 1);
        return await authority.issue(request);
      },
    },
  });
  const claim = () =>
    hub.store.transaction((within) => hub.terminals.createClaim(within, { terminalId: TILL, validMs: 60_000 }));
  const signingKey = publicKeyText(newSigningKeys().publicKey);
  const redeem = async ({ claimId, secret }: Awaited<ReturnType<typeof claim>>) =>
    await door.enrol({ claimId, secret, signingKey, csr: await newCsr(TILL) });
  async function enrol(): Promise<ShownBy> {
    const enrolled = await redeem(await claim());
    if (!enrolled.ok) throw new Error(enrolled.error.detail);
    return connectionOf(enrolled.value.certificate.pem);
  }
  const renew = async (connection: ShownBy, csr?: string) =>
    await door.renew({ terminalId: TILL, csr: csr ?? (await newCsr(TILL)) }, { connection });
  const revoke = () => hub.store.transaction((within) => hub.terminals.revoke(within, PERSON));
  const listed = () => hub.store.read((reading) => hub.terminals.certificates.list(reading, TILL));
  const restore = () => hub.store.transaction((within) => hub.terminals.restore(within, PERSON));
  return { hub, clock, restore, door, copies, meanwhile, claim, redeem, enrol, renew, revoke, listed };
}

function connectionOf(pem: string): ShownBy {
  const shown = new X509Certificate(pem);
  return { getPeerX509Certificate: () => shown };
}

test("a terminal that is revoked while its next certificate is made gets none", async () => {
  const { enrol, renew, revoke, listed, meanwhile } = await world();
  const connection = await enrol();
  meanwhile.run = revoke;
  expect(await renew(connection)).toMatchObject({ ok: false, error: { reason: "revoked" } });
  expect(await listed()).toHaveLength(1);
});

test("whoever renews while the terminal is enrolled anew gets nothing that outlives it", async () => {
  const { enrol, renew, listed, meanwhile } = await world();
  const old = await enrol();
  meanwhile.run = enrol;
  expect(await renew(old)).toMatchObject({ ok: false, error: { reason: "certificate" } });
  expect((await listed()).map(({ closedWhy }) => closedWhy)).toEqual([null, "enrolled-again"]);
});

test("a claim that is used while a certificate is made for it is used up, and that certificate is of no terminal", async () => {
  const { claim, redeem, meanwhile, listed } = await world();
  const one = await claim();
  meanwhile.run = () => redeem(one);
  expect(await redeem(one)).toMatchObject({ ok: false, error: { reason: "E_USED" } });
  expect(await listed()).toHaveLength(1);
});

test("many who show a new certificate at once are all let in, and the one before it is closed once", async () => {
  const { door, enrol, renew, copies } = await world();
  const first = await enrol();
  expect(await door.admit(first)).toMatchObject({ ok: true, value: { terminalId: TILL, standing: "all" } });
  const renewed = await renew(first);
  if (!renewed.ok) throw new Error("not renewed");
  const next = connectionOf(renewed.value.pem);
  const admitted = await Promise.all([next, next, next].map((connection) => door.admit(connection)));
  expect(admitted.map(({ ok }) => ok)).toEqual([true, true, true]);
  expect(await door.admit(first)).toMatchObject({ ok: false, error: { reason: "copy" } });
  expect(copies).toEqual([TILL]);
});

test("one key that is shown in two requests at once gets one certificate", async () => {
  const { enrol, renew, listed } = await world();
  const connection = await enrol();
  const csr = await newCsr(TILL);
  const [one, two] = await Promise.all([renew(connection, csr), renew(connection, csr)]);
  expect(one).toMatchObject({ ok: true });
  expect(two).toEqual(one);
  expect(await listed()).toHaveLength(2);
});

test("a revoked terminal comes again by a claim that was made after that, and by none from before", async () => {
  const { hub, clock, claim, redeem, revoke, enrol } = await world();
  await enrol();
  const early = await claim();
  clock.setWall(clock.now() + 1_000);
  await revoke();
  expect(await redeem(early)).toMatchObject({ ok: false, error: { reason: "E_DENIED" } });
  clock.setWall(clock.now() + 1);
  const later = await claim();
  expect(await redeem(later)).toMatchObject({ ok: true });
  const actions = await hub.store.read((reading) => hub.terminals.actions(reading, TILL));
  expect(actions.map(({ action, by, why }) => [action, by, why])).toEqual([
    ["restore", `claim ${later.claimId}`, "enrolled again"],
    ["revoke", "ann", "a test"],
  ]);
  expect(await hub.store.read((reading) => hub.terminals.isRevoked(reading, TILL))).toBe(false);
});

test("brokers are told to refuse every login from before an enrolment, for as long as one of them can last", async () => {
  const { hub, clock, enrol, revoke, restore } = await world();
  const [operator, account, system] = [newSigningKeys(), newSigningKeys(), newSigningKeys()];
  const broker = brokerAuthority({ operator, account, system });
  const claimsOf = (jwt: string) => JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString("utf8"));
  async function refused(): Promise<readonly number[]> {
    const ended = await hub.store.read((reading) => hub.terminals.endedLogins(reading, 10));
    const { revocations } = claimsOf(broker.account(ended, clock.now())).nats;
    return Object.values<number>(revocations);
  }
  const issuedAt = (from: number): number => claimsOf(broker.loginOf(TILL, { from, to: from + 1 })?.password ?? "").iat;
  await enrol();
  expect(await refused()).toEqual([]);
  const old = issuedAt(clock.now());
  clock.setWall(clock.now() + 5_000);
  await revoke();
  await restore();
  expect(await refused()).toEqual([]);
  await enrol();
  const [upTo = 0, ...others] = await refused();
  expect(others).toEqual([]);
  expect(upTo).toBeGreaterThanOrEqual(old);
  expect(upTo).toBeLessThan(issuedAt(clock.now()));
  clock.setWall(clock.now() + 90 * 86_400_000);
  expect(await refused()).toEqual([]);
});
