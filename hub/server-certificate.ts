/** Keeps the server's certificate good for as long as the hub runs, and asks a person where brokers of others show it. */
import type { Clock } from "../base/clock.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import type { Log } from "../base/log.ts";
import type { DeviceGateway } from "./device-gateway.ts";
import { type HubTls, RENEW_BELOW_MS } from "./tls.ts";

const CHECK_EVERY_MS = 24 * 3_600_000;

export interface KeptCertificate {
  readonly gateways: readonly Pick<DeviceGateway, "renewTls" | "shownUntil">[];
  readonly first: HubTls;
  loadTls(): Promise<HubTls>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Looks at the start and every day: a hub may run for longer than its certificate. Returns how to stop. */
export function keepCertificate({ gateways, first, loadTls, clock, log }: KeptCertificate): () => Promise<void> {
  const ending = new AbortController();
  let chain = first.chain;
  let cancel = () => {};
  let looking: Promise<unknown> = Promise.resolve();
  function look(): void {
    cancel = clock.after(CHECK_EVERY_MS, check);
    looking = Promise.all(gateways.map((gateway) => lookAtBrokers(gateway, { clock, log, signal: ending.signal })));
  }
  async function renew(): Promise<void> {
    const tls = await loadTls();
    if (tls.chain === chain) return;
    chain = tls.chain;
    for (const gateway of gateways) gateway.renewTls(tls);
    log.info("the server's certificate was renewed");
  }
  function check(): void {
    renew().catch((error: unknown) =>
      log.error("the server's certificate cannot be renewed; it is tried again tomorrow", { reason: reasonOf(error) }),
    );
    look();
  }
  look();
  return async () => {
    cancel();
    ending.abort(new Fault("aborted", "the hub stops"));
    await looking;
  };
}

interface Looking extends Pick<KeptCertificate, "clock" | "log"> {
  readonly signal: AbortSignal;
}

/** A certificate in files of the brokers is renewed by a person, or ends without a word and all of MQTT with it. */
async function lookAtBrokers(
  { shownUntil }: Pick<DeviceGateway, "shownUntil">,
  { clock, log, signal }: Looking,
): Promise<void> {
  if (!shownUntil) return;
  try {
    const endsAt = await shownUntil(signal);
    if (endsAt - clock.now() >= RENEW_BELOW_MS) return;
    log.warn(
      "the certificate that the brokers show terminals ends soon; run tillway hub broker --out FOLDER, bring its files to every NATS server, and let it read them (SIGHUP)",
      { endsAt: new Date(endsAt).toISOString() },
    );
  } catch (error) {
    if (signal.aborted) return;
    log.warn("it cannot be seen until when the certificate is good that the brokers show terminals", {
      reason: reasonOf(error),
    });
  }
}
