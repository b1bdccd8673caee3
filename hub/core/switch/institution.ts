/** What an operator says of an institution and of this hub before it: who issues which cards, where he is reached, what is trusted. */
import type { KeyObject } from "node:crypto";
import type { MessageSpec } from "../../../protocols/iso8583/spec.ts";
import type { IssuerLinkOptions } from "../issuers/index.ts";
import type { DayTerms } from "../settlement/business-day.ts";
import type { AvailabilityPolicy } from "../standin/availability.ts";
import type { RecoveryPolicy } from "../standin/recovery.ts";

export interface Institution {
  readonly id: string;
  /** Leading digits of its cards' numbers. */
  readonly ranges: readonly string[];
  readonly address: IssuerLinkOptions["address"];
  /** How messages are packed, with the payment reference in DE 48. */
  readonly spec: MessageSpec;
  /** When its business day ends, with whose totals it is reconciled; at midnight UTC when absent. */
  readonly day?: DayTerms;
  /** Absent: nothing is ever decided in its name. */
  readonly standIn?: {
    /** Checks its signature under stand-in parameters. */
    readonly key: KeyObject;
    /** By their names in stop lists. */
    readonly stopListKeys: ReadonlyMap<string, KeyObject>;
  };
}

/** This hub, as issuers see it. */
export interface Acquirer {
  /** DE 32, and what stand-in parameters allow: up to 11 digits. */
  readonly id: string;
  /** DE 42: up to 15 characters. */
  readonly merchant: string;
  /** DE 18: four digits. */
  readonly category: string;
}

export interface SwitchPolicy {
  readonly availability: AvailabilityPolicy;
  readonly recovery: RecoveryPolicy;
  /** Between echoes to an issuer that is down. */
  readonly probeEveryMs: number;
}

/** Of several that fit, the institution with the longest range. */
export function institutionOf<Of extends Pick<Institution, "ranges">>(
  institutions: readonly Of[],
  pan: string,
): Of | undefined {
  let found: { readonly institution: Of; readonly digits: number } | undefined;
  for (const institution of institutions)
    for (const range of institution.ranges)
      if (pan.startsWith(range) && range.length > (found?.digits ?? 0)) found = { institution, digits: range.length };
  return found?.institution;
}
