/** One connection of an acquirer to the simulated issuer: messages in, answers out, with what is wrong with the issuer in between. */
import type { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import type { RandomBytes } from "../../base/ids.ts";
import { type NetworkRequest, networkFields } from "../../protocols/iso8583/editions.ts";
import { transmissionDateTime } from "../../protocols/iso8583/exchange.ts";
import { encodeFrame, FrameDecoder } from "../../protocols/iso8583/frame.ts";
import { DE, type Iso8583Codec, type Iso8583Message } from "../../protocols/iso8583/message.ts";
import type { MtiVersion } from "../../protocols/iso8583/spec.ts";
import type { Faults } from "./faults.ts";
import { garbage } from "./garbage.ts";
import type { IssuerHost, Session } from "./host.ts";

/** What all connections share. */
export interface Desk {
  readonly host: IssuerHost;
  readonly codec: Iso8583Codec;
  readonly version: MtiVersion;
  readonly clock: Clock;
  readonly random: RandomBytes;
  faults(): Faults;
  /** True when this answer is to be lost; counts down. */
  loses(): boolean;
  /** On disk when it returns. */
  save(): void;
  count(what: CallerCount): void;
}

export type CallerCount = "answers" | "answers-lost" | "unreadable" | "too-many" | "garbage";

/** Messages that wait for a slow issuer; later ones are dropped. */
const WAITING_MAX = 10_000;
const SECOND_MS = 1_000;

export class Caller {
  readonly #socket: Socket;
  readonly #desk: Desk;
  readonly #decoder = new FrameDecoder();
  readonly #session: Session = { signedOn: false };
  readonly #timers = new Set<() => void>();
  #waiting: Iso8583Message[] = [];
  #working = false;
  #stan = 0;
  #garbageTurn = 0;
  #stopGarbage: (() => void) | undefined;

  constructor(socket: Socket, desk: Desk) {
    this.#socket = socket;
    this.#desk = desk;
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#stop());
    socket.on("data", (chunk) => this.#receive(chunk));
    this.soil();
  }

  get signedOn(): boolean {
    return this.#session.signedOn;
  }

  /** Says by itself that the issuer goes or is back. */
  notify(what: NetworkRequest): void {
    const { version, clock } = this.#desk;
    this.#stan += 1;
    this.#send({
      mti: `${version}800`,
      fields: {
        [DE.transmissionDateTime]: transmissionDateTime(clock.now()),
        [DE.stan]: String(this.#stan).padStart(6, "0"),
        ...networkFields(version, what),
      },
    });
  }

  /** Begins or ends to send garbage, as the faults have it. */
  soil(): void {
    this.#stopGarbage?.();
    const { garbage: wanted } = this.#desk.faults();
    if (!wanted) return;
    const again = () => {
      const kind = wanted.kinds[this.#garbageTurn % wanted.kinds.length] ?? "truncated";
      this.#garbageTurn += 1;
      this.#socket.write(garbage(kind, this.#desk));
      this.#desk.count("garbage");
      this.#stopGarbage = this.#later(SECOND_MS / wanted.perSec, again);
    };
    this.#stopGarbage = this.#later(SECOND_MS / wanted.perSec, again);
  }

  drop(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Uint8Array): void {
    for (const framed of this.#decoder.push(chunk)) {
      if (this.#desk.faults().mute) continue;
      const message = framed.what === "message" ? this.#read(framed.bytes) : undefined;
      if (message === undefined) this.#desk.count("unreadable");
      else if (this.#waiting.length >= WAITING_MAX) this.#desk.count("too-many");
      else this.#waiting.push(message);
    }
    this.#work();
  }

  #read(bytes: Uint8Array): Iso8583Message | undefined {
    try {
      return this.#desk.codec.unpack(bytes);
    } catch (error) {
      if (isFault(error)) return undefined;
      throw error;
    }
  }

  /** All that waits, with one write to the disk; of a slow issuer one after the other. */
  #work(): void {
    if (this.#working) return;
    const { slowMs } = this.#desk.faults();
    if (slowMs === 0) {
      const all = this.#waiting;
      this.#waiting = [];
      this.#serve(all);
      return;
    }
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#working = true;
    this.#later(slowMs, () => {
      this.#working = false;
      this.#serve([next]);
      this.#work();
    });
  }

  #serve(messages: readonly Iso8583Message[]): void {
    const { host, save } = this.#desk;
    const answers = messages.flatMap((message) => host.answer(message, this.#session) ?? []);
    save();
    for (const answer of answers) this.#deliver(answer);
  }

  #deliver(answer: Iso8583Message): void {
    const { lateMs, double } = this.#desk.faults();
    if (this.#desk.loses()) {
      this.#desk.count("answers-lost");
      return;
    }
    const send = () => {
      this.#desk.count("answers");
      this.#send(answer);
      if (double) this.#send(answer);
    };
    if (lateMs === 0) send();
    else this.#later(lateMs, send);
  }

  #send(message: Iso8583Message): void {
    if (this.#socket.writable) this.#socket.write(encodeFrame(this.#desk.codec.pack(message)));
  }

  #later(delayMs: number, act: () => void): () => void {
    const cancel = this.#desk.clock.after(delayMs, () => {
      this.#timers.delete(cancel);
      act();
    });
    this.#timers.add(cancel);
    return () => {
      this.#timers.delete(cancel);
      cancel();
    };
  }

  #stop(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    this.#waiting = [];
  }
}
