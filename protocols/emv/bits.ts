/**
 * Typed bit sets of EMV (Book 3, Annex C; Book 4, Annex A): each bit by the byte (1 first) and bit (8 highest) that the books
 * give it, with the words for people. `hasBit` and `setBit` are the only ways in.
 */

export interface Bit {
  /** 1 is the first byte. */
  readonly byte: number;
  /** 8 is the highest bit. */
  readonly bit: number;
  readonly name: string;
}

const bit = (byte: number, position: number, name: string): Bit => ({ byte, bit: position, name });

/** A bit outside the value is not set. */
export const hasBit = (bytes: Uint8Array, { byte, bit: position }: Bit): boolean =>
  ((bytes[byte - 1] ?? 0) & (1 << (position - 1))) !== 0;

/** Sets the bit in place. */
export function setBit(bytes: Uint8Array, { byte, bit: position }: Bit): void {
  bytes[byte - 1] = (bytes[byte - 1] ?? 0) | (1 << (position - 1));
}

/** The bits that are set although their table does not name them: reserved ones, which nobody may act on (Book 3, 6.3.6). */
export function reservedBitsOf(bytes: Uint8Array, table: Readonly<Record<string, Bit>>): readonly Bit[] {
  const named = Object.values(table);
  const all = Array.from({ length: bytes.length * 8 }, (_, index) =>
    bit(Math.floor(index / 8) + 1, 8 - (index % 8), "Reserved"),
  );
  return all.filter(
    (each) => hasBit(bytes, each) && !named.some((one) => one.byte === each.byte && one.bit === each.bit),
  );
}

/** Which bits of a table a value has, in the table's order. */
export const bitsOf = (bytes: Uint8Array, table: Readonly<Record<string, Bit>>): readonly Bit[] =>
  Object.values(table).filter((each) => hasBit(bytes, each));

/** Application Interchange Profile, tag 82 (Book 3, C1). */
export const AIP = {
  xda: bit(1, 8, "XDA supported"),
  sda: bit(1, 7, "SDA supported"),
  dda: bit(1, 6, "DDA supported"),
  cardholderVerification: bit(1, 5, "Cardholder verification is supported"),
  terminalRiskManagement: bit(1, 4, "Terminal risk management is to be performed"),
  issuerAuthentication: bit(1, 3, "Issuer authentication is supported"),
  cda: bit(1, 1, "CDA supported"),
} as const satisfies Record<string, Bit>;

/** Application Usage Control, tag 9F07 (Book 3, C2). */
export const AUC = {
  domesticCash: bit(1, 8, "Valid for domestic cash transactions"),
  internationalCash: bit(1, 7, "Valid for international cash transactions"),
  domesticGoods: bit(1, 6, "Valid for domestic goods"),
  internationalGoods: bit(1, 5, "Valid for international goods"),
  domesticServices: bit(1, 4, "Valid for domestic services"),
  internationalServices: bit(1, 3, "Valid for international services"),
  atms: bit(1, 2, "Valid at ATMs"),
  notAtms: bit(1, 1, "Valid at terminals other than ATMs"),
  domesticCashback: bit(2, 8, "Domestic cashback allowed"),
  internationalCashback: bit(2, 7, "International cashback allowed"),
} as const satisfies Record<string, Bit>;

