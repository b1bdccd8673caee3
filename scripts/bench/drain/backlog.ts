/** A shop after an outage: a hub with accounts, an enrolled terminal, and a journal full of offline sales, sealed beforehand. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadIdentity } from "../../../agent/identity.ts";
import type { NewEntry } from "../../../agent/journal/journal.ts";
import { openJournal } from "../../../agent/journal/sqlite-journal.ts";
import { cardTokenOf } from "../../../agent/payment/emv-session.ts";
import { systemClock } from "../../../base/clock.ts";
import { type PaymentId, systemRandom } from "../../../base/ids.ts";
import { silentLog } from "../../../base/log.ts";
import { currencyOf, money } from "../../../base/money.ts";
import { createHubCore, openHubDatabase } from "../../../hub/hub-core.ts";
import { loadHubKeys } from "../../../hub/keys.ts";
import { hubPaths } from "../../../hub/main.ts";
import { sqliteStore } from "../../../hub/store/sqlite-store.ts";
import { sealCardData } from "../../../wire/card-data.ts";
import { runTillway, startReady } from "../../lib/processes.ts";

export const TERMINAL = "bench-1";
/** Each card buys a few times: a backlog of so many sales is no single customer's. */
export const SALES_PER_CARD = 10;
const EXPIRY = "3112";
const SALES_PER_COMMIT = 500;
const SALE_MINOR = 100;

export interface Shop {
  readonly folder: string;
  readonly hubConfig: string;
  readonly agentConfig: string;
  readonly agentData: string;
  readonly hubDatabase: string;
}

/** Makes a shop in the folder: accounts, identity and journal, with no program running afterwards. */
export async function makeShop(folder: string, sales: number, onProgress: (text: string) => void): Promise<Shop> {
  const hubData = join(folder, "hub");
  const agentData = join(folder, "agent");
  const shop: Shop = {
    folder,
    hubConfig: join(folder, "hub.yaml"),
    agentConfig: join(folder, "agent.yaml"),
    agentData,
    hubDatabase: hubPaths(hubData).database,
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(shop.hubConfig, `dataDir: ${hubData}\nlogLevel: warn\nlisten: { httpsPort: 0, mqttPort: 0 }\n`);
  await enrol(shop);
  onProgress("opening accounts");
  await openAccounts(hubData, Math.ceil(sales / SALES_PER_CARD));
  await fillJournal(shop, sales, onProgress);
  return shop;
}

/** The hub runs for the length of the enrolment; its ports stay what they are. */
async function enrol(shop: Shop): Promise<void> {
  const { program } = await startReady({
    name: "hub",
    args: ["hub", "run", "--config", shop.hubConfig],
    logFile: join(shop.folder, "hub.log"),
  });
  try {
    const { httpsPort, mqttPort } = JSON.parse(readFileSync(join(shop.folder, "hub", "endpoints.json"), "utf8")) as {
      httpsPort: number;
      mqttPort: number;
    };
    writeFileSync(
      shop.hubConfig,
      `dataDir: ${join(shop.folder, "hub")}\nlogLevel: warn\nlisten: { httpsPort: ${httpsPort}, mqttPort: ${mqttPort} }\n`,
    );
    writeFileSync(
      shop.agentConfig,
      [
        `dataDir: ${shop.agentData}`,
        "api: { port: 0 }",
        "site: { merchantName: Bench, timeZone: UTC, currency: EUR }",
        "log: { level: warn }",
        "",
      ].join("\n"),
    );
    const claim = await mustRun(["hub", "claim", TERMINAL, "--config", shop.hubConfig]);
    await mustRun(["agent", "enrol", claim.trim().split("\n").at(-1) ?? "", "--config", shop.agentConfig]);
  } finally {
    await program.stop();
  }
}

async function mustRun(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runTillway(args);
  if (code !== 0) throw new Error(`tillway ${args.slice(0, 2).join(" ")}: ${stderr}`);
  return stdout;
}

async function openAccounts(hubData: string, cards: number): Promise<void> {
  await using store = sqliteStore(openHubDatabase(hubPaths(hubData).database));
  const hub = await createHubCore({
    store,
    keys: loadHubKeys(hubPaths(hubData).keys, systemRandom),
    policy: {
      merchantId: "bench",
      holdMs: 1,
      riskParties: { offline: "operator", declined: "merchant" },
      leaseOf: () => undefined,
    },
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
  });
  await store.transaction(async (within) => {
    for (let card = 0; card < cards; card += 1) {
      const customer = { pan: panOf(card), expiry: EXPIRY, balance: money(1_000_000n, "EUR") };
      await hub.authorisation.openAccount(within, customer);
    }
  });
}

async function fillJournal(shop: Shop, sales: number, onProgress: (text: string) => void): Promise<void> {
  const identity = loadIdentity(shop.agentData);
  await using journal = openJournal({
    path: join(shop.agentData, "journal.db"),
    terminalId: identity.terminalId,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
  });
  for (let sale = 0; sale < sales; sale += SALES_PER_COMMIT) {
    const entries = Array.from({ length: Math.min(SALES_PER_COMMIT, sales - sale) }, (_, at) =>
      entriesOf(identity, sale + at),
    );
    await journal.append(entries.flat());
    if (sale % 10_000 === 0) onProgress(`sealing and storing sale ${sale} of ${sales}`);
  }
}

type BenchIdentity = ReturnType<typeof loadIdentity>;

/** One offline sale as the agent journals it: its intent, and the approval with its sealed card. */
function entriesOf(identity: BenchIdentity, sale: number): readonly NewEntry[] {
  const paymentId = `0198c0de-7000-7000-8000-${String(sale).padStart(12, "0")}` as PaymentId;
  const pan = panOf(Math.floor(sale / SALES_PER_CARD));
  const amount = { minor: String(SALE_MINOR), currency: currencyOf("EUR") };
  const head = { paymentId, at: "2026-01-05T09:00:00.000Z", operation: "purchase", amount } as const;
  const sealed = sealCardData({
    data: { pan, expiry: EXPIRY, sequenceNumber: "0" },
    terminalId: identity.terminalId,
    paymentId,
    key: identity.sealingKey,
    random: systemRandom,
  });
  return [
    { body: { ...head, kind: "intent" } },
    {
      forward: true,
      sealed,
      body: {
        ...head,
        kind: "decision",
        outcome: "approved",
        mode: "offline",
        responseCode: "Y1",
        attempts: [],
        leaseId: "lease-000001",
        card: {
          entryMode: "chip",
          maskedPan: `${pan.slice(0, 6)}******${pan.slice(-4)}`,
          cardToken: cardTokenOf(pan, identity.cardTokenKey),
          aid: "a0000000041010",
          label: "BENCH",
          cryptogramType: "TC",
          iccData: "9f2608".padEnd(220, "0"),
        },
        businessDate: "2026-01-05",
      },
    },
  ];
}

/** A number of no issuer; the check digit is nobody's concern here. */
const panOf = (card: number): string => `999999${String(card).padStart(10, "0")}`;
