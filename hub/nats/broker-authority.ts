/**
 * The hub's word on who may do what at NATS: its operator's and accounts' keys, the logins of terminals and the list of those
 * whose logins are good no more. Every replica of a hub holds the same keys.
 */
import { createHash, sign } from "node:crypto";
import { join } from "node:path";
import { ID_PATTERN, type TerminalId } from "../../base/ids.ts";
import { newSigningKeys, type SigningKeys } from "../../wire/signing.ts";
import type { TerminalLogin } from "../../wire/terminal.ts";
import { downFilter, UP_STREAM_OF, upTopic } from "../../wire/topics.ts";
import { loadSigningKeys } from "../keys.ts";
import { accountJwt, operatorJwt, userJwt } from "./claims.ts";
import type { Authenticator } from "./nats-link.ts";
import { nkeyOf, nkeyText } from "./nkeys.ts";

export interface EndedLogins {
  readonly id: TerminalId;
  /** What was issued to it up to then is good no more. Milliseconds since 1970. */
  readonly upTo: number;
}

export interface BrokerAuthority {
  /** What the servers are configured with. */
  readonly operator: string;
  readonly systemAccount: { readonly name: string; readonly jwt: string };
  /** Undefined for an id that cannot stand in an MQTT topic there: such a terminal speaks over HTTPS. */
  loginOf(terminalId: TerminalId, valid: { readonly from: number; readonly to: number }): TerminalLogin | undefined;
  /** The account of terminals and hub. */
  account(ended: readonly EndedLogins[], now: number): string;
  hubUser(now: number): Authenticator;
  /** May change accounts. */
  systemUser(now: number): Authenticator;
}

/** Everything that a terminal may publish. */
const UP_STREAMS = [...new Set(Object.values(UP_STREAM_OF))];
const CLIENT_ID_HEX_DIGITS = 32;

/** Reads the keys under `folder`, or makes them at the first start. Throws Fault `identity.invalid`. */
export function loadBrokerAuthority(folder: string): BrokerAuthority {
  const keys = (name: string) => loadSigningKeys(join(folder, `nats-${name}.key`));
  return brokerAuthority({ operator: keys("operator"), account: keys("account"), system: keys("system") });
}

export interface BrokerKeys {
  readonly operator: SigningKeys;
  readonly account: SigningKeys;
  readonly system: SigningKeys;
}

export function brokerAuthority({ operator, account, system }: BrokerKeys): BrokerAuthority {
  const accountName = nkeyOf("account", account.publicKey);
  const systemName = nkeyOf("account", system.publicKey);
  const systemClaims = { subject: systemName, name: "tillway-system", issuedAt: 0, mayStore: false };
  return {
    // Of no date, so that every replica says the same.
    operator: operatorJwt(operator, systemName, 0),
    systemAccount: { name: systemName, jwt: accountJwt(systemClaims, operator) },
    loginOf(terminalId, { from, to }) {
      if (!ID_PATTERN.test(terminalId) || terminalId.includes(".")) return undefined;
      const claims = { subject: userName(terminalId), name: terminalId, bearer: true, connections: ["MQTT"] as const };
      const publish = { allow: UP_STREAMS.map((stream) => subjectOf(upTopic(terminalId, stream))) };
      const subscribe = { allow: [subjectOf(downFilter(terminalId))] };
      const password = userJwt({ ...claims, publish, subscribe, issuedAt: from, endsAt: to }, account);
      // Who knows another's client id can end his connection, so it is as secret as the password.
      const clientId = createHash("sha256").update(password).digest("hex").slice(0, CLIENT_ID_HEX_DIGITS);
      return { clientId, username: terminalId, password };
    },
    account: (ended, now) =>
      accountJwt(
        {
          subject: accountName,
          name: "tillway",
          issuedAt: now,
          mayStore: true,
          revoked: new Map(ended.map(({ id, upTo }) => [userName(id), upTo])),
        },
        operator,
      ),
    hubUser: (now) => signingUser("tillway-hub", account, now),
    systemUser: (now) => signingUser("tillway-hub", system, now),
  };
}

/** A name and no key: nobody signs as a terminal, and every login of one terminal is revoked with it. */
const userName = (terminalId: TerminalId): string =>
  nkeyText("user", createHash("sha256").update(`tillway terminal ${terminalId}`).digest());

/** A topic or filter of MQTT as NATS writes it. */
export const subjectOf = (topic: string): string => topic.replaceAll("/", ".").replace(/\+/g, "*");

/** With a key that lives as long as this process. */
function signingUser(name: string, account: SigningKeys, now: number): Authenticator {
  const keys = newSigningKeys();
  const nkey = nkeyOf("user", keys.publicKey);
  const jwt = userJwt({ subject: nkey, name, bearer: false, connections: ["STANDARD"], issuedAt: now }, account);
  return (nonce = "") => ({ jwt, nkey, sig: sign(null, Buffer.from(nonce), keys.privateKey).toString("base64url") });
}
