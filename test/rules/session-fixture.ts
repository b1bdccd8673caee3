/** A session with the hub over an uplink of a few lines, on a clock that moves by hand. */
import { SignedHubClock } from "../../agent/lease/hub-clock.ts";
import { LeaseKeeper } from "../../agent/lease/lease-keeper.ts";
import { EnvelopeMaker } from "../../agent/uplink/envelopes.ts";
import type { OnlineRequest } from "../../agent/uplink/hub.ts";
import { HubSession } from "../../agent/uplink/hub-session.ts";
import { HandUplink } from "../../agent/uplink/hub-session-fixture.ts";
import { ManualClock } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import type { PaymentId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { money } from "../../base/money.ts";
import type { AuthorisationResponse } from "../../wire/authorisation.ts";
import { toWireMoney } from "../../wire/common.ts";
import type { DownEnvelope } from "../../wire/envelope.ts";
import { newSigningKeys, type Signed } from "../../wire/signing.ts";
import {
  answeredTime,
  EPOCH,
  HandBoot,
  hubKeys,
  MemoryJournal,
  NINE,
  sealingKeys,
  signedTime,
  TERMINAL,
} from "./lease-fixture.ts";

export const own = newSigningKeys();
export const head = (): Omit<DownEnvelope, "type" | "body"> => ({
  v: 1,
  id: "0".repeat(24),
  terminalId: TERMINAL,
  epoch: EPOCH,
  sequence: 0,
  sentAt: new Date(NINE).toISOString(),
});
export const answerTo = (
  request: { paymentId: PaymentId; attempt: number },
  changes: Partial<AuthorisationResponse> = {},
): DownEnvelope => ({
  ...head(),
  type: "authorisation.response",
  body: {
    paymentId: request.paymentId,
    attempt: request.attempt,
    outcome: "approved",
    responseCode: "00",
    approvalCode: "A00001",
    time: signedTime(NINE + 1_000),
    ...changes,
  },
});
export const leaseMessage = (time: Signed, lease?: Signed): DownEnvelope => ({
  ...head(),
  type: "lease",
  body: lease ? { lease, time } : { time },
});
export const requestOf = (id: string, attempt = 1): OnlineRequest => ({
  paymentId: id as PaymentId,
  attempt,
  kind: "purchase",
  amount: toWireMoney(money(1_234n, "EUR")),
});

export function world({ heard = true, onlineTimeoutMs = 5_000 } = {}) {
  const clock = new ManualClock(Date.UTC(2001, 0, 1));
  const boot = new HandBoot();
  const journal = new MemoryJournal();
  const hubSigningKey = hubKeys.publicKey;
  const hubClock = new SignedHubClock({
    terminalId: TERMINAL,
    hubSigningKey,
    journal,
    boot: { id: boot.id, uptimeMs: () => clock.monotonic() },
    random: (length) => new Uint8Array(length).fill(9),
    log: silentLog,
  });
  const leases = new LeaseKeeper({
    terminalId: TERMINAL,
    hubSigningKey,
    sealingKey: { keyId: "enrolled", publicKey: sealingKeys.publicKey },
    journal,
    hubClock,
    log: silentLog,
    disk: { freeBytes: () => 1, reserveBytes: 0 },
  });
  let drawn = 0;
  const envelopes = new EnvelopeMaker({
    terminalId: TERMINAL,
    journal,
    clock,
    random: (length) => {
      drawn += 1;
      return new Uint8Array(length).fill(drawn);
    },
    version: "1.0.0",
    leaseCounter: () => leases.counter,
    question: (always) => hubClock.question(always),
  });
  const uplink = new HandUplink();
  const hub = new HubSession({
    terminalId: TERMINAL,
    signingKey: own.privateKey,
    uplink,
    envelopes,
    hubClock,
    leases,
    clock,
    log: silentLog,
    onlineTimeoutMs,
  });
  uplink.set("up", "by hand");
  if (heard) hubClock.hear(answeredTime(NINE, hubClock.question()));
  return { clock, journal, hubClock, leases, uplink, hub };
}
export const forEver = new AbortController().signal;
export const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "fulfilled",
    (error: unknown) => (isFault(error) ? error.code : error),
  );
