/** The agent's side of its certificate against a real hub: renewed by itself, over a crash, and for the first time after an upgrade. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { identityPath, loadIdentity, loadIdentityFile, storeIdentity } from "../../agent/identity.ts";
import { openJournal } from "../../agent/journal/sqlite-journal.ts";
import { startForwarder } from "../../agent/saf/forwarder.ts";
import { advice } from "../../agent/saf/saf-fixture.ts";
import { CertificateKeeper } from "../../agent/uplink/certificate-keeper.ts";
import { certificateRequest, newTlsKey } from "../../agent/uplink/certificate-request.ts";
import { Credential } from "../../agent/uplink/credential.ts";
import { enrol } from "../../agent/uplink/enrol.ts";
import { createHubLink } from "../../agent/uplink/hub-link.ts";
import { untilState } from "../../agent/uplink/link-events.ts";
import { type Clock, ManualClock, systemClock } from "../../base/clock.ts";
import { systemRandom } from "../../base/ids.ts";
import { type Log, silentLog } from "../../base/log.ts";
import { openHubDatabase } from "../../hub/hub-core.ts";
import { hubPaths } from "../../hub/main.ts";
import { claimText } from "../../wire/terminal.ts";
import { CERTIFICATE_PATH } from "../../wire/topics.ts";
import { HandBoot, MemoryJournal, TERMINAL } from "../rules/lease-fixture.ts";
import { IdentityHub } from "./identity-hub.ts";

const DAY_MS = 86_400_000;
const forEver = new AbortController().signal;

async function world() {
  const hub = await new IdentityHub().start();
  onTestFinished(() => hub[Symbol.asyncDispose]());
  const dataDir = join(hub.folder, "agent");
  const { claimId, secret } = await hub.newClaim(TERMINAL);
  const caFingerprint = createHash("sha256")
    .update(Buffer.from(derOf(hub.ca), "base64"))
    .digest("hex");
  const claim = { hub: hub.hub.endpoints.httpsUrl, terminalId: TERMINAL, claimId, secret, caFingerprint };
  await enrol({ claimText: claimText(claim), dataDir, clock: systemClock, signal: forEver });
  return { hub, dataDir };
}
const derOf = (pem: string): string => pem.replace(/-----[^-]+-----|\s/g, "");

/** The keeper of an agent that has just been started on this folder. */
function keeperOn(
  { hub, dataDir }: Awaited<ReturnType<typeof world>>,
  { clock = hub.clock, log = silentLog }: { readonly clock?: Clock; readonly log?: Log } = {},
) {
  const identity = loadIdentity(dataDir);
  const credential = new Credential(identity.tls);
  const exchanged: number[] = [];
  credential.onExchange(() => exchanged.push(clock.now()));
  const keeper = new CertificateKeeper({
    identity,
    credential,
    dataDir,
    httpsUrl: identity.httpsUrl,
    clock,
    now: () => clock.now(),
    chance: () => 0.5,
    log,
    quiet: () => Promise.resolve(),
  });
  return { keeper, credential, exchanged };
}
const shownBy = ({ tls }: { readonly tls?: { readonly key: string; readonly certificate: string } | undefined }) => ({
  key: tls?.key ?? "",
  cert: tls?.certificate ?? "",
});
const takes = async ({ hub, dataDir }: Awaited<ReturnType<typeof world>>) =>
  hub.mqtt(TERMINAL, shownBy(loadIdentity(dataDir))).then(({ client }) => client.end(true) !== undefined);

test("an agent renews by itself after two thirds of its certificate's life, spread over the fleet, and with a fresh key", async () => {
  const of = await world();
  const { hub, dataDir } = of;
  const before = loadIdentity(dataDir);
  // Of its own, as the hub does something every minute of these weeks.
  const clock = new ManualClock(hub.clock.now());
  const { keeper, credential, exchanged } = keeperOn(of, { clock });
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const issuedAt = hub.clock.now();
  expect(before.tls).toMatchObject({ renewAfter: issuedAt + 60 * DAY_MS, endsAt: issuedAt + 90 * DAY_MS });
  void keeper.run(stop.signal);
  // Half of the tenth over which renewals are spread.
  await clock.advance(61.5 * DAY_MS - 1);
  expect(exchanged).toEqual([]);
  hub.clock.setWall(clock.now() + 1);
  await clock.advance(1);
  await expect.poll(() => exchanged.length, { timeout: 20_000 }).toBe(1);
  const renewed = loadIdentity(dataDir);
  expect(renewed.tls).toEqual(credential.tls);
  expect(renewed.tls?.endsAt).toBe(issuedAt + 151.5 * DAY_MS);
  expect(renewed.tls?.key).not.toBe(before.tls?.key);
  expect(loadIdentityFile(dataDir).nextTlsKey).toBeUndefined();
  expect({ ...renewed, tls: undefined }).toMatchObject({
    terminalId: before.terminalId,
    cardTokenKey: before.cardTokenKey,
  });
  expect(await takes(of)).toBe(true);
});

