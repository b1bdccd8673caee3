/** The demonstration: a shop counter through an outage, two kills, a pulled card and an empty paper roll, checked at the end. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Line, readLedger, renderTable, verdictOf } from "./lib/account.ts";
import { Cluster } from "./lib/cluster.ts";
import { Counter, type Payment } from "./lib/counter.ts";
import type { Phone } from "./lib/phone.ts";
import { until } from "./lib/processes.ts";

interface Sold {
  readonly id: string;
  readonly minor: number;
  readonly what: string;
  readonly expect: "approved" | "declined" | "aborted";
  readonly mode: "online" | "offline";
}

const began = Date.now();
const say = (text: string): void => console.log(`${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s  ${text}`);

function options(): { keep: boolean; cluster: boolean; folder: string } {
  try {
    const { values } = parseArgs({
      options: {
        keep: { type: "boolean", default: false },
        cluster: { type: "boolean", default: false },
        folder: { type: "string" },
      },
    });
    return {
      keep: values.keep,
      cluster: values.cluster,
      folder: values.folder ?? mkdtempSync(join(tmpdir(), "tillway-")),
    };
  } catch (error) {
    console.error(`scripts/demo: ${error instanceof Error ? error.message : String(error)}; see scripts/demo --help`);
    process.exit(2);
  }
}

/** Offline sales end at 50.00 each; the agent will die once between the decision and the ticket of D-6. */
const LEASE = { perSaleMinor: 5_000, sumMinor: 20_000, countMax: 50, means: ["chip", "note"] } as const;
const KILLED = "D-6";

class Day {
  readonly #counter: Counter;
  readonly sold: Sold[] = [];
  #phone: Phone | undefined;

  constructor(counter: Counter) {
    this.#counter = counter;
  }

  async sell(sold: Sold): Promise<Payment | undefined> {
    this.sold.push(sold);
    const answer = await this.#counter.sale(sold.id, sold.minor);
    if (answer) tell(sold, answer.body);
    return answer?.body;
  }

