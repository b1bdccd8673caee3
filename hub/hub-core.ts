/**
 * The hub below its gateways: an envelope in, its answers out after the commit. Runs in-process in tests and simulations
 * exactly as it does behind MQTT and HTTPS.
 */

import type { KeyObject } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import type { Epoch, RandomBytes, TerminalId } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import { type Migration, openSqlite, type Sqlite } from "../base/sqlite.ts";
import type { BankAccount } from "../protocols/iso20022/bank-account.ts";
import type { DownEnvelope, UpEnvelope } from "../wire/envelope.ts";
import type { PhoneAnswer, PhoneReply } from "../wire/phone.ts";
import type { Signed } from "../wire/signing.ts";
import { takeBatch } from "./advice.ts";
import { type AuthoriseParts, authorise } from "./authorise.ts";
import { cardOpener } from "./card-opener.ts";
import {
  type Authorisation,
  authorisationMigrations,
  type CardRange,
  createAuthorisation,
  type Means,
} from "./core/authorisation/index.ts";
import { type CloneShown, createIngest, type Ingest, ingestMigrations } from "./core/ingest/index.ts";
import { createLedger, type Ledger, ledgerMigrations } from "./core/ledger/index.ts";
import { operatorMigrations } from "./core/operators/index.ts";
import { createPayers, type Payers, payerMigrations } from "./core/payers/index.ts";
import { createReconciliation, type Reconciliation, reconciliationMigrations } from "./core/reconciliation/index.ts";
import { type Settlement, settlementMigrations } from "./core/settlement/index.ts";
import { createSwitch, NO_ISSUERS, type Switch, type SwitchOptions, switchMigrations } from "./core/switch/index.ts";
import {
  createTerminals,
  holdToKeys,
  type LeasePolicy,
  type Terminals,
  type TerminalsOptions,
  terminalMigrations,
} from "./core/terminals/index.ts";
import { createGroupCommit, type GroupCommit } from "./group-commit.ts";
import { askedOf, settlementOf } from "./hub-settlement.ts";
import { createImports, type ImportSink } from "./import-sessions.ts";
import type { HubKeys } from "./keys.ts";
import { noteCutLeases } from "./lease-cuts.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import type { SealOpenings } from "./openings.ts";
import type { FeatureMessage, OfflineCodePolicy, OfflineNotePolicy, OperatorRoute } from "./service.ts";
import { createServices, type NamedService, secretFor } from "./service-core.ts";
import { SERVICES } from "./services.ts";
import { isStoreFailure } from "./store/failure.ts";
import type { HubStore, Within } from "./store/store.ts";
import { headOf, leaseUnasked, nameClone, presence, workFor } from "./terminal-messages.ts";

export interface HubPolicy {
  readonly merchantId: string;
  /** How long an approval holds the money without its confirmation. */
  readonly holdMs: number;
  /** How long a pre-authorisation's amount is held for its completion; seven days when absent. */
  readonly preAuthorisationMs?: number;
  readonly riskParties: { readonly offline: string; readonly declined: string };
  /** How old a sale may be to be authorised afterwards; 168 hours when absent. */
  readonly deferredMaxMs?: number;
  /** The cards that this hub issues itself; none when not said. */
  readonly issuing?: readonly CardRange[];
  /** Undefined: this terminal gets no lease. */
  leaseOf(terminalId: TerminalId): LeasePolicy | undefined;
  /** How long a card has to answer its challenge; 5 s when absent. */
  readonly cardChallengeTtlMs?: number;
  /** As customers know the shop; its id when absent. */
  readonly merchantName?: string;
  /** From whose account merchants are paid; nothing is paid out when absent. */
  readonly payer?: BankAccount;
  /** OFFLINE_CODE_DEFAULTS when absent. */
  readonly offlineCode?: OfflineCodePolicy;
  /** OFFLINE_NOTE_DEFAULTS when absent. */
  readonly offlineNotes?: OfflineNotePolicy;
}

export interface HubCoreOptions {
  readonly store: HubStore;
  readonly keys: HubKeys;
  readonly policy: HubPolicy;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly metrics?: Metrics;
  /** Opens seals on other threads; where there are none each is opened when it is needed. */
  readonly openings?: SealOpenings;
  /** Where cards of other institutions go; absent where there are none. */
  readonly issuers?: Pick<SwitchOptions, "institutions" | "acquirer" | "policy" | "link">;
}

