/** A hub with one issuer before it, over TCP on loopback, and time that moves only when a test says so. */
import { createSecretKey } from "node:crypto";
import { systemClock } from "../../base/clock.ts";
import { silentLog } from "../../base/log.ts";
import { AVAILABILITY_DEFAULTS } from "../../hub/core/standin/availability.ts";
import { RECOVERY_DEFAULTS } from "../../hub/core/standin/recovery.ts";
import { stopListToken } from "../../hub/core/switch/stand-in-desk.ts";
import { createHubCore } from "../../hub/hub-core.ts";
import { createMetrics, type Metrics } from "../../hub/metrics.ts";
import { withPaymentReference } from "../../protocols/iso8583/payment-reference.ts";
import { SPEC_1987_ASCII } from "../../protocols/iso8583/specs.ts";
import { WELL } from "../../sim/issuer/faults.ts";
import { type IssuerSim, startIssuerSim } from "../../sim/issuer/issuer-sim.ts";
import { booksView } from "../../sim/issuer/views.ts";
import type { AuthorisationRequest, AuthorisationResponse } from "../../wire/authorisation.ts";
import { newSigningKeys } from "../../wire/signing.ts";
import { STAND_IN_DEFAULTS, type StandInParameters, signStandInParameters } from "../../wire/stand-in.ts";
import { PARAMETERS } from "../../wire/stand-in-fixture.ts";
import { Counts } from "../contract/issuer-stand.ts";
import {
  EUR,
  type FixtureOptions,
  type HubFixture,
  hubFixture,
  only,
  seededRandom,
  TEST_EXPIRY,
  TEST_POLICY,
} from "./hub-fixture.ts";

export const BANK = "bank-1";
export const ANNA = "4761739001010119";
/** Accounts for what must not touch Anna's. */
export const OTHERS = ["4761739001010010", "4761739001010028", "4761739001010036"] as const;
export const STOPPED = "4761739001010994";
export const BALANCE = 1_000_000n;
const STOP_KEY = createSecretKey(Buffer.alloc(32, 7));
export const bankKeys = newSigningKeys();

export const BANK_PARAMETERS: StandInParameters = {
  ...PARAMETERS,
  acquirer: { allow: ["100000"], deny: [] },
  account: {
    range: ["476173"],
    stopList: { keyId: "stop-1", tokens: [stopListToken(STOP_KEY, STOPPED)] },
  },
  txn: { ...PARAMETERS.txn, types: ["purchase", "pre-authorisation"] },
  limit: { ...STAND_IN_DEFAULTS.limit, accountCount: 3, accountSum: "40000" },
};

export interface SwitchStand extends AsyncDisposable {
  readonly fixture: HubFixture;
  readonly issuer: IssuerSim;
  readonly counts: Counts;
  /** The terminal's purchase, with how much of the hub's time its answer took. Only for an issuer who answers. */
  buy(paymentId: string, changes?: Purchase): Promise<AuthorisationResponse>;
  /** The same, while time moves until there is an answer. */
  buyInTime(paymentId: string, changes?: Purchase): Promise<Timed>;
  /** What the issuer's books say of the payment. */
  booked(paymentId: string): ReturnType<typeof booksView>["payments"][number] | undefined;
  /** The issuer takes and answers nothing, and the hub has found out. */
  goDown(): Promise<void>;
  /** The issuer is well, and the hub has told him all. */
  comeBack(): Promise<void>;
}

/** A hub, and its time. */
export interface Watched {
  readonly fixture: Pick<HubFixture, "hub" | "clock">;
}

export type Purchase = Partial<AuthorisationRequest> & { readonly pan?: string };
interface Timed {
  readonly answer: AuthorisationResponse;
  readonly afterMs: number;
}

/** All that can be wrong with an issuer is not. */
export const EVERYTHING_WELL = WELL;

const FAST_RETRY = { firstMs: 10, maxMs: 50, factor: 2, jitter: 0.3 };
const STEP_MS = 20;

export async function switchStand(options: Pick<FixtureOptions, "path" | "keys"> = {}): Promise<SwitchStand> {
  const issuer = await startIssuerSim({
    port: 0,
    accounts: [ANNA, ...OTHERS, STOPPED].map((pan) => ({
      pan,
      expiry: TEST_EXPIRY,
      currency: "978",
      balanceMinor: BALANCE,
    })),
  });
  const counts = new Counts();
  const fixture = await hubFixture({ ...options, metrics: counting(counts), issuers: issuersOf(issuer) });
  const { hub, terminal, clock } = fixture;
  hub.switch.start();
  await counts.reach("links", { status: "up" });
  await hub.store.transaction(async (within) => {
    const text = signStandInParameters(BANK_PARAMETERS, bankKeys.privateKey);
    await hub.switch.issuers.offerParameters(within, BANK, text);
  });
  const onlyWaiting = () => hub.waiting === 0 && hub.switch.issuers.inFlight(BANK) > 0;
  const buy = async (paymentId: string, { pan = ANNA, ...changes }: Purchase = {}) => {
    const request = terminal.request(paymentId, { card: terminal.seal(paymentId, pan), ...changes });
    return only(await hub.receive(request), "authorisation.response").body;
  };
  const stand: SwitchStand = {
    fixture,
    issuer,
    counts,
    buy,
    async buyInTime(paymentId, changes) {
      const from = clock.monotonic();
      let ended = false;
      const asked = buy(paymentId, changes).finally(() => {
        ended = true;
      });
      // The issuer is silent: time moves while he is waited for, and stands still while the hub works.
      while (!ended) await (onlyWaiting() ? clock.advance(STEP_MS) : nextTurn());
      const answer = await asked;
      return { answer, afterMs: clock.monotonic() - from };
    },
    booked: (paymentId) => booksView(issuer.books).payments.find((one) => one.paymentId === paymentId),
    async goDown() {
      await issuer.break({ mute: true });
      for (const [index, pan] of OTHERS.entries()) await stand.buyInTime(`lost-${index}`, { pan, ...euros(1) });
    },
    async comeBack() {
      await issuer.clear();
      await until(stand, async () => (await viewOf(stand)).availability === "up");
    },
    async [Symbol.asyncDispose]() {
      await issuer.clear();
      await hub.switch[Symbol.asyncDispose]();
      await issuer[Symbol.asyncDispose]();
    },
  };
  return stand;
}

