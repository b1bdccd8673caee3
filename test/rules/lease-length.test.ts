/** RM8: no lease is longer than a terminal takes, whatever is denied and however much institutions let terminals decide. */
import { expect, test } from "vitest";
import { mirrorRefusal } from "../../agent/standin/mirror.ts";
import type { PaymentId } from "../../base/ids.ts";
import { money } from "../../base/money.ts";
import { type Institution, NO_ISSUERS } from "../../hub/core/switch/index.ts";
import { createMetrics } from "../../hub/metrics.ts";
import { sql } from "../../hub/store/store.ts";
import { SPEC_1987_ASCII } from "../../protocols/iso8583/specs.ts";
import { DENIED_MAX, type Lease, LeaseMessageSchema, LeaseSchema } from "../../wire/lease.ts";
import { openSigned } from "../../wire/signing.ts";
import { type StandInParameters, signStandInParameters } from "../../wire/stand-in.ts";
import { hubFixture } from "./hub-fixture.ts";
import { BANK_PARAMETERS, bankKeys } from "./switch-stand.ts";

const INSTITUTIONS = 6;
const MANY = 1_000;
const many = (text: (index: number) => string) => Array.from({ length: MANY }, (_, index) => text(index));
const ofAll = Array.from({ length: INSTITUTIONS }, (_, index) => index + 1);
const rangeOf = (number: number): string => `47617${number}`;

const institutionOf = (number: number): Institution => ({
  id: `bank-${number}`,
  ranges: [rangeOf(number), ...many((index) => `${number}${String(index).padStart(18, "0")}`).slice(1)],
  address: { host: "127.0.0.1", port: 1 },
  spec: SPEC_1987_ASCII,
  standIn: { key: bankKeys.publicKey, stopListKeys: new Map() },
});
const parametersOf = (number: number): StandInParameters => ({
  ...BANK_PARAMETERS,
  institution: { ...BANK_PARAMETERS.institution, id: `bank-${number}` },
  account: {
    ...BANK_PARAMETERS.account,
    range: [rangeOf(number), ...many((index) => String(90_000_000 + index)).slice(1)],
  },
  txn: { ...BANK_PARAMETERS.txn, mccDeny: many((index) => String(6_000 + index)) },
});

async function world() {
  const metrics = createMetrics();
  const issuers = {
    ...NO_ISSUERS,
    institutions: ofAll.map(institutionOf),
    acquirer: { id: "100000", merchant: "m", category: "5411" },
  };
  const { hub, terminal, clock } = await hubFixture({ issuers, metrics });
  await hub.store.transaction(async (within) => {
    for (const number of ofAll) {
      const text = signStandInParameters(parametersOf(number), bankKeys.privateKey);
      const event = await hub.switch.issuers.offerParameters(within, `bank-${number}`, text);
      expect(event?.on).toBe("taken");
    }
  });
  async function lease(): Promise<Lease> {
    const message = LeaseMessageSchema.parse(await terminal.arrive());
    if (!message.lease) throw new Error("no lease");
    return openSigned("lease", message.lease, hub.signingKey, LeaseSchema);
  }
  /** Of an offline sale on a card of this institution. */
  const refusal = (given: Lease, number: number) =>
    mirrorRefusal(
      {
        paymentId: "p-1" as PaymentId,
        terminalId: terminal.terminalId,
        amount: money(100n, "EUR"),
        entryMode: "chip",
        leadingDigits: `${rangeOf(number)}00`,
        at: clock.now(),
        ofCard: { count: 0, minor: 0n },
        ofAll: { count: 0, minor: 0n },
      },
      given.standIn,
    );
  return { hub, lease, refusal, metrics };
}

const DENY = sql<[string]>("INSERT INTO terminals__denied (kind, name, shown, at) VALUES ('device', ?, 'a device', 0)");
const RAISE = sql<[]>("UPDATE terminals__deny_version SET version = version + 1");

test("beside a full deny list as many institutions keep their parameters as fit; of the others nothing is sold offline", async () => {
  const { hub, lease, refusal, metrics } = await world();
  const whole = await lease();
  expect(ofAll.map((number) => refusal(whole, number))).toEqual(ofAll.map(() => undefined));
  await hub.store.transaction(async (within) => {
    for (let index = 0; index < DENIED_MAX; index += 1) await within.run(DENY, [`device-${index}`]);
    await within.run(RAISE, []);
  });
  const given = await lease();
  expect(given.denyList.tokens).toHaveLength(DENIED_MAX);
  expect(given.standIn?.sets.map(({ ranges }) => ranges)).toEqual(whole.standIn?.sets.map(({ ranges }) => ranges));
  const refused = ofAll.filter((number) => refusal(given, number) !== undefined);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThan(INSTITUTIONS);
  for (const number of refused) expect(given.standIn?.sets[number - 1]?.parameters).toBeUndefined();
  expect(await metrics.text()).toContain(`tillway_hub_leases_cut_total{issuer="bank-${refused[0]}"} 1\n`);
});