export interface HubCore {
  readonly store: HubStore;
  readonly hubEpoch: Epoch;
  readonly ledger: Ledger;
  readonly terminals: Terminals;
  readonly authorisation: Authorisation;
  readonly ingest: Ingest;
  /** Journals that come as a file. */
  readonly imports: ImportSink;
  readonly payers: Payers;
  readonly reconciliation: Reconciliation;
  readonly settlement: Settlement;
  readonly metrics: Metrics;
  /** To be started, and disposed, by whoever made this hub. */
  readonly switch: Switch;
  /** What the operator may ask of the features. */
  readonly featureRoutes: readonly OperatorRoute[];
  /** Checks leases and hub time. */
  readonly signingKey: KeyObject;
  /** What terminals seal card data to. */
  readonly sealingKey: { readonly keyId: string; readonly publicKey: KeyObject };
  /**
   * Applies one message of a terminal that the caller has authenticated; the answers come after the commit. `arrivedAt` is
   * said by a caller who had to wait since then: what was late on arrival is late, whatever the clock says (RM2). Throws
   * Fault `identity.invalid` for a terminal unknown here, `identity.revoked`, `signature.invalid` for a batch that it did not sign,
   * `fence.stale` for a batch of an earlier opening of its journal, `queue.full` under overload, `store.failed` when
   * nothing could be stored.
   */
  receive(envelope: UpEnvelope, arrivedAt?: number): Promise<readonly DownEnvelope[]>;
  /** Names two holders of one identity, as connections or certificates have shown them. */
  nameClone(terminalId: TerminalId, shown: CloneShown): void;
  /** A fresh lease for a terminal that did not ask, or that it has none; undefined for one that was never heard. */
  leaseUnasked(terminalId: TerminalId): Promise<DownEnvelope | undefined>;
  /**
   * Applies what a customer's phone signed; the answer comes after the commit. Throws Fault `signature.invalid`,
   * `identity.invalid` for a phone unknown or blocked, `message.invalid`, `queue.full`, `store.failed`, and what `admit`
   * throws when it is told whose word it is.
   */
  receivePhone(signed: Signed, admit?: (deviceId: string) => void): Promise<PhoneAnswer>;
  /** Returns holds that were never confirmed in time, and lets the features do what is due. */
  expireHolds(): Promise<number>;
  /** Messages that wait for a commit. */
  readonly waiting: number;
  /** `clock.monotonic()` at the last commit, or at the start. */
  readonly lastCommitMs: number;
  /** Resolves when everything received is committed. */
  idle(): Promise<void>;
}

/** The whole schema, in the order in which it grew. */
export const HUB_MIGRATIONS: readonly Migration[] = [
  ...ledgerMigrations,
  ...terminalMigrations,
  ...authorisationMigrations,
  ...ingestMigrations,
  ...payerMigrations,
  ...reconciliationMigrations,
  ...operatorMigrations,
  ...switchMigrations,
  ...settlementMigrations,
  ...SERVICES.flatMap(({ migrations }) => migrations),
];

/** Opens the hub's database, or makes it; `:memory:` for tests. */
export const openHubDatabase = (path: string): Sqlite => openSqlite(path, { migrations: HUB_MIGRATIONS });

const EXPIRED_PER_SWEEP_MAX = 1_000;

