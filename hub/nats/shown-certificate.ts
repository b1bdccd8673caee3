/** Looks at the certificate that a server shows, as a terminal would see it. */
import { isIP } from "node:net";
import { connect } from "node:tls";
import { abortFault, type Clock, deadline } from "../../base/clock.ts";
import { Fault, reasonOf } from "../../base/fault.ts";

const LOOK_LIMIT_MS = 5_000;

export interface Look {
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** When it ends, milliseconds since 1970; it is not believed in any other way. Throws Fault `transport.*`, or the signal's. */
export function shownUntil({ host, port, clock, signal }: Look): Promise<number> {
  return new Promise<number>((resolve, reject) => {
    const limit = deadline(clock, LOOK_LIMIT_MS, signal);
    const onAbort = () => end(() => reject(abortFault(limit.signal)));
    // An ended certificate is what is looked for.
    const socket = connect({ host, port, rejectUnauthorized: false, ...(isIP(host) === 0 && { servername: host }) });
    const end = (settle: () => void) => {
      limit.signal.removeEventListener("abort", onAbort);
      limit[Symbol.dispose]();
      socket.destroy();
      settle();
    };
    socket.once("secureConnect", () => {
      const { valid_to } = socket.getPeerCertificate();
      end(() => resolve(Date.parse(valid_to)));
    });
    socket.on("error", (error) =>
      end(() => reject(new Fault("transport.failed", `${host}:${port}: ${reasonOf(error)}`, { cause: error }))),
    );
    limit.signal.addEventListener("abort", onAbort, { once: true });
    if (limit.signal.aborted) onAbort();
  });
}