/** Terminal Verification Results, tag 95 (Book 3, C5). */
export const TVR = {
  odaNotPerformed: bit(1, 8, "Offline data authentication was not performed"),
  sdaFailed: bit(1, 7, "SDA failed"),
  iccDataMissing: bit(1, 6, "ICC data missing"),
  onExceptionFile: bit(1, 5, "Card appears on terminal exception file"),
  ddaFailed: bit(1, 4, "DDA failed"),
  cdaFailed: bit(1, 3, "CDA failed"),
  sdaSelected: bit(1, 2, "SDA selected"),
  xdaSelected: bit(1, 1, "XDA selected"),
  versionsDiffer: bit(2, 8, "ICC and terminal have different application versions"),
  expired: bit(2, 7, "Expired application"),
  notYetEffective: bit(2, 6, "Application not yet effective"),
  serviceNotAllowed: bit(2, 5, "Requested service not allowed for card product"),
  newCard: bit(2, 4, "New card"),
  biometricSuccessful: bit(2, 2, "Biometric performed and successful"),
  biometricFormatNotSupported: bit(2, 1, "Biometric template format not supported"),
  cvmFailed: bit(3, 8, "Cardholder verification was not successful"),
  unrecognisedCvm: bit(3, 7, "Unrecognised CVM"),
  pinTryLimitExceeded: bit(3, 6, "PIN Try Limit exceeded"),
  pinPadAbsent: bit(3, 5, "PIN entry required and PIN pad not present or not working"),
  pinNotEntered: bit(3, 4, "PIN entry required, PIN pad present, but PIN was not entered"),
  onlinePinEntered: bit(3, 3, "Online CVM captured"),
  biometricDeviceAbsent: bit(3, 2, "Biometric required but Biometric capture device not working"),
  biometricBypassed: bit(
    3,
    1,
    "Biometric required, Biometric capture device present, but Biometric Subtype entry was bypassed",
  ),
  floorLimitExceeded: bit(4, 8, "Transaction exceeds floor limit"),
  lowerConsecutiveExceeded: bit(4, 7, "Lower consecutive offline limit exceeded"),
  upperConsecutiveExceeded: bit(4, 6, "Upper consecutive offline limit exceeded"),
  randomlySelected: bit(4, 5, "Transaction selected randomly for online processing"),
  merchantForcedOnline: bit(4, 4, "Merchant forced transaction online"),
  biometricTryLimitExceeded: bit(4, 3, "Biometric Try Limit exceeded"),
  biometricTypeNotSupported: bit(4, 2, "A selected Biometric Type not supported"),
  xdaFailed: bit(4, 1, "XDA signature verification failed"),
  defaultTdolUsed: bit(5, 8, "Default TDOL used"),
  issuerAuthenticationFailed: bit(5, 7, "Issuer authentication failed"),
  scriptFailedBefore: bit(5, 6, "Script processing failed before final GENERATE AC"),
  scriptFailedAfter: bit(5, 5, "Script processing failed after final GENERATE AC"),
  caEccKeyMissing: bit(5, 3, "CA ECC key missing"),
  eccKeyRecoveryFailed: bit(5, 2, "ECC key recovery failed"),
} as const satisfies Record<string, Bit>;

/** Transaction Status Information, tag 9B (Book 3, C6). */
export const TSI = {
  odaPerformed: bit(1, 8, "Offline data authentication was performed"),
  cardholderVerificationPerformed: bit(1, 7, "Cardholder verification was performed"),
  cardRiskManagementPerformed: bit(1, 6, "Card risk management was performed"),
  issuerAuthenticationPerformed: bit(1, 5, "Issuer authentication was performed"),
  terminalRiskManagementPerformed: bit(1, 4, "Terminal risk management was performed"),
  scriptProcessingPerformed: bit(1, 3, "Script processing was performed"),
} as const satisfies Record<string, Bit>;

/** Terminal Capabilities, tag 9F33 (Book 4, A2). */
export const TERMINAL_CAPABILITIES = {
  manualKeyEntry: bit(1, 8, "Manual key entry"),
  magneticStripe: bit(1, 7, "Magnetic stripe"),
  icWithContacts: bit(1, 6, "IC with contacts"),
  plaintextPin: bit(2, 8, "Plaintext PIN for ICC verification"),
  onlinePin: bit(2, 7, "Enciphered PIN for online verification"),
  signature: bit(2, 6, "Signature"),
  encipheredPin: bit(2, 5, "Enciphered PIN for offline verification (RSA ODE)"),
  noCvm: bit(2, 4, "No CVM required"),
  onlineBiometric: bit(2, 3, "Online Biometric"),
  offlineBiometric: bit(2, 2, "Offline Biometric"),
  encipheredPinEcc: bit(2, 1, "Enciphered PIN for offline verification (ECC ODE)"),
  sda: bit(3, 8, "SDA"),
  dda: bit(3, 7, "DDA"),
  cardCapture: bit(3, 6, "Card capture"),
  cda: bit(3, 4, "CDA"),
  xda: bit(3, 3, "XDA"),
} as const satisfies Record<string, Bit>;

