/**
 * The terminal kernel's seam (EMV 4.4, Books 1 to 4). A phase of a transaction is a generator: it yields what it asks for
 * and is given the answer. It performs no input or output, reads no clock and draws no random number.
 */
import type { Result } from "../../../base/result.ts";
import type { CommandApdu, ResponseApdu } from "../apdu.ts";
import type { Tag } from "../ber-tlv.ts";
import type { CryptogramType } from "../commands.ts";
import type { IssuerPublicKey, OdaFailure } from "../oda/authentication.ts";
import type { CaPublicKey, Day, RevokedCertificate, RsaPublicKey } from "../oda/keys.ts";

/** An application that both sides may run, in the order in which it is offered (Book 1, 12.4). */
export interface Candidate {
  readonly aid: Uint8Array;
  /** Application Label or, where its code table is known, Preferred Name; the AID in hex when the card gives neither. */
  readonly label: string;
  /** 1 is the highest; 0 none assigned. */
  readonly priority: number;
  /** The cardholder must be asked, even when it is alone. */
  readonly confirm: boolean;
}

export type KernelAsk =
  /** `meanwhile` works ahead, once, for who can while the card is busy; without it the phase comes to the same, only later. */
  | { readonly ask: "command"; readonly command: CommandApdu; readonly meanwhile?: () => void }
  /** The cardholder's choice among `candidates`. */
  | { readonly ask: "choose"; readonly candidates: readonly Candidate[] };

/** `response` answers "command", `chosen` answers "choose": its index, or undefined for none of them. */
export type KernelAnswer = { readonly response: ResponseApdu } | { readonly chosen: number | undefined };

export type Kernel<T> = Generator<KernelAsk, T, KernelAnswer>;

/** Why a transaction ends without a cryptogram. Names are for programs, `detail` for people. */
export interface KernelEnd {
  readonly code:
    | "no-application"
    | "cancelled"
    | "card-blocked"
    | "application-blocked"
    | "use-contact"
    | "not-accepted"
    | "card-error"
    | "data-missing"
    | "data-duplicate"
    | "data-format"
    | "refused-command";
  readonly detail: string;
  /** The status word, when one was the reason. */
  readonly status?: number;
}

/** Terminal action codes, five bytes each; absent ones are zeros (RM13). */
export interface ActionCodes {
  readonly denial: Uint8Array;
  readonly online: Uint8Array;
  readonly default: Uint8Array;
}

/** What the terminal knows of one application that it supports. */
export interface SupportedApplication {
  /** 5 to 16 bytes. */
  readonly aid: Uint8Array;
  /** A card's AID that only begins with this one counts too (Book 1, 12.3.1). */
  readonly partial: boolean;
  /** Two bytes, tag 9F09. */
  readonly version: Uint8Array;
  readonly actionCodes: ActionCodes;
  /** Minor units, tag 9F1B. At or above it a sale goes online. */
  readonly floorLimitMinor: number;
  /** Book 3, 10.6.2: whole percentages 0 to 99 and minor units. */
  readonly random: {
    readonly targetPercent: number;
    readonly maxTargetPercent: number;
    readonly thresholdMinor: number;
  };
  /** For cards that bring none; undefined when the terminal has none either. */
  readonly defaultDdol?: Uint8Array;
  readonly defaultTdol?: Uint8Array;
}

export interface TerminalSettings {
  readonly applications: readonly SupportedApplication[];
  readonly entry: "contact" | "contactless";
  /** Two bytes, tag 9F1A. */
  readonly countryCode: Uint8Array;
  /** One byte, tag 9F35: 22 is merchant-attended, offline with online capability. */
  readonly type: number;
  /** Three bytes, tag 9F33. */
  readonly capabilities: Uint8Array;
  /** Five bytes, tag 9F40. */
  readonly additionalCapabilities: Uint8Array;
  /** Further data objects for DOLs: 9F16, 9F1C, 9F1E, 9F15, 9F4E, 9F01 … */
  readonly data: ReadonlyMap<Tag, Uint8Array>;
  readonly caKeys: readonly CaPublicKey[];
  readonly revoked: readonly RevokedCertificate[];
  /** Whether the exception file names this card. */
  readonly onExceptionFile: (pan: string, sequenceNumber: string | undefined) => boolean;
  /**
   * Sum of what this card already owes this terminal offline, minor units, for the floor limit (Book 3, 10.6.1): the same
   * however often it is asked for one transaction. Added to `alreadySpentMinor`.
   */
  readonly spentBefore?: (pan: string) => bigint;
}

