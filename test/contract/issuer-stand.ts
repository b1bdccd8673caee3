/** A hub's link and the simulated issuer at its other end, over TCP on loopback, and how a test waits for what they count. */
import { deadline, systemClock } from "../../base/clock.ts";
import { systemRandom } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { money } from "../../base/money.ts";
import {
  IssuerLink,
  type IssuerLinkOptions,
  type IssuerPayment,
  type LinkAnswer,
  requestMessage,
  rrnOf,
} from "../../hub/core/issuers/index.ts";
import { createIso8583Codec } from "../../protocols/iso8583/codec.ts";
import type { Iso8583Message } from "../../protocols/iso8583/message.ts";
import { withPaymentReference } from "../../protocols/iso8583/payment-reference.ts";
import type { MessageSpec } from "../../protocols/iso8583/spec.ts";
import { SPEC_1987_ASCII } from "../../protocols/iso8583/specs.ts";
import { type IssuerSim, type IssuerSimOptions, startIssuerSim } from "../../sim/issuer/issuer-sim.ts";

export const PAN = "4761739001010119";
export const BALANCE = 1_000_000n;
const ACCOUNT = { pan: PAN, expiry: "3012", currency: "978", balanceMinor: BALANCE };
/** No wait of a test is longer: what does not come by then does not come. */
export const LIMIT_MS = 15_000;

type Labels = Readonly<Record<string, string>>;
interface Counted {
  readonly name: string;
  readonly labels: Labels;
}

/** What a link counts, and a way to wait for it. */
export class Counts {
  readonly #counted: Counted[] = [];
  readonly #waiting = new Set<() => void>();

  count(name: string, labels: Labels = {}): void {
    this.#counted.push({ name: name.replace(/^tillway_hub_issuer_|_total$/g, ""), labels });
    for (const look of this.#waiting) look();
  }

  of(name: string, labels: Labels = {}): number {
    const fits = (one: Counted) =>
      one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value);
    return this.#counted.filter(fits).length;
  }

  /** Resolves when so many were counted. */
  async reach(name: string, labels: Labels, many = 1): Promise<void> {
    using limit = deadline(systemClock, LIMIT_MS);
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        if (this.of(name, labels) < many) return;
        this.#waiting.delete(look);
        resolve();
      };
      limit.signal.addEventListener("abort", () =>
        reject(new Error(`${this.of(name, labels)} of ${many} ${name} ${JSON.stringify(labels)}`)),
      );
      this.#waiting.add(look);
      look();
    });
  }
}

export interface Stand extends AsyncDisposable {
  readonly sim: IssuerSim;
  readonly link: IssuerLink;
  readonly counts: Counts;
  /** Answers that came too late. */
  readonly late: readonly Iso8583Message[];
  /** Sends a purchase. */
  buy(purchase?: Purchase): Promise<LinkAnswer>;
  purchase(purchase?: Purchase): Iso8583Message;
  payment(paymentId: string, minor?: bigint): IssuerPayment;
}

export interface Purchase {
  readonly paymentId?: string;
  readonly attempt?: number;
  readonly minor?: bigint;
  readonly timeoutMs?: number;
}

export interface StandOptions {
  readonly name?: string;
  readonly spec?: MessageSpec;
  readonly sim?: Partial<IssuerSimOptions>;
  readonly link?: Partial<IssuerLinkOptions>;
}

const FAST_RETRY = { firstMs: 10, maxMs: 50, factor: 2, jitter: 0.3 };
const never = new AbortController().signal;

/** Signed on when it resolves. */
export async function startStand(options: StandOptions = {}): Promise<Stand> {
  const { name = "first", spec = SPEC_1987_ASCII } = options;
  const sim = await startIssuerSim({ port: 0, spec, accounts: [ACCOUNT], ...options.sim });
  const counts = new Counts();
  const late: Iso8583Message[] = [];
  const link = new IssuerLink({
    name,
    address: { host: "127.0.0.1", port: sim.port },
    codec: createIso8583Codec(withPaymentReference(spec)),
    version: spec.version,
    acquirerId: "12345678",
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    metrics: counts,
    retry: FAST_RETRY,
    onLate: (message) => late.push(message),
    ...options.link,
  });
  link.start();
  await counts.reach("links", { status: "up" });
  const purchase = ({ paymentId = "p-1", attempt = 1, minor = 100n }: Purchase = {}) =>
    requestMessage({
      version: spec.version,
      payment: paymentOf(paymentId, minor),
      trace: link.newTrace(),
      attempt,
      of: "financial",
    });
  return {
    sim,
    link,
    counts,
    late,
    payment: (paymentId, minor = 100n) => paymentOf(paymentId, minor),
    purchase,
    buy: (wanted = {}) => link.request(purchase(wanted), { timeoutMs: wanted.timeoutMs ?? LIMIT_MS, signal: never }),
    async [Symbol.asyncDispose]() {
      await link[Symbol.asyncDispose]();
      await sim[Symbol.asyncDispose]();
    },
  };
}

const paymentOf = (paymentId: string, minor: bigint): IssuerPayment => ({
  terminalId: "counter-7",
  paymentId,
  operation: "purchase",
  amount: money(minor, "EUR"),
  card: { pan: PAN, expiry: "3012" },
  entryMode: "chip",
  localTime: "2026-01-05T10:15:06",
  acquirerId: "12345678",
  acceptor: { terminal: "TERM0007", merchant: "MERCHANT0000001", category: "5411" },
  rrn: rrnOf({ stan: "000001", transmittedAt: Date.UTC(2026, 0, 5) }),
});
