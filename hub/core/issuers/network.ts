/** What the hub says to an issuer about the link itself: class 8. */
import { type NetworkRequest, networkFields } from "../../../protocols/iso8583/editions.ts";
import { transmissionDateTime } from "../../../protocols/iso8583/exchange.ts";
import { DE, type Iso8583Message } from "../../../protocols/iso8583/message.ts";
import type { MtiVersion } from "../../../protocols/iso8583/spec.ts";

/** What makes one message unlike any other of its sender. */
export interface Trace {
  /** DE 11. */
  readonly stan: string;
  /** DE 7, in milliseconds since 1970. */
  readonly transmittedAt: number;
}

export interface NetworkMessage {
  readonly version: MtiVersion;
  readonly what: NetworkRequest;
  readonly trace: Trace;
  /** DE 32. */
  readonly acquirerId: string;
}

/** 0800 (RM14). */
export const networkMessage = ({ version, what, trace, acquirerId }: NetworkMessage): Iso8583Message => ({
  mti: `${version}800`,
  fields: {
    [DE.transmissionDateTime]: transmissionDateTime(trace.transmittedAt),
    [DE.stan]: trace.stan,
    [DE.acquirer]: acquirerId,
    ...networkFields(version, what),
  },
});