/** What differs from sale to sale. Chance and time come from outside. */
export interface TransactionSettings {
  readonly amountMinor: bigint;
  /** Cashback, minor units. */
  readonly otherMinor: bigint;
  /** One byte, tag 9C: 00 goods and services, 20 refund. */
  readonly type: number;
  /** Two bytes, tag 5F2A. */
  readonly currencyCode: Uint8Array;
  readonly currencyExponent: number;
  /** In the site's time zone. */
  readonly today: Day;
  /** HHMMSS, three bytes, tag 9F21. */
  readonly time: Uint8Array;
  /** Four bytes, tag 9F37, from a CSPRNG. */
  readonly unpredictableNumber: Uint8Array;
  /** For random selection: whole, 1 to 99. */
  readonly randomPercent: number;
  /** Tag 9F41. */
  readonly sequenceCounter: number;
  readonly forceOnline: boolean;
  /** What of that is known before the card is read, minor units. */
  readonly alreadySpentMinor: bigint;
}

export type OdaMethod = "none" | "sda" | "dda" | "cda";

export type CvmOutcome = "none-required" | "signature" | "consumer-device" | "failed" | "not-performed";

/** A transaction under way. The phases change it in place; nobody else does. */
export interface Transaction {
  readonly terminal: TerminalSettings;
  readonly settings: TransactionSettings;
  readonly application: SupportedApplication;
  /** As selected: the card's DF name. */
  readonly aid: Uint8Array;
  readonly label: string;
  /** Every data object of terminal and card, by tag, as DOLs are filled from it. Includes 95, 9B and 9F34 as they stand. */
  readonly values: Map<Tag, Uint8Array>;
  /** The same bytes as `values` has under 95. */
  readonly tvr: Uint8Array;
  /** The same bytes as `values` has under 9B. */
  readonly tsi: Uint8Array;
  /** Two bytes. */
  readonly aip: Uint8Array;
  oda: OdaMethod;
  /** CDA was selected and has not failed so far. */
  cdaPending: boolean;
  /** Recovered while the card still gave its records; counts as long as what it was recovered from stands. */
  issuerKey?: EarlyKey;
  /** There when the keys for CDA were recovered. */
  combined?: CombinedState;
  /** For people; undefined when authentication succeeded or was not tried. */
  odaFailure: string | undefined;
  cvm: CvmOutcome;
  /** Issuer script results, five bytes per script (Book 4, Annex A5). */
  scriptResults: Uint8Array;
  /** The phases gone through, in order, for the transcript's reader. */
  readonly steps: KernelStepReport[];
}

export interface EarlyKey {
  /** The objects that it was recovered from, as they were. */
  readonly from: readonly (Uint8Array | undefined)[];
  readonly recovered: Result<IssuerPublicKey, OdaFailure>;
}

/** What the card's signature over a cryptogram is checked with (Book 2, 6.6.2). */
export interface CombinedState {
  readonly icc: RsaPublicKey;
  /** The values sent for PDOL, CDOL1 and CDOL2 so far, in that order. */
  readonly sent: readonly Uint8Array[];
}

export interface KernelStepReport {
  readonly step:
    | "selection"
    | "initiate"
    | "read"
    | "oda"
    | "restrictions"
    | "cvm"
    | "risk"
    | "action"
    | "first-cryptogram"
    | "issuer-authentication"
    | "script-71"
    | "second-cryptogram"
    | "script-72";
  /** In words, without card data. */
  readonly result: string;
  /** Hex, as they stood after the step. */
  readonly tvr: string;
  readonly tsi: string;
}

export interface FirstCryptogram {
  readonly type: CryptogramType;
  /** False: asked for less, or the card signed wrongly; what then holds is in `type` (RM13). */
  readonly cdaHeld: boolean | undefined;
}

/** What came of going online. */
export type OnlineResult =
  | {
      readonly was: "answered";
      readonly approved: boolean;
      /** Tag 8A, two characters. */
      readonly responseCode: string;
      /** Tag 91, 8 to 16 bytes. */
      readonly issuerAuthenticationData?: Uint8Array;
      /** Templates 71 and 72 as they came, with tag and length. */
      readonly scripts?: readonly Uint8Array[];
    }
  /** Y3 or Z3: the default action codes decide, unless `approvable` says that nobody here may approve (RM8, RM13). */
  | { readonly was: "unable"; readonly approvable: boolean };

export interface Completion {
  readonly outcome: "approved" | "declined";
  readonly type: CryptogramType;
  /** Tag 8A as the card was given it. */
  readonly responseCode: string;
}

/** Selection to terminal action analysis: the transaction, and what the terminal would ask the card for. */
export interface Readied {
  readonly transaction: Transaction;
  readonly proposed: CryptogramType;
}
export type ReadyPhase = Kernel<Result<Readied, KernelEnd>>;
export type FirstPhase = Kernel<Result<FirstCryptogram, KernelEnd>>;
export type CompletionPhase = Kernel<Result<Completion, KernelEnd>>;
