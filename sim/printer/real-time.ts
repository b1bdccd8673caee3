/**
 * Takes the real-time commands out of what a printer receives. A printer obeys them as they come in, ahead of its
 * buffer and wherever they stand: DLE EOT n, DLE ENQ n and DLE DC4.
 */
const DLE = 0x10;
const EOT = 0x04;
const ENQ = 0x05;
const DC4 = 0x14;

/** n of DLE EOT. */
export type RealTimeRequest = 1 | 2 | 3 | 4;
const REQUESTS: readonly RealTimeRequest[] = [1, 2, 3, 4];

/** DLE DC4 fn: how many parameters follow. */
const DC4_PARAMETERS: Readonly<Record<number, number>> = { 1: 2, 2: 2, 3: 5, 7: 1, 8: 7 };

export class RealTimeFilter {
  readonly #onRequest: (request: RealTimeRequest) => void;
  #begun: number[] = [];

  constructor(onRequest: (request: RealTimeRequest) => void) {
    this.#onRequest = onRequest;
  }

  reset(): void {
    this.#begun = [];
  }

  /** What is left for the buffer. Holds the beginning of a possible command back until the next bytes tell. */
  push(chunk: Uint8Array): Uint8Array {
    const left: number[] = [];
    for (const byte of chunk) left.push(...this.#next(byte));
    return Uint8Array.from(left);
  }

  #next(byte: number): readonly number[] {
    this.#begun.push(byte);
    const [lead, name, value] = this.#begun;
    if (lead !== DLE) return this.#release();
    if (name === undefined) return [];
    if (name !== EOT && name !== ENQ && name !== DC4) return this.#rescan();
    if (value === undefined) return [];
    const length = name === DC4 ? 3 + (DC4_PARAMETERS[value] ?? 0) : 3;
    if (this.#begun.length < length) return [];
    this.#begun = [];
    const request = name === EOT ? REQUESTS.find((known) => known === value) : undefined;
    if (request) this.#onRequest(request);
    return [];
  }

  #release(): readonly number[] {
    const bytes = this.#begun;
    this.#begun = [];
    return bytes;
  }

  /** The DLE stood alone; the byte behind it may begin a command of its own. */
  #rescan(): readonly number[] {
    const [first = 0, second = 0] = this.#release();
    return [first, ...this.#next(second)];
  }
}
