/** Opens the card data that terminals seal: the number lives here for the length of one call, what goes on is its token. */
import { Fault } from "../base/fault.ts";
import type { TerminalId } from "../base/ids.ts";
import { openCardData, type SealedCardData } from "../wire/card-data.ts";
import type { Authorisation, Presented } from "./core/authorisation/index.ts";
import type { SealOpenings } from "./openings.ts";
import type { SealingRing } from "./sealing-ring.ts";

export type OpenCard = (sealed: SealedCardData | undefined, paymentId: string, terminalId: TerminalId) => Presented;

/** `no-key`: sealed to a key that this hub never had, or has no more. */
export function cardOpener(
  ring: Pick<SealingRing, "find">,
  authorisation: Pick<Authorisation, "issued" | "tokenOf">,
  openings?: Pick<SealOpenings, "of">,
): OpenCard {
  return (sealed, paymentId, terminalId) => {
    if (!sealed) return undefined;
    const key = ring.find(sealed.keyId);
    if (!key) return "no-key";
    try {
      const { privateKey } = key;
      const card = openCardData({ sealed, terminalId, paymentId, privateKey, opening: openings?.of(sealed) });
      const issued = authorisation.issued(card);
      return { token: authorisation.tokenOf(card.pan), expiry: card.expiry, ...(issued ? { issued } : {}) };
    } catch (error) {
      if (error instanceof Fault) return "unreadable";
      throw error;
    }
  };
}
