/**
 * The hub below its gateways: an envelope in, its answers out after the commit. Runs in-process in tests and simulations
 * exactly as it does behind MQTT and HTTPS.
 */

import type { KeyObject } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import type { Epoch, RandomBytes, TerminalId } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import { openSqlite, type Sqlite, transaction } from "../base/sqlite.ts";
import type { DownEnvelope, DownOf, UpEnvelope, UpOf } from "../wire/envelope.ts";
import type { PhoneAnswer, PhoneReply } from "../wire/phone.ts";
import type { Signed } from "../wire/signing.ts";
import { takeBatch } from "./advice.ts";
import { cardOpener, type OpenCard } from "./card-opener.ts";
import {
  type Answer,
  type Authorisation,
  authorisationMigrations,
  type CardRange,
  createAuthorisation,
  type Means,
  STALE_ANSWER,
} from "./core/authorisation/index.ts";
import { createDayEntries, createIngest, type Ingest, ingestMigrations } from "./core/ingest/index.ts";
import { createLedger, type Ledger, ledgerMigrations } from "./core/ledger/index.ts";
import { createPayers, type Payers, payerMigrations } from "./core/payers/index.ts";
import { createReconciliation, type Reconciliation, reconciliationMigrations } from "./core/reconciliation/index.ts";
import { createTerminals, type LeasePolicy, type Terminals, terminalMigrations } from "./core/terminals/index.ts";
import { createGroupCommit, type GroupCommit } from "./group-commit.ts";
import { createImports, type ImportSink } from "./import-sessions.ts";
import type { HubKeys } from "./keys.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import type { SealOpenings } from "./openings.ts";
import type { FeatureMessage, HubService, OfflineCodePolicy, OfflineNotePolicy, OperatorRoute } from "./service.ts";
import { createServices } from "./service-core.ts";
import { SERVICES } from "./services.ts";
import { isStoreFailure } from "./store/failure.ts";
import { answerRevoked, headOf, leaseUnasked, presence, REVOKED_ANSWER } from "./terminal-messages.ts";

export interface HubPolicy {
  readonly merchantId: string;
  /** How long an approval holds the money without its confirmation. */
  readonly holdMs: number;
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
  /** OFFLINE_CODE_DEFAULTS when absent. */
  readonly offlineCode?: OfflineCodePolicy;
  /** OFFLINE_NOTE_DEFAULTS when absent. */
  readonly offlineNotes?: OfflineNotePolicy;
}

export interface HubCoreOptions {
  readonly database: Sqlite;
  readonly keys: HubKeys;
  readonly policy: HubPolicy;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly metrics?: Metrics;
  /** Opens seals on other threads; where there are none each is opened when it is needed. */
  readonly openings?: SealOpenings;
}

export interface HubCore {
  readonly hubEpoch: Epoch;
  readonly ledger: Ledger;
  readonly terminals: Terminals;
  readonly authorisation: Authorisation;
  readonly ingest: Ingest;
  /** Journals that come as a file. */
  readonly imports: ImportSink;
  readonly payers: Payers;
  readonly reconciliation: Reconciliation;
  readonly metrics: Metrics;
  /** What the operator may ask of the features. */
  readonly featureRoutes: readonly OperatorRoute[];
  /** Checks leases and hub time. */
  readonly signingKey: KeyObject;
  /** What terminals seal card data to. */
  readonly sealingKey: { readonly keyId: string; readonly publicKey: KeyObject };
  /**
   * Applies one message of a terminal that the caller has authenticated; the answers come after the commit. Throws
   * Fault `identity.invalid` for a terminal unknown here, `identity.revoked`, `signature.invalid` for a batch that it did not sign,
   * `fence.stale` for a batch of an earlier opening of its journal, `queue.full` under overload, `store.failed` when
   * nothing could be stored.
   */
  receive(envelope: UpEnvelope): Promise<readonly DownEnvelope[]>;
  /** A fresh lease for a terminal that did not ask, or that it has none; undefined for one that was never heard. */
  leaseUnasked(terminalId: TerminalId): Promise<DownEnvelope | undefined>;
  /**
   * Applies what a customer's phone signed; the answer comes after the commit. Throws Fault `signature.invalid`,
   * `identity.invalid` for a phone unknown or blocked, `message.invalid`, `queue.full`, `store.failed`.
   */
  receivePhone(signed: Signed): Promise<PhoneAnswer>;
  /** Returns holds that were never confirmed in time, and lets the features do what is due. */
  expireHolds(): number;
  /** Messages that wait for a commit. */
  readonly waiting: number;
  /** `clock.monotonic()` at the last commit, or at the start. */
  readonly lastCommitMs: number;
  /** Resolves when everything received is committed. */
  idle(): Promise<void>;
}

