/**
 * The wire between one agent and the hub, as a TCP relay that can be cut, frozen, slow or deaf in one direction. What it
 * carries stays TLS from end to end.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { HubPorts } from "../lib/counter-config.ts";

/**
 * `cut`: connections are reset and none comes about. `frozen`: nothing gets through and nobody is told (half-open); thawed,
 * what was held is delivered. `deaf`: the hub hears the agent, and its answers are lost.
 */
export type LinkState = "up" | "cut" | "frozen" | "deaf";

const LATE_MAX_MS = 10_000;

interface Pair {
  readonly agent: Socket;
  readonly hub: Socket;
  /** What waits for the thaw, in order. */
  readonly held: (() => void)[];
  /** What is late keeps its order, also when the delay changes. */
  turn: Promise<void>;
  lost: boolean;
}

export class Link implements AsyncDisposable {
  readonly #servers: Server[] = [];
  readonly #pairs = new Set<Pair>();
  #state: LinkState = "up";
  #lateMs = 0;
  #deafAfter: number | undefined;
  /** Pieces that are on their way. */
  lateNow = 0;
  /** Bytes from the hub that were lost on the way. */
  lostBytes = 0;

  get state(): LinkState {
    return this.#state;
  }

  /** Relays to these ports of 127.0.0.1; gives its own. */
  async open(hub: HubPorts): Promise<HubPorts> {
    return { https: await this.#listen(hub.https), mqtts: await this.#listen(hub.mqtts) };
  }

  set(state: LinkState): void {
    this.#state = state;
    this.#deafAfter = undefined;
    for (const pair of [...this.#pairs]) {
      // A stream with a hole in it can never go on.
      if (state === "cut" || (pair.lost && state !== "deaf")) this.#end(pair);
      else if (state !== "frozen") for (const deliver of pair.held.splice(0)) deliver();
    }
  }

  /** Goes deaf by itself after so many further bytes from the hub: in the middle of its receipts, say. */
  deafAfter(bytes: number): void {
    this.#deafAfter = bytes;
  }

  /** Each piece is so late, both ways. */
  late(ms: number): void {
    this.#lateMs = Math.min(ms, LATE_MAX_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.set("cut");
    for (const server of this.#servers) {
      server.close();
      await once(server, "close");
    }
  }

  async #listen(port: number): Promise<number> {
    const server = createServer((agent) => this.#join(agent, port));
    this.#servers.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }

  #join(agent: Socket, port: number): void {
    agent.on("error", () => agent.destroy());
    if (this.#state === "cut") {
      agent.resetAndDestroy();
      return;
    }
    const hub = connect({ host: "127.0.0.1", port, noDelay: true });
    hub.on("error", () => hub.destroy());
    agent.setNoDelay(true);
    const pair: Pair = { agent, hub, held: [], turn: Promise.resolve(), lost: false };
    this.#pairs.add(pair);
    agent.on("data", (chunk) => this.#carry(pair, () => hub.write(chunk)));
    hub.on("data", (chunk) => this.#fromHub(pair, chunk));
    const ended = () => this.#carry(pair, () => this.#end(pair));
    agent.on("close", ended);
    hub.on("close", ended);
  }

  #fromHub(pair: Pair, chunk: Buffer): void {
    if (this.#deafAfter !== undefined) {
      this.#deafAfter -= chunk.length;
      if (this.#deafAfter < 0) this.#state = "deaf";
    }
    if (this.#state === "deaf") {
      this.lostBytes += chunk.length;
      pair.lost = true;
    } else this.#carry(pair, () => pair.agent.write(chunk));
  }

  #carry(pair: Pair, deliver: () => void): void {
    const now = () => {
      if (!this.#pairs.has(pair)) return;
      if (this.#state === "frozen" || pair.held.length > 0) pair.held.push(deliver);
      else deliver();
    };
    const due = performance.now() + this.#lateMs;
    this.lateNow += 1;
    pair.turn = pair.turn.then(async () => {
      const rest = due - performance.now();
      if (rest > 0) await delay(rest);
      this.lateNow -= 1;
      now();
    });
  }

  #end(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.agent.destroy();
    pair.hub.destroy();
  }
}
