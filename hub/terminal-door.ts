/**
 * Where terminals come in: who a TLS connection's certificate proves to be and what that entitles to now, the first
 * certificate for a claim, and the next one for the present. Both gateways ask here. A hub that stands behind a broker of
 * others gives each certificate a login for it, and leaves who may connect there to that broker.
 */
import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../base/clock.ts";
import type { TerminalId } from "../base/ids.ts";
import { fail, ok, type Result } from "../base/result.ts";
import type { IssuedCertificate, RenewalRequest, TerminalLogin } from "../wire/terminal.ts";
import type { EnrolDesk, Standing, TerminalCertificate, Terminals } from "./core/terminals/index.ts";
import type { RefusalReason } from "./refusals.ts";
import type { HubStore, Reading } from "./store/store.ts";
import type { ProofRefusal, TerminalAuthority } from "./terminal-authority.ts";

export interface Admitted {
  readonly terminalId: TerminalId;
  /** `late`: it may be renewed and send advices, no more (RM18). `revoked`: it may hear that it is. */
  readonly standing: Extract<Standing, "all" | "late" | "revoked">;
  /** When `all` becomes `late`. */
  readonly endsAt: number;
}

export interface TurnedAway {
  readonly reason: RefusalReason;
  /** For the person beside the terminal. */
  readonly words: string;
  /** Whose certificate it was, where it was one of this hub's. */
  readonly terminalId?: TerminalId;
}

/** A connection as a gateway has it. */
export type ShownBy = Pick<TLSSocket, "getPeerX509Certificate">;

/** By what the next certificate is asked for; the secret is of an earlier version. */
export type RenewedBy = { readonly connection: ShownBy } | { readonly bearer: string };

export interface TerminalDoor extends EnrolDesk {
  admit(connection: ShownBy): Promise<Result<Admitted, TurnedAway>>;
  /** For a terminal that the caller has recognised. A text says what is wrong with the request itself. */
  renew(request: RenewalRequest, by: RenewedBy): Promise<Result<IssuedCertificate, TurnedAway | string>>;
}

export interface DoorOptions {
  readonly store: HubStore;
  readonly terminals: Terminals;
  readonly authority: TerminalAuthority;
  readonly clock: Clock;
  /** What a terminal is to say to the broker that stands before this hub, where one does. */
  loginOf?(terminalId: TerminalId, valid: { readonly from: number; readonly to: number }): TerminalLogin | undefined;
  /** A certificate was shown whose successor is in use: two hold one identity. */
  onCopy(terminalId: TerminalId): void;
}

/** Of the life of a certificate; the rest is for hubs that are away and terminals that lie in a drawer. */
const RENEW_AFTER_SHARE = 2 / 3;

