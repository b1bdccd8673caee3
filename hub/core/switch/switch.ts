/**
 * The switch: cards by their range to the issuers of other institutions, and to stand-in where these cannot be asked
 * (system 3). It owns the links, and the log of what each issuer has yet to hear.
 */
import type { Clock } from "../../../base/clock.ts";
import { Fault, reasonOf } from "../../../base/fault.ts";
import type { RandomBytes } from "../../../base/ids.ts";
import type { Log } from "../../../base/log.ts";
import type { CardData } from "../../../wire/card-data.ts";
import type { Lease, MirroredSet } from "../../../wire/lease.ts";
import { offerStandInParameters, type ParametersEvent } from "../../../wire/stand-in.ts";
import type { GroupCommit } from "../../group-commit.ts";
import type { Metrics } from "../../metrics.ts";
import type { Reading, Within } from "../../store/store.ts";
import type { Acquiring, Asked, Asking, PaymentKey, RoutedCard } from "../authorisation/index.ts";
import { AVAILABILITY_DEFAULTS } from "../standin/availability.ts";
import { adviceMachine, RECOVERY_DEFAULTS } from "../standin/recovery.ts";
import { createAcquiring } from "./acquiring.ts";
import { AdviceDelivery, type Desks, type Served } from "./advice-delivery.ts";
import { type Advice, adviceStore, type Page } from "./advice-store.ts";
import { createCardVault } from "./card-vault.ts";
import { exchangeStore } from "./exchange-store.ts";
import { type Acquirer, type Institution, institutionOf, type SwitchPolicy } from "./institution.ts";
import { institutionStore } from "./institution-store.ts";
import { IssuerDesk, type IssuerDeskOptions } from "./issuer-desk.ts";
import { IssuerReconciler } from "./issuer-reconciler.ts";
import { createOpenedParameters, type OpenedParameters } from "./opened-parameters.ts";
import { type NewestPage, type Reconciliation, reconciliationStore } from "./reconciliation-store.ts";

export interface SwitchOptions {
  readonly institutions: readonly Institution[];
  readonly acquirer: Acquirer;
  readonly policy: SwitchPolicy;
  readonly commits: Pick<GroupCommit, "submit">;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "count">;
  /** 32 bytes: seals the cards that issuers are told about later. */
  readonly secret: Uint8Array;
  readonly link?: IssuerDeskOptions["link"];
  /** Takes back a question whose process died before its end was known: nobody waits for it. */
  abandon(within: Within, key: PaymentKey, attempt: number): Promise<void>;
}

export interface IssuerView {
  readonly id: string;
  readonly availability: "up" | "down" | "recovering";
  readonly link: "down" | "up" | "signed-off";
  /** Messages whose answer is waited for. */
  readonly inFlight: number;
  /** Of the stand-in parameters in force. */
  readonly parametersVersion?: number;
  readonly parametersValidTo?: string;
  /** Approved in its name and not told yet. */
  readonly stoodInMinor: bigint;
  readonly advices: { readonly open: number; readonly exceptions: number };
}

export interface Switch extends AsyncDisposable {
  readonly acquiring: Acquiring;
  /** Undefined for a card of no institution known here. */
  routed(card: CardData): RoutedCard | undefined;
  /** Puts a question to its issuer, within `withinMs` and his time; never rejects. */
  ask(asking: Asking, withinMs: number): Promise<Asked>;
  /** What terminals may decide in institutions' names while this hub is away; undefined where none delegates. */
  mirror(reading: Reading): Promise<Lease["standIn"]>;
  /** Connects the links, and tells what waits. */
  start(): void;
  readonly issuers: SwitchDesk;
  /** Throws Fault `config.invalid` where an institution that is not configured any more has something yet to hear. */
  mustKnowAll(reading: Reading): Promise<void>;
}

