/** What a simulated card is made of: the data of test cards, how each decides, and what is wrong with it. All keys are test keys. */
import { fromHex } from "../../base/bytes.ts";
import type { DolEntry } from "../../protocols/emv/dol.ts";
import type { MintOptions } from "./mint/minted.ts";

/** What the card says to a terminal that asks for an approval. */
export type CardTemper =
  /** Approves offline up to `offlineLimitMinor`, sends the terminal online above it, follows the issuer afterwards. */
  | "standard"
  /** Never asks the issuer: approves up to `offlineLimitMinor`, declines the rest. */
  | "offline-only"
  /** Never approves by itself; declines when the terminal cannot go online. */
  | "online-only"
  | "declining";

/** `data` answers at once; `get-response` as a T=0 card does, with 61xx and 6Cxx (Book 1, 9.3.1). */
export type AnswerStyle = "data" | "get-response";

/** How a card that is not what it says it is departs from the standard, on one point each. */
export type CardLie =
  /** The application's number stands in two records. */
  | "duplicate-object"
  /** No record has the expiration date. */
  | "no-expiry"
  /** In place of the certificate of the card's key stands another thing that the issuer signed. */
  | "certificate-format"
  /** The issuer's certificate is a byte short. */
  | "certificate-length"
  /** A record changed after the issuer signed it. */
  | "altered-record"
  /** An object in a record claims a byte more than there is. */
  | "record-length"
  | "afl-length"
  | "cryptogram-length"
  /** READ RECORD is answered as GENERATE AC would be. */
  | "out-of-turn"
  /** GENERATE AC approves where a request for the issuer was asked for. */
  | "more-than-asked"
  /** Every certificate is copied from a real card, the key behind them is not: it could not be. */
  | "cloned";

export interface IssuerAuthentication {
  /** By EXTERNAL AUTHENTICATE, or in the data of the second GENERATE AC. */
  readonly by: "external" | "cdol2";
  /** Of the answer cryptogram (Book 2, 8.2). */
  readonly method: 1 | 2;
  /** An approval without it is declined by the card. */
  readonly mandatory?: true;
}

export interface ApplicationProfile {
  /** Proprietary, so that no kernel of a brand is claimed for it. */
  readonly aid: Uint8Array;
  readonly label: string;
  /** 1 is the highest. */
  readonly priority: number;
  /** The cardholder must be asked before it is used. */
  readonly confirm?: true;
  readonly temper: CardTemper;
  readonly offlineLimitMinor: bigint;
  /** Answer to GPO, INTERNAL AUTHENTICATE and GENERATE AC: 1 is tag 80, 2 is tag 77 (Book 3, 6.5). CDA has the second only. */
  readonly format: 1 | 2;
  readonly pan: string;
  /** YYMM. */
  readonly expiry: string;
  /** YYMMDD; 2020-01-01 when absent. */
  readonly effective?: string;
  /** Two digits. */
  readonly sequenceNumber: string;
  readonly cardholder: string;
  /** For cryptograms. */
  readonly issuerMasterKey: Uint8Array;
  /** For the MACs of issuer scripts. */
  readonly scriptMasterKey: Uint8Array;
  readonly oda?: MintOptions["oda"];
  readonly chain?: NonNullable<MintOptions["chain"]>;
  readonly mintFault?: NonNullable<MintOptions["fault"]>;
  /** The card has no DDOL, so the terminal's default counts. */
  readonly ddol?: "none";
  /** What GET PROCESSING OPTIONS brings; country and currency when absent. */
  readonly pdol?: readonly DolEntry[];
  /** Tag 9F07; valid everywhere for goods, services and cash when absent (Book 3, C2). */
  readonly usage?: Uint8Array;
  /** Tag 8E; "no CVM required" when absent. */
  readonly cvmList?: Uint8Array;
  readonly actionCodes?: ActionCodes;
  /** How the cryptogram is made; 18 when absent. */
  readonly cryptogramVersion?: 10 | 18 | "common-core";
  readonly issuerAuthentication?: IssuerAuthentication;
  /** Consecutive offline transactions, tags 9F14 and 9F23: what the terminal compares. */
  readonly velocity?: { readonly lower: number; readonly upper: number };
  /** The same, compared by the card itself; PUT DATA to 9F58 and 9F59 changes them. */
  readonly ownVelocity?: { readonly lower: number; readonly upper: number };
  /** CDOL1 asks for the TC hash: over the card's TDOL, or the terminal's default one. */
  readonly tcHash?: "own-list" | "default-list";
  /** No counter is told by GET DATA. */
  readonly counters?: "kept-back";
  readonly scripts?: "accepted";
  readonly blocked?: true;
  readonly lie?: CardLie;
}

export interface ActionCodes {
  readonly default: Uint8Array;
  readonly denial: Uint8Array;
  readonly online: Uint8Array;
}

export interface CardProfile extends ApplicationProfile {
  readonly name: string;
  /** For `--list`. */
  readonly sentence: string;
  readonly answers: AnswerStyle;
  /** Further applications beside the first one, in the directory's order. */
  readonly further?: readonly ApplicationProfile[];
  readonly cardBlocked?: true;
  /** Gives no answer from this instruction on. */
  readonly muteFrom?: number;
  /** Each answer is late by so much. */
  readonly slowMs?: number;
}

/** The registered category byte F0 and "TILLWAY". */
export const TEST_AID = fromHex("F0 54 49 4C 4C 57 41 59");
/** Test keys, known to everybody. */
export const TEST_ISSUER_MASTER_KEY = fromHex("0123456789ABCDEFFEDCBA9876543210");
export const TEST_SCRIPT_MASTER_KEY = fromHex("23456789ABCDEF01DCBA98765432100F");