  /** One sale that the customer's phone pays, by what it shows to the scanner. */
  async sellByPhone(sold: Sold, show: string | ((payment: Payment) => Promise<string>)): Promise<void> {
    this.sold.push(sold);
    tell(sold, await this.#counter.scannedSale(sold.id, sold.minor, show));
    await this.#counter.ticketOf(sold.id, "printed");
  }

  /** The customer's phone while it has a network: the last time until the end of the day. */
  async phonePrepared(): Promise<void> {
    say("a customer's phone registers a code, is granted an allowance, and loses its network");
    this.#phone = await this.#counter.startPhone("anna");
    await this.#phone.do("register", { cap: "50.00" });
    await this.#phone.do("allowance", { amount: "40.00" });
    await this.#phone.do("offline");
  }

  async codeShown(): Promise<void> {
    say("its code is read by the scanner; the hub debits the account that it stands for");
    const sold = { id: "D-C", minor: 1875, what: "phone's code", expect: "approved", mode: "online" } as const;
    await this.sellByPhone(sold, await this.#present.shown());
  }

  async noteShown(): Promise<void> {
    say("neither till nor phone reaches the hub: the phone answers the till's challenge with a note");
    const sold = {
      id: "D-N",
      minor: 640,
      what: "phone's note, hub away",
      expect: "approved",
      mode: "offline",
    } as const;
    await this.sellByPhone(sold, ({ challenge }) => this.#present.pay(challenge));
  }

  get #present(): Phone {
    if (!this.#phone) throw new Error("the phone was not started");
    return this.#phone;
  }

  async online(): Promise<void> {
    say("a sale online");
    await this.sell({ id: "D-1", minor: 1250, what: "sale online", expect: "approved", mode: "online" });
    await this.#counter.ticketOf("D-1", "printed");
  }

  async outage(): Promise<void> {
    say("the hub is killed (SIGKILL)");
    await this.#counter.killHub();
    await this.#counter.offline();
    await this.sell({ id: "D-2", minor: 1000, what: "hub away", expect: "approved", mode: "offline" });
    await this.sell({ id: "D-3", minor: 2000, what: "hub away", expect: "approved", mode: "offline" });
    await this.sell({ id: "D-4", minor: 735, what: "hub away", expect: "approved", mode: "offline" });
    await this.sell({ id: "D-5", minor: 6000, what: "above the lease", expect: "declined", mode: "offline" });
  }

  async agentKilled(): Promise<void> {
    say("the agent is killed (SIGKILL) between the decision and the ticket");
    await this.sell({
      id: KILLED,
      minor: 500,
      what: "agent killed before ticket",
      expect: "approved",
      mode: "offline",
    });
    say(`  the agent ended by ${String(await this.#counter.program("agent").ended)}; it starts again`);
    await this.#counter.startAgent();
    const payment = await this.#counter.ticketOf(KILLED, "printed");
    say(`  ${KILLED} is ${payment.status} ${payment.mode ?? ""}, its ticket is printed`);
  }

  async cardPulled(): Promise<void> {
    say("the card is pulled out in the middle of its dialogue");
    await this.#counter.card({ do: "pull-after", apdus: 7 });
    await this.sell({ id: "D-7", minor: 900, what: "card pulled", expect: "aborted", mode: "offline" });
  }

  async paperOut(): Promise<void> {
    say("the printer is out of paper");
    await this.#counter.printer({ do: "paper", state: "out" });
    await this.sell({ id: "D-8", minor: 1500, what: "paper out, then back", expect: "approved", mode: "offline" });
    say(`  its ticket is ${(await this.#counter.payment("D-8")).ticket}; new paper`);
    await this.#counter.printer({ do: "paper", state: "ok" });
    await this.#counter.ticketOf("D-8", "printed");
  }

  async hubBack(): Promise<void> {
    say("the hub is started again; the queue drains");
    await this.#counter.startHub();
    await this.#counter.online();
    await this.#counter.drained();
    await this.sell({ id: "D-9", minor: 320, what: "online again", expect: "approved", mode: "online" });
    await this.#counter.ticketOf("D-9", "printed");
    await until("the last confirmation", async () =>
      (await this.#counter.payment("D-9")).queue === "processed" ? true : undefined,
    );
  }
}

function tell({ id, minor }: Sold, { status, mode, detail }: Payment): void {
  say(`  ${id} ${(minor / 100).toFixed(2)} EUR: ${status}${mode ? ` ${mode}` : ""}${detail ? ` (${detail})` : ""}`);
}

async function account(counter: Counter, sold: readonly Sold[]): Promise<boolean> {
  const ledger = await readLedger(counter);
  const tickets = await counter.tickets();
  const lines: Line[] = [];
  for (const sale of sold) lines.push(verdictOf({ sale, payment: await counter.payment(sale.id), ledger, tickets }));
  console.log(`\n${renderTable(lines)}\n`);
  const strangers = ledger.filter((posting) => !sold.some((sale) => sale.id === posting.paymentId));
  for (const stranger of strangers) console.log(`in the ledger, and sold by nobody: ${stranger.paymentId}`);
  const wrong = lines.filter((line) => line.problems.length > 0);
  for (const line of wrong) console.log(`${line.id}: ${line.problems.join("; ")}`);
  return wrong.length === 0 && strangers.length === 0;
}

async function main(): Promise<number> {
  const { keep, cluster: grown, folder } = options();
  const onStep = (step: string) => say(`starting ${step}`);
  await using cluster = grown
    ? await Cluster.open({ folder: join(folder, "cluster"), lease: LEASE, onStep })
    : undefined;
  const counter = new Counter({
    folder,
    lease: LEASE,
    devices: ["reader", "printer", "scanner"],
    onStep,
    ...(cluster && { hubSide: cluster }),
  });
  let accounted = false;
  try {
    await counter.start({ killAt: `decision-stored:${KILLED}` });
    const day = new Day(counter);
    await day.online();
    await day.phonePrepared();
    await day.codeShown();
    await day.outage();
    await day.noteShown();
    await day.agentKilled();
    await day.cardPulled();
    await day.paperOut();
    await day.hubBack();
    accounted = await account(counter, day.sold);
    say(accounted ? "every sale is accounted for" : "NOT every sale is accounted for");
  } catch (error) {
    say(`the demonstration stopped: ${error instanceof Error ? error.message : String(error)}`);
    console.error(`The last lines of the agent's log (${folder}/agent.log):\n${counter.log("agent")}`);
    console.error(`The last lines of the hub's log (${folder}/hub.log):\n${counter.log("hub")}`);
  }
  if (keep && accounted) explainKept(counter);
  else await counter[Symbol.asyncDispose]();
  if (!keep) say(`tickets and logs: ${folder}`);
  return accounted ? 0 : 1;
}

function explainKept(counter: Counter): void {
  console.log(`Everything keeps running. Try, from another shell:

  scripts/tillway status --config ${counter.agentConfig}
  scripts/tillway sale 4.20 --config ${counter.agentConfig}
      and, while it waits for a card:
  scripts/tillway sim control ${counter.folder}/card.sock insert
  scripts/tillway sim control ${counter.folder}/card.sock pull
      or, in the place of a card, the customer's phone and the scanner:
  scripts/tillway sim control ${counter.folder}/anna.sock online
  scripts/tillway sim control ${counter.folder}/anna.sock register
  scripts/tillway sim control ${counter.folder}/anna.sock show
  scripts/tillway sim control ${counter.folder}/scanner.sock scan text=OF1:…
  scripts/tillway queue list --config ${counter.agentConfig}
  scripts/tillway hub transactions --config ${counter.hubConfig}
  cat ${counter.folder}/tickets/ticket-0001.txt

To stop it all:

  kill ${counter.pids.join(" ")}
`);
}

process.exit(await main());
