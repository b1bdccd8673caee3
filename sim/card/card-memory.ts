/** What a card remembers from one transaction to the next, and the file in which a simulator keeps it. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { toHex } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";
import { applicationsOf, type RecordKey } from "./card-files.ts";
import type { CardProfile } from "./profile.ts";

/** Beside the Application Transaction Counter, which all applications of a card share. */
export interface CardMemory {
  /** Tag 9F13. */
  readonly lastOnlineAtc: number;
  /** Issuer script commands obeyed since the card was made. */
  readonly scriptsObeyed: number;
  /** Of the last transaction that went online, for the card verification results. */
  readonly lastOnline: {
    readonly scripts: number;
    readonly scriptFailed: boolean;
    readonly issuerAuthenticationFailed: boolean;
  };
  readonly cardBlocked: boolean;
  /** AIDs in hex. */
  readonly blocked: readonly string[];
  /** What PUT DATA wrote: hex by tag in hex. */
  readonly data: Readonly<Record<string, string>>;
  /** What UPDATE RECORD wrote: hex by AID in hex and record. */
  readonly records: Readonly<Record<`${string}/${RecordKey}`, string>>;
}

export const freshMemory = (profile: CardProfile): CardMemory => ({
  lastOnlineAtc: 0,
  scriptsObeyed: 0,
  lastOnline: { scripts: 0, scriptFailed: false, issuerAuthenticationFailed: false },
  cardBlocked: profile.cardBlocked ?? false,
  blocked: applicationsOf(profile)
    .filter(({ blocked }) => blocked)
    .map(({ aid }) => toHex(aid)),
  data: {},
  records: {},
});

export interface StoredCard {
  readonly atc: number;
  /** Absent before anything but the counter changed. */
  readonly memory?: CardMemory;
}

const STATE_FILE_BYTES_MAX = 65_536;

/** The cards of one simulator by profile, written through so that a killed simulator never counts backwards. */
export class CardStore {
  readonly #path: string | undefined;
  readonly #cards = new Map<string, StoredCard>();

  constructor(path: string | undefined) {
    this.#path = path;
    if (path === undefined) return;
    for (const [profile, stored] of Object.entries(readState(path))) {
      if (!isStoredCard(stored)) {
        throw new Fault("config.invalid", `${path}: the state of card ${profile} has no counter; remove the file`);
      }
      this.#cards.set(profile, stored);
    }
  }

  get(profile: string): StoredCard {
    return this.#cards.get(profile) ?? { atc: 0 };
  }

  set(profile: string, change: Partial<StoredCard>): void {
    this.#cards.set(profile, { ...this.get(profile), ...change });
    if (this.#path === undefined) return;
    const fresh = `${this.#path}.new`;
    writeFileSync(fresh, JSON.stringify(Object.fromEntries(this.#cards)), { mode: 0o600 });
    renameSync(fresh, this.#path);
  }
}

const isStoredCard = (value: unknown): value is StoredCard =>
  typeof value === "object" && value !== null && "atc" in value && Number.isInteger(value.atc);

function readState(path: string): object {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return {};
  }
  const mend = "remove the file, and the cards begin anew";
  if (text.length > STATE_FILE_BYTES_MAX) throw new Fault("config.invalid", `${path}: not a state file; ${mend}`);
  let stored: unknown;
  try {
    stored = JSON.parse(text);
  } catch {
    throw new Fault("config.invalid", `${path}: not JSON; ${mend}`);
  }
  if (typeof stored === "object" && stored !== null) return stored;
  throw new Fault("config.invalid", `${path}: not a state file; ${mend}`);
}

export interface ChipOptions extends StoredCard {
  readonly profile: CardProfile;
  readonly saveAtc: (atc: number) => void;
  readonly saveMemory: (memory: CardMemory) => void;
}

const ATC_MAX = 0xffff;

/** The card's non-volatile memory: written before the answer that tells of it, as a card does. */
export class Chip {
  readonly #options: ChipOptions;
  #atc: number;
  #memory: CardMemory;

  constructor(options: ChipOptions) {
    this.#options = options;
    this.#atc = options.atc;
    this.#memory = options.memory ?? freshMemory(options.profile);
  }

  get atc(): number {
    return this.#atc;
  }

  get memory(): CardMemory {
    return this.#memory;
  }

  /** False: the counter is at its end, and the card is spent. */
  countTransaction(): boolean {
    if (this.#atc === ATC_MAX) return false;
    this.#atc += 1;
    this.#options.saveAtc(this.#atc);
    return true;
  }

  remember(change: Partial<CardMemory>): void {
    this.#memory = { ...this.#memory, ...change };
    this.#options.saveMemory(this.#memory);
  }

  isBlocked(aid: Uint8Array): boolean {
    return this.#memory.blocked.includes(toHex(aid));
  }

  setBlocked(aid: Uint8Array, state: "blocked" | "usable"): void {
    const others = this.#memory.blocked.filter((each) => each !== toHex(aid));
    this.remember({ blocked: state === "blocked" ? [...others, toHex(aid)] : others });
  }
}
