/** The agent's figures in Prometheus' text format, version 0.0.4. */
import type { Status } from "../health/health.ts";
import type { PaymentEvent } from "../payment/payments.ts";

export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Counts what ended since the start, by operation, status and mode. */
export class PaymentCounter {
  readonly #ended = new Map<string, number>();

  count(event: PaymentEvent): void {
    if (event.type !== "payment.ended") return;
    const { operation, status, mode = "none" } = event.payment;
    const labels = `operation="${operation}",status="${status}",mode="${mode}"`;
    this.#ended.set(labels, (this.#ended.get(labels) ?? 0) + 1);
  }

  lines(): readonly string[] {
    return [...this.#ended].map(([labels, value]) => `tillway_payments_ended_total{${labels}} ${value}`);
  }
}

interface Sources {
  readonly status: Status;
  readonly counter: PaymentCounter;
  readonly eventClientsDropped: number;
}

export function metricsText({ status, counter, eventClientsDropped }: Sources): string {
  const selling = status.selling.split(/[ :]/)[0] ?? "";
  const lines = [
    ...gauge("tillway_info", "What runs.", [`{version="${status.version}",terminal="${status.terminalId}"} 1`]),
    ...gauge("tillway_uptime_seconds", "Since the agent started.", [` ${status.uptimeSec}`]),
    ...gauge(
      "tillway_selling",
      "1 for the way in which a sale would go now.",
      ["online", "offline", "stopped"].map((mode) => `{mode="${mode}"} ${Number(mode === selling)}`),
    ),
    ...gauge("tillway_hub_up", "1 while the hub is linked and answers.", [` ${Number(status.hub.state === "up")}`]),
    ...gauge("tillway_payments_running", "Payments under way.", [` ${status.running}`]),
    ...gauge("tillway_queue_depth", "Entries without the hub's receipt.", [` ${status.queue.depth}`]),
    ...gauge("tillway_queue_oldest_seconds", "Age of the oldest of them.", [` ${status.queue.oldestAgeSec}`]),
    ...gauge("tillway_queue_quarantined", "Entries the hub could not take.", [` ${status.queue.quarantined}`]),
    ...gauge("tillway_queue_outstanding", "Offline sales without the hub's receipt.", [
      ` ${status.queue.outstandingCount}`,
    ]),
    ...gauge("tillway_queue_outstanding_minor", "Their sum in minor units.", [` ${status.queue.outstandingMinor}`]),
    ...gauge("tillway_queue_rate", "Entries with a receipt per second, lately.", [` ${status.queue.ratePerSec ?? 0}`]),
    ...optional("tillway_queue_eta_seconds", "Until the queue is empty at that rate.", status.queue.etaSec),
    ...gauge("tillway_journal_sequence", "Entries in the journal.", [` ${status.journal.sequence}`]),
    ...gauge("tillway_disk_free_megabytes", "Free on the journal's disk.", [` ${status.disk.freeMb}`]),
    ...optional("tillway_disk_left_bytes", "Until offline sales stop.", status.disk.leftBytes),
    ...optional("tillway_disk_left_hours", "The same at the rate since the start.", status.disk.hoursLeft),
    ...gauge(
      "tillway_device_ready",
      "1 while the device is ready.",
      status.devices.map((device) => `{device="${device.id}"} ${Number(device.state === "ready")}`),
    ),
    ...clockLines(status),
    "# HELP tillway_payments_ended_total Payments that ended since the agent started.",
    "# TYPE tillway_payments_ended_total counter",
    ...counter.lines(),
    "# HELP tillway_event_clients_dropped_total Event listeners dropped as too slow.",
    "# TYPE tillway_event_clients_dropped_total counter",
    `tillway_event_clients_dropped_total ${eventClientsDropped}`,
  ];
  return `${lines.join("\n")}\n`;
}

const gauge = (name: string, help: string, values: readonly string[]): string[] => [
  `# HELP ${name} ${help}`,
  `# TYPE ${name} gauge`,
  ...values.map((value) => name + value),
];

/** Not told at all while it is not known: 0 would be an alarm. */
const optional = (name: string, help: string, value: number | undefined): string[] =>
  value === undefined ? [] : gauge(name, help, [` ${value}`]);

function clockLines({ clock }: Status): string[] {
  if (clock.aheadOfHubMs === undefined) return [];
  return gauge("tillway_clock_ahead_seconds", "This clock less the hub's.", [` ${clock.aheadOfHubMs / 1_000}`]);
}
