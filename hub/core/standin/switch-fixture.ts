/** An issuer with books of its own and a switch in front of it, each of a few lines, without store, sockets or waiting. */
import type { PaymentId } from "../../../base/ids.ts";
import { money } from "../../../base/money.ts";
import type { StandInParameters } from "../../../wire/stand-in.ts";
import {
  decideStandIn,
  type StandInCounters,
  type StandInDecision,
  type StandInRequest,
} from "../../../wire/stand-in-checks.ts";
import { NOTHING_COUNTED, NOW, PARAMETERS, REQUEST } from "../../../wire/stand-in-fixture.ts";
import {
  AVAILABILITY_DEFAULTS,
  type Availability,
  type AvailabilityEvent,
  availabilityMachine,
  FIRST_AVAILABILITY,
  mayDrain,
  routeOf,
  type StandInReason,
} from "./availability.ts";
import {
  type AdviceAnswer,
  type AdviceEntry,
  type AdviceEvent,
  adviceMachine,
  dueAdvices,
  entriesFor,
  entryKey,
  holdsAccount,
  isOpen,
  NEW_ADVICE,
  RECOVERY_DEFAULTS,
} from "./recovery.ts";

/** Posts what it takes once, whatever message brings it. */
export class SmallIssuer {
  silent = false;
  /** It takes requests and posts them, but no answer comes back. */
  mute = false;
  refusesAdviceOf = new Set<string>();
  requests = 0;
  /** MTI and payment of each advice, as they came. */
  readonly advices: string[] = [];
  /** Payments in the order in which they moved money, with their accounts. */
  readonly posted: { readonly account: string; readonly paymentId: string; readonly minor: bigint }[] = [];
  readonly #reversed = new Set<string>();

  ask(request: StandInRequest, account: string): "00" | undefined {
    this.requests += 1;
    if (this.silent) return undefined;
    this.#post(request, account);
    return this.mute ? undefined : "00";
  }

  advise(entry: LoggedEntry, repeat: "first" | "repeat"): string | undefined {
    const { request, decision, account } = entry.stoodIn;
    this.advices.push(`${entry.kind === "reversal" ? "042" : "022"}${repeat === "first" ? 0 : 1} ${request.paymentId}`);
    if (this.silent) return undefined;
    if (this.refusesAdviceOf.has(request.paymentId)) return "05";
    if (entry.kind === "reversal") this.#reverse(request.paymentId);
    else if (decision.decision === "approve") return this.#post(request, account) ? "00" : "94";
    return "00";
  }

  balance(account: string): bigint {
    return this.posted.filter((each) => each.account === account).reduce((sum, { minor }) => sum - minor, 0n);
  }

  #post(request: StandInRequest, account: string): boolean {
    const { paymentId } = request;
    if (this.#reversed.has(paymentId) || this.posted.some((each) => each.paymentId === paymentId)) return false;
    this.posted.push({ account, paymentId, minor: request.amount.minor });
    return true;
  }

  #reverse(paymentId: string): void {
    this.#reversed.add(paymentId);
    const at = this.posted.findIndex((each) => each.paymentId === paymentId);
    if (at >= 0) this.posted.splice(at, 1);
  }
}

/** What this issuer means by the code of its answer to an advice. */
export function meaningOf(responseCode: string): AdviceAnswer {
  if (["00", "94"].includes(responseCode)) return { what: "taken" };
  return responseCode === "91" ? { what: "again" } : { what: "refused", responseCode };
}

/** With the decision that it tells of. */
interface LoggedEntry extends AdviceEntry {
  readonly stoodIn: {
    readonly request: StandInRequest;
    readonly account: string;
    readonly why: StandInReason;
    readonly decision: StandInDecision;
  };
}

export interface Answered {
  readonly by: "issuer" | "stand-in";
  readonly approved: boolean;
  readonly decidedBy?: string;
  /** What the payer waited for the issuer. */
  readonly waitedMs: number;
}

export class SmallSwitch {
  readonly issuer: SmallIssuer;
  readonly #machine = availabilityMachine(AVAILABILITY_DEFAULTS);
  readonly #entryMachine = adviceMachine(RECOVERY_DEFAULTS);
  parameters: StandInParameters | undefined = PARAMETERS;
  state: Availability = FIRST_AVAILABILITY;
  log: LoggedEntry[] = [];
  standInCalls = 0;
  now = NOW;
  #counters = new Map<string, { count: number; sum: bigint }>();
  #institutionSum = 0n;

  constructor(issuer: SmallIssuer) {
    this.issuer = issuer;
  }

