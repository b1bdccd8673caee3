/** Enrolment against a real TLS server: the secret leaves only to the hub that the claim names, and works once. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { identityPath, loadIdentity } from "../../agent/identity.ts";
import { enrol } from "../../agent/uplink/enrol.ts";
import { systemClock } from "../../base/clock.ts";
import { isFault, reasonOf } from "../../base/fault.ts";
import { takeLock } from "../../base/lock-file.ts";
import { publicKeyText, readPublicKey, signText } from "../../wire/signing.ts";
import { type Claim, claimText, EnrolRequestSchema } from "../../wire/terminal.ts";
import { hubKeys, sealingKeys, TERMINAL } from "../rules/lease-fixture.ts";
import { type Authority, LOOPBACK, newAuthority, TestHub } from "./uplink-hub.ts";

let authority: Authority;
let certificate: { cert: string; key: string };
beforeAll(async () => {
  authority = await newAuthority();
  certificate = await authority.issue(LOOPBACK);
});

/** A hub with one claim to give, and a terminal's empty folder. */
async function world(shown = certificate) {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await new TestHub().start(shown));
  const dataDir = mkdtempSync(join(tmpdir(), "tillway-enrol-"));
  stack.defer(() => rmSync(dataDir, { recursive: true }));
  const posts: string[] = [];
  server.other = async ({ path, text }) => {
    posts.push(text);
    if (path !== "/v1/enrol") return { status: 404, body: {} };
    if (posts.length > 1) return { status: 409, body: { detail: "this claim was used" } };
    return {
      status: 200,
      body: {
        terminalId: TERMINAL,
        certificate: {
          pem: await authority.certify(EnrolRequestSchema.parse(JSON.parse(text)).csr),
          renewAfter: new Date(Date.now() + 1_000).toISOString(),
        },
        caCertificate: authority.certificate,
        mqttUrl: "mqtts://127.0.0.1:8883",
        httpsUrl: claim.hub,
        hubSigningKey: publicKeyText(hubKeys.publicKey),
        sealingKey: { keyId: "k1", publicKey: publicKeyText(sealingKeys.publicKey) },
        cardTokenKey: Buffer.alloc(32, 7).toString("base64"),
      },
    };
  };
  const claim: Claim = {
    hub: `https://127.0.0.1:${server.httpsPort}`,
    terminalId: TERMINAL,
    claimId: "0123456789abcdef",
    secret: "s".repeat(43),
    caFingerprint: authority.fingerprint,
  };
  const run = (changes: Partial<Claim> = {}, force = false) =>
    enrol({
      claimText: claimText({ ...claim, ...changes }),
      dataDir,
      clock: systemClock,
      signal: new AbortController().signal,
      force,
    });
  return { server, dataDir, posts, run, stack };
}
const wordsOf = (work: Promise<unknown>) =>
  work.then(
    () => "fulfilled",
    (error: unknown) => (isFault(error) ? `${error.code}: ${error.message}` : reasonOf(error)),
  );

test("a claim becomes an identity that only its owner can read, with a key pair of its own", async () => {
  const { dataDir, posts, run, stack } = await world();
  await using _ = stack;
  expect(await run()).toMatchObject({ terminalId: TERMINAL, path: identityPath(dataDir), mustAdopt: false });
  expect(statSync(identityPath(dataDir)).mode & 0o777).toBe(0o600);
  const identity = loadIdentity(dataDir);
  expect(identity).toMatchObject({ terminalId: TERMINAL, caCertificate: authority.certificate });
  const shown = new X509Certificate(identity.tls?.certificate ?? "");
  expect(shown.checkPrivateKey(createPrivateKey(identity.tls?.key ?? ""))).toBe(true);
  const told = EnrolRequestSchema.parse(JSON.parse(posts[0] ?? ""));
  const ours = signText("batch", "x", identity.signingKey);
  expect(publicKeyText(readPublicKey(told.signingKey))).toBe(told.signingKey);
  expect(ours.signature).toHaveLength(88);
});

test("another authority than the claim's: refused in words, and not one request is sent", async () => {
  const { posts, run, stack } = await world();
  await using _ = stack;
  expect(await wordsOf(run({ caFingerprint: "0".repeat(64) }))).toMatch(
    /^identity\.invalid: .*shows another authority than the claim names: do not enrol/,
  );
  expect(posts).toEqual([]);
});

