/** Brings the faults of a plan into its world, at drawn times, until it is told to stop; then heals everything. */
import { assert } from "../../base/assert.ts";
import type { TerminalId } from "../../base/ids.ts";
import type { HubCore } from "../../hub/hub-core.ts";
import type { Within } from "../../hub/store/store.ts";
import type { ChanceStream } from "../../sim/world/chance.ts";
import type { CrashKind } from "../../sim/world/disk.ts";
import { GOOD_LINK } from "../../sim/world/network.ts";
import type { WorldNode } from "../../sim/world/node.ts";
import type { FaultClass } from "./fault-classes.ts";
import { HUB } from "./hub-node.ts";
import type { PlannedSale } from "./plan.ts";
import type { Shop, Terminal } from "./shop.ts";

const MINUTE_MS = 60_000;

/** How often each class strikes on average, in simulated milliseconds. */
const EVERY_MS = {
  cut: 5 * MINUTE_MS,
  "half-open": 7 * MINUTE_MS,
  "hub-power-cut": 7 * MINUTE_MS,
  "hub-killed": 7 * MINUTE_MS,
  "terminal-power-cut": 5 * MINUTE_MS,
  "terminal-killed": 5 * MINUTE_MS,
  "crash-in-call": 3 * MINUTE_MS,
  "crash-after-send": 4 * MINUTE_MS,
  "disk-error": 4 * MINUTE_MS,
  "disk-full": 10 * MINUTE_MS,
  "clock-step": 7 * MINUTE_MS,
  "answers-lost": 5 * MINUTE_MS,
  revoked: 15 * MINUTE_MS,
} as const satisfies Partial<Readonly<Record<FaultClass, number>>>;
type Striking = keyof typeof EVERY_MS;

const CUT_MS_MAX = 10 * MINUTE_MS;
/** One outage in so many lasts longer than anybody thought. */
const LONG_CUT_MS_MAX = 40 * MINUTE_MS;
const PLUG_PULLED_WITHIN_MS = 5 * MINUTE_MS;
const BY = { by: "simulation", why: "a fault" } as const;

export class Trouble {
  readonly #shop: Shop;
  readonly #chance: ChanceStream;
  #over = false;

  constructor(shop: Shop) {
    this.#shop = shop;
    this.#chance = shop.world.chance.stream("trouble");
  }