  sell(paymentId: string, sale: { minor?: bigint; account?: string; stopListToken?: string } = {}): Answered {
    const { minor = 100n, account = "anna", stopListToken = "11".repeat(32) } = sale;
    const request = {
      ...REQUEST,
      paymentId: paymentId as PaymentId,
      amount: money(minor, "EUR"),
      account: { ...REQUEST.account, stopListToken },
    };
    const held = this.log.some((entry) => entry.account === account && holdsAccount(entry));
    const route = routeOf(this.state, { held });
    if (route.to === "stand-in") return this.#standIn({ request, account, why: route.why, sent: false });
    if (this.issuer.ask(request, account) === "00") {
      this.happen({ on: "answered", asked: "request" });
      return { by: "issuer", approved: true, waitedMs: 0 };
    }
    this.now += AVAILABILITY_DEFAULTS.hostTimeoutMs;
    const effects = this.happen({ on: "timed-out", asked: "request" });
    if (!effects.includes("stand-in")) throw new Error("nobody decided the request that timed out");
    return this.#standIn({ request, account, why: "timeout", sent: true });
  }

  echo(): void {
    this.happen({ on: this.issuer.silent ? "timed-out" : "answered", asked: "echo" });
  }

  /** Delivers up to `limit` due entries, one after the other; reports an empty log. */
  drain(limit = Number.POSITIVE_INFINITY): void {
    this.now += RECOVERY_DEFAULTS.retryMaxMs;
    for (let sent = 0; sent < limit && mayDrain(this.state); sent += 1) {
      const [entry] = dueAdvices(this.log.filter(isOpen), RECOVERY_DEFAULTS, this.now);
      if (!entry) break;
      this.#move(entry, { on: "send" });
      const responseCode = this.issuer.advise(entry, entry.state.sends === 0 ? "first" : "repeat");
      const { now } = this;
      this.#move(
        entry,
        responseCode === undefined ? { on: "lost", now } : { on: "answer", answer: meaningOf(responseCode), now },
      );
    }
    if (mayDrain(this.state) && !this.log.some(isOpen)) this.happen({ on: "drained" });
  }

  happen(event: AvailabilityEvent): readonly string[] {
    const step = this.#machine(this.state, event);
    this.state = step.state;
    const effects = step.effects.map((effect) => effect.do);
    if (effects.includes("reset-counters")) {
      this.#counters.clear();
      this.#institutionSum = 0n;
    }
    return effects;
  }

  counted(account: string): StandInCounters {
    const { count, sum } = this.#counters.get(account) ?? { count: 0, sum: 0n };
    return {
      ...NOTHING_COUNTED,
      accountCount: count,
      accountSumMinor: sum,
      institutionSumMinor: this.#institutionSum,
    };
  }

  #standIn(asked: { request: StandInRequest; account: string; why: StandInReason; sent: boolean }): Answered {
    this.standInCalls += 1;
    const { request, account, sent } = asked;
    const counters = this.counted(account);
    const decision = decideStandIn({ parameters: this.parameters, request, counters, now: this.now });
    this.#record({ ...asked, decision });
    const waitedMs = sent ? AVAILABILITY_DEFAULTS.hostTimeoutMs : 0;
    if (decision.decision !== "approve")
      return { by: "stand-in", approved: false, decidedBy: decision.decidedBy, waitedMs };
    this.#counters.set(account, {
      count: counters.accountCount + decision.increments.accountCount,
      sum: counters.accountSumMinor + decision.increments.accountSumMinor,
    });
    this.#institutionSum += decision.increments.institutionSumMinor;
    return { by: "stand-in", approved: true, waitedMs };
  }

  #record({ sent, ...stoodIn }: LoggedEntry["stoodIn"] & { sent: boolean }): void {
    const { request, account, decision } = stoodIn;
    const { terminalId, paymentId } = request;
    const approved = decision.decision === "approve";
    for (const kind of entriesFor({ approved, sent })) {
      const about = { kind, terminalId, paymentId, attempt: 1, account, approved };
      const entry = { number: this.log.length + 1, ...about, stoodIn, state: NEW_ADVICE };
      if (this.log.some((other) => entryKey(other) === entryKey(entry))) throw new Error("decided twice");
      this.log.push(entry);
    }
  }

  #move({ number }: LoggedEntry, event: AdviceEvent): void {
    this.log = this.log.map((entry) =>
      entry.number === number ? { ...entry, state: this.#entryMachine(entry.state, event).state } : entry,
    );
  }
}

/** A switch whose issuer fell silent and is known to be down. */
export function switchWithIssuerDown(): { readonly issuer: SmallIssuer; readonly hub: SmallSwitch } {
  const issuer = new SmallIssuer();
  const hub = new SmallSwitch(issuer);
  issuer.silent = true;
  for (let echo = 0; echo < AVAILABILITY_DEFAULTS.failThreshold; echo += 1) hub.echo();
  return { issuer, hub };
}

/** Echoes until the issuer counts as reachable. */
export function bringBack(hub: SmallSwitch): void {
  hub.issuer.silent = false;
  for (let echo = 0; echo < AVAILABILITY_DEFAULTS.upProbes; echo += 1) hub.echo();
}
