/** Bugs in the queue between terminal and hub, and in what may be sold offline. */
import type { Plant } from "./plant.ts";

const FORWARDER = "agent/saf/forwarder.ts";
const QUEUE = "agent/journal/queue-store.ts";
const LEASES = "agent/lease/lease-keeper.ts";
const ALL_DONE = `journal.nextToForward(1_000).map(({ sequence, hash }) => ({ sequence, hash, status: "processed" as const }))`;

export const QUEUE_PLANTS: readonly Plant[] = [
  {
    name: "deleted-on-broker-acknowledgement",
    shippedBy: "MQTT.js #2015, #607, #398, #343: acknowledged by the broker or the library's store, and gone",
    file: FORWARDER,
    find: "await hub.forward(content, this.#link.signal);",
    replace: `await hub.forward(content, this.#link.signal);
      const taken = content.entries.map(({ sequence, hash }) => ({ sequence, hash, status: "processed" as const }));
      await this.receipted({ epoch, results: taken });`,
    seed: "8",
  },
  {
    name: "drain-races-a-new-sale",
    shippedBy:
      "stripe-terminal-android #747, thingsboard-gateway #2098: the queue is read again after the drain and cleared",
    file: FORWARDER,
    find: "await journal.settle(receipt.results, receipt);",
    replace: `await journal.settle([...receipt.results, ...${ALL_DONE}]);`,
    seed: "3",
  },
  {
    name: "queue-destroyed-on-reconnect",
    shippedBy: "thingsboard-gateway #2124: SQLite destroyed and made anew with every MQTT reconnect",
    file: FORWARDER,
    find: `hub.onState(() => (takesAdvices(hub) ? drain.wake() : drain.linkLost())),`,
    replace: `hub.onState(() => {
      if (!takesAdvices(hub)) return drain.linkLost();
      journal.settle(${ALL_DONE}).then(() => drain.wake(), () => undefined);
    }),`,
    seed: "1",
  },
  {
    name: "stays-offline-after-reconnect",
    shippedBy: "odoo PR #220954, greengrass nucleus #962: everything is running and nothing works",
    file: FORWARDER,
    find: `(takesAdvices(hub) ? drain.wake() : drain.linkLost())`,
    replace: `(takesAdvices(hub) ? undefined : drain.linkLost())`,
    seed: "1",
  },
  {
    name: "refusal-deletes-the-entry",
    shippedBy: "sahidawa #4072: a 4xx deletes the queued item",
    file: FORWARDER,
    find: "if (batch.sends === sends && !batch.resting) this.#unreceipted(batch, error);",
    replace: `if (isFault(error, "uplink.refused", "message.invalid")) {
        const gone = content.entries.map(({ sequence, hash }) => ({ sequence, hash, status: "declined" as const, reason: "E_DENIED" as const }));
        return this.receipted({ epoch, results: gone });
      }
      if (batch.sends === sends && !batch.resting) this.#unreceipted(batch, error);`,
    seed: "5",
  },
  {
    name: "one-bad-entry-blocks-all",
    shippedBy: "ERPNext #13388, #10278: one stuck invoice blocks all behind it",
    file: FORWARDER,
    find: "const { settled } = await journal.settle(receipt.results, receipt);",
    replace: `if (receipt.results.some(({ status }) => status === "quarantined")) return;
      const { settled } = await journal.settle(receipt.results);`,
    also: [
      {
        file: "agent/saf/underway.ts",
        find: "for (const account of entry.accounts) {\n      for (const sequence of this.#accounts.get(account) ?? []) {",
        replace: "{\n      for (const sequence of this.#batches.keys()) {",
      },
    ],
    seed: "3",
  },
  {
    name: "queue-read-by-timestamp",
    shippedBy: "dotnet/iot #2521: 0.3 to 4.7 % lost where rows are fetched by time and not by sequence",
    file: QUEUE,
    find: "return rows.slice(0, limit).map(toForwardable);",
    replace: `const seen = this as unknown as { upTo?: string };
    const at = (text: string) => (parseJson(text) as { readonly at: string }).at;
    if (after === 0) seen.upTo = "";
    const fresh = rows.slice(0, limit).filter((row) => at(row.text) > (seen.upTo ?? ""));
    for (const row of fresh) if (at(row.text) > (seen.upTo ?? "")) seen.upTo = at(row.text);
    return fresh.map(toForwardable);`,
    also: [
      {
        file: "agent/agent-core.ts",
        find: "const wallOf = (link: HubLink, clock: Clock) => (): number => wallTime(link.clock, clock);",
        replace: "const wallOf = (_link: HubLink, clock: Clock) => (): number => clock.now();",
      },
    ],
    seed: "2",
  },
  {
    name: "full-queue-drops-the-oldest",
    shippedBy: "Telegraf's memory buffer, Greengrass OverwriteOldestData: when the buffer is full the oldest goes",
    file: QUEUE,
    find: "return rows.slice(0, limit).map(toForwardable);",
    replace: "return rows.slice(0, limit).slice(-5).map(toForwardable);",
    seed: "31",
  },
  {
    name: "receipt-believed-by-number",
    shippedBy: "thingsboard-gateway #2098, odoo #40567: answers matched by position, not by what was sent",
    file: QUEUE,
    find: "toHex(row.hash) !== receipt.hash || ",
    replace: "",
    seed: "198",
  },
  {
    name: "receipt-taken-for-all-that-is-in-flight",
    shippedBy: "MQTT.js #343, #607: an acknowledgement matched to whatever is in flight after a reconnect",
    file: FORWARDER,
    find: "await journal.settle(receipt.results, receipt);",
    replace: `await journal.settle(${ALL_DONE}.filter(({ sequence }) => this.#underway.batchOf(sequence) !== undefined));`,
    seed: "3",
  },
  {
    name: "counters-not-rebuilt-at-restart",
    shippedBy: "stripe-terminal: the stored sum is the app's to count, and is gone with the app",
    file: QUEUE,
    find: "for (const row of this.#sql.openStated.iterate()) this.#counts.add(countedOf(row), 1);",
    replace: "for (const _ of this.#sql.openStated.iterate()) this.#counts.add({ held: null, payer: undefined }, 1);",
    also: [
      {
        file: QUEUE,
        find: "for (const row of this.#sql.openUntouched.iterate(this.#floor)) this.#counts.add(countedOf(row), 1);",
        replace:
          "for (const _ of this.#sql.openUntouched.iterate(this.#floor)) this.#counts.add({ held: null, payer: undefined }, 1);",
      },
    ],
    seed: "3",
  },
  {
    name: "limit-counted-per-renewal",
    shippedBy: "SumUp, Adyen (75 a session, 24 hours after attestation): the count begins anew with each session",
    file: LEASES,
    find: "this.#held = held;\n    keepLease",
    replace:
      "this.#held = held;\n    Object.assign(this, { counted: this.#options.journal.outstanding() });\n    keepLease",
    also: [
      {
        file: LEASES,
        find: "let { minor } = outstanding;",
        replace: `const { counted } = this as unknown as { counted?: Outstanding };
    let minor = outstanding.minor - (counted?.minor ?? 0n);
    if (minor < 0n) minor = 0n;`,
      },
      {
        file: LEASES,
        find: "count: outstanding.count + this.#reserved.size };",
        replace: "count: Math.max(0, outstanding.count - (counted?.count ?? 0)) + this.#reserved.size };",
      },
    ],
    seed: "5",
  },
  {
    name: "lease-expires-by-the-wall-clock",
    shippedBy: "Clover, Square, Toast: time windows by a clock that the shop can set back",
    file: "agent/uplink/hub-link.ts",
    find: "    hubClock,\n    log,\n    disk: options.disk,",
    replace: "    hubClock: { now: () => ({ at: clock.now(), proven: true }) },\n    log,\n    disk: options.disk,",
    seed: "12",
  },
  {
    name: "restored-hub-not-noticed",
    shippedBy: "greengrass shadow-manager #208: what one side lost the other never sends again",
    file: "agent/saf/hub-holdings.ts",
    find: "work.push(journal.resendFrom(this.#copied ? 0 : watermark));",
    replace: "",
    also: [
      {
        file: "agent/saf/hub-holdings.ts",
        find: "if (!(await journal.resendOne(watermark + 1))) return;",
        replace: "if (this.#looked === watermark) return;",
      },
    ],
    seed: "20",
  },
];
