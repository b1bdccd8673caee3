/** Operators: who may ask the hub for what, and the log of what they did. */
import type { KeyObject } from "node:crypto";
import type { Clock } from "../../../base/clock.ts";
import type { RandomBytes } from "../../../base/ids.ts";
import { sameSecret } from "../../http.ts";
import type { HubStore } from "../../store/store.ts";
import { type Accounts, createAccounts } from "./accounts.ts";
import { type Audit, createAudit } from "./audit.ts";
import { type Credentials, createCredentials, type SessionPolicy } from "./credentials.ts";
import { createPasswords, type Passwords } from "./passwords.ts";
import { createRefusedLog, type RefusedLog } from "./refused-log.ts";
import { createRepeats, type Repeats } from "./repeats.ts";
import { BOOTSTRAP, type Operator } from "./roles.ts";

export interface OperatorsOptions {
  readonly store: HubStore;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly signing: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
  /** 32 bytes that only this hub and this service know. */
  readonly secret: Uint8Array;
  readonly sessions: SessionPolicy;
  /** The token in the hub's data folder; absent where it is not taken any more. */
  readonly bootstrapToken?: string;
}

export interface Operators {
  readonly store: HubStore;
  readonly accounts: Accounts;
  readonly credentials: Credentials;
  readonly passwords: Passwords;
  readonly audit: Audit;
  readonly refused: RefusedLog;
  readonly repeats: Repeats;
  /** Who shows this bearer; undefined for nobody. */
  authenticate(bearer: string): Promise<Operator | undefined>;
}

export function createOperators(options: OperatorsOptions): Operators {
  const { store, clock, random, bootstrapToken } = options;
  const passwords = createPasswords(random);
  const credentials = createCredentials(options);
  const audit = createAudit(options);
  return {
    store,
    accounts: createAccounts({ store, clock, passwords }),
    credentials,
    passwords,
    audit,
    refused: createRefusedLog({ store, audit, clock }),
    repeats: createRepeats(options),
    async authenticate(bearer) {
      if (bootstrapToken !== undefined && sameSecret(bearer, bootstrapToken)) return BOOTSTRAP;
      const shown = await store.read((reading) => credentials.operatorOf(reading, bearer));
      if (shown?.isDue) await store.transaction((within) => credentials.touch(within, shown.operator));
      return shown?.operator;
    },
  };
}
