/**
 * A day at a real counter with all that it can do, and then every byte: files of agent and hub while they run and after, logs,
 * tickets, exports, archives, what went over the wire inside TLS, what both APIs answered. No secret may be in any of them.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadIdentity } from "../../agent/identity.ts";
import { openJournal } from "../../agent/journal/sqlite-journal.ts";
import { systemClock } from "../../base/clock.ts";
import { systemRandom } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { parsePreAuthorisedCode, preAuthorisedCodeText } from "../../protocols/codes/own-codes.ts";
import { deriveMasterKey } from "../../protocols/emv/cryptogram.ts";
import { Counter } from "../../scripts/lib/counter.ts";
import type { Phone } from "../../scripts/lib/phone.ts";
import { runTillway, until } from "../../scripts/lib/processes.ts";
import { TEST_SCRIPT_MASTER_KEY } from "../../sim/card/profile.ts";
import { cardProfile, TEST_ISSUER_MASTER_KEY } from "../../sim/card/profiles.ts";
import { readPersonalisedCard } from "../../sim/card/verification-app.ts";
import { filesUnder, pathsUnder, type Secrets, type SweptFile, sweepForSecrets } from "../tidy/byte-sweep.ts";
import { Wire } from "./byte-sweep-wire.ts";

const CARDS = ["standard", "second", "online-only", "declining"] as const;
const DAY_MS = 86_400_000;
/** An archive leaves the newest 200 entries in the journal; each of these makes two. */
const CANCELLED_SALES = 120;

const folder = mkdtempSync(join(tmpdir(), "sweep-"));
const wire = new Wire();
const counter = new Counter({
  folder,
  devices: ["reader", "printer", "scanner"],
  lease: {
    perSaleMinor: 5_000,
    sumMinor: 50_000,
    countMax: 50,
    deferredAuthorisation: true,
    means: ["chip", "note"],
    perPayer: { countMax: 20, sumMinor: 50_000 },
  },
  between: (hub) => wire.open(hub, join(folder, "hub", "tls", "server.pem"), join(folder, "agent")),
});
/** Copies of the files as they were while agent and hub ran: a log that is not yet merged into its database is in them. */
const snapshots: SweptFile[] = [];
const codes: string[] = [];
let anna: Phone;

/** A private key, a card's own memory, a phone's own memory and its screen. Each is readable by its owner alone. */
const OWN_SECRETS = [
  /^agent\/identity\.json$/,
  /^agent\/api-token$/,
  /^hub\/keys\/[^/]+\.key$/,
  /^hub\/tls\/(ca|server)\.pem$/,
  /^hub\/operator-token$/,
  /^issuer-master-key\.hex$/,
  /^verification-card\.json$/,
  /^anna-phone\//,
];
const SIMULATED_MEMORY = [/^card-state\.json$/, /^anna\.log$/];
const isExcepted = (path: string): boolean => [...OWN_SECRETS, ...SIMULATED_MEMORY].some((one) => one.test(path));

const snapshot = (when: string): void =>
  void snapshots.push(...filesUnder(folder, isExcepted).map((file) => ({ ...file, name: `${when}: ${file.name}` })));