test("whenever the agent crashes in a renewal, the identity on its disk is taken, and the renewal ends as it began", async () => {
  const of = await world();
  const { hub, dataDir } = of;
  hub.clock.setWall(hub.clock.now() + 70 * DAY_MS);
  const before = loadIdentity(dataDir);
  // After the fresh key was stored.
  const key = newTlsKey();
  storeIdentity(dataDir, { ...loadIdentityFile(dataDir), nextTlsKey: key });
  expect(await takes(of)).toBe(true);
  // After the hub has answered, before that was stored.
  const csr = await certificateRequest(key, TERMINAL);
  const asked = { terminalId: TERMINAL, csr };
  const { body } = await hub.post(CERTIFICATE_PATH, asked, { shown: shownBy(before) });
  expect(await takes(of)).toBe(true);
  const { keeper, credential } = keeperOn(of);
  await keeper.renew(forEver);
  expect(body).toMatchObject({ certificate: { pem: credential.tls?.certificate } });
  // After it was stored, before it was shown to anybody: the older one is good as well.
  expect(loadIdentity(dataDir).tls).toEqual(credential.tls);
  const stillBefore = await hub.mqtt(TERMINAL, shownBy(before));
  stillBefore.client.end(true);
  expect(await takes(of)).toBe(true);
});

test("a disk that takes nothing leaves the identity as it is and the agent running, which renews when it takes it again", async () => {
  const of = await world();
  const { dataDir } = of;
  const stored = readFileSync(identityPath(dataDir), "utf8");
  of.hub.clock.setWall(of.hub.clock.now() + 70 * DAY_MS);
  const clock = new ManualClock(of.hub.clock.now());
  const warnings: unknown[] = [];
  const log = { ...silentLog, warn: (_: string, { why }: { readonly why?: unknown } = {}) => warnings.push(why) };
  const { keeper, exchanged } = keeperOn(of, { clock, log });
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  // Where the file is written first, so that this fails for root as well.
  mkdirSync(`${identityPath(dataDir)}.new`);
  const run = keeper.run(stop.signal);
  await expect.poll(() => warnings).toEqual([expect.stringMatching(/^cannot write .*identity\.json: .*free space$/)]);
  expect(readFileSync(identityPath(dataDir), "utf8")).toBe(stored);
  rmdirSync(`${identityPath(dataDir)}.new`);
  // The longest that is waited before it asks again, which here is not long enough for the next answer to be too late.
  await clock.advance(60_000);
  await expect.poll(() => exchanged.length, { timeout: 20_000 }).toBe(1);
  stop.abort();
  await run;
});

test("an agent that does not know how late it is renews when it is refused, and one that was revoked gets nothing", async () => {
  const of = await world();
  const { hub, dataDir } = of;
  hub.clock.setWall(hub.clock.now() + 200 * DAY_MS);
  const identity = loadIdentity(dataDir);
  const link = createHubLink({
    identity,
    journal: new MemoryJournal(),
    // A clock that stands at the beginning.
    clock: {
      ...systemClock,
      now: () => 0,
      monotonic: () => systemClock.monotonic(),
      after: (...of) => systemClock.after(...of),
    },
    random: systemRandom,
    log: silentLog,
    boot: new HandBoot(),
    dataDir,
    options: { version: "1", prefer: "mqtt-only", disk: { freeBytes: () => 1, reserveBytes: 0 } },
  });
  onTestFinished(() => link[Symbol.asyncDispose]());
  void link.start(forEver);
  await untilState(link.hub, "up", AbortSignal.timeout(30_000));
  expect(loadIdentity(dataDir).tls?.endsAt).toBeGreaterThan(hub.clock.now());
  await hub.operate("revoke", TERMINAL);
  const { keeper } = keeperOn(of);
  await expect(keeper.renew(forEver)).rejects.toMatchObject({
    code: "uplink.refused",
    message: expect.stringContaining("is revoked"),
  });
});

