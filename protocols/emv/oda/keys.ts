/** What offline data authentication stands on: the certification authorities' public keys and the revoked certificates (Book 2, 5 and 11). */

export interface CaPublicKey {
  /** Registered application provider identifier, five bytes: the first of the AID. */
  readonly rid: Uint8Array;
  /** Tag 8F or 9F22. */
  readonly index: number;
  /** At most 248 bytes. */
  readonly modulus: Uint8Array;
  /** 03 or 010001. */
  readonly exponent: Uint8Array;
  /** SHA-1 over RID, index, modulus and exponent, 20 bytes (Book 2, 11.2.2). */
  readonly sha1: Uint8Array;
  /** The last day, YYYY-MM-DD. */
  readonly expires: string;
}

/** A certificate that counts no more (Book 2, 5.1.2 and Book 4, 10.2). */
export interface RevokedCertificate {
  readonly rid: Uint8Array;
  readonly index: number;
  /** Of the issuer public key certificate, three bytes. */
  readonly serialNumber: Uint8Array;
}

/** A day as EMV compares them. */
export interface Day {
  /** Four digits. */
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

export interface RsaPublicKey {
  readonly modulus: Uint8Array;
  readonly exponent: Uint8Array;
}
