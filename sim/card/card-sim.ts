/** The card simulator as tests and `tillway sim card` use it: an EMV card in the virtual reader, with its faults. */
import { fromHex } from "../../base/bytes.ts";
import { type Clock, sleep, systemClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { type RandomBytes, systemRandom } from "../../base/ids.ts";
import { type ControlAnswer, type ControlCommand, type ControlHandlers, serveControl } from "../control.ts";
import { CardStore } from "./card-memory.ts";
import { type CardOptions, EmvCard } from "./emv-card.ts";
import { type CardProfile, cardProfile } from "./profiles.ts";
import { type VpcdCard, VpcdPeer } from "./vpcd-peer.ts";

export interface CardSimOptions {
  /** Of the virtual reader's slot. */
  readonly port: number;
  /** Name of a profile; `standard` when absent. */
  readonly profile?: string;
  /** Unix socket for commands; none when absent. */
  readonly control?: string;
  /** Keeps what the cards remember; without it each start begins with new ones. */
  readonly stateFile?: string;
  /** Further applications on each card. */
  readonly extraApplications?: CardOptions["extraApplications"];
  readonly clock?: Clock;
  readonly random?: RandomBytes;
}

export interface CardSimStatus {
  readonly profile: string;
  readonly state: VpcdPeer["state"];
  /** Commands that reached the card since the start, controls not counted. */
  readonly apdus: number;
  readonly generateAcs: number;
  readonly cryptograms: Readonly<Record<"AAC" | "TC" | "ARQC", number>>;
  readonly atc: number;
  readonly lastOnlineAtc: number;
  /** Issuer script commands obeyed since the card was made. */
  readonly scriptsObeyed: number;
  readonly blocked: "no" | "application" | "card";
  readonly [field: string]: unknown;
}

export interface CardSim extends AsyncDisposable {
  /** Puts in the card of that profile, or the last one; takes out what is in. Resolves when it stands at the reader. */
  insert(profile?: string): Promise<void>;
  /** Resolves when the reader has noticed. */
  pull(): Promise<void>;
  /** Commands get no answer at all. */
  mute(on: boolean): void;
  /** Each answer is late by so many milliseconds; 0 ends it. */
  slow(ms: number): void;
  /** Answers are too short, too long or random. */
  break(on: boolean): void;
  /** Pulls the card instead of answering the command after the next `apdus`: 0 means the very next one. */
  pullAfter(apdus: number): void;
  status(): CardSimStatus;
}

/** TS, T0 with TB1 and TC1, and five historical bytes: T=0, as most bank cards answer (Book 1, 8.3). */
export const SIM_ATR = fromHex("3B 65 00 00 54 49 4C 4C 57");

export async function startCardSim(options: CardSimOptions): Promise<CardSim> {
  const sim = new EmvCardSim(options);
  const served = options.control === undefined ? undefined : await serveControl(options.control, handlers(sim));
  return Object.assign(sim, {
    async [Symbol.asyncDispose]() {
      sim.stop();
      await served?.[Symbol.asyncDispose]();
    },
  });
}

class EmvCardSim {
  readonly #peer: VpcdPeer;
  readonly #clock: Clock;
  readonly #random: RandomBytes;
  readonly #store: CardStore;
  readonly #extraApplications: CardOptions["extraApplications"];
  /** A card keeps its state while it is out; so each profile is made once. */
  readonly #cards = new Map<string, EmvCard>();
  #profile: CardProfile;
  #mute = false;
  /** The card has fallen silent by itself, until it is powered again. */
  #silent = false;
  #broken = false;
  #slowMs = 0;
  #pullAfter: number | undefined;
  #apdus = 0;
  readonly #stopped = new AbortController();

  constructor(options: CardSimOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#peer = new VpcdPeer(options.port, this.#clock);
    this.#store = new CardStore(options.stateFile);
    this.#extraApplications = options.extraApplications;
    this.#profile = cardProfile(options.profile ?? "standard");
  }

  async insert(profile: string = this.#profile.name): Promise<void> {
    this.#profile = cardProfile(profile);
    const card = this.#card();
    card.reset();
    const inReader: VpcdCard = {
      atr: SIM_ATR,
      powered: () => {
        this.#silent = false;
        card.reset();
      },
      respond: (command) => this.#respond(card, command),
    };
    await this.#peer.insert(inReader);
  }

  pull(): Promise<void> {
    return this.#peer.pull();
  }

  mute(on: boolean): void {
    this.#mute = on;
  }

  slow(ms: number): void {
    this.#slowMs = ms;
  }

  break(on: boolean): void {
    this.#broken = on;
  }

  pullAfter(apdus: number): void {
    this.#pullAfter = apdus;
  }

  status(): CardSimStatus {
    const card = this.#card();
    const { AAC, TC, ARQC } = card.cryptograms;
    const { lastOnlineAtc, scriptsObeyed, cardBlocked, blocked } = card.memory;
    return {
      profile: this.#profile.name,
      state: this.#peer.state,
      apdus: this.#apdus,
      generateAcs: AAC + TC + ARQC,
      cryptograms: { AAC, TC, ARQC },
      atc: card.atc,
      lastOnlineAtc,
      scriptsObeyed,
      blocked: cardBlocked ? "card" : blocked.length > 0 ? "application" : "no",
    };
  }

  stop(): void {
    this.#stopped.abort(new Fault("aborted", "the card simulator stops"));
    this.#peer[Symbol.dispose]();
  }

  #card(): EmvCard {
    const profile = this.#profile;
    const known = this.#cards.get(profile.name);
    if (known) return known;
    const card = new EmvCard({
      profile,
      ...this.#store.get(profile.name),
      saveAtc: (atc) => this.#store.set(profile.name, { atc }),
      saveMemory: (memory) => this.#store.set(profile.name, { memory }),
      ...(this.#extraApplications && { extraApplications: this.#extraApplications }),
    });
    this.#cards.set(profile.name, card);
    return card;
  }

  async #respond(card: EmvCard, command: Uint8Array): Promise<Uint8Array | undefined> {
    this.#apdus += 1;
    if (this.#pullAfter !== undefined) {
      this.#pullAfter -= 1;
      if (this.#pullAfter < 0) {
        this.#pullAfter = undefined;
        void this.pull();
        return undefined;
      }
    }
    const { muteFrom, slowMs = 0 } = this.#profile;
    this.#silent ||= command[1] === muteFrom;
    if (this.#mute || this.#silent) return undefined;
    const lateMs = Math.max(this.#slowMs, slowMs);
    if (lateMs > 0 && !(await this.#waited(lateMs))) return undefined;
    return this.#broken ? this.#nonsense() : card.respond(command);
  }

  async #waited(ms: number): Promise<boolean> {
    try {
      await sleep(this.#clock, ms, this.#stopped.signal);
      return true;
    } catch {
      return false;
    }
  }

  #nonsense(): Uint8Array {
    const lengths = [1, 2, 300, 40] as const;
    return this.#random(lengths[this.#apdus % lengths.length] ?? 1);
  }
}

function handlers(sim: EmvCardSim): ControlHandlers {
  const after =
    (act: (command: ControlCommand) => void | Promise<void>) =>
    async (command: ControlCommand): Promise<ControlAnswer> => {
      await act(command);
      return sim.status();
    };
  return {
    insert: after((command) => sim.insert(text(command["profile"]))),
    pull: after(() => sim.pull()),
    mute: after((command) => sim.mute(flag(command["on"]))),
    slow: after((command) => sim.slow(count(command["ms"], "ms"))),
    break: after((command) => sim.break(flag(command["on"]))),
    "pull-after": after((command) => sim.pullAfter(count(command["apdus"], "apdus"))),
    status: () => sim.status(),
  };
}

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
/** A command without the word switches on. */
const flag = (value: unknown): boolean => value === undefined || value === true || value === "true" || value === "on";

function count(value: unknown, name: string): number {
  const number = typeof value === "string" ? Number(value) : value;
  if (typeof number === "number" && Number.isInteger(number) && number >= 0) return number;
  throw new Fault("codec.invalid", `"${name}" must be a whole number of 0 or more`);
}
