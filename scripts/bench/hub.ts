/** Online authorisations a second, from a terminal over MQTT with mutual TLS to the ledger's commit and back. */
import type { StoreKind } from "../../hub/store/store.ts";
import { type AskingTerminal, CARD_EXPIRY } from "../lib/asking-terminal.ts";
import { operatorCall } from "../lib/operator-call.ts";
import { startPostgres } from "../lib/postgres.ts";
import { type BenchHub, startBenchHub } from "./bench-hub.ts";
import { type Figure, median, percentile } from "./figures.ts";

export interface HubBenchOptions {
  readonly store: StoreKind;
  /** How long each window is measured, in seconds. */
  readonly seconds: number;
  readonly runs: number;
  readonly onProgress?: (text: string) => void;
}

const WINDOWS = [1, 16, 64] as const;
const TERMINALS = 16;
const CARDS = 64;
const WARM_UP_MS = 2_000;
const BALANCE_MINOR = "100000000000";

interface Measured {
  readonly rate: number;
  readonly p99: number;
}

export async function benchHub({ store, seconds, runs, onProgress = () => {} }: HubBenchOptions): Promise<Figure[]> {
  await using stack = new AsyncDisposableStack();
  const config = await configOf(store, stack);
  onProgress("starting a hub");
  const hub = stack.use(await startBenchHub({ config }));
  await openAccounts(hub);
  const terminals: AskingTerminal[] = [];
  for (let at = 0; at < TERMINALS; at += 1) terminals.push(await hub.terminal(`bench-${at}`));
  const load = new Load(terminals);
  await load.run(16, WARM_UP_MS);
  const found = new Map<number, Measured[]>(WINDOWS.map((window) => [window, []]));
  for (let run = 0; run < runs; run += 1) {
    for (const window of WINDOWS) {
      onProgress(`${window} in flight, run ${run + 1} of ${runs}`);
      found.get(window)?.push(await load.run(window, seconds * 1_000));
    }
  }
  const figure = (name: string, unit: string, values: readonly number[]): Figure => ({
    ...{ figure: name, unit, runs: values.length },
    value: Number(median(values).toFixed(1)),
  });
  return [
    ...WINDOWS.map((window) => figure(`hub.rate.${window}`, "authorisations/s", ratesOf(found.get(window)))),
    ...WINDOWS.map((window) => figure(`hub.p99.${window}`, "ms", p99sOf(found.get(window)))),
  ];
}

const ratesOf = (measured: readonly Measured[] = []): readonly number[] => measured.map(({ rate }) => rate);
const p99sOf = (measured: readonly Measured[] = []): readonly number[] => measured.map(({ p99 }) => p99);

async function configOf(store: StoreKind, stack: AsyncDisposableStack): Promise<string> {
  if (store === "sqlite") return "";
  const server = stack.use(await startPostgres());
  return `store: {kind: postgres, urls: ["${server.newDatabase()}"]}\n`;
}

const panOf = (index: number): string => `999999${String(index).padStart(10, "0")}`;

async function openAccounts({ door }: BenchHub): Promise<void> {
  for (let index = 0; index < CARDS; index += 1) {
    const balance = { minor: BALANCE_MINOR, currency: "EUR" };
    const body = { pan: panOf(index), expiry: CARD_EXPIRY, balance };
    await operatorCall(door, { method: "POST", path: "/v1/accounts", body });
  }
}

class Load {
  readonly #terminals: readonly AskingTerminal[];
  #sales = 0;

  constructor(terminals: readonly AskingTerminal[]) {
    this.#terminals = terminals;
  }

  /** As many lanes as there are to be in flight: each asks again as soon as it has its answer. */
  async run(window: number, durationMs: number): Promise<Measured> {
    const times: number[] = [];
    const began = performance.now();
    const lane = async (index: number) => {
      const terminal = this.#terminals[index % this.#terminals.length];
      while (performance.now() - began < durationMs) {
        this.#sales += 1;
        const asked = performance.now();
        const answer = await terminal?.ask({ paymentId: `s-${this.#sales}`, pan: panOf(index % CARDS), minor: 100 });
        if (answer?.outcome !== "approved")
          throw new Error(`a sale is ${answer?.outcome ?? "not answered"}: ${answer?.detail ?? ""}`);
        times.push(performance.now() - asked);
      }
    };
    await Promise.all(Array.from({ length: window }, (_, index) => lane(index)));
    return { rate: (times.length / (performance.now() - began)) * 1_000, p99: percentile(times, 0.99) };
  }
}