/** Opens the hub's database, or makes it; `:memory:` for tests. */
export const openHubDatabase = (path: string): Sqlite =>
  openSqlite(path, {
    migrations: [
      ...ledgerMigrations,
      ...terminalMigrations,
      ...authorisationMigrations,
      ...ingestMigrations,
      ...payerMigrations,
      ...reconciliationMigrations,
      ...SERVICES.flatMap(({ migrations }) => migrations),
    ],
  });

const EXPIRED_PER_SWEEP_MAX = 1_000;

export function createHubCore(options: HubCoreOptions): HubCore {
  const { database, keys, policy, clock, random, log } = options;
  const metrics = options.metrics ?? createMetrics();
  const ledger = createLedger(database, clock);
  const terminals = terminalsOf(options, (accountId) => payers.devicesOf(accountId));
  let means: readonly Means[] = [];
  const authorisation = createAuthorisation({
    ...policy,
    database,
    clock,
    random,
    ledger,
    tokenKey: keys.tokenKey,
    permitsDeferred: (terminalId, leaseId) => terminals.permitsDeferred(terminalId, leaseId),
    means: () => means,
    denies: (kind, name) => terminals.denyList.denies(kind, name),
    countCryptogram: (type, result) => metrics.count("tillway_hub_cryptograms_total", { type, result }),
  });
  const openCard = cardOpener(keys.sealing, authorisation, options.openings);
  const ingest = createIngest({
    database,
    random,
    authorisation,
    log: log.for("ingest"),
    openCard: ({ sealed }, paymentId, terminalId) => openCard(sealed, paymentId, terminalId),
  });
  let lastCommitMs = clock.monotonic();
  const commits = createGroupCommit(database, (works) => {
    lastCommitMs = clock.monotonic();
    metrics.count("tillway_hub_commits_total");
    metrics.count("tillway_hub_committed_messages_total", {}, works);
  });
  showGauges(metrics, commits, ingest);
  const payers = payersOf(options, terminals);
  const services = createServices(options, { ledger, payers, terminals, metrics, hubEpoch: ingest.hubEpoch });
  means = services.flatMap((service) => service.means ?? []);
  const reconciliation = reconciliationOf(options, authorisation, commits);
  const parts: Parts = {
    reconciliation,
    clock,
    random,
    terminals,
    authorisation,
    ingest,
    payers,
    commits,
    metrics,
    openCard,
    openings: options.openings,
    services,
  };
  return {
    hubEpoch: ingest.hubEpoch,
    ledger,
    terminals,
    authorisation,
    ingest,
    imports: createImports({ commits, ingest, terminals, clock, random, log: log.for("import") }),
    payers,
    reconciliation,
    metrics,
    featureRoutes: services.flatMap(({ routes }) => routes),
    signingKey: keys.signing.publicKey,
    get sealingKey() {
      return { keyId: keys.sealing.keyId, publicKey: keys.sealing.publicKey };
    },
    receive: (envelope) => receive(parts, envelope).catch(storeFault),
    leaseUnasked: (terminalId) => leaseUnasked(parts, terminalId),
    receivePhone: (signed) => receivePhone(parts, signed).catch(storeFault),
    expireHolds: () => transaction(database, () => sweep(parts)),
    get waiting() {
      return commits.waiting;
    },
    get lastCommitMs() {
      return lastCommitMs;
    },
    idle: () => commits.idle(),
  };
}

function showGauges(metrics: Metrics, commits: GroupCommit, ingest: Ingest): void {
  metrics.gauge("tillway_hub_waiting_messages", () => commits.waiting);
  metrics.gauge("tillway_hub_open_findings", () => ingest.findings.countOpen());
  metrics.gauge("tillway_hub_quarantined_entries", () => ingest.quarantine.countOpen());
}

const payersOf = ({ policy, log, ...options }: HubCoreOptions, { denyList }: Terminals): Payers => {
  const merchantName = policy.merchantName ?? policy.merchantId;
  return createPayers({ ...options, merchantName, denyList, log: log.for("payers") });
};

const terminalsOf = (
  { database, keys, policy, clock, random }: HubCoreOptions,
  devicesOf: (accountId: string) => readonly string[],
): Terminals =>
  createTerminals({
    database,
    clock,
    random,
    signingKey: keys.signing.privateKey,
    sealing: keys.sealing,
    tokenKey: keys.tokenKey,
    devicesOf,
    leasePolicy: (terminalId) => policy.leaseOf(terminalId),
  });

const reconciliationOf = (
  { database, clock, log }: HubCoreOptions,
  authorisation: Authorisation,
  commits: GroupCommit,
): Reconciliation =>
  createReconciliation({
    database,
    clock,
    log: log.for("reconciliation"),
    entries: createDayEntries(database),
    postedMinor: (terminalId, paymentId) => authorisation.posted({ terminalId, paymentId })?.postedMinor,
    commit: (apply) => commits.submit({ lane: "queue", apply }),
  });

