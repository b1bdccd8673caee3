/** Brings the faults of a plan into its world, at drawn times, until it is told to stop; then heals everything. */
import { assert } from "../../base/assert.ts";
import type { ChanceStream } from "../../sim/world/chance.ts";
import { GOOD_LINK } from "../../sim/world/network.ts";
import type { WorldNode } from "../../sim/world/node.ts";
import { HUB } from "./hub-node.ts";
import type { FaultClass } from "./plan.ts";
import type { Shop, Terminal } from "./shop.ts";

const MINUTE_MS = 60_000;

/** How often each class strikes on average, in simulated milliseconds. */
const EVERY_MS = {
  cut: 15 * MINUTE_MS,
  "half-open": 20 * MINUTE_MS,
  "hub-power-cut": 20 * MINUTE_MS,
  "hub-killed": 20 * MINUTE_MS,
  "terminal-power-cut": 15 * MINUTE_MS,
  "terminal-killed": 15 * MINUTE_MS,
  "crash-in-call": 8 * MINUTE_MS,
  "disk-error": 10 * MINUTE_MS,
  "disk-full": 30 * MINUTE_MS,
  "clock-step": 20 * MINUTE_MS,
} as const satisfies Partial<Readonly<Record<FaultClass, number>>>;
type Striking = keyof typeof EVERY_MS;

const CUT_MS_MAX = 30 * MINUTE_MS;

export class Trouble {
  readonly #shop: Shop;
  readonly #chance: ChanceStream;
  #over = false;

  constructor(shop: Shop) {
    this.#shop = shop;
    this.#chance = shop.world.chance.stream("trouble");
  }

  begin(): void {
    const { classes, link, openMs } = this.#shop.plan;
    this.#shop.world.network.setAll(link);
    for (const name of Object.keys(EVERY_MS) as Striking[]) if (classes.has(name)) this.#again(name);
    for (const { node, counter } of this.#shop.terminals) {
      if (classes.has("clock-drift")) node.clock.setDrift(this.#chance.between(-200, 200));
      if (classes.has("printer")) counter.printing = { paperOut: 0.15, lost: 0.1 };
    }
    if (classes.has("old-copy")) this.#oldCopy(openMs);
    if (classes.has("hub-old-copy")) this.#hubOldCopy(openMs);
    if (classes.has("cloned-terminal"))
      this.#at(openMs, () => this.#shop.clone(this.#chance.pick(this.#shop.terminals)));
    if (classes.has("cloned-phone")) this.#at(openMs, () => this.#chance.pick(this.#shop.phones).clone());
  }

  /** Nothing goes wrong any more, and what is broken is whole. */
  heal(): void {
    this.#over = true;
    const { world, terminals } = this.#shop;
    world.network.setAll(GOOD_LINK);
    for (const { node, counter } of terminals) {
      world.network.heal(node.name, HUB);
      node.volume.setFaults({});
      node.clock.setDrift(0);
      counter.printing = { paperOut: 0, lost: 0 };
    }
    world.node(HUB).volume.setFaults({});
  }

  #again(name: Striking): void {
    const restMs = -Math.log(1 - this.#chance.fraction()) * EVERY_MS[name];
    this.#shop.world.timeline.after(restMs, () => {
      if (this.#over) return;
      this.#strike(name);
      this.#again(name);
    });
  }

  #strike(name: Striking): void {
    const { world, terminals } = this.#shop;
    const hub = world.node(HUB);
    const chance = this.#chance;
    const terminal = chance.pick(terminals);
    const forMs = chance.between(5_000, CUT_MS_MAX);
    const healLater = () => this.#later(forMs, () => world.network.heal(terminal.node.name, HUB));
    const strikes: Readonly<Record<Striking, () => void>> = {
      cut: () => {
        world.network.cut(terminal.node.name, HUB);
        healLater();
      },
      "half-open": () => {
        const [from, to] = chance.happens(0.5) ? [terminal.node.name, HUB] : [HUB, terminal.node.name];
        world.network.halfOpen(from, to);
        healLater();
      },
      "hub-power-cut": () => hub.crash("power"),
      "hub-killed": () => hub.crash("process"),
      "terminal-power-cut": () => terminal.node.crash("power"),
      "terminal-killed": () => terminal.node.crash("process"),
      "crash-in-call": () => this.#victim(terminal).volume.setFaults({ crashAtChange: chance.between(1, 60) }),
      "disk-error": () => this.#diskError(this.#victim(terminal)),
      "disk-full": () => this.#diskFull(terminal),
      "clock-step": () => {
        terminal.node.clock.stepWall(chance.between(-6 * 60, 6 * 60) * MINUTE_MS);
      },
    };
    strikes[name]();
  }

  #victim(terminal: Terminal): WorldNode {
    return this.#chance.happens(0.4) ? this.#shop.world.node(HUB) : terminal.node;
  }

  #diskError({ volume }: WorldNode): void {
    const kind = this.#chance.pick(["read", "write", "sync", "sync", "short"] as const);
    volume.setFaults({ next: { [kind]: this.#chance.between(1, 30) } }, this.#chance.next());
  }

  /** A disk that fills up; half of the time the agent is told so in time, else it runs into the wall. */
  #diskFull(terminal: Terminal): void {
    const { volume } = terminal.node;
    const { usedBytes } = volume.stats();
    const bytesMax = usedBytes + this.#chance.between(0, 200_000);
    const told = this.#chance.happens(0.5);
    const freeBytes = terminal.freeBytes;
    volume.setFaults({ bytesMax });
    if (told) terminal.freeBytes = () => Math.max(bytesMax - volume.stats().usedBytes, 0);
    this.#later(this.#chance.between(1, 60) * MINUTE_MS, () => {
      volume.setFaults({});
      terminal.freeBytes = freeBytes;
    });
  }

  /** The disk is copied in the morning, and put in the place of the newer one later. */
  #oldCopy(openMs: number): void {
    const { world, terminals } = this.#shop;
    const terminal = this.#chance.pick(terminals);
    const copiedAt = this.#chance.between(0, openMs / 2);
    const restoredAt = copiedAt + this.#chance.between(0, openMs / 2);
    world.timeline.after(copiedAt, () => terminal.node.volume.snapshot("morning"));
    world.timeline.after(restoredAt, () => {
      if (this.#over) return;
      terminal.restored = true;
      terminal.node.crash("power");
      terminal.node.volume.restore("morning");
    });
  }

  /** The hub is put back from a backup: what it receipted since then must come again (RM18). */
  #hubOldCopy(openMs: number): void {
    const { world } = this.#shop;
    const hub = world.node(HUB);
    const copiedAt = this.#chance.between(0, openMs / 2);
    world.timeline.after(copiedAt, () => hub.volume.snapshot("backup"));
    world.timeline.after(copiedAt + this.#chance.between(0, openMs / 2), () => {
      if (this.#over) return;
      this.#shop.hubRestored = true;
      hub.crash("power");
      hub.volume.restore("backup");
    });
  }

  /** Once in the day. */
  #at(openMs: number, work: () => void): void {
    this.#later(this.#chance.between(0, openMs), work);
  }

  #later(ms: number, work: () => void): void {
    this.#shop.world.timeline.after(ms, () => {
      assert(ms >= 0, "time does not go back");
      if (!this.#over) work();
    });
  }
}
