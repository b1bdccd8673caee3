/** Card payments as on a terminal whose hub is out of reach. */
import { CardPayments } from "../../agent/features/card-verification/card-payments.ts";
import { systemClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import type { TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";

export const cardPaymentsWithoutHub = (): CardPayments =>
  new CardPayments({
    terminalId: "shop-1" as TerminalId,
    hub: { ask: () => Promise.reject(new Fault("uplink.down", "the hub is out of reach; nothing was sent")) },
    lane: { withCard: () => Promise.reject(new Error("no card is asked for")) },
    clock: systemClock,
    log: silentLog,
    now: () => 0,
    cardTimeoutMs: 1_000,
  });
