/**
 * Keeps what the brokers know of this hub's account in step with the hub's book: the account itself, and whose logins are
 * good no more. A broker ends the connections under such a login the moment that it hears it is on that list.
 */
import { z } from "zod";
import { type Clock, eitherOf, sleep } from "../../base/clock.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import { firstIssue, parseJson } from "../../wire/signing.ts";
import type { BrokerAuthority, EndedLogins } from "./broker-authority.ts";

export interface AccountKeeperOptions {
  readonly authority: Pick<BrokerAuthority, "account">;
  /** As the book has it now. */
  ended(): Promise<readonly EndedLogins[]>;
  /** Gives the brokers an account; their answer. Throws Fault `transport.failed`. */
  push(account: string): Promise<string>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Another replica may have revoked, or pushed an older list after a newer one. */
const LOOK_EVERY_MS = 10_000;
/** While others revoke at the same time. */
const PUSHES_MAX = 5;

/** Of the several that answer the first; what one of them could not take the others bring it. */
const AnswerSchema = z.object({ data: z.object({ code: z.int() }).optional(), error: z.unknown().optional() });
const TAKEN = 200;

export class AccountKeeper {
  readonly #options: AccountKeeperOptions;
  #pushed: string | undefined;
  #woken = new AbortController();

  constructor(options: AccountKeeperOptions) {
    this.#options = options;
  }

  /** A terminal was revoked, restored or enrolled again. */
  wake(): void {
    this.#woken.abort();
  }

  /** Brings the brokers what they do not have yet. Throws Fault `transport.failed`, `store.failed`. */
  async bring(): Promise<void> {
    const { authority, ended, push, clock } = this.#options;
    for (let pushes = 0; pushes < PUSHES_MAX; pushes += 1) {
      const list = await ended();
      const text = JSON.stringify(list);
      if (text === this.#pushed) return;
      const answer = AnswerSchema.safeParse(parseJson(await push(authority.account(list, clock.now()))));
      if (!answer.success || answer.data.data?.code !== TAKEN)
        throw new Fault(
          "transport.failed",
          `NATS did not take this hub's account: ${answer.success ? JSON.stringify(answer.data.error) : firstIssue(answer.error)}; configure it with the files of "tillway hub broker"`,
        );
      this.#pushed = text;
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      using until = eitherOf(signal, this.#woken.signal);
      await sleep(clock, LOOK_EVERY_MS, until.signal).catch(() => undefined);
      this.#woken = new AbortController();
      if (signal.aborted) return;
      try {
        await this.bring();
      } catch (error) {
        log.warn("the brokers could not be told who is revoked; the hub itself refuses them", { why: reasonOf(error) });
      }
    }
  }
}
