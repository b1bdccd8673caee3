/**
 * Cards of other institutions: what authorisation asks of the switch, which alone speaks with their issuers. What is noted
 * here becomes durable with the payment that it is about.
 */
import type { Money } from "../../../base/money.ts";
import type { Iso8583Message } from "../../../protocols/iso8583/message.ts";
import type { CardData } from "../../../wire/card-data.ts";
import type { EntryMode, Operation, ReasonCode } from "../../../wire/common.ts";
import type { Reading, Within } from "../../store/store.ts";
import type { ForCard } from "./answers.ts";
import type { PaymentKey } from "./store.ts";

/** A card in the range of an institution. */
export interface RoutedCard {
  readonly institutionId: string;
  /** Here for as long as its message is worked on (RM5). */
  readonly data: CardData;
}

/** Of a purchase the card that was presented; of a refund the payment whose card it goes back to. */
export type QuestionedCard = (RoutedCard & { readonly token: string }) | { readonly of: PaymentKey };

/** What an issuer can be asked. */
export type AskedOperation = Exclude<Operation, "completion">;

export interface Question {
  readonly key: PaymentKey;
  readonly attempt: number;
  readonly operation: AskedOperation;
  readonly amount: Money;
  /** The part of the amount that is given in cash. */
  readonly cashback?: Money;
  readonly card: QuestionedCard;
  readonly entryMode?: EntryMode;
  /** DE 55 in hex. */
  readonly iccData?: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** A question on its way: who asked it puts it to the issuer once this is durable, and then says how it ended. */
export interface Asking {
  readonly institutionId: string;
  readonly question: Question;
  readonly card: RoutedCard & { readonly token: string };
  /** The request as its issuer gets it. */
  readonly message: Iso8583Message;
}

/** A decision in an institution's name, which its advice log holds by now. */
export type StoodIn =
  | { readonly approved: true; readonly approvalCode: string }
  | {
      readonly approved: false;
      readonly responseCode: string;
      readonly reason: ReasonCode;
      /** Names the check that decided. */
      readonly detail: string;
    };

/** How a question ended. */
export type Asked =
  | { readonly what: "approved"; readonly approvalCode?: string; readonly forCard: ForCard }
  | { readonly what: "declined"; readonly responseCode: string; readonly forCard: ForCard }
  /** Less than was asked for: the sale is not made, and the issuer is told so. */
  | { readonly what: "partly-approved"; readonly responseCode: string; readonly minor: bigint }
  /** `sent`: the issuer may have approved it all the same. */
  | { readonly what: "no-answer"; readonly sent: boolean; readonly why: "timeout" | "signed-off" };

/** What its terminal decided and the issuer has yet to hear: an approval with no hub in reach, or a completion. */
export interface OfflineApproval extends Omit<Question, "attempt" | "card" | "operation"> {
  readonly operation: Operation;
  /** Of a completion, which goes under its pre-authorisation's key: the attempt that holds its amount, or held it. */
  readonly completes?: number;
  readonly approvalCode?: string;
  /** Absent where the hub heard of this payment's card before. */
  readonly card?: RoutedCard & { readonly token: string };
}

/** Why an attempt is taken back. */
export interface TakenBack {
  /** In a word or two, for people at the issuer. */
  readonly why: string;
  /** Tag 9F5B in hex: what became of the issuer's scripts (RM13). */
  readonly scriptResults?: string | undefined;
}

export interface Acquiring {
  /** By the hub's token, the card that a payment was asked or told for; undefined for one that no issuer heard of. */
  cardOf(reading: Reading, key: PaymentKey): Promise<string | undefined>;
  /** Notes the question; decided at once where its issuer is not to be asked. */
  begin(within: Within, question: Question): Promise<{ readonly asking: Asking } | { readonly stoodIn: StoodIn }>;
  /** The question had no answer. */
  standIn(within: Within, asking: Asking, ended: Extract<Asked, { what: "no-answer" }>): Promise<StoodIn>;
  /** The question had an answer. */
  answered(within: Within, asking: Asking, asked: Asked): Promise<void>;
  /** What the issuer approved, or may have, is taken back; nothing for an attempt that no issuer was told of. */
  withdraw(within: Within, key: PaymentKey, attempt: number, back: TakenBack): Promise<void>;
  /** The issuer is told of an approval that he never saw. False where nobody here knows the card, or its institution. */
  advise(within: Within, approval: OfflineApproval): Promise<boolean>;
}
