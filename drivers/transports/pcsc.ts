/**
 * Readers and cards through the PC/SC service, by nfc-pcsc. Runs only in a device host, because the native part can block
 * its process for ever: while the service is down, and while a card holds a command without answering.
 */
import { connect } from "node:net";
import type { Card, NFC, Reader } from "nfc-pcsc";
import { type Clock, sleep } from "../../base/clock.ts";
import { Fault, reasonOf } from "../../base/fault.ts";

/** Where pcscd listens unless its clients are told otherwise. */
export const PCSCD_SOCKET = "/run/pcscd/pcscd.comm";

export interface PcscOptions {
  /** `*` for any reader, else a reader's name with or without its slot numbers. */
  readonly reader: string;
  /** Of pcscd. Only looked at here; libpcsclite itself goes by the environment of the process. */
  readonly socket: string;
  readonly clock: Clock;
  readonly on: PcscListener;
}

export interface PcscListener {
  /** Each insertion has its own number. */
  cardIn(card: number, atr: Uint8Array): void;
  cardOut(card: number): void;
  /** Something is in the reader that does not answer its reset. */
  cardUnreadable(reader: string): void;
  /** The service or the last reader is gone; nothing follows. */
  lost(fault: Fault): void;
}

export interface Pcsc {
  /** Names of the readers at the start. */
  readonly readers: readonly string[];
  /** Rejects with a Fault `card.removed`, `transport.closed` or `device.protocol`. Has no time limit of its own. */
  transmit(card: number, command: Uint8Array): Promise<Uint8Array>;
  /** Takes the power off a card that stays in the reader. */
  release(card: number): void;
  /** True when the native part would block on closing, because a card still owes an answer. */
  readonly busy: boolean;
  close(): void;
}

const SERVICE_ANSWERS_WITHIN_MS = 2_000;
const READERS_WITHIN_MS = 1_500;
const READERS_POLL_MS = 20;
const CARD_ANSWERS_RESET_WITHIN_MS = 3_000;
/** A short response and its status word. */
const RESPONSE_BYTES_MAX = 258;

export async function openPcsc(options: PcscOptions): Promise<Pcsc> {
  await serviceAnswers(options);
  const { NFC } = await loadNfcPcsc();
  const pcsc = new PcscReaders(connectTo(NFC), options);
  try {
    await pcsc.readersPresent();
  } catch (error) {
    pcsc.close();
    throw error;
  }
  return pcsc;
}

async function loadNfcPcsc(): Promise<{ NFC: new () => NFC }> {
  try {
    return await import("nfc-pcsc");
  } catch (error) {
    throw new Fault(
      "package.missing",
      `nfc-pcsc cannot be loaded (${firstLine(error)}): install libpcsclite-dev and run npm install again`,
    );
  }
}

function connectTo(Nfc: new () => NFC): NFC {
  try {
    return new Nfc();
  } catch (error) {
    const mend = "if access is denied, allow this user in pcscd's polkit rules";
    throw new Fault("transport.failed", `pcscd refuses us (${firstLine(error)}): ${mend}`);
  }
}

/** Asked before the native part starts, which would wait for a missing service for ever. */
function serviceAnswers({ socket, clock }: PcscOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = connect(socket);
    const fail = (why: string) => {
      cancel();
      probe.destroy();
      reject(
        new Fault(
          "device.absent",
          `pcscd does not answer at ${socket} (${why}): start it with "systemctl start pcscd", or install the package pcscd`,
        ),
      );
    };
    const cancel = clock.after(SERVICE_ANSWERS_WITHIN_MS, () => fail(`nothing in ${SERVICE_ANSWERS_WITHIN_MS} ms`));
    probe.once("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    probe.once("connect", () => {
      cancel();
      probe.destroy();
      resolve();
    });
  });
}

interface Present {
  readonly card: number;
  readonly reader: Reader;
}

class PcscReaders implements Pcsc {
  readonly #nfc: NFC;
  readonly #options: PcscOptions;
  readonly #readers = new Set<Reader>();
  readonly #others = new Set<Reader>();
  readonly #present = new Map<Reader, Present>();
  readonly #watches = new Map<Reader, () => void>();
  #cards = 0;
  #transmitting = 0;
  #over = false;