/** Additional Terminal Capabilities, tag 9F40 (Book 4, A3). */
export const ADDITIONAL_TERMINAL_CAPABILITIES = {
  cash: bit(1, 8, "Cash"),
  goods: bit(1, 7, "Goods"),
  services: bit(1, 6, "Services"),
  cashback: bit(1, 5, "Cashback"),
  inquiry: bit(1, 4, "Inquiry"),
  transfer: bit(1, 3, "Transfer"),
  payment: bit(1, 2, "Payment"),
  administrative: bit(1, 1, "Administrative"),
  cashDeposit: bit(2, 8, "Cash deposit"),
  numericKeys: bit(3, 8, "Numeric keys"),
  alphabeticKeys: bit(3, 7, "Alphabetic and special characters keys"),
  commandKeys: bit(3, 6, "Command keys"),
  functionKeys: bit(3, 5, "Function keys"),
  printAttendant: bit(4, 8, "Print or electronic, attendant"),
  printCardholder: bit(4, 7, "Print or electronic, cardholder"),
  displayAttendant: bit(4, 6, "Display, attendant"),
  displayCardholder: bit(4, 5, "Display, cardholder"),
  codeTable10: bit(4, 2, "Code table 10"),
  codeTable9: bit(4, 1, "Code table 9"),
  codeTable8: bit(5, 8, "Code table 8"),
  codeTable7: bit(5, 7, "Code table 7"),
  codeTable6: bit(5, 6, "Code table 6"),
  codeTable5: bit(5, 5, "Code table 5"),
  codeTable4: bit(5, 4, "Code table 4"),
  codeTable3: bit(5, 3, "Code table 3"),
  codeTable2: bit(5, 2, "Code table 2"),
  codeTable1: bit(5, 1, "Code table 1"),
} as const satisfies Record<string, Bit>;

/** Biometric Terminal Capabilities, tag 9F30 (Book 4, A7). */
export const BIOMETRIC_TERMINAL_CAPABILITIES = {
  facialOffline: bit(1, 8, "Facial biometric for offline verification"),
  fingerOffline: bit(1, 7, "Finger biometric for offline verification"),
  irisOffline: bit(1, 6, "Iris biometric for offline verification"),
  palmOffline: bit(1, 5, "Palm biometric for offline verification"),
  voiceOffline: bit(1, 4, "Voice biometric for offline verification"),
  facialOnline: bit(2, 8, "Facial biometric for online verification"),
  fingerOnline: bit(2, 7, "Finger biometric for online verification"),
  irisOnline: bit(2, 6, "Iris biometric for online verification"),
  palmOnline: bit(2, 5, "Palm biometric for online verification"),
  voiceOnline: bit(2, 4, "Voice biometric for online verification"),
} as const satisfies Record<string, Bit>;

/** Terminal Transaction Qualifiers, tag 9F66 (Contactless Book A, 5.7). */
export const TTQ = {
  magneticStripeMode: bit(1, 8, "Mag-stripe mode supported"),
  emvMode: bit(1, 6, "EMV mode supported"),
  contactChip: bit(1, 5, "EMV contact chip supported"),
  offlineOnly: bit(1, 4, "Offline-only reader"),
  onlinePin: bit(1, 3, "Online PIN supported"),
  signature: bit(1, 2, "Signature supported"),
  odaOnline: bit(1, 1, "Offline Data Authentication for Online Authorizations supported"),
  onlineCryptogramRequired: bit(2, 8, "Online cryptogram required"),
  cvmRequired: bit(2, 7, "CVM required"),
  offlinePin: bit(2, 6, "(Contact Chip) Offline PIN supported"),
  issuerUpdate: bit(3, 8, "Issuer Update Processing supported"),
  consumerDeviceCvm: bit(3, 7, "Consumer Device CVM supported"),
} as const satisfies Record<string, Bit>;

/** Application Priority Indicator, tag 87 (Book 1, 12.2.3): bit 8, and the priority in the four lower bits. */
export const CONFIRMATION_REQUIRED = bit(1, 8, "Application cannot be selected without confirmation by the cardholder");

/** What Terminal Type, tag 9F35, says (Book 4, A1). */
export interface TerminalType {
  readonly operator: "financial institution" | "merchant" | "cardholder";
  readonly attended: boolean;
  readonly communication: "online only" | "offline with online capability" | "offline only";
}

const OPERATORS = new Map<number, TerminalType["operator"]>([
  [1, "financial institution"],
  [2, "merchant"],
  [3, "cardholder"],
]);
const COMMUNICATIONS = ["online only", "offline with online capability", "offline only"] as const;
const ENVIRONMENTS = COMMUNICATIONS.length * 2;

/** Undefined for a value that the table does not have; an attended terminal of the cardholder's is none. */
export function terminalType(value: number): TerminalType | undefined {
  const operator = OPERATORS.get(value >> 4);
  const environment = (value & 0x0f) - 1;
  const communication = COMMUNICATIONS[environment % COMMUNICATIONS.length];
  if (!operator || !communication || environment >= ENVIRONMENTS) return undefined;
  const attended = environment < COMMUNICATIONS.length;
  return attended && operator === "cardholder" ? undefined : { operator, attended, communication };
}