test("RM18 what an agent has stored reaches the hub although its certificate has ended and no other is to be had", async () => {
  const { hub, dataDir } = await world();
  hub.clock.setWall(hub.clock.now() + 91 * DAY_MS);
  const shared = { clock: systemClock, random: systemRandom, log: silentLog };
  const journal = openJournal({ ...shared, path: join(dataDir, "journal.db"), terminalId: TERMINAL });
  onTestFinished(() => journal[Symbol.asyncDispose]());
  const { sealed: _, ...sale } = advice("p-1");
  await journal.append([sale]);
  const link = createHubLink({
    ...shared,
    // Without its folder, which a renewal would be written to.
    identity: loadIdentity(dataDir),
    journal,
    boot: new HandBoot(),
    options: { version: "1", prefer: "mqtt", disk: { freeBytes: () => 1, reserveBytes: 0 } },
  });
  onTestFinished(() => link[Symbol.asyncDispose]());
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const states: string[] = [];
  link.hub.onState((state) => states.push(state));
  startForwarder({ ...shared, journal, hub: link.hub, signal: stop.signal });
  void link.start(forEver);
  const stateOf = () => journal.queue({ paymentId: sale.body.paymentId }).map(({ state }) => state);
  await expect.poll(stateOf, { timeout: 20_000 }).toEqual(["processed"]);
  expect(link.hub).toMatchObject({ state: "down", advicesOnly: true, via: "https" });
  expect(states).not.toContain("up");
  const request = {
    paymentId: sale.body.paymentId,
    attempt: 1,
    kind: "purchase",
    amount: { minor: "100", currency: "EUR" },
  };
  await expect(link.hub.authorise(request as never, 1, forEver)).rejects.toMatchObject({ code: "uplink.down" });
});

test("an identity that somebody enrolled anew beside a running agent is not overwritten by its renewal", async () => {
  const of = await world();
  const { keeper } = keeperOn(of);
  const other = await world();
  const anew = loadIdentityFile(other.dataDir);
  storeIdentity(of.dataDir, anew);
  await expect(keeper.renew(forEver)).rejects.toThrow(
    `${identityPath(of.dataDir)} was enrolled anew; start the agent again`,
  );
  expect(loadIdentityFile(of.dataDir)).toEqual(anew);
});

test("a terminal that an earlier version enrolled gets its first certificate by its secret, which is good for nothing else", async () => {
  const of = await world();
  const { hub, dataDir } = of;
  const bearer = "b".repeat(43);
  const database = openHubDatabase(hubPaths(hub.dataDir).database);
  database.prepare("UPDATE terminals__terminal SET bearer_hash = ?").run(createHash("sha256").update(bearer).digest());
  database.prepare("DELETE FROM terminals__certificate").run();
  database.close();
  const { tls: _, ...earlier } = loadIdentityFile(dataDir);
  storeIdentity(dataDir, { ...earlier, bearer });

  expect((await hub.renew(TERMINAL, { bearer: "x".repeat(43) })).status).toBe(401);
  const head = {
    v: 1,
    id: "0".repeat(24),
    terminalId: TERMINAL,
    epoch: "0".repeat(16),
    sequence: 0,
    sentAt: new Date(0).toISOString(),
  };
  const presence = { ...head, type: "presence", body: { status: "offline", version: "1", clock: head.sentAt } };
  expect(await hub.post("/v1/uplink", presence, { bearer })).toMatchObject({ status: 401 });

  const link = createHubLink({
    identity: loadIdentity(dataDir),
    journal: new MemoryJournal(),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    boot: new HandBoot(),
    dataDir,
    options: { version: "1", prefer: "mqtt", disk: { freeBytes: () => 1, reserveBytes: 0 } },
  });
  onTestFinished(() => link[Symbol.asyncDispose]());
  void link.start(forEver);
  await untilState(link.hub, "up", AbortSignal.timeout(30_000));
  expect(link.hub.via).toBe("mqtt");
  const file = loadIdentityFile(dataDir);
  expect([file.bearer, file.nextTlsKey]).toEqual([undefined, undefined]);
  expect(file.tls?.certificate).toContain("BEGIN CERTIFICATE");
  expect((await hub.renew(TERMINAL, { bearer })).status).toBe(401);
});
