/** What this terminal shows of itself in TLS. A renewal exchanges it while connections come and go. */
import { abortFault } from "../../base/clock.ts";
import type { TlsIdentity } from "../identity.ts";

export class Credential {
  readonly #listeners = new Set<() => void>();
  #tls: TlsIdentity | undefined;

  constructor(tls: TlsIdentity | undefined) {
    this.#tls = tls;
  }

  /** Absent until a terminal that an earlier version enrolled has its first one. */
  get tls(): TlsIdentity | undefined {
    return this.#tls;
  }

  /** Whoever listens connects anew. */
  exchange(tls: TlsIdentity): void {
    this.#tls = tls;
    for (const listener of [...this.#listeners]) listener();
  }

  onExchange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when there is one. Throws Fault `aborted` when the signal ends the wait. */
  ready(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#tls) return resolve();
      if (signal.aborted) return reject(abortFault(signal));
      const end = () => {
        stop();
        signal.removeEventListener("abort", onAbort);
      };
      const onAbort = () => {
        end();
        reject(abortFault(signal));
      };
      const stop = this.onExchange(() => {
        end();
        resolve();
      });
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }
}
