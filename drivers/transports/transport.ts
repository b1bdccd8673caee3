/** A byte pipe to one physical thing. Knows no protocol. */
export interface Transport extends AsyncDisposable {
  /** The port as the system names it. */
  readonly name: string;
  /** Aborts with the Fault that ended the pipe. */
  readonly closed: AbortSignal;
  /** Every chunk as it comes; listeners see all bytes, nothing is buffered for a late one. */
  onReceived(listener: (chunk: Uint8Array) => void): () => void;
  /** Resolves when the operating system took the bytes, which is not yet when the device has them. */
  write(bytes: Uint8Array, signal: AbortSignal): Promise<void>;
}
