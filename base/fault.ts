/** Operating errors. The code is the contract that callers switch on; the message is for people. */
export const FAULT_CODES = [
  "codec.truncated",
  "codec.invalid",
  "codec.too-long",
  "transport.closed",
  "transport.timeout",
  "transport.failed",
  "device.absent",
  "device.hung",
  "device.busy",
  "device.protocol",
  "card.removed",
  "card.mute",
  "config.invalid",
  "config.missing",
  "package.missing",
  "lock.held",
  "journal.busy",
  "journal.full",
  "journal.failed",
  "journal.corrupt",
  "payment.archived",
  "store.failed",
  "uplink.down",
  "uplink.timeout",
  "uplink.refused",
  "identity.missing",
  "identity.invalid",
  "identity.revoked",
  "signature.invalid",
  "seal.invalid",
  "message.invalid",
  "queue.full",
  "fence.stale",
  "aborted",
] as const;
export type FaultCode = (typeof FAULT_CODES)[number];

export interface FaultOptions {
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

export class Fault extends Error {
  override readonly name = "Fault";
  readonly code: FaultCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: FaultCode, message: string, options: FaultOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** Narrows to a Fault, and to one of the given codes when any are given. */
export function isFault(error: unknown, ...codes: readonly FaultCode[]): error is Fault {
  return error instanceof Fault && (codes.length === 0 || codes.includes(error.code));
}

/** The text of any thrown value. Some native modules throw errors without a message. */
export function reasonOf(error: unknown): string {
  if (error instanceof Error) return error.message || error.name;
  return typeof error === "string" ? error : `a thrown ${typeof error}`;
}