  begin(): void {
    const { classes, link, openMs, sales } = this.#shop.plan;
    this.#shop.world.network.setAll(link);
    for (const name of Object.keys(EVERY_MS) as Striking[]) if (classes.has(name)) this.#again(name);
    for (const sale of sales) if (sale.bad) this.#spoil(sale);
    for (const { node, counter } of this.#shop.terminals) {
      if (classes.has("clock-drift")) node.clock.setDrift(this.#chance.between(-200, 200));
      if (classes.has("reader-hiccup")) counter.hiccup = 0.02;
      if (classes.has("printer")) counter.printing = { paperOut: 0.15, lost: 0.1 };
    }
    if (classes.has("old-copy")) this.#oldCopy(openMs);
    if (classes.has("new-disk")) this.#at(openMs, () => this.#newDisk());
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
      counter.hiccup = 0;
    }
    for (const terminal of terminals) terminal.diesAtChange = 0;
    this.#shop.lost.clear();
    world.node(HUB).volume.setFaults({});
    this.#pardonAll();
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
    const forMs = chance.between(5_000, chance.happens(0.15) ? LONG_CUT_MS_MAX : CUT_MS_MAX);
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
      "hub-power-cut": () => this.#crash(hub, "power", "hub.power-cut"),
      "hub-killed": () => this.#crash(hub, "process", "hub.killed"),
      "terminal-power-cut": () => this.#crash(terminal.node, "power", "terminal.power-cut"),
      "terminal-killed": () => this.#crash(terminal.node, "process", "terminal.killed"),
      "crash-in-call": () => this.#victim(terminal).volume.setFaults({ crashAtChange: chance.between(1, 60) }),
      "crash-after-send": () => {
        terminal.diesAtChange = chance.between(1, 4);
      },
      "disk-error": () => this.#diskError(this.#victim(terminal)),
      "disk-full": () => this.#diskFull(terminal),
      "clock-step": () => {
        terminal.node.clock.stepWall(chance.between(-6 * 60, 6 * 60) * MINUTE_MS);
      },
      "answers-lost": () => {
        this.#shop.lost.set(
          terminal.node.name,
          chance.pick(["receipt", "receipt", "receipt", "lease", "authorisation.response"]),
        );
        world.count("terminal.answers-lost");
        // Longer than an outage, so that links come and go meanwhile.
        this.#later(2 * forMs, () => this.#shop.lost.delete(terminal.node.name));
      },
      revoked: () => void this.#revoke(terminal, forMs),
    };
    strikes[name]();
  }

  #crash(node: WorldNode, kind: CrashKind, counted: string): void {
    if (node.state === "running" || node.state === "starting") this.#shop.world.count(counted);
    node.crash(kind);
  }

  /** For a while the hub refuses whatever this terminal says. */
  async #revoke({ id }: Terminal, forMs: number): Promise<void> {
    if (!(await this.#operate((hub, within) => hub.terminals.revoke(within, { terminalId: id, ...BY })))) return;
    this.#shop.world.count("terminal.revoked");
    this.#later(forMs, () => void this.#pardon(id));
  }

  async #pardon(id: TerminalId): Promise<void> {
    if (await this.#operate((hub, within) => hub.terminals.restore(within, { terminalId: id, ...BY }))) return;
    this.#shop.world.timeline.after(MINUTE_MS, () => void this.#pardon(id));
  }

  #pardonAll(): void {
    if (this.#shop.plan.classes.has("revoked")) for (const { id } of this.#shop.terminals) void this.#pardon(id);
  }

  /** False when the hub is not there, or its disk fails in this very moment. */
  async #operate(work: (hub: HubCore, within: Within) => Promise<unknown>): Promise<boolean> {
    const { hub } = this.#shop;
    if (!hub) return false;
    try {
      await hub.store.transaction((within) => work(hub, within));
      return true;
    } catch {
      return false;
    }
  }

  /** The hub breaks over this sale's advice, as over one that it was never made for; all others it can post. */
  #spoil({ id, terminal }: PlannedSale): void {
    const like = `till-${terminal}/${id}/advice/%`;
    this.#shop.hubDatabase?.exec(
      `CREATE TRIGGER "bad ${like}" BEFORE INSERT ON ledger__transfer WHEN NEW.id LIKE '${like}'
       BEGIN SELECT RAISE(ABORT, 'the hub breaks over this entry'); END`,
    );
    this.#shop.world.count("hub.bad-entry");
  }

  /** The terminal's disk is gone for good, and another in its place: its journal begins anew. */
  #newDisk(): void {
    const terminal = this.#chance.pick(this.#shop.terminals);
    if (terminal.forked) return;
    terminal.renewed = true;
    terminal.node.crash("power");
    terminal.node.volume.wipe();
    this.#shop.world.count("terminal.new-disk");
  }

  #victim(terminal: Terminal): WorldNode {
    return this.#chance.happens(0.4) ? this.#shop.world.node(HUB) : terminal.node;
  }

  #diskError(node: WorldNode): void {
    const kind = this.#chance.pick(["read", "write", "sync", "sync", "short"] as const);
    node.volume.setFaults({ next: { [kind]: this.#chance.between(1, 30) } }, this.#chance.next());
    // Who sees a machine with a failing disk pulls its plug.
    const afterMs = this.#chance.between(10_000, PLUG_PULLED_WITHIN_MS);
    if (kind === "sync" && this.#chance.happens(0.5)) this.#later(afterMs, () => node.crash("power"));
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
    this.#later(this.#chance.between(1, 20) * MINUTE_MS, () => {
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
      world.count("terminal.old-copy");
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
      world.count("hub.old-copy");
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
