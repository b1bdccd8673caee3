/** What a driver is to the catalogue: the URI schemes it answers to, and how it opens. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { OpenDevice } from "./capability.ts";

export interface DriverContext {
  readonly clock: Clock;
  readonly log: Log;
  /** Of this process; drivers take from it by name, and a device host gets no more than that. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

export interface Driver {
  readonly scheme: string;
  /** For `tillway doctor` and refusals: what such a URI looks like. */
  readonly example: string;
  /** Loads the driver's code, which nothing does before a URI asks for it. */
  load(context: DriverContext): Promise<OpenDevice>;
}
