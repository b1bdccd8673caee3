/** Agent link and real hub together: enrolment, both ways, a hub that goes and comes back. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Identity, loadIdentity } from "../../agent/identity.ts";
import { enrol } from "../../agent/uplink/enrol.ts";
import { createHubLink, type HubLinkSettings } from "../../agent/uplink/hub-link.ts";
import { untilState } from "../../agent/uplink/link-events.ts";
import { systemClock } from "../../base/clock.ts";
import { isFault, reasonOf } from "../../base/fault.ts";
import { type PaymentId, systemRandom } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { money } from "../../base/money.ts";
import { HubConfigSchema } from "../../hub/config.ts";
import { type RunningHub, startHub } from "../../hub/main.ts";
import { loadHubTls } from "../../hub/tls.ts";
import type { EntryReceipt } from "../../wire/advice.ts";
import { toWireMoney } from "../../wire/common.ts";
import { GENESIS_HASH, hashEntry } from "../../wire/journal-entry.ts";
import { claimText } from "../../wire/terminal.ts";
import { EPOCH, HandBoot, MemoryJournal, saleOf, TERMINAL } from "../rules/lease-fixture.ts";

const LIMIT_MS = 30_000;
const forEver = new AbortController().signal;

async function realHub(stack: AsyncDisposableStack) {
  const folder = mkdtempSync(join(tmpdir(), "tillway-link-"));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const hubDir = join(folder, "hub");
  const agentDir = join(folder, "agent");
  const start = (httpsPort: number, mqttPort: number): Promise<RunningHub> =>
    startHub({
      config: HubConfigSchema.parse({ dataDir: hubDir, logLevel: "silent", listen: { httpsPort, mqttPort } }),
      log: silentLog,
    });
  let hub = await start(0, 0);
  stack.defer(() => hub.drain(forEver));
  const { httpsPort, mqttPort, httpsUrl } = hub.endpoints;
  const tls = await loadHubTls({ folder: join(hubDir, "tls"), names: [], now: Date.now(), random: systemRandom });
  const enrolNew = async () => {
    const { store, terminals } = hub.core;
    const { claimId, secret } = await store.transaction((within) =>
      terminals.createClaim(within, { terminalId: TERMINAL, validMs: 60_000 }),
    );
    const { caFingerprint } = tls;
    const text = claimText({ hub: httpsUrl, terminalId: TERMINAL, claimId, secret, caFingerprint });
    return enrol({ claimText: text, dataDir: agentDir, clock: systemClock, signal: forEver, force: true });
  };
  return {
    agentDir,
    enrolNew,
    stop: () => hub.drain(forEver),
    async startAgain() {
      hub = await start(httpsPort, mqttPort);
    },
  };
}

function linkOf(stack: AsyncDisposableStack, identity: Identity, prefer: HubLinkSettings["prefer"]) {
  const journal = new MemoryJournal();
  const link = stack.use(
    createHubLink({
      identity,
      journal,
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      boot: new HandBoot(),
      options: { version: "1.0.0", prefer, disk: { freeBytes: () => 1, reserveBytes: 0 } },
    }),
  );
  void link.start(forEver);
  const reach = (state: "up" | "down") => untilState(link.hub, state, AbortSignal.timeout(LIMIT_MS));
  return { ...link, hub: link.hub, leases: link.leases, reach };
}

const refundOf = (id: string) => ({
  paymentId: id as PaymentId,
  attempt: 1,
  kind: "refund" as const,
  amount: toWireMoney(money(500n, "EUR")),
  originalPaymentId: "never-sold" as PaymentId,
});

function reversalEntry() {
  const at = new Date().toISOString();
  const text = JSON.stringify({ kind: "reversal", paymentId: "p1", at, attempt: 1, reason: "timeout" });
  const stored = { sequence: 1, forward: 1, previousHash: GENESIS_HASH, text };
  return { ...stored, hash: hashEntry({ ...stored, terminalId: TERMINAL, epoch: EPOCH }) };
}

for (const prefer of ["mqtt-only", "https-only"] as const) {
  test(`${prefer}: enrolled by a claim, the terminal gets time, a lease, an answer and a receipt from the real hub`, async () => {
    await using stack = new AsyncDisposableStack();
    const { agentDir, enrolNew, stop, startAgain } = await realHub(stack);
    await enrolNew();
    const { hub, leases, clock, reach } = linkOf(stack, loadIdentity(agentDir), prefer);
    await reach("up");
    const answer = await hub.authorise(refundOf("r1"), 1, forEver);
    expect(answer).toMatchObject({ outcome: "declined", responseCode: "25" });
    expect(clock.now().proven).toBe(true);
    expect(leases.reserve(saleOf(5_000n)).ok).toBe(true);
    expect(leases.reserve(saleOf(5_001n))).toEqual({ ok: false, error: "per-sale" });

    const entry = reversalEntry();
    const receipt = new Promise<readonly EntryReceipt[]>((resolve) => hub.onReceipt(({ results }) => resolve(results)));
    await hub.forward({ epoch: EPOCH, entries: [entry], chainHead: entry.hash }, forEver);
    expect(await receipt).toMatchObject([{ sequence: 1, hash: entry.hash, status: "processed" }]);

    await stop();
    await hub.authorise(refundOf("r2"), 2, forEver).then(
      () => expect.unreachable("a stopped hub answered"),
      (error: unknown) => expect(isFault(error, "uplink.down", "uplink.timeout")).toBe(true),
    );
    await reach("down");
    await startAgain();
    await reach("up");
    expect((await hub.authorise(refundOf("r3"), 3, forEver)).outcome).toBe("declined");
  });
}

test("a terminal whose identity was enrolled anew elsewhere is refused in words", async () => {
  await using stack = new AsyncDisposableStack();
  const { agentDir, enrolNew } = await realHub(stack);
  await enrolNew();
  const before = loadIdentity(agentDir);
  await enrolNew();
  const old = linkOf(stack, before, "mqtt");
  let words = "";
  while (!words.includes("refuses this terminal's certificate")) {
    const entry = reversalEntry();
    words = await old.hub
      .forward({ epoch: EPOCH, entries: [entry], chainHead: entry.hash }, forEver)
      .then(() => "", reasonOf);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(old.hub.state).toBe("down");
});
