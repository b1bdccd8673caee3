/**
 * Watches the lengths that MQTT packets announce (MQTT 3.1.1, 2.2.3), so that a peer cannot make the hub buffer more than
 * its limit: the parser behind it keeps a packet until it is whole.
 */
const LENGTH_BYTES_MAX = 4;

export class MqttSizeGuard {
  #limit: number;
  /** Bytes of the present packet that are still to come. */
  #skip = 0;
  #length = 0;
  #lengthBytes = 0;
  #inLength = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get limit(): number {
    return this.#limit;
  }

  /** For packets from now on, such as those of a peer who has said who he is. */
  raise(limit: number): void {
    this.#limit = limit;
  }

  /** False when a packet is longer than the limit, or its length is malformed. */
  accepts(chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
        continue;
      }
      const byte = chunk[at] ?? 0;
      at += 1;
      if (!this.#inLength) {
        this.#inLength = true;
        this.#length = 0;
        this.#lengthBytes = 0;
        continue;
      }
      this.#length += (byte & 0x7f) * 128 ** this.#lengthBytes;
      this.#lengthBytes += 1;
      if ((byte & 0x80) !== 0) {
        if (this.#lengthBytes >= LENGTH_BYTES_MAX) return false;
        continue;
      }
      if (this.#length > this.#limit) return false;
      this.#inLength = false;
      this.#skip = this.#length;
    }
    return true;
  }
}
