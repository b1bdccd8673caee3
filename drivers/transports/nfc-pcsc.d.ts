/** What we use of nfc-pcsc 0.8, which has no types of its own. */
declare module "nfc-pcsc" {
  import type { EventEmitter } from "node:events";

  /** The reader of @pokusew/pcsclite below. */
  export interface PcscliteReader extends EventEmitter {
    readonly SCARD_STATE_PRESENT: number;
    readonly SCARD_STATE_MUTE: number;
    readonly SCARD_UNPOWER_CARD: number;
    readonly connected: boolean;
    disconnect(disposition: number, callback: (error: unknown) => void): void;
    close(): void;
  }

  export interface Card {
    readonly atr?: Buffer;
  }

  export interface Reader extends EventEmitter {
    readonly name: string;
    readonly reader: PcscliteReader;
    autoProcessing: boolean;
    /** Throws at once when no card is connected. */
    transmit(data: Buffer, responseMaxLength: number): Promise<Buffer>;
    on(event: "card" | "card.off", listener: (card: Card) => void): this;
    on(event: "error", listener: (error: unknown) => void): this;
    on(event: "end", listener: () => void): this;
  }

  export class NFC extends EventEmitter {
    on(event: "reader", listener: (reader: Reader) => void): this;
    on(event: "error", listener: (error: unknown) => void): this;
    close(): void;
  }
}
