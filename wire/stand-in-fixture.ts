/** A bank that delegates to one acquirer, for tests of stand-in on either side. */
import type { PaymentId, TerminalId } from "../base/ids.ts";
import { currencyOf, money } from "../base/money.ts";
import { STAND_IN_DEFAULTS, type StandInParameters } from "./stand-in.ts";
import type { StandInCounters, StandInRequest } from "./stand-in-checks.ts";

export const STOPPED_TOKEN = "77".repeat(32);

export const PARAMETERS: StandInParameters = {
  version: 7,
  issuedAt: "2026-01-05T08:00:00.000Z",
  validFrom: "2026-01-05T09:00:00.000Z",
  validTo: "2026-07-01T00:00:00.000Z",
  currency: currencyOf("EUR"),
  institution: {
    id: "bank-1",
    enabled: true,
    window: [{ from: "2026-01-05T09:00:00.000Z", to: "2026-02-01T00:00:00.000Z" }],
  },
  acquirer: { allow: ["tillway", "400999"], deny: ["400999"] },
  account: { range: ["999999"], stopList: { keyId: "stop-2026-01", tokens: [STOPPED_TOKEN] } },
  txn: { types: [...STAND_IN_DEFAULTS.txn.types], mccDeny: ["6011"] },
  limit: STAND_IN_DEFAULTS.limit,
  fallback: "DECLINE",
};

/** Within validity and window. */
export const NOW = Date.parse("2026-01-10T12:00:00.000Z");

export const REQUEST: StandInRequest = {
  account: { leadingDigits: "99999900", stopListToken: "11".repeat(32) },
  institutionId: "bank-1",
  acquirerId: "tillway",
  amount: money(9_000n, "EUR"),
  paymentId: "sale-1" as PaymentId,
  terminalId: "shop-1" as TerminalId,
  mcc: "5411",
  at: NOW,
  entryMode: "chip",
  type: "purchase",
};

export const NOTHING_COUNTED: StandInCounters = {
  accountCount: 0,
  accountSumMinor: 0n,
  institutionSumMinor: 0n,
  latestAt: 0,
};
