/**
 * Stand-in parameters (system 3): what one institution lets others decide in its name while it is away. It signs them and
 * numbers their versions; hub and agent take them here, and take nothing that was altered, set back or made for another.
 */
import type { KeyObject } from "node:crypto";
import { z } from "zod";
import { isFault } from "../base/fault.ts";
import { fail, ok, type Result } from "../base/result.ts";
import { CurrencySchema, DigestSchema, MoneySchema, type ReasonCode, TimeSchema } from "./common.ts";
import { openSigned, parseJson, type Signed, SignedSchema, signText } from "./signing.ts";

/** A bank or an acquirer, as the configuration and DE 32 or DE 100 name it. */
export const InstitutionIdSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/);
/** Merchant category: ISO 18245. */
export const MccSchema = z.string().regex(/^\d{4}$/);

export const TRANSACTION_TYPES = ["purchase", "refund", "pre-authorisation"] as const;
export type TransactionType = (typeof TRANSACTION_TYPES)[number];

/** A prefix has no more digits than an issuer's identification number (ISO/IEC 7812-1), so no decision needs the number. */
export const ACCOUNT_PREFIX_DIGITS_MAX = 8;
export const STOP_LIST_MAX = 5_000;
const WINDOWS_MAX = 64;
const ACQUIRERS_MAX = 1_000;
const RANGES_MAX = 1_000;
const MCC_DENIED_MAX = 1_000;

const MinorSchema = MoneySchema.shape.minor;
const ends = (from: string, to: string): boolean => Date.parse(from) < Date.parse(to);
const WindowSchema = z
  .strictObject({ from: TimeSchema, to: TimeSchema })
  .refine(({ from, to }) => ends(from, to), "ends before it begins");

/** The names are those of the specification, so that a decision that names `limit.single` names the field that decided. */
export const StandInParametersSchema = z
  .strictObject({
    /** Rises with every set of this institution; an older one never replaces a newer. */
    version: z.int().min(1),
    issuedAt: TimeSchema,
    /** `validTo` is the first instant at which the set no longer holds, as is the `to` of a window. */
    validFrom: TimeSchema,
    validTo: TimeSchema,
    /** Of all limits. What is asked in another currency is not covered. */
    currency: CurrencySchema,
    institution: z.strictObject({
      id: InstitutionIdSchema,
      /** Whether this institution delegates at all. */
      enabled: z.boolean(),
      /** When it does; never, when there is none. */
      window: z.array(WindowSchema).max(WINDOWS_MAX),
    }),
    /** Who may have initiated the transaction: nobody who is not allowed, and nobody who is denied. */
    acquirer: z.strictObject({
      allow: z.array(InstitutionIdSchema).max(ACQUIRERS_MAX),
      deny: z.array(InstitutionIdSchema).max(ACQUIRERS_MAX),
    }),
    account: z.strictObject({
      /** Leading digits of the account numbers that take part. */
      range: z.array(z.string().regex(/^\d{1,8}$/)).max(RANGES_MAX),
      /** HMAC-SHA-256 of each lost, closed or blocked account's number, under the key that `keyId` names. */
      stopList: z.strictObject({
        keyId: z.string().min(1).max(64),
        tokens: z.array(DigestSchema).max(STOP_LIST_MAX),
      }),
    }),
    txn: z.strictObject({
      types: z.array(z.enum(TRANSACTION_TYPES)).max(TRANSACTION_TYPES.length),
      mccDeny: z.array(MccSchema).max(MCC_DENIED_MAX),
    }),
    /** Minor units, save the count. All but `single` hold for what the institution has not been told of yet. */
    limit: z.strictObject({
      single: MinorSchema,
      accountCount: z.int().min(0).max(100_000),
      accountSum: MinorSchema,
      institutionSum: MinorSchema,
    }),
    /** For what the set does not cover; what it refuses is always declined. */
    fallback: z.enum(["DECLINE", "REFER"]),
  })
  .refine(({ validFrom, validTo }) => ends(validFrom, validTo), {
    path: ["validTo"],
    message: "ends before it begins",
  });
export type StandInParameters = z.infer<typeof StandInParametersSchema>;

/** Where an institution starts: nothing is delegated until it says so, row by row. */
export const STAND_IN_DEFAULTS = {
  institution: { enabled: false, window: [] },
  acquirer: { allow: [], deny: [] },
  account: { range: [], stopList: { keyId: "none", tokens: [] } },
  txn: { types: ["purchase"], mccDeny: [] },
  limit: { single: "10000", accountCount: 3, accountSum: "20000", institutionSum: "5000000" },
  fallback: "DECLINE",
} as const;