export function createTerminalDoor(options: DoorOptions): TerminalDoor {
  const { store, terminals, authority, clock, onCopy } = options;
  const { certificates } = terminals;
  const proofs = new WeakMap<ShownBy, Result<TerminalCertificate, ProofRefusal>>();
  /** A connection shows one certificate for as long as it lasts. */
  const proofOf = (connection: ShownBy) => {
    const known = proofs.get(connection) ?? authority.prove(shownBy(connection));
    proofs.set(connection, known);
    return known;
  };
  const issue = (terminalId: TerminalId, csr: string) => authority.issue({ terminalId, csr, now: clock.now() });

  const told = ({ terminalId, pem, issuedAt, endsAt }: TerminalCertificate): IssuedCertificate => {
    const login = options.loginOf?.(terminalId, { from: clock.now(), to: endsAt });
    return {
      pem,
      renewAfter: new Date(issuedAt + (endsAt - issuedAt) * RENEW_AFTER_SHARE).toISOString(),
      ...(login && { login }),
    };
  };

  /** Only the first time that a certificate is shown costs a commit. */
  async function standingOf(shown: TerminalCertificate): Promise<Standing> {
    const now = clock.now();
    const { standing, isFirst } = await store.read((reading) => certificates.standing(reading, shown, now));
    return isFirst ? await store.transaction((within) => certificates.use(within, shown, now)) : standing;
  }

  /** What keeps a terminal from its next certificate. */
  async function hindrance(reading: Reading, terminalId: TerminalId, by: RenewedBy): Promise<TurnedAway | undefined> {
    if (await terminals.isRevoked(reading, terminalId)) return { ...REVOKED, terminalId };
    if ("bearer" in by)
      return (await terminals.holdsBearer(reading, terminalId, by.bearer)) ? undefined : UNPROVEN.missing;
    const proof = proofOf(by.connection);
    if (!proof.ok) return UNPROVEN[proof.error];
    const { standing } = await certificates.standing(reading, proof.value, clock.now());
    return isInForce(standing) ? undefined : { ...NOT_IN_FORCE[standing], terminalId };
  }

  return {
    async admit(connection) {
      const proof = proofOf(connection);
      if (!proof.ok) return fail(UNPROVEN[proof.error]);
      const { terminalId, endsAt } = proof.value;
      const standing = await standingOf(proof.value);
      if (standing === "copy") onCopy(terminalId);
      return isInForce(standing)
        ? ok({ terminalId, standing, endsAt })
        : fail({ ...NOT_IN_FORCE[standing], terminalId });
    },

    async enrol({ csr, ...redemption }) {
      const claimed = await store.read((reading) => terminals.claimed(reading, redemption));
      if (!claimed.ok) return claimed;
      const issued = await issue(claimed.value, csr);
      if (!issued.ok) return fail({ reason: "E_FORMAT", detail: issued.error });
      const enrolled = await store.transaction((within) => terminals.enrol(within, redemption, issued.value));
      return enrolled.ok ? ok({ ...enrolled.value, certificate: told(issued.value) }) : enrolled;
    },

    async renew({ terminalId, csr }, by) {
      const issued = await issue(terminalId, csr);
      if (!issued.ok) return issued;
      return await store.transaction(async (within) => {
        // Seen only here, as the terminal may have been revoked or enrolled anew while the certificate was made.
        const turned = await hindrance(within, terminalId, by);
        if (turned) return fail(turned);
        const waiting = await certificates.waiting(within, terminalId, issued.value.keyDigest);
        if (!waiting) await certificates.renewed(within, issued.value);
        return ok(told(waiting ?? issued.value));
      });
    },
  };
}

type InForce = Admitted["standing"];
const isInForce = (standing: Standing): standing is InForce =>
  standing === "all" || standing === "late" || standing === "revoked";

/** Node shows none as undefined, though its types do not say so of a server's side. */
const shownBy = (connection: ShownBy): X509Certificate | undefined => connection.getPeerX509Certificate();

const UNPROVEN: Readonly<Record<ProofRefusal, TurnedAway>> = {
  missing: { reason: "identity", words: "a terminal shows its certificate here; enrol this one" },
  authority: {
    reason: "certificate",
    words: "the certificate is none of this hub's authority; enrol this terminal here",
  },
  form: { reason: "certificate", words: "the certificate is none of a terminal" },
};

const NOT_IN_FORCE: Readonly<Record<Exclude<Standing, InForce>, TurnedAway>> = {
  copy: {
    reason: "copy",
    words:
      "another certificate has replaced this one and is in use, so two boxes hold one identity; enrol this one anew",
  },
  closed: { reason: "certificate", words: "this terminal was enrolled anew since; enrol this box again" },
  unknown: { reason: "identity", words: "no such terminal is enrolled here; enrol it" },
};

/** Of one that is admitted, for what it may not do. */
export const LATE: TurnedAway = {
  reason: "expired",
  words: "this terminal's certificate has ended: it may be renewed over HTTPS, and send what it has stored",
};
export const REVOKED: TurnedAway = {
  reason: "revoked",
  words: "this terminal is revoked; the operator can restore it",
};
export const foreignWords = (terminalId: TerminalId, named: string): TurnedAway => ({
  reason: "foreign",
  words: `the certificate of ${terminalId} does not speak for "${named.slice(0, NAME_SHOWN_MAX)}"`,
});
const NAME_SHOWN_MAX = 64;