/** Throws Fault `identity.invalid` where the books were written under other keys. */
export async function createHubCore(options: HubCoreOptions): Promise<HubCore> {
  const { store, keys, policy, clock, random, log } = options;
  const metrics = options.metrics ?? createMetrics();
  const ledger = createLedger({ kind: store.kind, clock });
  const terminals = terminalsOf(options, {
    devicesOf: (reading, accountId) => payers.devicesOf(reading, accountId),
    standInOf: async (reading) => await issuers.mirror(reading),
    onCut: noteCutLeases(metrics, log),
  });
  let lastCommitMs = clock.monotonic();
  const commits = createGroupCommit(store, {
    onCommit(works) {
      lastCommitMs = clock.monotonic();
      metrics.count("tillway_hub_commits_total");
      metrics.count("tillway_hub_committed_messages_total", {}, works);
    },
    together: (within, work) => authorisation.batched(within, work),
  });
  const issuers = switchOf(options, {
    commits,
    metrics,
    abandon: (within, key, attempt) => authorisation.abandon(within, key, attempt),
  });
  let means: readonly Means[] = [];
  const authorisation = createAuthorisation({
    ...{ ...policy, clock, random, ledger, tokenKey: keys.tokenKey },
    permitsDeferred: (reading, terminalId, leaseId) => terminals.permitsDeferred(reading, terminalId, leaseId),
    means: () => means,
    denies: (reading, kind, name) => terminals.denyList.denies(reading, kind, name),
    ...askedOf(() => settlement),
    countCryptogram: (type, result) => metrics.count("tillway_hub_cryptograms_total", { type, result }),
    acquiring: issuers.acquiring,
  });
  const openCard = cardOpener({ ring: keys.sealing, authorisation, issuers, openings: options.openings });
  const settlement = settlementOf(options, ledger, authorisation);
  const ingest = await store.transaction(async (within) => {
    await holdToKeys(within, keys);
    await terminals.prepare(within);
    await settlement.prepare(within);
    return await createIngest(within, {
      random,
      authorisation,
      log: log.for("ingest"),
      openCard: ({ sealed }, paymentId, terminalId) => openCard(sealed, paymentId, terminalId),
    });
  });
  showGauges({ store, metrics, commits, ingest });
  const payers = payersOf(options, terminals);
  const services = createServices(options, { ledger, payers, terminals, metrics, hubEpoch: ingest.hubEpoch });
  means = services.flatMap((service) => service.means ?? []);
  const reconciliation = reconciliationOf(options, authorisation, commits);
  const parts: Parts = {
    ...{ store, reconciliation, settlement, clock, random, terminals, authorisation, ingest, payers, commits, metrics },
    openCard,
    openings: options.openings,
    services,
    ask: issuers.ask,
    running: new Map(),
  };
  return {
    ...{ store, ledger, terminals, authorisation, ingest, payers, reconciliation, settlement, metrics },
    switch: issuers,
    hubEpoch: ingest.hubEpoch,
    imports: createImports({ store, commits, ingest, terminals, clock, random, log: log.for("import") }),
    featureRoutes: services.flatMap(({ routes }) => routes),
    signingKey: keys.signing.publicKey,
    get sealingKey() {
      return { keyId: keys.sealing.keyId, publicKey: keys.sealing.publicKey };
    },
    // Dated before anything that can wait.
    receive: (envelope, arrivedAt = clock.now()) => receive(parts, envelope, arrivedAt).catch(storeFault),
    leaseUnasked: (terminalId) => leaseUnasked(parts, terminalId),
    nameClone: (terminalId, shown) => nameClone(parts, { terminalId, shown, log }),
    receivePhone: (signed, admit) => receivePhone(parts, signed, admit).catch(storeFault),
    expireHolds: () => store.transaction((within) => sweep(parts, within, log)),
    get waiting() {
      return commits.waiting;
    },
    get lastCommitMs() {
      return lastCommitMs;
    },
    idle: () => commits.idle(),
  };
}

type Shown = Pick<Parts, "store" | "metrics" | "commits" | "ingest">;
function showGauges({ store, metrics, commits, ingest: { findings, quarantine } }: Shown): void {
  metrics.gauge("tillway_hub_waiting_messages", () => commits.waiting);
  metrics.gauge("tillway_hub_open_findings", () => store.read((reading) => findings.countOpen(reading)));
  metrics.gauge("tillway_hub_quarantined_entries", () => store.read((reading) => quarantine.countOpen(reading)));
}

const payersOf = ({ policy, log, ...options }: HubCoreOptions, { denyList }: Terminals): Payers => {
  const merchantName = policy.merchantName ?? policy.merchantId;
  return createPayers({ ...options, merchantName, denyList, log: log.for("payers") });
};

const terminalsOf = (
  { keys, policy, clock, random }: HubCoreOptions,
  others: Pick<TerminalsOptions, "devicesOf" | "standInOf" | "onCut">,
): Terminals =>
  createTerminals({
    clock,
    random,
    signingKey: keys.signing.privateKey,
    sealing: keys.sealing,
    tokenKey: keys.tokenKey,
    ...others,
    leasePolicy: (terminalId) => policy.leaseOf(terminalId),
  });

const reconciliationOf = (
  { store, clock, log }: HubCoreOptions,
  authorisation: Authorisation,
  commits: GroupCommit,
): Reconciliation =>
  createReconciliation({
    store,
    clock,
    log: log.for("reconciliation"),
    postedMinor: async (reading, terminalId, paymentId) =>
      (await authorisation.posted(reading, { terminalId, paymentId }))?.postedMinor,
    commit: (apply) => commits.submit({ lane: "queue", apply }),
  });

