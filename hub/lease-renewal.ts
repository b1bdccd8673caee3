/**
 * Brings new leases to terminals that did not ask, where what a lease says has changed: the deny list, the sealing key, or
 * that there is none any more. Whoever is not connected gets it with its next presence, within a minute of coming back.
 */
import { reasonOf } from "../base/fault.ts";
import type { TerminalId } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { DeviceGateway } from "./device-gateway.ts";
import type { HubCore } from "./hub-core.ts";

export interface LeaseRenewal extends AsyncDisposable {
  one(terminalId: TerminalId): void;
  /** All that are connected; changes that come while it runs make it run once more. */
  all(): void;
}

export interface LeaseRenewalOptions {
  readonly core: Pick<HubCore, "leaseUnasked">;
  readonly terminals: Pick<DeviceGateway, "connected" | "push">;
  readonly log: Log;
}

export function createLeaseRenewal({ core, terminals, log }: LeaseRenewalOptions): LeaseRenewal {
  const due = new Set<TerminalId>();
  let ended = false;
  let running: Promise<void> | undefined;

  /** One after the other: each has a commit of its own, so that people at counters go before. */
  async function run(): Promise<void> {
    for (;;) {
      const [next] = due;
      if (next === undefined || ended) return;
      due.delete(next);
      try {
        const message = await core.leaseUnasked(next);
        if (message) terminals.push(message);
      } catch (error) {
        log.warn("a lease could not be renewed; its terminal asks for it by itself", {
          terminalId: next,
          reason: reasonOf(error),
        });
      }
    }
  }
  function start(): void {
    running ??= run().finally(() => {
      running = undefined;
      if (due.size > 0 && !ended) start();
    });
  }

  return {
    one(terminalId) {
      due.add(terminalId);
      start();
    },
    all() {
      for (const terminalId of terminals.connected()) due.add(terminalId);
      start();
    },
    async [Symbol.asyncDispose]() {
      ended = true;
      await running;
    },
  };
}
