/** Card action analysis: which cryptogram the card gives for the one it was asked for (Book 3, 9.3 and 10.8). */
import type { CryptogramType } from "../../protocols/emv/commands.ts";
import type { ApplicationProfile } from "./profile.ts";

export interface CardView {
  readonly profile: Pick<ApplicationProfile, "temper" | "offlineLimitMinor" | "lie">;
  readonly asked: CryptogramType;
  readonly amountMinor: bigint;
  readonly blocked: boolean;
  /** Transactions since the issuer was last reached, this one included, against the card's own limits. */
  readonly ownVelocity: "within" | "above-lower" | "above-upper";
}

/** A card may only go down from what the terminal asks for: TC, ARQC, AAC. */
export function firstDecision({ profile, asked, amountMinor, blocked, ownVelocity }: CardView): CryptogramType {
  const { temper, offlineLimitMinor, lie } = profile;
  if (lie === "more-than-asked") return "TC";
  if (blocked || asked === "AAC" || temper === "declining") return "AAC";
  if (temper === "offline-only") return asked === "TC" && amountMinor <= offlineLimitMinor ? "TC" : "AAC";
  if (asked === "ARQC" || temper === "online-only" || ownVelocity !== "within") return "ARQC";
  return amountMinor <= offlineLimitMinor ? "TC" : "ARQC";
}

export interface IssuerView {
  /** Whether the terminal reached the issuer, by its response code: Y3 and Z3 say that it did not (Book 4, A6). */
  readonly issuer: "answered" | "out-of-reach";
  readonly authentication: "passed" | "failed" | "absent";
  /** What the authenticated answer says; undefined without one. */
  readonly approves: boolean | undefined;
  readonly mandatory: boolean;
}

export function secondDecision(
  card: CardView,
  { issuer, authentication, approves, mandatory }: IssuerView,
): CryptogramType {
  const { temper, offlineLimitMinor } = card.profile;
  if (card.blocked || card.asked === "AAC" || temper === "declining") return "AAC";
  if (issuer === "out-of-reach") {
    const mayApprove = temper === "standard" && card.amountMinor <= offlineLimitMinor;
    return mayApprove && card.ownVelocity !== "above-upper" ? "TC" : "AAC";
  }
  if (authentication === "failed" || (mandatory && authentication === "absent")) return "AAC";
  return approves === false ? "AAC" : "TC";
}
