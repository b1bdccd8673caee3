/** What the rest of the hub asks of the way on which terminals hold a connection: its own listener, or a broker of others. */
import type { TerminalId } from "../base/ids.ts";
import type { DownEnvelope } from "../wire/envelope.ts";

/** PEM. */
export interface ServerTls {
  readonly key: string;
  readonly chain: string;
  readonly caCertificate: string;
}

export interface DeviceGateway extends AsyncDisposable {
  /** Where terminals connect to. */
  readonly port: number;
  /** The certificate of connections from now on, where it is this hub that shows one. */
  renewTls(tls: ServerTls): void;
  /**
   * When the certificate ends that terminals are shown, milliseconds since 1970; absent where it is this hub that shows one.
   * Throws Fault `transport.failed`, or what the signal was aborted with.
   */
  shownUntil?(signal: AbortSignal): Promise<number>;
  isConnected(terminalId: TerminalId): boolean;
  connected(): readonly TerminalId[];
  /** To the terminal's session, if it has one; nothing is kept for one that has none (RM2). */
  push(envelope: DownEnvelope): void;
  /**
   * Ends the session of a box that may not speak any more, once what was pushed before has arrived, or shortly after. Where
   * the hub itself has the connection, nothing that comes on it is taken from now on.
   */
  end(terminalId: TerminalId): void;
}