test("the right authority shown beside a leaf that it did not issue: refused, nothing sent", async () => {
  const stranger = await (await newAuthority()).issue(LOOPBACK);
  const leaf = stranger.cert.split(/(?<=-----END CERTIFICATE-----\n)/)[0] ?? "";
  const { posts, run, stack } = await world({ cert: `${leaf}\n${authority.certificate}\n`, key: stranger.key });
  await using _ = stack;
  expect(await wordsOf(run())).toMatch(/^identity\.invalid: .*do not enrol/);
  expect(posts).toEqual([]);
});

test("a certificate for another name: refused with both names, nothing sent", async () => {
  const elsewhere = await authority.issue([{ type: "dns", value: "hub.example" }]);
  const { posts, run, stack } = await world(elsewhere);
  await using _ = stack;
  expect(await wordsOf(run())).toMatch(/^identity\.invalid: .*is not for 127\.0\.0\.1 \(it is for DNS:hub\.example\)/);
  expect(posts).toEqual([]);
});

test("a used claim is refused with the hub's words, and the identity that was there stays", async () => {
  const { dataDir, run, stack } = await world();
  await using _ = stack;
  await run();
  const before = readFileSync(identityPath(dataDir), "utf8");
  expect(await wordsOf(run())).toMatch(/^identity\.invalid: this terminal is enrolled already .*--force/);
  expect(await wordsOf(run({}, true))).toMatch(/^uplink\.refused: .*"this claim was used".*ask its operator/);
  expect(readFileSync(identityPath(dataDir), "utf8")).toBe(before);
});

test("the identity of an agent that runs is not replaced, and the claim stays good", async () => {
  const { dataDir, posts, run, stack } = await world();
  await using _ = stack;
  await run();
  posts.length = 0;
  {
    using _agent = takeLock({ folder: dataDir, what: "agent" });
    const stored = readFileSync(identityPath(dataDir), "utf8");
    expect(await wordsOf(run({}, true))).toBe(
      `lock.held: another agent (pid ${process.pid}) runs on ${dataDir}; stop it first`,
    );
    expect(posts).toEqual([]);
    expect(readFileSync(identityPath(dataDir), "utf8")).toBe(stored);
  }
  writeFileSync(join(dataDir, "journal.db"), "");
  expect(await run({}, true)).toMatchObject({ terminalId: TERMINAL, mustAdopt: true });
  takeLock({ folder: dataDir, what: "agent" })[Symbol.dispose]();
});

test("an unreachable hub, a text that is no claim and an answer for another terminal are told apart", async () => {
  const { run, stack } = await world();
  await using _ = stack;
  expect(await wordsOf(run({ hub: "https://127.0.0.1:1" }))).toMatch(/^uplink\.down: cannot connect to 127\.0\.0\.1:1/);
  expect(await wordsOf(run({ hub: "http://127.0.0.1:1" }))).toMatch(/^identity\.invalid: .*not https/);
  const options = { dataDir: tmpdir(), clock: systemClock, signal: new AbortController().signal, force: true };
  expect(await wordsOf(enrol({ ...options, claimText: "hello" }))).toMatch(/^identity\.invalid: this is no claim/);
  expect(await wordsOf(run({ terminalId: "till-2" as Claim["terminalId"] }))).toMatch(/enrolled "till-1"/);
});

test("an identity is missing, too open or damaged: each is named with its mend", async () => {
  const { dataDir, run, stack } = await world();
  await using _ = stack;
  expect(() => loadIdentity(dataDir)).toThrow(/not enrolled: run tillway agent enrol CLAIM/);
  await run();
  const path = identityPath(dataDir);
  chmodSync(path, 0o640);
  expect(() => loadIdentity(dataDir)).toThrow(`chmod 600 ${path}`);
  chmodSync(path, 0o600);
  const file = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  writeFileSync(path, JSON.stringify({ ...file, hubSigningKey: file["cardTokenKey"] }));
  expect(() => loadIdentity(dataDir)).toThrow(/damaged \(hubSigningKey: not a key\)/);
  writeFileSync(path, "{");
  expect(() => loadIdentity(dataDir)).toThrow(/damaged \(not JSON/);
});

test("an identity that the agent's user cannot read is named with its mend", async () => {
  const { dataDir, run, stack } = await world();
  await using _ = stack;
  await run();
  const path = identityPath(dataDir);
  chmodSync(path, 0o000);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(dataDir, 1234, 1235);
  // Root could read it all the same.
  if (isRoot) process.seteuid?.(1234);
  try {
    expect(() => loadIdentity(dataDir)).toThrow(
      expect.objectContaining({
        code: "identity.invalid",
        message: expect.stringContaining(`run: chown --reference=${dataDir} ${path}`),
      }),
    );
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
});
