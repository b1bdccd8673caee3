/** A hub process before an issuer: what it decided in his name outlives it, and what it was asking is taken back. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../base/clock.ts";
import { until } from "../../scripts/lib/processes.ts";
import { type IssuerSim, startIssuerSim } from "../../sim/issuer/issuer-sim.ts";
import { booksView } from "../../sim/issuer/views.ts";
import { newSigningKeys, publicKeyText } from "../../wire/signing.ts";
import { signStandInParameters } from "../../wire/stand-in.ts";
import { TEST_EXPIRY } from "../rules/hub-fixture.ts";
import { ANNA, BALANCE, BANK, BANK_PARAMETERS, euros, OTHERS } from "../rules/switch-stand.ts";
import { type EnrolledTerminal, HubProcess } from "./hub-process.ts";

const folder = mkdtempSync(join(tmpdir(), "tillway-switch-"));
const keys = newSigningKeys();
let issuer: IssuerSim;
let hub: HubProcess;
let enrolled: EnrolledTerminal;

beforeAll(async () => {
  const accounts = [ANNA, ...OTHERS].map((pan) => ({
    ...{ pan, expiry: TEST_EXPIRY, currency: "978", balanceMinor: BALANCE },
  }));
  issuer = await startIssuerSim({ port: 0, accounts });
  hub = new HubProcess(folder, configured("Etc/GMT+12"));
  mkdirSync(hub.dataDir, { mode: 0o700 });
  writeFileSync(join(hub.dataDir, "bank.pub"), publicKeyText(keys.publicKey));
  await hub.start();
  const text = signStandInParameters(parameters(), keys.privateKey);
  const offered = await hub.operator("POST", `/v1/issuers/${BANK}/parameters`, { text });
  expect(offered).toMatchObject({ status: 200, body: { outcome: "taken", version: 7 } });
  enrolled = await hub.enrol("S1");
  await untilIssuer(({ link }) => link === "up");
});
afterAll(async () => {
  await issuer.clear();
  await hub.stop("SIGTERM");
  await issuer[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Its configuration, before an issuer whose business day is that of this time zone. */
function configured(timeZone: string): string {
  const at = `host: 127.0.0.1, port: ${issuer.port}, timeZone: ${timeZone}`;
  return `issuers: [{id: ${BANK}, ranges: ["476173"], ${at}, standIn: {publicKeyFile: bank.pub}}]\n`;
}

/** As they would be today. */
function parameters() {
  const [from = "", to = ""] = [-3_600_000, 3_600_000].map((ms) => new Date(systemClock.now() + ms).toISOString());
  const { institution, account } = BANK_PARAMETERS;
  return {
    ...BANK_PARAMETERS,
    ...{ issuedAt: from, validFrom: from, validTo: to, institution: { ...institution, window: [{ from, to }] } },
    account: { ...account, stopList: { keyId: "none", tokens: [] } },
  };
}

interface Shown {
  readonly link: string;
  readonly availability: string;
  readonly advices: { readonly open: number };
}
async function untilIssuer(holds: (issuer: Shown) => boolean): Promise<void> {
  await until(
    "the issuer to be so",
    async () => {
      const { body } = await hub.operator("GET", "/v1/issuers");
      return (body as { issuers: Shown[] }).issuers.some(holds) || undefined;
    },
    60_000,
  );
}
const advices = async () => (await hub.operator("GET", `/v1/issuers/${BANK}/advices`)).body;
const booked = (paymentId: string) => booksView(issuer.books).payments.find((one) => one.paymentId === paymentId);

const ask = (paymentId: string, pan: string, minor: number) => {
  const { terminal } = enrolled;
  return terminal.ask(terminal.request(paymentId, { card: terminal.seal(paymentId, pan), ...euros(minor) }));
};

test("AC3.6 power is cut right after an approval in the issuer's name: its advice is there afterwards, and is delivered", async () => {
  await issuer.break({ mute: true });
  expect(await ask("cut-1", ANNA, 2_500)).toMatchObject({ outcome: "approved" });
  await hub.stop("SIGKILL");
  await hub.start();
  expect(await advices()).toMatchObject({
    advices: [{ paymentId: "cut-1", approved: true, reason: "stand-in-timeout" }],
  });
  await issuer.clear();
  await untilIssuer(({ advices: { open } }) => open === 0);
  expect(booked("cut-1")).toMatchObject({ postedMinor: "2500", advised: "stand-in-timeout" });
  expect(issuer.books.account(ANNA)?.balanceMinor).toBe(BALANCE - 2_500n);
});

test("RM1 the hub is killed while the issuer is asked: what he did is taken back, and the terminal may sell offline", async () => {
  const [pan] = OTHERS;
  await issuer.break({ lateMs: 60_000 });
  const asked = ask("killed-1", pan, 1_000).catch(() => "no answer");
  await until("the issuer to have posted it", () => booked("killed-1"));
  await hub.stop("SIGKILL");
  expect(await asked).toBe("no answer");
  await issuer.clear();
  await hub.start();
  await until("it to be taken back", () => booked("killed-1")?.postedMinor === "0" || undefined, 60_000);
  const { terminal } = enrolled;
  const sealed = terminal.seal("killed-1", pan);
  const [receipt] = await terminal.tell(terminal.entry(terminal.decision("killed-1", euros(1_000)), { sealed }));
  expect(receipt).toMatchObject({ status: "processed" });
  await until("it to be posted", () => booked("killed-1")?.postedMinor === "1000" || undefined, 30_000);
  expect(issuer.books.account(pan)?.balanceMinor).toBe(BALANCE - 1_000n);
});

test("RM14 once the day has ended, its totals are compared, and an operator sees what an issuer counts otherwise", async () => {
  const [, pan] = OTHERS;
  expect(await ask("counted-1", pan, 1_500)).toMatchObject({ outcome: "approved" });
  await hub.stop("SIGTERM");
  await issuer.break({ miscount: true });
  // 26 hours further on: in this zone it is a later day at any time of ours.
  hub = new HubProcess(folder, configured("Pacific/Kiritimati"));
  await hub.start();
  const compared = async () => {
    const { body } = await hub.operator("GET", `/v1/issuers/${BANK}/reconciliations`);
    const [day] = (body as { reconciliations: { endedAt?: string }[] }).reconciliations;
    return day?.endedAt === undefined ? undefined : day;
  };
  expect(await until("the totals to be compared", compared, 60_000)).toMatchObject({
    ...{ state: "out-of-balance", currency: "EUR" },
    ours: { debits: { count: 4, minor: "6000" }, debitReversals: { count: 1, minor: "1000" }, netMinor: "5000" },
    theirs: { debits: { count: 5, minor: "6000" }, debitReversals: { count: 1, minor: "1000" } },
  });
  const { out } = await hub.command("issuers", "reconciliations", "--config", hub.configPath);
  expect(out).toMatch(
    /^bank-1 {2}[-\d]{10} {2}out-of-balance {2}debits 4 60\.00 EUR \(his 5 60\.00 EUR\) {2}debit reversals 1 10\.00 EUR .* net 50\.00 EUR\n$/,
  );
  const { text: metrics } = await hub.operator("GET", "/metrics");
  expect(metrics).toContain('tillway_hub_issuer_reconciliations_total{issuer="bank-1",end="out-of-balance"} 1');
});
