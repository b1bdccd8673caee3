/**
 * An issuer who falls silent under load: how long until the first sale is approved in his name, what was lost until then, and
 * whether his books and the hub's agree once he is back.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../base/clock.ts";
import { type IssuerSim, startIssuerSim } from "../../sim/issuer/issuer-sim.ts";
import { booksView } from "../../sim/issuer/views.ts";
import { newSigningKeys, publicKeyText } from "../../wire/signing.ts";
import { STAND_IN_DEFAULTS, StandInParametersSchema, signStandInParameters } from "../../wire/stand-in.ts";
import { type AskingTerminal, CARD_EXPIRY } from "../lib/asking-terminal.ts";
import { operatorCall } from "../lib/operator-call.ts";
import { until } from "../lib/processes.ts";
import { type BenchHub, startBenchHub } from "./bench-hub.ts";
import type { Figure } from "./figures.ts";

export interface StandInBenchOptions {
  /** How long the issuer is silent, in seconds. */
  readonly outage: number;
  /** Sales a second. */
  readonly rate: number;
  readonly onProgress?: (text: string) => void;
}

const BANK = "bench-bank";
const ACQUIRER = "100000";
const RANGE = "476173";
const CARDS = 200;
const MINOR = 100;
const BEFORE_MS = 3_000;
const TERMINALS = 8;
const BALANCE_MINOR = 100_000_000_000n;
/** To be told all that was decided without him. */
const RECOVERY_WITHIN_MS = 600_000;

interface Sale {
  readonly paymentId: string;
  /** `performance.now()`. */
  readonly askedAt: number;
  readonly answeredAt: number;
  readonly outcome: string;
}

export async function benchStandIn({ outage, rate, onProgress = () => {} }: StandInBenchOptions): Promise<Figure[]> {
  await using stack = new AsyncDisposableStack();
  const accounts = Array.from({ length: CARDS }, (_, index) => ({
    ...{ pan: panOf(index), expiry: CARD_EXPIRY, currency: "978", balanceMinor: BALANCE_MINOR },
  }));
  const issuer = stack.use(await startIssuerSim({ port: 0, accounts }));
  onProgress("starting a hub");
  const hub = stack.use(await startHubBefore(issuer));
  const terminals: AskingTerminal[] = [];
  for (let at = 0; at < TERMINALS; at += 1) terminals.push(await hub.terminal(`bench-${at}`));
  const load = new Load(terminals, rate);
  await load.during(BEFORE_MS);
  onProgress(`the issuer is silent for ${outage} s`);
  await issuer.break({ mute: true });
  const silentAt = performance.now();
  await load.during(outage * 1_000, (left) => onProgress(`${Math.round(left / 1_000)} s to go`));
  await issuer.clear();
  const sales = await load.ended();
  onProgress("the issuer is back and is told what he missed");
  await until("the advice log to be empty", () => isTold(hub), RECOVERY_WITHIN_MS);
  return figuresOf({ sales, silentAt, differing: await differing(hub, issuer, sales) });
}

const panOf = (index: number): string => `${RANGE}${String(index).padStart(10, "0")}`;

async function startHubBefore(issuer: IssuerSim): Promise<BenchHub> {
  const keys = newSigningKeys();
  const hub = await startBenchHub({
    config: `acquirer: {id: "${ACQUIRER}"}
issuers:
  - {id: ${BANK}, ranges: ["${RANGE}"], host: 127.0.0.1, port: ${issuer.port}, standIn: {publicKeyFile: bank.pub}}
`,
    prepare(dataDir) {
      mkdirSync(dataDir, { recursive: true, mode: 0o700 });
      writeFileSync(join(dataDir, "bank.pub"), publicKeyText(keys.publicKey));
    },
  });
  const text = signStandInParameters(parameters(), keys.privateKey);
  await operatorCall(hub.door, { method: "POST", path: `/v1/issuers/${BANK}/parameters`, body: { text } });
  await until("the issuer to be signed on", async () => (await issuerOf(hub)).link === "up" || undefined);
  return hub;
}

/** What one bench sells is well within it. */
function parameters() {
  const now = systemClock.now();
  const [from, to] = [-3_600_000, 86_400_000].map((offset) => new Date(now + offset).toISOString());
  return StandInParametersSchema.parse({
    ...{ version: 1, issuedAt: from, validFrom: from, validTo: to, currency: "EUR" },
    institution: { id: BANK, enabled: true, window: [{ from, to }] },
    acquirer: { allow: [ACQUIRER], deny: [] },
    account: { range: [RANGE], stopList: STAND_IN_DEFAULTS.account.stopList },
    txn: STAND_IN_DEFAULTS.txn,
    limit: { single: "10000", accountCount: 100_000, accountSum: "99999999", institutionSum: "999999999" },
    fallback: "DECLINE",
  });
}

