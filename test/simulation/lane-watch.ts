/** Looks at the agents as their machines' watchdogs do: work that stands still for longer than its own limit never ends. */
import type { Shop } from "./shop.ts";

const LOOK_EVERY_MS = 60_000;

export class LaneWatch {
  readonly violations: string[] = [];
  readonly #shop: Shop;

  constructor(shop: Shop) {
    this.#shop = shop;
  }

  begin(): void {
    this.#shop.world.timeline.after(LOOK_EVERY_MS, () => {
      this.#look();
      if (this.violations.length === 0) this.begin();
    });
  }

  #look(): void {
    for (const { core, node } of this.#shop.terminals) {
      if (!core) continue;
      for (const { name, idle, lastProgressMs, limitMs } of [core.forwarder.lane, core.desk.lane, core.tickets.lane]) {
        const stillMs = node.clock.monotonic() - lastProgressMs;
        if (!idle && limitMs !== undefined && stillMs > limitMs)
          this.violations.push(`${node.name}: ${name} stands still for ${stillMs} ms`);
      }
    }
  }
}