const switchOf = (
  { issuers = NO_ISSUERS, keys, clock, random, log }: HubCoreOptions,
  parts: Pick<SwitchOptions, "commits" | "metrics" | "abandon">,
): Switch =>
  createSwitch({
    ...issuers,
    ...parts,
    ...{ clock, random, log: log.for("switch"), secret: secretFor("switch", keys.tokenKey) },
  });

async function sweep(parts: Parts, within: Within, log: Log): Promise<number> {
  const { authorisation, ingest, settlement, clock, metrics, services } = parts;
  // What one part does wrong undoes that part alone. A failing database is no part's.
  const apart = <T>(part: string, work: () => Promise<T>): Promise<T | undefined> =>
    within.savepoint(work).catch((error: unknown) => {
      if (isStoreFailure(error)) throw error;
      log.error("a part of the sweep failed; it runs again with the next", { part, reason: reasonOf(error) });
      return undefined;
    });
  const expired = (await apart("holds", () => authorisation.expireHolds(within, EXPIRED_PER_SWEEP_MAX))) ?? 0;
  if (expired > 0) metrics.count("tillway_hub_holds_expired_total", {}, expired);
  for (const service of services) await apart(service.name, async () => service.sweep?.(within));
  await apart("settlement", () => settlement.sweep(within));
  await apart("journals", () => ingest.findings.gaps(within, clock.now()));
  return expired;
}

interface Parts extends AuthoriseParts {
  readonly store: HubStore;
  readonly reconciliation: Reconciliation;
  readonly settlement: Settlement;
  readonly ingest: Ingest;
  readonly payers: Payers;
  readonly openings: SealOpenings | undefined;
  readonly services: readonly NamedService[];
}

async function receive(parts: Parts, envelope: UpEnvelope, arrivedAt: number): Promise<readonly DownEnvelope[]> {
  parts.metrics.count("tillway_hub_messages_total", { type: envelope.type });
  switch (envelope.type) {
    case "authorisation.request":
      return [await authorise(parts, envelope, arrivedAt)];
    case "advice.batch":
      return [await takeBatch(parts, envelope)];
    case "presence":
      return await presence(parts, envelope);
    case "health":
      await workFor(parts, envelope, {
        lane: "queue",
        apply: (within) => parts.terminals.setHealth(within, envelope.terminalId, envelope.body),
      });
      return [];
    case "day.summary": {
      await workFor(parts, envelope, { lane: "queue", apply: () => Promise.resolve() });
      const report = await parts.reconciliation.take(envelope);
      return report ? [{ ...headOf(parts, envelope), type: "day.report", body: report }] : [];
    }
    default:
      return [await askFeature(parts, envelope)];
  }
}

/** A message of a feature, applied and answered like any other: the answer leaves after the commit. */
async function askFeature(parts: Parts, envelope: FeatureMessage): Promise<DownEnvelope> {
  const reply = await workFor(parts, envelope, {
    lane: "person",
    async apply(within) {
      for (const service of parts.services) {
        const answer = await service.answer(within, envelope);
        if (answer) return answer;
      }
      throw new Fault("message.invalid", `no feature of this hub takes a ${envelope.type}`);
    },
  });
  return { ...headOf(parts, envelope), ...reply } as DownEnvelope;
}

/** What the store could not even be asked: the sender is told nothing, and sends again. */
function storeFault(error: unknown): never {
  if (!isStoreFailure(error)) throw error;
  throw new Fault("store.failed", `the hub cannot read what it stores: ${reasonOf(error)}`, { cause: error });
}

/** Words of a phone: who signed them is known before anything is stored. */
async function receivePhone(parts: Parts, signed: Signed, admit?: (deviceId: string) => void): Promise<PhoneAnswer> {
  const { store, payers, services, commits, metrics } = parts;
  const { message, device } = await store.read((reading) => payers.open(reading, signed));
  admit?.(device.deviceId);
  metrics.count("tillway_hub_phone_messages_total", { type: message.type });
  const reply = await commits.submit<PhoneReply>({
    lane: "person",
    async apply(within) {
      // Whoever blocked the phone meanwhile has the last word.
      await payers.mustBeActive(within, device.deviceId);
      if (message.type === "notices") return await payers.notices(within, device, message.body.since);
      const desk = services.find(({ phone }) => phone?.types.includes(message.type))?.phone;
      if (!desk) throw new Fault("message.invalid", `no feature of this hub takes a ${message.type}`);
      return await desk.answer(within, message, device);
    },
  });
  return { v: 1, replyTo: message.id, ...reply };
}
