/** Opens the card data that terminals seal: what goes on is its token, and the number only where another institution's issuer is to be told of it. */
import { Fault } from "../base/fault.ts";
import type { TerminalId } from "../base/ids.ts";
import { openCardData, type SealedCardData } from "../wire/card-data.ts";
import type { Authorisation, Presented } from "./core/authorisation/index.ts";
import type { Switch } from "./core/switch/index.ts";
import type { SealOpenings } from "./openings.ts";
import type { SealingRing } from "./sealing-ring.ts";

export type OpenCard = (sealed: SealedCardData | undefined, paymentId: string, terminalId: TerminalId) => Presented;

export interface CardOpenerParts {
  readonly ring: Pick<SealingRing, "find">;
  readonly authorisation: Pick<Authorisation, "issued" | "tokenOf">;
  /** Knows cards of other institutions. */
  readonly issuers?: Pick<Switch, "routed"> | undefined;
  readonly openings?: Pick<SealOpenings, "of"> | undefined;
}

/** `no-key`: sealed to a key that this hub never had, or has no more. */
export function cardOpener({ ring, authorisation, issuers, openings }: CardOpenerParts): OpenCard {
  return (sealed, paymentId, terminalId) => {
    if (!sealed) return undefined;
    const key = ring.find(sealed.keyId);
    if (!key) return "no-key";
    try {
      const { privateKey } = key;
      const card = openCardData({ sealed, terminalId, paymentId, privateKey, opening: openings?.of(sealed) });
      const issued = authorisation.issued(card);
      const routed = issued ? undefined : issuers?.routed(card);
      const of = { ...(issued ? { issued } : {}), ...(routed ? { routed } : {}) };
      return { token: authorisation.tokenOf(card.pan), expiry: card.expiry, ...of };
    } catch (error) {
      if (error instanceof Fault) return "unreadable";
      throw error;
    }
  };
}
