/** The hub's operators over its store and keys: in the running hub, and in a command that works on its files. */
import { createHmac } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import type { RandomBytes } from "../base/ids.ts";
import type { HubConfig } from "./config.ts";
import { createOperators, type Operators } from "./core/operators/index.ts";
import type { HubKeys } from "./keys.ts";
import type { HubStore } from "./store/store.ts";

export interface OpenOperators {
  readonly config: HubConfig;
  readonly store: HubStore;
  readonly keys: HubKeys;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** Absent where the token in the data folder is not taken. */
  readonly bootstrapToken?: string;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

export const openOperators = ({ config, keys, ...parts }: OpenOperators): Operators =>
  createOperators({
    ...parts,
    signing: keys.signing,
    secret: new Uint8Array(createHmac("sha256", keys.tokenKey).update("tillway/v1/operators").digest()),
    sessions: {
      idleMs: config.operators.sessionIdleMinutes * MINUTE_MS,
      lifeMs: config.operators.sessionHours * HOUR_MS,
    },
  });
