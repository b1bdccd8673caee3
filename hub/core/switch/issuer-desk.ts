/** One issuer as the switch deals with him: whether he can be asked, what he answers, and echoes while he is away. */
import { present, unreachable } from "../../../base/assert.ts";
import { type Clock, sleep } from "../../../base/clock.ts";
import { reasonOf } from "../../../base/fault.ts";
import type { RandomBytes } from "../../../base/ids.ts";
import type { Log } from "../../../base/log.ts";
import { createIso8583Codec } from "../../../protocols/iso8583/codec.ts";
import type { Iso8583Message } from "../../../protocols/iso8583/message.ts";
import { ISSUER_SCRIPTS_MAX, RESPONSE_CODES } from "../../../wire/authorisation.ts";
import type { Metrics } from "../../metrics.ts";
import type { Asked } from "../authorisation/index.ts";
import {
  decisionOf,
  type IssuerDecision,
  IssuerLink,
  type IssuerLinkOptions,
  type LinkAnswer,
} from "../issuers/index.ts";
import { type BusinessDay, businessDayAt, type DayTerms } from "../settlement/business-day.ts";
import {
  type Availability,
  type AvailabilityEvent,
  availabilityMachine,
  FIRST_AVAILABILITY,
} from "../standin/availability.ts";
import type { Acquirer, Institution, SwitchPolicy } from "./institution.ts";

export interface IssuerDeskOptions {
  readonly institution: Institution;
  readonly acquirer: Acquirer;
  readonly policy: SwitchPolicy;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "count">;
  /** The issuer can be told what waits for him. */
  onReachable(): void;
  /** Of the link, where it is not to be as usual. */
  readonly link?: Partial<Pick<IssuerLinkOptions, "retry" | "echoEveryMs">>;
}

const UTC_DAY: DayTerms = { timeZone: "UTC", cutover: "00:00" };

export class IssuerDesk implements AsyncDisposable {
  readonly institution: Institution;
  readonly link: IssuerLink;
  readonly #options: IssuerDeskOptions;
  readonly #step: ReturnType<typeof availabilityMachine>;
  readonly #stopping = new AbortController();
  #availability: Availability = FIRST_AVAILABILITY;
  #probing = false;
  #businessDay: BusinessDay | undefined;

  constructor(options: IssuerDeskOptions) {
    const { institution, acquirer, clock, random, log, metrics, policy } = options;
    const { id: name, address, spec } = institution;
    this.#options = options;
    this.institution = institution;
    this.#step = availabilityMachine(policy.availability);
    this.link = new IssuerLink({
      ...{ name, address, clock, random, log, metrics, acquirerId: acquirer.id },
      codec: createIso8583Codec(spec),
      version: spec.version,
      onStatus: (status) => this.#linkIs(status),
      ...options.link,
    });
  }

  get availability(): Availability {
    return this.#availability;
  }