  constructor(nfc: NFC, options: PcscOptions) {
    this.#nfc = nfc;
    this.#options = options;
    nfc.on("error", (error) => this.#lose(serviceGone(error)));
    nfc.on("reader", (reader) => this.#readerIn(reader));
  }

  get readers(): readonly string[] {
    return [...this.#readers].map((reader) => reader.name);
  }

  get busy(): boolean {
    return this.#transmitting > 0;
  }

  async readersPresent(): Promise<void> {
    const { clock, reader } = this.#options;
    const until = clock.monotonic() + READERS_WITHIN_MS;
    const never = new AbortController().signal;
    while (this.#readers.size === 0) {
      if (this.#over) throw new Fault("device.absent", "pcscd went away while its readers were listed");
      if (clock.monotonic() >= until) throw noReader(reader, this.#others);
      await sleep(clock, READERS_POLL_MS, never);
    }
  }

  async transmit(card: number, command: Uint8Array): Promise<Uint8Array> {
    const reader = this.#reader(card);
    if (!reader) throw new Fault("card.removed", "the card was taken out");
    this.#transmitting += 1;
    try {
      const response = await reader.transmit(Buffer.from(command), RESPONSE_BYTES_MAX);
      // A card pulled in mid-command is reported as a success without data.
      if (response.length < 2) throw new Fault("card.removed", "the card was taken out before it answered");
      return new Uint8Array(response);
    } catch (error) {
      throw transmitFault(error);
    } finally {
      this.#transmitting -= 1;
    }
  }

  release(card: number): void {
    const reader = this.#reader(card)?.reader;
    if (reader?.connected) reader.disconnect(reader.SCARD_UNPOWER_CARD, () => undefined);
  }

  close(): void {
    this.#over = true;
    for (const cancel of this.#watches.values()) cancel();
    // Without both, threads of the native part keep the process alive.
    for (const reader of [...this.#readers, ...this.#others]) reader.reader.close();
    this.#nfc.close();
  }

  #reader(card: number): Reader | undefined {
    return [...this.#present.values()].find((present) => present.card === card)?.reader;
  }

  #readerIn(reader: Reader): void {
    // Set in this very turn: nfc-pcsc would otherwise select applications by itself, and fail on a bank card.
    reader.autoProcessing = false;
    // An unheard "error" event would end the process.
    reader.on("error", (error) => this.#readerFailed(error));
    if (!isWanted(reader.name, this.#options.reader)) {
      this.#others.add(reader);
      reader.on("end", () => this.#others.delete(reader));
      return;
    }
    this.#readers.add(reader);
    reader.on("card", (card) => this.#cardIn(reader, card));
    reader.on("card.off", () => this.#cardOut(reader));
    reader.on("end", () => this.#readerOut(reader));
    reader.reader.on("status", (status: { state: number }) => this.#watch(reader, status.state));
  }

  #cardIn(reader: Reader, { atr }: Card): void {
    this.#unwatch(reader);
    if (this.#over || !atr) return;
    this.#cards += 1;
    this.#present.set(reader, { card: this.#cards, reader });
    this.#options.on.cardIn(this.#cards, new Uint8Array(atr));
  }

  #cardOut(reader: Reader): void {
    this.#unwatch(reader);
    const present = this.#present.get(reader);
    this.#present.delete(reader);
    if (present && !this.#over) this.#options.on.cardOut(present.card);
  }

  #readerOut(reader: Reader): void {
    this.#cardOut(reader);
    this.#readers.delete(reader);
    if (this.#readers.size === 0) {
      this.#lose(new Fault("transport.closed", `the card reader ${reader.name} is gone: unplugged, or pcscd ended`));
    }
  }

  #readerFailed(error: unknown): void {
    if (isServiceGone(error)) this.#lose(serviceGone(error));
  }

  /** nfc-pcsc says nothing when it cannot connect to a card that is in; so the missing `card` event has a limit. */
  #watch(reader: Reader, state: number): void {
    const isIn = (state & reader.reader.SCARD_STATE_PRESENT) !== 0;
    if (!isIn) this.#unwatch(reader);
    if (!isIn || this.#present.has(reader) || this.#watches.has(reader)) return;
    const cancel = this.#options.clock.after(CARD_ANSWERS_RESET_WITHIN_MS, () => {
      this.#watches.delete(reader);
      if (!this.#over) this.#options.on.cardUnreadable(reader.name);
    });
    this.#watches.set(reader, cancel);
  }

  #unwatch(reader: Reader): void {
    this.#watches.get(reader)?.();
    this.#watches.delete(reader);
  }

  #lose(fault: Fault): void {
    if (this.#over) return;
    for (const reader of [...this.#present.keys()]) this.#cardOut(reader);
    this.#over = true;
    this.#options.on.lost(fault);
  }
}

/** pcscd appends two numbers, reader and slot, to the name that the driver gave. */
function isWanted(name: string, wanted: string): boolean {
  return wanted === "*" || name === wanted || name.replace(/( [0-9A-F]{2}){2}$/, "") === wanted;
}

function noReader(wanted: string, others: ReadonlySet<Reader>): Fault {
  const names = [...others].map((reader) => `"${reader.name}"`).join(", ");
  if (wanted === "*" || names === "") {
    return new Fault("device.absent", "no card reader is connected: plug one in, and see that pcscd has its driver");
  }
  return new Fault("device.absent", `no card reader "${wanted}" is connected; there are ${names}`);
}

/** Codes of winscard that mean: the service, not the card. 6A ("access denied") is what a command into a dead service gives. */
const SERVICE_GONE = /0x8010001D|0x8010001E|0x80100013|0x80100004|0x8010006A/i;
const isServiceGone = (error: unknown): boolean => SERVICE_GONE.test(wholeReason(error));
const serviceGone = (error: unknown): Fault => new Fault("transport.closed", `pcscd went away: ${wholeReason(error)}`);

/** Removed, reset under us, no card, not transacted, unpowered, or nfc-pcsc has already dropped its connection. */
const CARD_GONE =
  /0x80100069|0x80100068|0x8010000C|0x80100016|0x80100067|0x80100066|No card or connection|not connected/i;

function transmitFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  const reason = wholeReason(error);
  if (CARD_GONE.test(reason)) return new Fault("card.removed", `the card left the reader: ${reason}`);
  if (isServiceGone(error)) return serviceGone(error);
  return new Fault("device.protocol", `the reader refused the command: ${reason}`);
}

/** nfc-pcsc keeps the PC/SC error, with its code, behind its own. */
function wholeReason(error: unknown): string {
  const previous = error instanceof Error && "previous" in error ? error.previous : undefined;
  return previous === undefined ? firstLine(error) : firstLine(previous);
}

const firstLine = (error: unknown): string => reasonOf(error).split("\n")[0] ?? "";
