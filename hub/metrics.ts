/** Counters and gauges of the hub, as Prometheus reads them. */

export type Labels = Readonly<Record<string, string>>;

export interface Metrics {
  count(name: CounterName, labels?: Labels, by?: number): void;
  /** `read` is asked each time that somebody looks; where it fails, as with the database away, the gauge is left out. */
  gauge(name: GaugeName, read: () => number | Promise<number>): void;
  text(): Promise<string>;
}

const COUNTERS = {
  tillway_hub_messages_total: "Messages from terminals by type.",
  tillway_hub_messages_refused_total: "Messages refused, by reason.",
  tillway_hub_alarms_total: "Sources that were refused again and again, by reason.",
  tillway_hub_phone_messages_total: "Messages that phones of customers signed, by type.",
  tillway_hub_authorisations_total: "Answers to online requests by outcome and response code.",
  tillway_hub_cryptograms_total: "Cryptograms of this hub's own cards by type and what became of them.",
  tillway_hub_notes_total: "Notes of staged value by what the hub found.",
  tillway_hub_allowances_total: "Allowances for phones by what became of them.",
  tillway_hub_entries_total: "Forwarded journal entries by receipt status.",
  tillway_hub_commits_total: "Database commits.",
  tillway_hub_committed_messages_total: "Messages in those commits: divided, the size of a group commit.",
  tillway_hub_holds_expired_total: "Authorisations that were never confirmed.",
  tillway_hub_connections_total: "MQTT connections by what became of them.",
  tillway_hub_issuer_requests_total: "Requests to issuers by issuer and how they ended.",
  tillway_hub_issuer_exchanges_total: "Sign-ons, sign-offs and echoes by issuer and how they ended.",
  tillway_hub_issuer_dropped_total: "What issuers sent and was dropped, by issuer and reason.",
  tillway_hub_issuer_connections_total: "Connections to issuers that ended, by issuer and how.",
  tillway_hub_issuer_availability_total: "Changes of issuers between up, down and recovering, by issuer.",
  tillway_hub_stand_in_total: "Decisions in issuers' names, by issuer, decision and what decided.",
  tillway_hub_stand_in_parameters_total: "Stand-in parameters that were offered, by issuer and what became of them.",
  tillway_hub_leases_cut_total: "Leases that were too long for an institution's stand-in parameters, by issuer.",
  tillway_hub_advices_total: "What issuers were told of decisions made without them, by issuer, kind and how it ended.",
  tillway_hub_issuer_reconciliations_total: "Days of issuers whose totals were compared, by issuer and how that ended.",
  tillway_hub_unread_gauges_total: "Gauges that could not be read when somebody looked, by gauge.",
  tillway_hub_issuer_links_total: "Changes of the links to issuers, by issuer and what they became.",
} as const;
export type CounterName = keyof typeof COUNTERS;

const GAUGES = {
  tillway_hub_waiting_messages: "Messages that wait for the next commit.",
  tillway_hub_connected_terminals: "MQTT sessions of terminals.",
  tillway_hub_open_findings: "What is wrong with terminals' journals and waits for a person.",
  tillway_hub_quarantined_entries: "Entries that were set aside and wait for a person.",
} as const;
export type GaugeName = keyof typeof GAUGES;

/** Label values come from closed sets; this bounds a mistake. */
const SERIES_MAX = 1_000;

export function createMetrics(): Metrics {
  const series = new Map<string, { readonly name: CounterName; readonly labels: string; value: number }>();
  const gauges = new Map<GaugeName, () => number | Promise<number>>();
  const count: Metrics["count"] = (name, labels = {}, by = 1) => {
    const text = labelText(labels);
    const key = `${name}${text}`;
    const known = series.get(key);
    if (known) known.value += by;
    else if (series.size < SERIES_MAX) series.set(key, { name, labels: text, value: by });
  };
  async function gaugeLines([name, read]: readonly [GaugeName, () => number | Promise<number>]): Promise<string[]> {
    try {
      return [`# HELP ${name} ${GAUGES[name]}`, `# TYPE ${name} gauge`, `${name} ${await read()}`];
    } catch {
      count("tillway_hub_unread_gauges_total", { gauge: name });
      return [];
    }
  }
  return {
    count,
    gauge: (name, read) => void gauges.set(name, read),
    async text() {
      const gauged = await Promise.all([...gauges].map(gaugeLines));
      const lines: string[] = [];
      for (const [name, help] of Object.entries(COUNTERS)) {
        lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} counter`);
        for (const one of series.values()) if (one.name === name) lines.push(`${name}${one.labels} ${one.value}`);
      }
      return `${[...lines, ...gauged.flat()].join("\n")}\n`;
    },
  };
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value.replace(/["\\\n]/g, "_")}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}