  /** YYYY-MM-DD: his, by our clock. */
  get businessDay(): string {
    const now = this.#options.clock.now();
    const { fromMs = now, toMs = now } = this.#businessDay ?? {};
    if (now < fromMs || now >= toMs) this.#businessDay = businessDayAt(now, this.institution.day ?? UTC_DAY);
    return present(this.#businessDay, "a business day").date;
  }

  start(): void {
    this.link.start();
  }

  /** Ends within `withinMs`, and within the host's time. */
  async ask(message: Iso8583Message, withinMs: number): Promise<Asked> {
    const { hostTimeoutMs } = this.#options.policy.availability;
    if (withinMs <= 0) return { what: "no-answer", sent: false, why: "timeout" };
    const timeoutMs = Math.min(hostTimeoutMs, withinMs);
    let answer: LinkAnswer | undefined;
    try {
      answer = await this.link.request(message, { timeoutMs, signal: this.#stopping.signal });
      return this.#read(message, answer, timeoutMs < hostTimeoutMs);
    } catch (error) {
      const what = answer ? "an issuer's answer cannot be read" : "a request to an issuer cannot be written";
      this.#options.log.error(what, { issuer: this.institution.id, reason: reasonOf(error) });
      // Only a message that could not be packed is one that he never saw (RM1).
      return { what: "no-answer", sent: answer !== undefined, why: "timeout" };
    }
  }

  /** What happened to this issuer. */
  tell(event: AvailabilityEvent): void {
    const before = this.#availability.at;
    const { state, effects } = this.#step(this.#availability, event);
    this.#availability = state;
    const { at } = state;
    if (at !== before) {
      const { log, metrics } = this.#options;
      log[at === "down" ? "warn" : "info"]("an issuer's availability changed", { issuer: this.institution.id, at });
      metrics.count("tillway_hub_issuer_availability_total", { issuer: this.institution.id, at });
    }
    // A request that timed out is decided by whoever asked; counters are reset by the transaction that found the log empty.
    for (const effect of effects) {
      if (effect.do === "probe") void this.#probe();
      if (effect.do === "drain") this.#options.onReachable();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.link[Symbol.asyncDispose]();
  }

  #linkIs(status: IssuerLink["status"]): void {
    switch (status) {
      case "up":
        this.tell({ on: "signed-on" });
        this.#options.onReachable();
        return;
      case "signed-off":
        this.tell({ on: "signed-off" });
        return;
      case "down":
        return;
      default:
        unreachable(status);
    }
  }

  /** `hurried`: he had less than his time, so that silence says nothing of him. */
  #read(message: Iso8583Message, answer: LinkAnswer, hurried: boolean): Asked {
    switch (answer.what) {
      case "answered":
        this.tell({ on: "answered", asked: "request" });
        return askedOf(message, answer.message);
      case "unanswered":
        if (!hurried || answer.why !== "timeout") this.tell({ on: "timed-out", asked: "request" });
        return { what: "no-answer", sent: true, why: "timeout" };
      case "not-connected":
        this.tell({ on: "timed-out", asked: "request" });
        return { what: "no-answer", sent: false, why: "timeout" };
      case "signed-off":
        return { what: "no-answer", sent: false, why: "signed-off" };
      case "link.busy":
        return { what: "no-answer", sent: false, why: "timeout" };
      default:
        return unreachable(answer);
    }
  }

  /** One echo after another, until one or the other side of the machine has enough of them. */
  async #probe(): Promise<void> {
    if (this.#probing) return;
    this.#probing = true;
    const { signal } = this.#stopping;
    const { clock, policy } = this.#options;
    try {
      while (!signal.aborted && this.#availability.at === "down") {
        await sleep(clock, policy.probeEveryMs, signal);
        const result = await this.link.probe(signal);
        this.tell({ on: result === "accepted" ? "answered" : "timed-out", asked: "echo" });
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#probing = false;
    }
  }
}

function askedOf(message: Iso8583Message, answer: Iso8583Message): Asked {
  const decision = decisionOf(message, answer);
  switch (decision.outcome) {
    case "approved": {
      const { approvalCode } = decision;
      const given = approvalCode !== undefined && APPROVAL_CODE.test(approvalCode) ? { approvalCode } : {};
      return { what: "approved", ...given, forCard: forCardOf(decision) };
    }
    case "partly-approved":
      return { what: "partly-approved", responseCode: decision.responseCode, minor: decision.minor };
    case "declined":
      return { what: "declined", responseCode: toldCode(decision.responseCode), forCard: forCardOf(decision) };
    // Whoever answered could not say what the issuer did.
    case "unable":
    case "mismatched":
      return { what: "no-answer", sent: true, why: "timeout" };
    default:
      return unreachable(decision);
  }
}

/** The form that terminals take. A code of another form would cost the whole answer. */
const APPROVAL_CODE = /^[0-9A-Z]{6}$/;
const toldCode = (responseCode: string): string =>
  /^[0-9A-Z]{2}$/.test(responseCode) ? responseCode : RESPONSE_CODES.doNotHonour;

type Said = Extract<IssuerDecision, { readonly outcome: "approved" | "declined" }>;
type ForCard = Extract<Asked, { readonly what: "approved" }>["forCard"];
const forCardOf = ({ issuerAuthenticationData, issuerScripts }: Said): ForCard => ({
  ...(issuerAuthenticationData === undefined ? {} : { issuerAuthenticationData }),
  ...(issuerScripts === undefined ? {} : { issuerScripts: issuerScripts.slice(0, ISSUER_SCRIPTS_MAX) }),
});
