/**
 * What NATS believes of whom, as its decentralised authorisation has it: an operator vouches for accounts and an account for
 * users, each in a JWT signed with Ed25519. A terminal's right to its own topics is such a text, so that no server keeps a
 * list of terminals.
 */
import { createHash, type KeyObject, sign } from "node:crypto";
import type { SigningKeys } from "../../wire/signing.ts";
import { base32, nkeyOf } from "./nkeys.ts";

/** What one side may publish or hear; all where it is absent. */
export interface Permission {
  readonly allow: readonly string[];
}

export interface UserClaims {
  /** The nkey of the user. */
  readonly subject: string;
  readonly name: string;
  /** Who holds the text is the user; else he signs with the subject's key. */
  readonly bearer: boolean;
  readonly connections?: readonly ("MQTT" | "STANDARD")[];
  readonly publish?: Permission;
  readonly subscribe?: Permission;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
  readonly endsAt?: number;
}

export interface AccountClaims {
  readonly subject: string;
  readonly name: string;
  readonly issuedAt: number;
  readonly mayStore: boolean;
  /** Users by nkey: what was issued to one up to that time is good no more. */
  readonly revoked?: ReadonlyMap<string, number>;
}

const HEADER = { typ: "JWT", alg: "ed25519-nkey" };
const VERSION = 2;
const NO_LIMIT = -1;
const MS_PER_SEC = 1_000;
const seconds = (ms: number): number => Math.floor(ms / MS_PER_SEC);
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

interface Body {
  readonly iat: number;
  readonly exp?: number;
  readonly iss: string;
  readonly sub: string;
  readonly name: string;
  readonly nats: Readonly<Record<string, unknown>>;
}

function signed(body: Body, key: KeyObject): string {
  const jti = base32(createHash("sha512-256").update(JSON.stringify(body)).digest());
  const text = `${encode(HEADER)}.${encode({ jti, ...body })}`;
  return `${text}.${sign(null, Buffer.from(text), key).toString("base64url")}`;
}

const NO_USER_LIMITS = { subs: NO_LIMIT, data: NO_LIMIT, payload: NO_LIMIT };

export function userJwt(claims: UserClaims, account: SigningKeys): string {
  const { subject, name, bearer, connections, publish, subscribe, issuedAt, endsAt } = claims;
  const nats = {
    ...NO_USER_LIMITS,
    pub: publish ?? {},
    sub: subscribe ?? {},
    ...(bearer ? { bearer_token: true } : {}),
    ...(connections ? { allowed_connection_types: connections } : {}),
    type: "user",
    version: VERSION,
  };
  const iss = nkeyOf("account", account.publicKey);
  const exp = endsAt === undefined ? {} : { exp: seconds(endsAt) };
  return signed({ iat: seconds(issuedAt), ...exp, iss, sub: subject, name, nats }, account.privateKey);
}

export function accountJwt(claims: AccountClaims, operator: SigningKeys): string {
  const { subject, name, issuedAt, mayStore, revoked = new Map<string, number>() } = claims;
  const storage = { mem_storage: NO_LIMIT, disk_storage: NO_LIMIT, streams: NO_LIMIT, consumer: NO_LIMIT };
  const nats = {
    limits: {
      ...NO_USER_LIMITS,
      imports: NO_LIMIT,
      exports: NO_LIMIT,
      wildcards: true,
      conn: NO_LIMIT,
      leaf: NO_LIMIT,
      ...(mayStore ? storage : {}),
    },
    revocations: Object.fromEntries([...revoked].map(([user, at]) => [user, seconds(at)])),
    default_permissions: { pub: {}, sub: {} },
    type: "account",
    version: VERSION,
  };
  const iss = nkeyOf("operator", operator.publicKey);
  return signed({ iat: seconds(issuedAt), iss, sub: subject, name, nats }, operator.privateKey);
}

export function operatorJwt(operator: SigningKeys, systemAccount: string, issuedAt: number): string {
  const self = nkeyOf("operator", operator.publicKey);
  const nats = { system_account: systemAccount, type: "operator", version: VERSION };
  return signed({ iat: seconds(issuedAt), iss: self, sub: self, name: "tillway", nats }, operator.privateKey);
}