function sweep({ authorisation, ingest, clock, metrics, services }: Parts): number {
  const expired = authorisation.expireHolds(EXPIRED_PER_SWEEP_MAX);
  if (expired > 0) metrics.count("tillway_hub_holds_expired_total", {}, expired);
  for (const service of services) service.sweep?.();
  ingest.findings.gaps(clock.now());
  return expired;
}

interface Parts {
  readonly reconciliation: Reconciliation;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly terminals: Terminals;
  readonly authorisation: Authorisation;
  readonly ingest: Ingest;
  readonly payers: Payers;
  readonly commits: GroupCommit;
  readonly metrics: Metrics;
  readonly openCard: OpenCard;
  readonly openings: SealOpenings | undefined;
  readonly services: readonly HubService[];
}

async function receive(parts: Parts, envelope: UpEnvelope): Promise<readonly DownEnvelope[]> {
  const signingKey = parts.terminals.signingKeyOf(envelope.terminalId);
  if (!signingKey) throw new Fault("identity.invalid", `no terminal ${envelope.terminalId} is enrolled here`);
  parts.metrics.count("tillway_hub_messages_total", { type: envelope.type });
  const isRequest = envelope.type === "authorisation.request";
  if (!isRequest && parts.terminals.isRevoked(envelope.terminalId)) return answerRevoked(parts, envelope);
  switch (envelope.type) {
    case "authorisation.request":
      return [await authorise(parts, envelope)];
    case "advice.batch":
      return [await takeBatch(parts, envelope, signingKey)];
    case "presence":
      return presence(parts, envelope);
    case "health":
      await parts.commits.submit({
        lane: "queue",
        apply() {
          parts.terminals.markSeen(envelope.terminalId);
          parts.terminals.setHealth(envelope.terminalId, envelope.body);
        },
      });
      return [];
    case "day.summary": {
      const report = await parts.reconciliation.take(envelope);
      return report ? [{ ...headOf(parts, envelope), type: "day.report", body: report }] : [];
    }
    default:
      return [await askFeature(parts, envelope)];
  }
}

/** A message of a feature, applied and answered like any other: the answer leaves after the commit. */
async function askFeature(parts: Parts, envelope: FeatureMessage): Promise<DownEnvelope> {
  const reply = await parts.commits.submit({
    lane: "person",
    apply() {
      parts.terminals.markSeen(envelope.terminalId);
      for (const service of parts.services) {
        const answer = service.answer(envelope);
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
async function receivePhone(parts: Parts, signed: Signed): Promise<PhoneAnswer> {
  const { payers, services, commits, metrics } = parts;
  const { message, device } = payers.open(signed);
  metrics.count("tillway_hub_phone_messages_total", { type: message.type });
  const reply = await commits.submit<PhoneReply>({
    lane: "person",
    apply() {
      if (message.type === "notices") return payers.notices(device, message.body.since);
      const desk = services.find(({ phone }) => phone?.types.includes(message.type))?.phone;
      if (!desk) throw new Fault("message.invalid", `no feature of this hub takes a ${message.type}`);
      return desk.answer(message, device);
    },
  });
  return { v: 1, replyTo: message.id, ...reply };
}

async function authorise(
  parts: Parts,
  envelope: UpOf<"authorisation.request">,
): Promise<DownOf<"authorisation.response">> {
  const { terminalId, body: request } = envelope;
  const receivedAt = parts.clock.now();
  const card = parts.openCard(request.card, request.paymentId, terminalId);
  let fresh = false;
  const answer = await parts.commits.submit<Answer>({
    lane: "person",
    apply() {
      parts.terminals.markSeen(terminalId);
      const key = { terminalId, paymentId: request.paymentId };
      const refusal = parts.terminals.isRevoked(terminalId) ? { refusal: REVOKED_ANSWER } : {};
      const input = { key, request, card, receivedAt, now: parts.clock.now(), ...refusal };
      const decided = parts.authorisation.request(input);
      fresh = decided.fresh;
      return decided.answer;
    },
    tooLate: () => fresh && parts.clock.now() > Date.parse(request.answerBy),
    whenTooLate: () => STALE_ANSWER,
  });
  parts.metrics.count("tillway_hub_authorisations_total", { outcome: answer.outcome, code: answer.responseCode });
  const body: DownOf<"authorisation.response">["body"] = {
    paymentId: request.paymentId,
    attempt: request.attempt,
    ...answer,
    time: parts.terminals.signedTime(terminalId),
  };
  return { ...headOf(parts, envelope), type: "authorisation.response", body };
}
