/** TLS connections that are proven before anyone can write a secret into them. */
import { connect, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { abortFault } from "../../base/clock.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import type { TlsIdentity } from "../identity.ts";

export interface TlsTarget {
  readonly host: string;
  readonly port: number;
}

/** Host and port of a URL; IPv6 literals without their brackets, as sockets want them. */
export function targetOf(url: string, defaultPort: number): TlsTarget {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? defaultPort : Number(port) };
}

export interface TlsOptions extends TlsTarget {
  /** The only authority believed, as PEM; absent to look at what a server shows without believing it. */
  readonly caCertificate?: string;
  /** What this side shows of itself. */
  readonly tls?: TlsIdentity | undefined;
  readonly signal: AbortSignal;
}

interface Kept {
  readonly caCertificate: string;
  readonly certificate: string | undefined;
  readonly context: SecureContext;
}
let kept: Kept | undefined;

/** One context for the terminal's one authority and certificate: to make it anew for each try would hold up a sale. */
export function contextOf(caCertificate: string, tls: TlsIdentity | undefined): SecureContext {
  const certificate = tls?.certificate;
  if (kept?.caCertificate !== caCertificate || kept.certificate !== certificate) {
    const own = tls ? { key: tls.key, cert: tls.certificate } : {};
    const context = createSecureContext({ ca: caCertificate, minVersion: "TLSv1.2", ...own });
    kept = { caCertificate, certificate, context };
  }
  return kept.context;
}

/**
 * Resolves when the handshake is done and, with an authority given, chain and host name fit it. Throws Fault
 * `uplink.down`, or what the signal was aborted with.
 */
export function connectTls({ host, port, caCertificate, tls, signal }: TlsOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortFault(signal));
    const trust =
      caCertificate === undefined ? { rejectUnauthorized: false } : { secureContext: contextOf(caCertificate, tls) };
    const socket = connect({ host, port, ...trust, minVersion: "TLSv1.2" });
    socket.setNoDelay(true);
    const end = () => {
      socket.off("secureConnect", onSecure);
      socket.off("close", onClose);
      signal.removeEventListener("abort", onAbort);
    };
    const refuse = (fault: Fault) => {
      end();
      socket.destroy();
      reject(fault);
    };
    const onAbort = () => refuse(abortFault(signal));
    const onClose = () =>
      refuse(new Fault("uplink.down", `${host}:${port} closed the connection during the handshake`));
    const onSecure = () => {
      end();
      resolve(socket);
    };
    // Stays for the life of the socket: an error without a listener would end the process.
    socket.on("error", (error) => refuse(connectFault({ host, port }, error)));
    socket.once("secureConnect", onSecure);
    socket.once("close", onClose);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** What OpenSSL and Node call certificates that do not fit the authority, the name or the date. */
const CERTIFICATE_CODE = /CERT|ISSUER|VERIFY|SIGNATURE|ALTNAME/;

/** Why a connection did not come about, with the mend. */
export function connectFault({ host, port }: TlsTarget, error: unknown): Fault {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const mend = CERTIFICATE_CODE.test(code)
    ? "its certificate is not one of the hub that this terminal was enrolled with; if the hub was set up anew, enrol again"
    : "check that the hub runs and that the network lets this port through";
  return new Fault("uplink.down", `cannot connect to ${host}:${port}: ${reasonOf(error)}; ${mend}`, { cause: error });
}