/** Characters of a signed set as text; a full one has some 500,000. */
export const PARAMETERS_TEXT_MAX = 600_000;

const DOMAIN = "stand-in";

/** The file, or message, that the institution gives: one text for one set, so that no changed byte goes unseen. */
export function signStandInParameters(parameters: StandInParameters, institutionKey: KeyObject): string {
  return JSON.stringify(signText(DOMAIN, JSON.stringify(parameters), institutionKey));
}

/** Whose parameters are taken, and under which key. */
export interface ParametersTrust {
  readonly institutionId: string;
  readonly key: KeyObject;
}

export interface ParametersRefusal {
  /**
   * `E_FORMAT` altered or of unknown form, `E_SIG` altered or another's signature, `E_DENIED` of another institution,
   * `E_REPLAY` older than what is held, `E_CONFLICT` of the same version with other content, `E_STATE` not valid yet.
   */
  readonly reason: Extract<ReasonCode, "E_FORMAT" | "E_SIG" | "E_DENIED" | "E_REPLAY" | "E_CONFLICT" | "E_STATE">;
  /** For people; quotes nothing of what was refused but its version, institution and times. */
  readonly detail: string;
}

const refuse = (reason: ParametersRefusal["reason"], detail: string) => fail({ reason, detail });

/** Checks all that does not depend on what is held or on the time: also for a set that comes back from a store. */
export function openStandInParameters(
  text: string,
  trust: ParametersTrust,
): Result<StandInParameters, ParametersRefusal> {
  const signed = readSigned(text);
  if (!signed) return refuse("E_FORMAT", "not a signed parameter set as its institution wrote it");
  try {
    const parameters = openSigned(DOMAIN, signed, trust.key, StandInParametersSchema);
    if (parameters.institution.id === trust.institutionId) return ok(parameters);
    return refuse("E_DENIED", `a parameter set of ${parameters.institution.id}, not of ${trust.institutionId}`);
  } catch (error) {
    if (isFault(error, "signature.invalid", "codec.invalid"))
      return refuse("E_SIG", `not signed by the key of ${trust.institutionId}`);
    if (isFault(error, "message.invalid")) return refuse("E_FORMAT", error.message);
    throw error;
  }
}

function readSigned(text: string): Signed | undefined {
  if (text.length > PARAMETERS_TEXT_MAX) return undefined;
  try {
    const { data } = SignedSchema.safeParse(parseJson(text));
    return data !== undefined && JSON.stringify(data) === text ? data : undefined;
  } catch (error) {
    if (isFault(error, "message.invalid")) return undefined;
    throw error;
  }
}

/** A set in force, with the text that proves it. */
export interface HeldParameters {
  readonly parameters: StandInParameters;
  readonly text: string;
}

/** `known`: the very set that is held. */
export type ParametersEvent =
  | { readonly on: "taken"; readonly version: number }
  | { readonly on: "known"; readonly version: number }
  | { readonly on: "refused"; readonly refusal: ParametersRefusal };

export interface OfferedParameters {
  readonly text: string;
  readonly trust: ParametersTrust;
  /** Milliseconds since 1970, never going back: as `decideStandIn` has it. */
  readonly now: number;
}

/** What is in force after an offer, and what to raise about it. A refused offer leaves what was held before. */
export function offerStandInParameters(
  held: HeldParameters | undefined,
  { text, trust, now }: OfferedParameters,
): { readonly held: HeldParameters | undefined; readonly event: ParametersEvent } {
  const opened = openStandInParameters(text, trust);
  if (!opened.ok) return { held, event: { on: "refused", refusal: opened.error } };
  const parameters = opened.value;
  const { version } = parameters;
  if (held?.text === text) return { held, event: { on: "known", version } };
  const refusal = held && refusalBeside(held, parameters, now);
  if (refusal) return { held, event: { on: "refused", refusal } };
  return { held: { parameters, text }, event: { on: "taken", version } };
}

/** An early set is refused, as it would end the one in force; a late one is taken, as it is the institution's last word. */
function refusalBeside(held: HeldParameters, offered: StandInParameters, now: number): ParametersRefusal | undefined {
  const { version } = held.parameters;
  if (offered.version < version)
    return { reason: "E_REPLAY", detail: `version ${offered.version} is older than ${version}, which is held` };
  if (offered.version === version)
    return { reason: "E_CONFLICT", detail: `version ${version} is held with other content` };
  if (Date.parse(offered.validFrom) > now)
    return { reason: "E_STATE", detail: `version ${offered.version} is not valid before ${offered.validFrom}` };
  return undefined;
}
