/** Sessions and API tokens: random secrets of which only a hash stays here, and who stands behind one that is shown. */
import { hash, timingSafeEqual } from "node:crypto";
import { toHex } from "../../../base/bytes.ts";
import type { Clock } from "../../../base/clock.ts";
import type { RandomBytes } from "../../../base/ids.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { Reading, Within } from "../../store/store.ts";
import { lowerOf, mayAct, type Operator, type Role } from "./roles.ts";
import { operatorStore, type TokenRow } from "./store.ts";

export interface SessionPolicy {
  /** Without a request for so long, a session is over. */
  readonly idleMs: number;
  /** However busy it is. */
  readonly lifeMs: number;
}

export interface NewSession {
  readonly session: string;
  readonly id: string;
  readonly expiresAt: number;
}

export interface NewToken {
  readonly token: string;
  readonly id: string;
  readonly expiresAt: number;
}

export interface TokenInput {
  readonly account: string;
  readonly name: string;
  readonly role: Role;
  readonly days: number;
}

export type Credentials = ReturnType<typeof createCredentials>;

/** Who shows a bearer. */
export interface Shown {
  readonly operator: Operator;
  /** That it was used is to be written again. */
  readonly isDue: boolean;
}

export interface CredentialOptions {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly sessions: SessionPolicy;
}

export const TOKEN_DAYS_MAX = 366;
const DAY_MS = 24 * 3_600_000;
const ID_BYTES = 8;
const SECRET_BYTES = 32;
/** Of one account; a new one ends the oldest. */
const SESSIONS_MAX = 16;
const TOKENS_MAX = 32;
/** The time of last use is written no more often. */
const TOUCH_MS = 60_000;

/** `tws` for a session, `twt` for an API token; what stands before the second point is no secret. */
const BEARER = /^(tw[st])\.([0-9a-f]{16})\.([A-Za-z0-9_-]{43})$/;
const digest = (secret: string): string => hash("sha256", secret, "hex");
const sameHash = (a: string, b: string): boolean => timingSafeEqual(Buffer.from(a, "hex"), Buffer.from(b, "hex"));

export function createCredentials({ clock, random, sessions }: CredentialOptions) {
  const fresh = (kind: "tws" | "twt") => {
    const id = toHex(random(ID_BYTES));
    const secret = Buffer.from(random(SECRET_BYTES)).toString("base64url");
    return { id, secretHash: digest(secret), bearer: `${kind}.${id}.${secret}` };
  };

  async function ofSession(reading: Reading, id: string, secret: string): Promise<Shown | undefined> {
    const row = await operatorStore.session(reading, id);
    const now = clock.now();
    if (!row || !sameHash(row.secretHash, digest(secret))) return undefined;
    if (now >= row.expiresAt || now >= row.usedAt + sessions.idleMs) return undefined;
    const account = await operatorStore.account(reading, row.account);
    if (!account || account.disabledAt !== null) return undefined;
    const operator = { name: account.name, role: account.role, by: "session", credential: id } as const;
    return { operator, isDue: now >= row.usedAt + TOUCH_MS };
  }

  async function ofToken(reading: Reading, id: string, secret: string): Promise<Shown | undefined> {
    const row = await operatorStore.token(reading, id);
    const now = clock.now();
    if (!row || !sameHash(row.secretHash, digest(secret)) || now >= row.expiresAt) return undefined;
    const account = await operatorStore.account(reading, row.account);
    if (!account || account.disabledAt !== null) return undefined;
    const operator = {
      name: account.name,
      role: lowerOf(row.role, account.role),
      by: "token",
      credential: id,
    } as const;
    return { operator, isDue: row.usedAt === null || now >= row.usedAt + TOUCH_MS };
  }

  return {
    /** Undefined for what is unknown, over, or of an account that is disabled. */
    async operatorOf(reading: Reading, bearer: string): Promise<Shown | undefined> {
      const [, kind, id = "", secret = ""] = BEARER.exec(bearer) ?? [];
      if (kind === undefined) return undefined;
      return kind === "tws" ? await ofSession(reading, id, secret) : await ofToken(reading, id, secret);
    },
    /** It was used now. */
    async touch(within: Within, { by, credential = "" }: Operator): Promise<void> {
      if (by === "session") await operatorStore.touchSession(within, credential, clock.now());
      else await operatorStore.touchToken(within, credential, clock.now());
    },
    ...sessionsBy({ clock, fresh: () => fresh("tws"), sessions }),
    ...tokensBy({ clock, fresh: () => fresh("twt") }),
  };
}

interface Making {
  readonly clock: Clock;
  fresh(): { readonly id: string; readonly secretHash: string; readonly bearer: string };
}

const sessionsBy = ({ clock, fresh, sessions }: Making & Pick<CredentialOptions, "sessions">) => ({
  async openSession(within: Within, account: string): Promise<NewSession> {
    const now = clock.now();
    await operatorStore.removeEndedSessions(within, { now, idleSince: now - sessions.idleMs });
    const open = await operatorStore.sessionsOf(within, account);
    for (const { id } of open.slice(SESSIONS_MAX - 1)) await operatorStore.removeSession(within, id);
    const { id, secretHash, bearer } = fresh();
    const expiresAt = now + sessions.lifeMs;
    await operatorStore.insertSession(within, { id, secretHash, account, createdAt: now, usedAt: now, expiresAt });
    return { session: bearer, id, expiresAt };
  },
  endSession: (within: Within, id: string) => operatorStore.removeSession(within, id),
});

const tokensBy = ({ clock, fresh }: Making) => ({
  /** above: the role is more than the account's own. */
  async addToken(
    within: Within,
    { account, name, role, days }: TokenInput,
  ): Promise<Result<NewToken, "unknown" | "above" | "taken" | "full">> {
    const owner = await operatorStore.account(within, account);
    if (!owner) return fail("unknown");
    if (!mayAct(owner.role, role)) return fail("above");
    if ((await operatorStore.tokensOf(within, account)).length >= TOKENS_MAX) return fail("full");
    const { id, secretHash, bearer } = fresh();
    const createdAt = clock.now();
    const expiresAt = createdAt + days * DAY_MS;
    const row = { id, secretHash, account, name, role, createdAt, expiresAt };
    if (!(await operatorStore.insertToken(within, row))) return fail("taken");
    return ok({ token: bearer, id, expiresAt });
  },
  tokensOf: (reading: Reading, account: string): Promise<readonly TokenRow[]> =>
    operatorStore.tokensOf(reading, account),
  /** False where there is none of that name. */
  revokeToken: (within: Within, account: string, name: string): Promise<boolean> =>
    operatorStore.removeToken(within, account, name),
});
