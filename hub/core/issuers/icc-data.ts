/** What of a card's data objects goes to its issuer in DE 55, and what of his answer goes back to the card. */
import { concat, fromHex, toHex } from "../../../base/bytes.ts";
import { decodeTlvPartly, encodeTlv, type Tag, type Tlv } from "../../../protocols/emv/ber-tlv.ts";

/**
 * The tags that an issuer needs to check a cryptogram and to judge the sale. Card number, tracks and cardholder are none of
 * them (RM5): a request carries the number in DE 2 and the track in DE 35, an advice the number alone.
 */
const ISSUER_TAGS: ReadonlySet<Tag> = new Set([
  0x82, 0x84, 0x8a, 0x95, 0x9a, 0x9b, 0x9c, 0x5f2a, 0x5f34, 0x9f02, 0x9f03, 0x9f06, 0x9f09, 0x9f10, 0x9f1a, 0x9f1e,
  0x9f26, 0x9f27, 0x9f33, 0x9f34, 0x9f35, 0x9f36, 0x9f37, 0x9f41, 0x9f53, 0x9f5b,
]);

/** Of what the terminal sent, as far as it can be read: an advice is not held back for a mistake in it (RM16). */
export const issuerObjects = (iccData: string): readonly Tlv[] =>
  decodeTlvPartly(fromHex(iccData)).objects.filter(({ tag }) => ISSUER_TAGS.has(tag));

const ISSUER_AUTHENTICATION = 0x91;
const SCRIPTS: readonly Tag[] = [0x71, 0x72];

export interface ForTheCard {
  /** Tag 91, in hex. */
  readonly issuerAuthenticationData?: string;
  /** Templates 71 and 72 with tag and length, in hex, in their order. */
  readonly issuerScripts?: readonly string[];
}

export function forTheCard(objects: readonly Tlv[] = []): ForTheCard {
  const authentication = objects.flatMap((object) =>
    object.tag === ISSUER_AUTHENTICATION && "value" in object ? [object.value] : [],
  );
  const scripts = objects.filter(({ tag }) => SCRIPTS.includes(tag)).map((script) => toHex(encodeTlv([script])));
  return {
    ...(authentication.length > 0 && { issuerAuthenticationData: toHex(concat(...authentication)) }),
    ...(scripts.length > 0 && { issuerScripts: scripts }),
  };
}
