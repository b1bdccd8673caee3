/** The seam of offline data authentication: what it is given, and what it says (Book 2, 5 and 6). */
import type { Tag } from "../ber-tlv.ts";
import type { CaPublicKey, Day, RevokedCertificate, RsaPublicKey } from "./keys.ts";

export interface OdaInput {
  /** The card's and the terminal's data objects by their tags: 8F, 90, 92, 9F32, 93, 9F46, 9F47, 9F48, 5A, 5F24, 5F34, 82, 9F4A… */
  readonly values: ReadonlyMap<Tag, Uint8Array>;
  /**
   * The records that the AFL names for authentication, one after another as Book 3, 10.3 says (SFI 1 to 10 without the
   * template's tag and length), and after them the AIP when the Static Data Authentication Tag List asks for it.
   */
  readonly staticData: Uint8Array;
  /** Of the selected application. */
  readonly rid: Uint8Array;
  readonly caKeys: readonly CaPublicKey[];
  readonly revoked: readonly RevokedCertificate[];
  readonly today: Day;
}

/** `missing`: a mandatory object is not there, which is also TVR "ICC data missing" (Book 3, 7.5). */
export interface OdaFailure {
  readonly why:
    | "missing"
    | "no-ca-key"
    | "ca-key-expired"
    | "format"
    | "hash"
    | "identifier"
    | "expired"
    | "revoked"
    | "algorithm";
  /** For people: the step and what was wrong with it. */
  readonly detail: string;
}

export interface IssuerPublicKey extends RsaPublicKey {
  /** Three bytes. */
  readonly serialNumber: Uint8Array;
}
