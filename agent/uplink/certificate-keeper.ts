/**
 * Renews this terminal's certificate when the hub wants to be asked for the next one, and at once when the hub refuses the
 * present one, which a box whose clock is wrong may not know to have ended. Each certificate is for a fresh key. That key is
 * stored before the hub is asked, and key and certificate come into force in one step, so that a crash at any moment leaves
 * an identity that the hub takes: the same key gets the same answer once more.
 */
import { type Clock, deadline, eitherOf, sleep } from "../../base/clock.ts";
import { Fault, isFault } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import { type RetryPolicy, retrySchedule } from "../../base/retry-schedule.ts";
import { firstIssue, parseJson, privateKeyText } from "../../wire/signing.ts";
import { type RenewalRequest, RenewalResponseSchema } from "../../wire/terminal.ts";
import { CERTIFICATE_PATH } from "../../wire/topics.ts";
import {
  type Identity,
  type IdentityFile,
  identityPath,
  loadIdentityFile,
  readIdentity,
  storeIdentity,
  type TlsIdentity,
  tlsFileOf,
} from "../identity.ts";
import type { Credential } from "./credential.ts";
import { postToHub, wordsOf } from "./hub-post.ts";

export interface CertificateKeeperOptions {
  readonly identity: Pick<Identity, "terminalId" | "caCertificate" | "signingKey">;
  readonly credential: Credential;
  /** Where the identity's file lies. */
  readonly dataDir: string;
  readonly httpsUrl: string;
  readonly clock: Clock;
  /** The best known time, milliseconds since 1970. */
  readonly now: () => number;
  /** From 0 to below 1. */
  readonly chance: () => number;
  readonly log: Log;
  /** Resolves when no answer is waited for, so that connections can be made anew. */
  quiet(signal: AbortSignal): Promise<void>;
}

const ANSWER_LIMIT_MS = 10_000;
/** The time is looked at this often: the wall clock of a box can be set. */
const LOOK_EVERY_MS = 3_600_000;
const ASK_AGAIN_POLICY: RetryPolicy = { firstMs: 60_000, maxMs: 3_600_000, factor: 2, jitter: 0.3 };
/** Of the time between `renewAfter` and the end: how far a fleet that was enrolled on one day spreads its renewals. */
const SPREAD_SHARE = 0.1;

export class CertificateKeeper {
  readonly #options: CertificateKeeperOptions;
  readonly #spread: number;
  #asked = false;
  #woken = new AbortController();

  constructor(options: CertificateKeeperOptions) {
    this.#options = options;
    this.#spread = options.chance() * SPREAD_SHARE;
  }

  /** The hub has refused what was shown. */
  ask(): void {
    this.#asked = true;
    this.#woken.abort();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, chance, log } = this.#options;
    let delays = retrySchedule(ASK_AGAIN_POLICY, chance);
    while (!signal.aborted) {
      await this.#untilDue(signal);
      if (signal.aborted) return;
      const wasRefused = this.#asked;
      this.#asked = false;
      try {
        await this.renew(signal);
        // What a fresh certificate does not mend will not be mended by the next one either.
        if (!wasRefused) delays = retrySchedule(ASK_AGAIN_POLICY, chance);
      } catch (error) {
        if (!isFault(error)) throw error;
        if (!signal.aborted) log.warn("no certificate was given; it is asked for again", { why: error.message });
      }
      await sleep(clock, delays.next().value, signal).catch(() => undefined);
    }
  }

  /** Asks the hub for the next certificate and puts it in force. Throws Fault `uplink.*`, `identity.invalid`, `message.invalid`, `store.failed`. */
  async renew(signal: AbortSignal): Promise<void> {
    const { credential, dataDir, log, quiet } = this.#options;
    const { newTlsKey } = await import("./certificate-request.ts");
    const file = this.#ownFile();
    const key = file.nextTlsKey ?? newTlsKey();
    if (file.nextTlsKey === undefined) storeIdentity(dataDir, { ...file, nextTlsKey: key });
    const certificate = await this.#certified(file, key, signal);
    const { bearer: _, nextTlsKey: __, ...rest } = this.#ownFile();
    const tls = tlsFileOf(key, certificate);
    const next = readTls({ ...rest, tls });
    storeIdentity(dataDir, { ...rest, tls });
    log.info("the hub gave the next certificate", { endsAt: new Date(next.endsAt).toISOString() });
    if (credential.tls) await quiet(signal);
    credential.exchange(next);
  }

  /** Not that of an enrolment which somebody made beside this running agent. */
  #ownFile(): IdentityFile {
    const { dataDir, identity } = this.#options;
    const file = loadIdentityFile(dataDir);
    if (file.terminalId === identity.terminalId && file.signingPrivateKey === privateKeyText(identity.signingKey))
      return file;
    throw new Fault("identity.invalid", `${identityPath(dataDir)} was enrolled anew; start the agent again`);
  }

  async #certified(file: IdentityFile, key: string, signal: AbortSignal) {
    const { clock, credential, httpsUrl, identity } = this.#options;
    const { certificateRequest } = await import("./certificate-request.ts");
    const body: RenewalRequest = {
      terminalId: file.terminalId,
      csr: await certificateRequest(key, file.terminalId),
    };
    using limit = deadline(clock, ANSWER_LIMIT_MS, signal);
    const { status, text } = await postToHub(new URL(CERTIFICATE_PATH, httpsUrl), {
      body,
      ca: identity.caCertificate,
      tls: credential.tls,
      bearer: credential.tls ? undefined : file.bearer,
      tooLate: "it is asked again with the same key",
      signal: limit.signal,
    });
    if (status === 401 || status === 403)
      throw new Fault("uplink.refused", `the hub certifies this terminal no more (HTTP ${status}${wordsOf(text)})`);
    if (status !== 200)
      throw new Fault("uplink.down", `the hub gave no certificate (HTTP ${status}${wordsOf(text)}); look at its log`);
    const parsed = RenewalResponseSchema.safeParse(parseJson(text));
    if (parsed.success) return parsed.data.certificate;
    throw new Fault("message.invalid", `the hub's certificate came in an unknown form: ${firstIssue(parsed.error)}`);
  }

  /** Resolves when it is time, when the hub refused what was shown, or when the signal ends it. */
  async #untilDue(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    for (;;) {
      this.#woken = new AbortController();
      const waitMs = this.#asked ? 0 : this.#dueInMs();
      if (waitMs <= 0 || signal.aborted) return;
      using until = eitherOf(signal, this.#woken.signal);
      await sleep(clock, Math.min(waitMs, LOOK_EVERY_MS), until.signal).catch(() => undefined);
    }
  }

  #dueInMs(): number {
    const { credential, now } = this.#options;
    if (!credential.tls) return 0;
    const { renewAfter, endsAt } = credential.tls;
    return renewAfter + (endsAt - renewAfter) * this.#spread - now();
  }
}

function readTls(file: IdentityFile): TlsIdentity {
  const { tls } = readIdentity(JSON.stringify(file), "the certificate that the hub gave");
  if (tls) return tls;
  throw new Fault("identity.invalid", "the hub gave no certificate");
}