beforeAll(async () => {
  await counter.start();
  for (const name of ["second", "online-only"] as const) {
    const { pan, expiry } = cardProfile(name);
    await counter.openAccount({ pan, expiry, balance: "500.00", name });
  }
  anna = await counter.startPhone("anna");
  await theDay();
  await theEvening();
}, 240_000);
afterAll(async () => {
  await counter[Symbol.asyncDispose]();
  await wire[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

async function told(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runTillway(args);
  wire.note(`tillway ${args.slice(0, 2).join(" ")}`, `${stdout}\n${stderr}`);
  if (code !== 0) throw new Error(`tillway ${args.join(" ")} ended with ${code}: ${stderr}${stdout}`);
  return stdout;
}
const atTill = (...args: readonly string[]) => told([...args, "--config", counter.agentConfig]);
const atHub = (...args: readonly string[]) => told(["hub", ...args, "--config", counter.hubConfig]);

async function asked(path: string): Promise<void> {
  const response = await fetch(`${counter.api}${path}`, { headers: { authorization: `Bearer ${counter.token}` } });
  wire.note("the agent's API", await response.text());
}

/** Everything that the agent says to whoever listens, until it stops. */
async function listen(): Promise<void> {
  const response = await fetch(`${counter.api}/v1/events`, { headers: { authorization: `Bearer ${counter.token}` } });
  const reading = async () => {
    for await (const chunk of response.body ?? []) wire.note("the agent's events", Buffer.from(chunk));
  };
  void reading().catch(() => undefined);
}

async function code(): Promise<string> {
  await anna.do("online");
  await anna.do("register", { cap: "50.00" });
  const text = await anna.shown();
  const parsed = parsePreAuthorisedCode(text);
  if (parsed.ok) codes.push(parsed.value.secureCode);
  return text;
}

async function cardSale(id: string, minor: number, profile: (typeof CARDS)[number]): Promise<string | undefined> {
  await counter.card({ do: "insert", profile });
  await counter.card({ do: "pull" });
  return (await counter.sale(id, minor))?.body.status;
}

async function theDay(): Promise<void> {
  await listen();
  expect(await cardSale("S-1", 1_250, "standard")).toBe("approved");
  expect(await cardSale("S-2", 900, "second")).toBe("approved");
  expect(await cardSale("S-3", 300, "declining")).toBe("declined");
  await counter.card({ do: "pull-after", apdus: 7 });
  expect(await cardSale("S-4", 300, "standard")).toBe("aborted");
  expect(await counter.scannedSale("S-5", 700, await code())).toMatchObject({ status: "approved" });
  const text = await code();
  const parsed = parsePreAuthorisedCode(text);
  if (!parsed.ok) throw new Error(parsed.error.detail);
  const foreign = preAuthorisedCodeText({ ...parsed.value, userId: "ben" });
  expect(await counter.scannedSale("S-6", 700, foreign)).toMatchObject({ reason: "E_UNKNOWN" });
  await counter.drained();
  const refund = { id: "R-1", originalId: "S-1", amount: { minor: "250", currency: "EUR" } };
  expect((await counter.call<{ status: string }>("POST", "/v1/refunds", refund)).body.status).toBe("approved");
  await atHub("keys", "rotate", "sealing");
  writeFileSync(join(folder, "denied.txt"), `${cardProfile("declining").pan}\n`, { mode: 0o600 });
  await atHub("deny", "add", "--pan-file", join(folder, "denied.txt"), "--why", "lost");
  rmSync(join(folder, "denied.txt"));
  await atHub("cards", "add", await counter.accountOf("second"), "--out", join(folder, "verification-card.json"));
  await anna.do("allowance", { amount: "40.00" });
  await counter.drained();
  snapshot("by day");

  await counter.program("hub").stop("SIGKILL");
  await counter.offline();
  expect(await cardSale("S-7", 800, "standard")).toBe("approved");
  expect(await cardSale("S-8", 600, "online-only")).toBe("approved");
  await anna.do("offline");
  const byNote = await counter.scannedSale("S-9", 500, ({ challenge }) => anna.pay(challenge));
  expect(byNote).toMatchObject({ status: "approved" });
  expect(await cardSale("S-10", 400, "standard")).toBe("approved");
  expect((await counter.call("POST", "/v1/payments/S-10/void", { reason: "changed mind" })).status).toBe(200);
  await counter.program("agent").stop("SIGKILL");
  snapshot("agent and hub killed");
  await counter.startAgent();
  await listen();
  snapshot("in the outage");
}

async function theEvening(): Promise<void> {
  await counter.startHub();
  await counter.online();
  await counter.drained();
  for (const id of ["S-1", "S-7"]) {
    const sealed = await until(`the dialogue of ${id}`, () =>
      atTill("dialogue", id, "--sealed").catch(() => undefined),
    );
    await atTill("dialogue", id);
    writeFileSync(join(folder, "sealed.json"), sealed);
    // Shows card data in clear to the operator who asks; what matters is what it leaves behind.
    await runTillway(["hub", "dialogue", join(folder, "sealed.json"), "--config", counter.hubConfig]);
  }
  await atTill("receipt", "S-1");
  await atTill("reconcile");
  await atTill("status");
  await atTill("doctor").catch(() => undefined);
  for (const path of ["", "/S-1", "/S-3", "/S-5", "/S-6", "/S-8", "/S-9", "/R-1", "/S-1/timings", "/S-1/dialogue"])
    await asked(`/v1/payments${path}`);
  for (const path of ["/v1/queue", "/v1/status", "/v1/devices", "/v1/openapi.json", "/metrics"]) await asked(path);
  for (const path of OPERATOR_PATHS) wire.note("the operator's API", JSON.stringify(await counter.hubGet(path)));
  snapshot("in the evening");
  for (let number = 1; number <= CANCELLED_SALES; number += 1) await cancelledSale(`X-${number}`);
  await counter.program("agent").stop();
  await atTill("journal", "verify", "--json");
  await atTill("journal", "export", "-o", join(folder, "export.jsonl"));
  await archiveAll();
  await atHub("import", join(folder, "export.jsonl"), "--json");
  await counter.program("hub").stop();
}

async function cancelledSale(id: string): Promise<void> {
  await counter.call("POST", "/v1/payments?wait=0", { id, amount: { minor: "100", currency: "EUR" } });
  await until(`the end of ${id}`, async () => {
    const { status } = await counter.call("POST", `/v1/payments/${id}/cancel`);
    return status === 200 || (await counter.payment(id)).status === "aborted" ? true : undefined;
  });
}

const OPERATOR_PATHS = [
  "/v1/accounts?limit=100",
  "/v1/transactions?limit=100&cursor=0",
  "/v1/terminals",
  "/v1/terminals/till-1",
  "/v1/phones",
  "/v1/pre-authorised-code/grants",
  "/v1/offline-notes/allowances",
  "/v1/offline-notes/conflicts",
  "/v1/card-verification/cards",
  "/v1/card-verification/transactions",
  "/v1/findings",
  "/v1/quarantine",
  "/v1/exposure",
  "/v1/deny",
  "/v1/keys",
];

/** As a journal does that has been in use for long. */
async function archiveAll(): Promise<void> {
  const identity = loadIdentity(counter.agentFolder);
  await using journal = openJournal({
    path: join(counter.agentFolder, "journal.db"),
    terminalId: identity.terminalId,
    signingKey: identity.signingKey,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
  });
  await until("the journal to be checked, and its old entries archived", async () => {
    const { entries } = await journal.archive(Date.now() + DAY_MS, new AbortController().signal);
    return entries > 0 ? true : undefined;
  });
}

const hexFile = (path: string): Uint8Array => Buffer.from(readFileSync(join(folder, path), "utf8").trim(), "hex");
const base64Of = (text: string): Uint8Array => Buffer.from(text, "base64");
/** The last 32 bytes of a PKCS#8 Ed25519 or X25519 key are the secret. */
const seedOf = (pkcs8: string): Uint8Array => base64Of(pkcs8).subarray(-32);

function secrets(): Required<Secrets> {
  const pans = CARDS.map((name) => cardProfile(name).pan);
  const cardKeys = pans.flatMap((pan) =>
    [TEST_ISSUER_MASTER_KEY, TEST_SCRIPT_MASTER_KEY].flatMap((issuerMasterKey, use) =>
      (["A", "B"] as const).map((option) => {
        const key = deriveMasterKey({ issuerMasterKey, pan, sequenceNumber: "00", option });
        return [`key ${use}${option} of card ${pan.slice(-4)}`, key] as const;
      }),
    ),
  );
  const keyFiles = pathsUnder(join(folder, "hub", "keys")).map((name) => {
    const text = readFileSync(join(folder, "hub", "keys", name), "utf8").trim();
    return [`the hub's ${name}`, seedOf(text)] as const;
  });
  const tlsKeys = ["ca.pem", "server.pem"].map((name) => {
    const pem = readFileSync(join(folder, "hub", "tls", name), "utf8");
    const der = base64Of(/PRIVATE KEY-----([\s\S]*?)-----END/.exec(pem)?.[1] ?? "");
    // The private number of a P-256 key, in its PKCS#8.
    return [`the hub's ${name}`, der.subarray(36, 68)] as const;
  });
  const identity = JSON.parse(readFileSync(join(folder, "agent", "identity.json"), "utf8")) as Record<string, string>;
  const phone = JSON.parse(readFileSync(join(folder, "anna-phone", "identity.json"), "utf8")) as Record<string, string>;
  const personalised = readPersonalisedCard(join(folder, "verification-card.json"));
  return {
    cardNumbers: pans,
    pins: ["1234", "0000", "4711", "123456"],
    texts: Object.fromEntries(codes.map((code, index) => [`code ${index} of the phone`, code])),
    keys: {
      "the issuer's master key": hexFile("issuer-master-key.hex"),
      "the scripts' master key": TEST_SCRIPT_MASTER_KEY,
      ...Object.fromEntries([...cardKeys, ...keyFiles, ...tlsKeys]),
      "the terminal's key": seedOf(identity["signingPrivateKey"] ?? ""),
      "the terminal's key of tokens": base64Of(identity["cardTokenKey"] ?? ""),
      "the phone's key": seedOf(phone["privateKey"] ?? ""),
      "the verification card's data key": Buffer.from(personalised.dataKey, "hex"),
      "the verification card's MAC key": Buffer.from(personalised.macKey, "hex"),
    },
  };
}

describe("after a day with everything in it", () => {
  test("RM5 no byte of any file, log, ticket, export, archive or answer has a card number, a track, a code, a key or a PIN block", () => {
    const files = [...snapshots, ...filesUnder(folder, isExcepted)];
    const names = files.map(({ name }) => name);
    for (const kind of [
      /journal\.db$/,
      /journal\.db-wal$/,
      /hub\.db$/,
      /hub\.db-wal$/,
      /dialogues\.db/,
      /archive/,
      /\.txt$/,
      /export\.jsonl$/,
    ])
      expect(names).toContainEqual(expect.stringMatching(kind));
    expect(sweepForSecrets(files, secrets())).toEqual([]);
  });

  test("RM5 nothing that went over the wire inside TLS, or that either API answered, has one either, but for the code to the hub", () => {
    const files = wire.files();
    const bytes = (what: string) =>
      files.filter(({ name }) => name.includes(what)).reduce((sum, file) => sum + file.bytes.length, 0);
    for (const what of ["mqtt", "https", "the agent's API", "the agent's events", "the operator's API"])
      expect(bytes(what)).toBeGreaterThan(500);
    const leaks = sweepForSecrets(files, secrets());
    expect(leaks.filter(({ what, file }) => !(what.startsWith("code ") && file.endsWith("from the agent")))).toEqual(
      [],
    );
  });

  test("private keys lie in files that their owner alone can read", () => {
    const own = pathsUnder(folder).filter((path) => OWN_SECRETS.some((one) => one.test(path)));
    expect(own.map((path) => basename(path))).toEqual(
      expect.arrayContaining(["identity.json", "signing.key", "sealing.key", "token.key", "ca.pem", "server.pem"]),
    );
    for (const path of own) expect([path, statSync(join(folder, path)).mode & 0o777]).toEqual([path, 0o600]);
  });

  test("the sweep sees a secret that is planted in any of these places", () => {
    const { keys } = secrets();
    for (const [what, key] of Object.entries(keys)) {
      for (const text of [Buffer.from(key), Buffer.from(key).toString("base64"), Buffer.from(key).toString("hex")]) {
        const planted = [{ name: "planted", bytes: Buffer.concat([Buffer.from("{"), Buffer.from(text)]) }];
        expect(sweepForSecrets(planted, { keys })).toContainEqual(expect.objectContaining({ what }));
      }
    }
    const [database] = filesUnder(folder).filter(({ name }) => name === "hub/hub.db");
    const track = `${cardProfile("standard").pan}=31122011`;
    const bytes = Buffer.concat([database?.bytes ?? Buffer.alloc(0), Buffer.from(track)]);
    expect(sweepForSecrets([{ name: "hub.db", bytes }], secrets())).toMatchObject([
      { what: expect.stringMatching(/^track 2/) },
    ]);
  });
});
