/** The seam between the mint and the simulated card: what a personalised card carries for offline data authentication. */

/** The private operation of one RSA key. Test keys only. */
export interface TestRsaKey {
  readonly modulus: Uint8Array;
  readonly exponent: Uint8Array;
  /** block^d mod n; `block` is as long as the modulus. */
  sign(block: Uint8Array): Uint8Array;
}

/**
 * Lengths of the keys of CA, issuer and card, in bits. Nothing longer fits: a record has at most 254 bytes, which leaves
 * 248 (1984 bits) to tag 90 and 247 (1976 bits) to 9F46, and an answer has at most 256.
 */
export const KEY_CHAINS = [
  /** 1984, 1976, 1408: the issuer key has a remainder, the card's has none. */
  "standard",
  /** 1408, 1152, 1152, exponents 010001: both keys have a remainder. */
  "short",
  /** 1984, 1152, 1152: the issuer key has no remainder, so there is no tag 92. */
  "mixed",
  /** 1984, 1976, 1640: with 32 bytes of issuer application data this fills the 256 bytes of a CDA answer to GENERATE AC. */
  "longest-cda",
  /** 1984, 1976, 1976: for DDA only, its CDA answer would be too long. */
  "longest",
] as const;
export type KeyChain = (typeof KEY_CHAINS)[number];

export interface MintOptions {
  readonly pan: string;
  /** YYMM of the certificates' expiry. */
  readonly expiry: string;
  /** As for `OdaInput.staticData`. */
  readonly staticData: Uint8Array;
  readonly oda: "sda" | "dda" | "cda";
  /** Planted faults: a certificate under another CA key than it says, an issuer certificate on the revocation list. */
  readonly fault?: "wrong-ca" | "revoked-issuer";
  /** The lengths of the keys; without it `standard`. See `KEY_CHAINS`. */
  readonly chain?: KeyChain;
}

export interface MintedCard {
  /** Tag 8F. */
  readonly caIndex: number;
  /** Tags 90, 92 (absent when empty), 9F32. */
  readonly issuerCertificate: Uint8Array;
  readonly issuerRemainder?: Uint8Array;
  readonly issuerExponent: Uint8Array;
  /** Tag 93, for SDA. */
  readonly signedStaticData?: Uint8Array;
  /** Tags 9F46, 9F47, 9F48 and the key behind them, for DDA and CDA. */
  readonly icc?: {
    readonly certificate: Uint8Array;
    readonly exponent: Uint8Array;
    readonly remainder?: Uint8Array;
    readonly key: TestRsaKey;
  };
}