/** What people see and do of issuers. */
export interface SwitchDesk {
  /** Messages to this issuer whose answer is waited for. */
  inFlight(id: string): number;
  list(reading: Reading): Promise<readonly IssuerView[]>;
  /** Undefined for an institution that is not configured, or that delegates nothing. */
  offerParameters(within: Within, id: string, text: string): Promise<ParametersEvent | undefined>;
  /** Undefined for an institution that is not configured. */
  advices(
    reading: Reading,
    id: string,
    page: Page & { readonly only?: "exception" },
  ): Promise<readonly Advice[] | undefined>;
  /** Days that were closed, newest first. Undefined for an institution that is not configured. */
  reconciliations(reading: Reading, id: string, page: NewestPage): Promise<readonly Reconciliation[] | undefined>;
  /** Takes an entry out of the way that its issuer will not answer; undefined where it is not open. */
  setAside(within: Within, id: string, number: number): Promise<Advice | undefined>;
}

/** All cards are the hub's own; what was told of others before has its place all the same. */
export const NO_ISSUERS: Pick<SwitchOptions, "institutions" | "acquirer" | "policy"> = {
  institutions: [],
  acquirer: { id: "0", merchant: "none", category: "0000" },
  policy: { availability: AVAILABILITY_DEFAULTS, recovery: RECOVERY_DEFAULTS, probeEveryMs: 1_000 },
};

/** A question is over long before. */
const LEFT_OPEN_AFTER_MS = 10_000;
/** Questions of one sweep. */
const LEFT_OPEN_MAX = 500;

export function createSwitch(options: SwitchOptions): Switch {
  const { institutions, commits, clock, random, log, metrics, policy } = options;
  const vault = createCardVault(options.secret, random);
  const desks = new Map<string, Served>();
  for (const institution of institutions) {
    const onReachable = (): void => desks.get(institution.id)?.delivery.wake();
    const { acquirer, link } = options;
    const desk = new IssuerDesk({
      ...{ institution, acquirer, policy, clock, random, log, metrics, onReachable },
      ...(link && { link }),
    });
    const delivery = new AdviceDelivery({ desk, policy, commits, vault, clock, log, metrics });
    const reconciler = new IssuerReconciler({ desk, acquirer, policy, commits, clock, log, metrics });
    desks.set(institution.id, { desk, delivery, reconciler });
  }
  const sweeping = sweepOf(options);
  const opened = createOpenedParameters();
  return {
    acquiring: createAcquiring({ ...options, vault, desks, opened }),
    routed(card) {
      const institution = institutionOf(institutions, card.pan);
      return institution && { institutionId: institution.id, data: card };
    },
    ask: async ({ institutionId, message }, withinMs) =>
      (await desks.get(institutionId)?.desk.ask(message, withinMs)) ?? {
        what: "no-answer",
        sent: false,
        why: "timeout",
      },
    mirror: (reading) => mirrorOf(reading, { ...options, opened }),
    start() {
      for (const { desk, delivery, reconciler } of desks.values()) {
        desk.start();
        delivery.wake();
        reconciler.start();
      }
      sweeping.start();
    },
    async mustKnowAll(reading) {
      const forgotten = (await adviceStore.waiting(reading)).find(({ id }) => !desks.has(id));
      if (!forgotten) return;
      const { id, count } = forgotten;
      const mend = "configure it again until it was told; what it does not answer can be set aside";
      throw new Fault(
        "config.invalid",
        `issuers: ${id} is not among them, and has yet to hear of ${count} decisions; ${mend}`,
      );
    },
    issuers: switchDesk({ ...options, opened }, desks),
    async [Symbol.asyncDispose]() {
      await sweeping.stop();
      for (const { delivery, reconciler } of desks.values()) {
        await reconciler[Symbol.asyncDispose]();
        await delivery[Symbol.asyncDispose]();
      }
      for (const { desk } of desks.values()) await desk[Symbol.asyncDispose]();
    },
  };
}

/** Looks again and again for questions that were left open. */
function sweepOf({ commits, clock, log, abandon }: SwitchOptions) {
  let cancel = () => {};
  let running: Promise<void> = Promise.resolve();
  async function apply(within: Within): Promise<void> {
    for (const left of await exchangeStore.leftOpen(within, clock.now() - LEFT_OPEN_AFTER_MS, LEFT_OPEN_MAX)) {
      await abandon(within, left, left.attempt);
      await exchangeStore.end(within, left, left.attempt);
    }
  }
  async function sweep(): Promise<void> {
    try {
      await commits.submit({ lane: "queue", apply });
    } catch (error) {
      log.error("questions to issuers that were left open cannot be taken back yet", { reason: reasonOf(error) });
    }
  }
  function start(): void {
    cancel = clock.after(LEFT_OPEN_AFTER_MS, () => {
      start();
      running = sweep();
    });
  }
  return {
    start,
    async stop(): Promise<void> {
      cancel();
      await running;
    },
  };
}