export async function viewOf({ fixture: { hub } }: Watched) {
  const [view] = await hub.store.read(async (reading) => await hub.switch.issuers.list(reading));
  if (!view) throw new Error("the hub has an issuer");
  return view;
}

export const advicesOf = ({ fixture: { hub } }: Watched) =>
  hub.store.read(
    async (reading) => (await hub.switch.issuers.advices(reading, BANK, { afterNumber: 0, limit: 1_000 })) ?? [],
  );

/** The hub's process ended, and another began over its store; whoever asks for it ends it. */
export async function restarted({ fixture, issuer, counts }: SwitchStand): Promise<Watched> {
  const { hub, keys, clock } = fixture;
  await hub.switch[Symbol.asyncDispose]();
  const again = await createHubCore({
    ...{ store: await fixture.anotherStore(), keys, clock, policy: TEST_POLICY, log: silentLog },
    random: seededRandom("restarted"),
    issuers: issuersOf(issuer),
    metrics: counting(counts),
  });
  again.switch.start();
  return { fixture: { hub: again, clock } };
}

export const reconciliationsOf = ({ fixture: { hub } }: Watched) =>
  hub.store.read(
    async (reading) =>
      (await hub.switch.issuers.reconciliations(reading, BANK, {
        beforeNumber: Number.MAX_SAFE_INTEGER,
        limit: 1_000,
      })) ?? [],
  );

const DAY_MS = 86_400_000;
/** It is midnight in UTC; nothing of what waits has moved. */
export function toMidnight({ fixture: { clock } }: Watched): void {
  clock.setWall((Math.floor(clock.now() / DAY_MS) + 1) * DAY_MS);
}

/** The business day ends; resolves with the days so far, newest first, once the issuer has answered for each. */
export async function endDay(stand: Watched) {
  const today = new Date(stand.fixture.clock.now()).toISOString().slice(0, "2026-01-05".length);
  toMidnight(stand);
  await until(stand, async () => {
    const days = await reconciliationsOf(stand);
    return days.some(({ day }) => day === today) && days.every(({ endedAt }) => endedAt !== undefined);
  });
  return await reconciliationsOf(stand);
}

/** No wait is longer, in real time. */
const LIMIT_MS = 15_000;

/** Turns in which an answer that is on its way comes in. */
const PATIENCE_TURNS = 200;

/** With an issuer who answers: time moves while nobody waits for him, and hardly while somebody does. */
export async function until({ fixture: { hub, clock } }: Watched, holds: () => Promise<boolean>): Promise<void> {
  const limit = systemClock.monotonic() + LIMIT_MS;
  while (!(await holds())) {
    if (systemClock.monotonic() > limit) throw new Error("it does not come to hold");
    for (let turn = 0; turn < PATIENCE_TURNS && hub.switch.issuers.inFlight(BANK); turn += 1) await nextTurn();
    await clock.advance(STEP_MS);
  }
}
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

const issuersOf = (issuer: IssuerSim) => ({
  institutions: [
    {
      id: BANK,
      ranges: ["476173"],
      address: { host: "127.0.0.1", port: issuer.port },
      spec: withPaymentReference(SPEC_1987_ASCII),
      standIn: { key: bankKeys.publicKey, stopListKeys: new Map([["stop-1", STOP_KEY]]) },
    },
  ],
  acquirer: { id: "100000", merchant: "SHOP", category: "5411" },
  policy: { availability: AVAILABILITY_DEFAULTS, recovery: RECOVERY_DEFAULTS, probeEveryMs: 1_000 },
  link: { retry: FAST_RETRY },
});

function counting(counts: Counts): Metrics {
  const metrics = createMetrics();
  return {
    ...metrics,
    count(name, labels, by) {
      metrics.count(name, labels, by);
      counts.count(name.replace("tillway_hub_stand", "stand").replace("tillway_hub_advices", "advices"), labels);
    },
  };
}

export const euros = (minor: number) => ({ amount: { minor: String(minor), currency: EUR } });
