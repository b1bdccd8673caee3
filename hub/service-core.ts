/** What the core gives each service: its share of the hub, and no more. */
import { createHmac } from "node:crypto";
import { assert } from "../base/assert.ts";
import type { Epoch } from "../base/ids.ts";
import { ACCOUNT_CODES } from "./core/authorisation/postings.ts";
import type { Ledger } from "./core/ledger/index.ts";
import type { Payers } from "./core/payers/index.ts";
import type { Terminals } from "./core/terminals/index.ts";
import type { HubCoreOptions } from "./hub-core.ts";
import type { Metrics } from "./metrics.ts";
import type { HubService, OfflineCodePolicy, OfflineNotePolicy } from "./service.ts";
import { SERVICES } from "./services.ts";

export const OFFLINE_CODE_DEFAULTS: OfflineCodePolicy = {
  ttlSec: 86_400,
  maxActivePerUser: 3,
  capMinor: 20_000n,
  wrongCodesMax: 5,
};

export const OFFLINE_NOTE_DEFAULTS: OfflineNotePolicy = {
  maxMinor: 5_000n,
  ttlSec: 86_400,
  graceSec: 604_800,
  riskParty: "operator",
};

const CARD_CHALLENGE_TTL_MS = 5_000;

interface ServiceNeeds {
  readonly ledger: Ledger;
  readonly payers: Payers;
  readonly terminals: Terminals;
  readonly metrics: Metrics;
  readonly hubEpoch: Epoch;
}

/** 32 bytes that only this hub knows, for one purpose alone. */
export const secretFor = (purpose: string, tokenKey: Uint8Array): Uint8Array =>
  new Uint8Array(createHmac("sha256", tokenKey).update(`tillway/v1/${purpose}`).digest());

export type NamedService = HubService & { readonly name: string };

export function createServices(options: HubCoreOptions, needs: ServiceNeeds): readonly NamedService[] {
  const { ledger, payers, terminals, metrics, hubEpoch } = needs;
  const { clock, random, keys, policy, log } = options;
  return SERVICES.map(({ name, define }) => ({
    name,
    ...define({
      clock,
      random,
      ledger,
      payers,
      log: log.for(name),
      secret: secretFor(`service/${name}`, keys.tokenKey),
      cardChallengeTtlMs: policy.cardChallengeTtlMs ?? CARD_CHALLENGE_TTL_MS,
      offlineCode: policy.offlineCode ?? OFFLINE_CODE_DEFAULTS,
      offlineNotes: policy.offlineNotes ?? OFFLINE_NOTE_DEFAULTS,
      signing: keys.signing,
      hubEpoch,
      metrics,
      terminalSigningKey: (reading, terminalId) => terminals.signingKeyOf(reading, terminalId),
      blockPayer: async (within, deviceId, why) => void (await payers.setStatus(within, deviceId, "blocked", why)),
      async merchantAccount(within, currency) {
        const id = `merchant:${policy.merchantId}:${currency}`;
        const account = { id, currency, code: ACCOUNT_CODES.merchant, limit: "none" } as const;
        const [status] = await ledger.createAccounts(within, [account]);
        assert(status === "created" || status === "exists", `account ${id} is ${status}`);
        return id;
      },
    }),
  }));
}