/** Sales at a steady rate, whether the earlier ones have their answers or not. */
class Load {
  readonly #terminals: readonly AskingTerminal[];
  readonly #everyMs: number;
  readonly #running: Promise<Sale>[] = [];

  constructor(terminals: readonly AskingTerminal[], rate: number) {
    this.#terminals = terminals;
    this.#everyMs = 1_000 / rate;
  }

  async during(durationMs: number, onProgress: (leftMs: number) => void = () => {}): Promise<void> {
    const began = performance.now();
    let told = began;
    for (let next = began; next - began < durationMs; next += this.#everyMs) {
      await new Promise<void>((resolve) => systemClock.after(Math.max(next - performance.now(), 0), resolve));
      this.#running.push(this.#sell(this.#running.length));
      if (performance.now() - told < 10_000) continue;
      told = performance.now();
      onProgress(durationMs - (told - began));
    }
  }

  ended(): Promise<readonly Sale[]> {
    return Promise.all(this.#running);
  }

  async #sell(index: number): Promise<Sale> {
    const paymentId = `s-${index}`;
    const askedAt = performance.now();
    const terminal = this.#terminals[index % this.#terminals.length];
    const answer = await terminal?.ask({ paymentId, pan: panOf(index % CARDS), minor: MINOR });
    return { paymentId, askedAt, answeredAt: performance.now(), outcome: answer?.outcome ?? "no answer" };
  }
}

interface IssuerState {
  readonly id: string;
  readonly link: string;
  readonly availability: string;
  readonly advices: { readonly open: number };
}

async function issuerOf({ door }: BenchHub): Promise<IssuerState> {
  const { issuers } = await operatorCall<{ issuers: readonly IssuerState[] }>(door, {
    method: "GET",
    path: "/v1/issuers",
  });
  const issuer = issuers.find(({ id }) => id === BANK);
  if (!issuer) throw new Error("the hub has no such issuer");
  return issuer;
}

async function isTold(hub: BenchHub): Promise<true | undefined> {
  const { availability, advices } = await issuerOf(hub);
  return (availability === "up" && advices.open === 0) || undefined;
}

interface Listed {
  readonly transactions: readonly { readonly paymentId: string; readonly status: string }[];
  readonly cursor?: string;
}

/** Payments of which hub, issuer and terminal do not say the same. */
async function differing({ door }: BenchHub, issuer: IssuerSim, sales: readonly Sale[]): Promise<number> {
  const theirs = new Map(
    booksView(issuer.books).payments.map(({ paymentId, postedMinor }) => [paymentId, postedMinor]),
  );
  const ours = new Map<string, string>();
  for (let cursor: string | undefined = "0"; cursor !== undefined; ) {
    const path: string = `/v1/transactions?limit=500&cursor=${cursor}`;
    const page: Listed = await operatorCall<Listed>(door, { method: "GET", path });
    for (const { paymentId, status } of page.transactions)
      ours.set(paymentId, status === "authorised" ? String(MINOR) : "0");
    cursor = page.cursor;
  }
  const wanted = ({ outcome }: Sale) => (outcome === "approved" ? String(MINOR) : "0");
  return sales.filter(
    (sale) =>
      (ours.get(sale.paymentId) ?? "0") !== wanted(sale) || (theirs.get(sale.paymentId) ?? "0") !== wanted(sale),
  ).length;
}

interface Found {
  readonly sales: readonly Sale[];
  readonly silentAt: number;
  readonly differing: number;
}

function figuresOf({ sales, silentAt, differing }: Found): Figure[] {
  const lost = sales.filter(({ outcome }) => outcome !== "approved").length;
  const during = sales.filter(({ askedAt }) => askedAt >= silentAt);
  const firstLost = Math.min(...during.map(({ askedAt }) => askedAt));
  const first = Math.min(...during.map(({ answeredAt }) => answeredAt)) - firstLost;
  const slowest = Math.max(...sales.map(({ askedAt, answeredAt }) => answeredAt - askedAt));
  const figure = (name: string, value: number, unit: string): Figure => ({ figure: name, value, unit, runs: 1 });
  return [
    figure("standin.first", Math.round(first), "ms"),
    figure("standin.lost", lost, "count"),
    figure("standin.sales", sales.length, "count"),
    figure("standin.slowest", Math.round(slowest), "ms"),
    figure("standin.differing", differing, "count"),
  ];
}