type Opening = SwitchOptions & { readonly opened: OpenedParameters };

function switchDesk({ clock, log, metrics, policy, opened }: Opening, desks: Desks): SwitchDesk {
  const step = adviceMachine(policy.recovery);
  return {
    inFlight: (id) => desks.get(id)?.desk.link.inFlight ?? 0,
    async list(reading) {
      const views: IssuerView[] = [];
      for (const { desk } of desks.values()) views.push(await viewOf(reading, desk, opened));
      return views;
    },
    async offerParameters(within, id, text) {
      const institution = desks.get(id)?.desk.institution;
      if (!institution?.standIn) return undefined;
      const { parameters: heldText, latestAt } = await institutionStore.get(within, id);
      const parameters = opened(institution, heldText);
      const held = parameters && heldText !== undefined ? { parameters, text: heldText } : undefined;
      const trust = { institutionId: id, key: institution.standIn.key };
      const offered = offerStandInParameters(held, { text, trust, now: Math.max(clock.now(), latestAt) });
      const { event } = offered;
      if (event.on === "taken") await institutionStore.putParameters(within, id, text);
      if (event.on === "refused") log.warn("stand-in parameters were refused", { institution: id, ...event.refusal });
      metrics.count("tillway_hub_stand_in_parameters_total", { issuer: id, end: event.on });
      return event;
    },
    advices: async (reading, id, { only, ...page }) => {
      if (!desks.has(id)) return undefined;
      return await (only === "exception"
        ? adviceStore.exceptions(reading, id, page)
        : adviceStore.list(reading, id, page));
    },
    reconciliations: async (reading, id, page) =>
      desks.has(id) ? await reconciliationStore.list(reading, id, page) : undefined,
    async setAside(within, id, number) {
      const advice = await adviceStore.get(within, number);
      if (advice?.institutionId !== id) return undefined;
      const { state } = step(advice.state, { on: "set-aside" });
      if (state === advice.state) return undefined;
      const moved = { ...advice, state };
      await adviceStore.move(within, moved);
      desks.get(id)?.delivery.wake();
      return moved;
    },
  };
}

/**
 * Without stop lists, which name accounts under keys that stay here, and without other acquirers. Of an institution whose
 * parameters are over, or that has given none, terminals hear all the same, so that they refuse its cards.
 */
async function mirrorOf(reading: Reading, { institutions, acquirer, opened }: Opening): Promise<Lease["standIn"]> {
  const named = (list: readonly string[]) => list.filter((one) => one === acquirer.id);
  const sets: MirroredSet[] = [];
  for (const institution of institutions.filter(({ standIn }) => standIn)) {
    const { id, ranges } = institution;
    const parameters = opened(institution, (await institutionStore.get(reading, id)).parameters);
    if (!parameters) {
      sets.push({ ranges: [...ranges] });
      continue;
    }
    const { account, acquirer: of } = parameters;
    const smaller = {
      ...parameters,
      acquirer: { allow: named(of.allow), deny: named(of.deny) },
      account: { range: account.range, stopList: { keyId: account.stopList.keyId, tokens: [] } },
    };
    sets.push({ ranges: [...ranges], parameters: smaller });
  }
  return sets.length === 0 ? undefined : { acquirerId: acquirer.id, mcc: acquirer.category, sets };
}

async function viewOf(
  reading: Reading,
  { institution, availability, link }: IssuerDesk,
  opened: OpenedParameters,
): Promise<IssuerView> {
  const { id } = institution;
  const row = await institutionStore.get(reading, id);
  const counts = await adviceStore.counts(reading, id);
  const parameters = opened(institution, row.parameters);
  return {
    id,
    availability: availability.at,
    link: link.status,
    inFlight: link.inFlight,
    ...(parameters && { parametersVersion: parameters.version, parametersValidTo: parameters.validTo }),
    stoodInMinor: row.sumMinor,
    advices: counts,
  };
}
