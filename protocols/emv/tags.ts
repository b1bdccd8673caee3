/** The data elements of EMV (Book 3, Annex A): names, formats, sources and lengths as a table, for data object lists and for people. */
import type { Tag } from "./ber-tlv.ts";

/** Book 3, 4.3: how a value is written and, in a data object list, padded and cut. `template` is constructed. */
export type TagFormat = "n" | "cn" | "an" | "ans" | "a" | "b" | "var" | "template";
export type TagSource = "card" | "terminal" | "issuer";

export interface TagEntry {
  readonly name: string;
  readonly format: TagFormat;
  readonly source: TagSource;
  /** Bytes, as far as the books give them. */
  readonly length?: { readonly min: number; readonly max: number };
  /** Card data that must never be stored or shown in clear (RM5). */
  readonly secret?: true;
}

/** Bytes: exactly so many, or from and to. */
type Length = number | readonly [number, number];

const entry =
  (source: TagSource) =>
  (name: string, format: TagFormat, length?: Length): TagEntry => ({
    name,
    format,
    source,
    ...(length !== undefined && { length: typeof length === "number" ? { min: length, max: length } : range(length) }),
  });
const range = ([min, max]: readonly [number, number]) => ({ min, max });
const card = entry("card");
const terminal = entry("terminal");
const issuer = entry("issuer");
const secret: typeof card = (...of) => ({ ...card(...of), secret: true });
/** What the cardholder keyed in: no terminal of ours ever has it, and no decoder shows it. */
const secretInput: typeof card = (...of) => ({ ...terminal(...of), secret: true });

/** Every tag of Book 3, table 38. A tag whose meaning depends on its template has the meaning outside of that here. */
const BOOK_TAGS: readonly (readonly [Tag, TagEntry])[] = [
  [0x42, card("Issuer Identification Number (IIN)", "n", 3)],
  [0x4f, card("Application Dedicated File (ADF) Name", "b", [5, 16])],
  [0x50, card("Application Label", "ans", [1, 16])],
  [0x57, secret("Track 2 Equivalent Data", "b", [1, 19])],
  [0x5a, secret("Application Primary Account Number (PAN)", "cn", [1, 10])],
  [0x5f20, secret("Cardholder Name", "ans", [2, 26])],
  [0x5f24, card("Application Expiration Date", "n", 3)],
  [0x5f25, card("Application Effective Date", "n", 3)],
  [0x5f28, card("Issuer Country Code", "n", 2)],
  [0x5f2a, terminal("Transaction Currency Code", "n", 2)],
  [0x5f2d, card("Language Preference", "an", [2, 8])],
  [0x5f30, card("Service Code", "n", 2)],
  [0x5f34, card("Application Primary Account Number (PAN) Sequence Number", "n", 1)],
  [0x5f36, terminal("Transaction Currency Exponent", "n", 1)],
  [0x5f50, card("Issuer URL", "ans")],
  [0x5f53, secret("International Bank Account Number (IBAN)", "var", [1, 34])],
  [0x5f54, card("Bank Identifier Code (BIC)", "var", [8, 11])],
  [0x5f55, card("Issuer Country Code (alpha2 format)", "a", 2)],
  [0x5f56, card("Issuer Country Code (alpha3 format)", "a", 3)],
  [0x5f57, terminal("Account Type", "n", 1)],
  [0x61, card("Application Template", "template", [0, 252])],
  [0x6f, card("File Control Information (FCI) Template", "template", [0, 252])],
  [0x70, card("READ RECORD Response Message Template", "template", [0, 252])],
  [0x71, issuer("Issuer Script Template 1", "template")],
  [0x72, issuer("Issuer Script Template 2", "template")],
  [0x73, card("Directory Discretionary Template", "template", [0, 252])],
  [0x77, card("Response Message Template Format 2", "template")],
  [0x7f60, card("Biometric Information Template (BIT)", "template")],
  [0x80, card("Response Message Template Format 1", "var")],
  [0x81, terminal("Amount, Authorised (Binary)", "b", 4)],
  [0x82, card("Application Interchange Profile", "b", 2)],
  [0x83, terminal("Command Template", "b")],
  [0x84, card("Dedicated File (DF) Name", "b", [5, 16])],
  [0x86, issuer("Issuer Script Command", "b", [0, 261])],
  [0x87, card("Application Priority Indicator", "b", 1)],
  [0x88, card("Short File Identifier (SFI)", "b", 1)],
  [0x89, issuer("Authorisation Code", "an", 6)],
  [0x8a, issuer("Authorisation Response Code", "an", 2)],
  [0x8c, card("Card Risk Management Data Object List 1 (CDOL1)", "b", [0, 252])],
  [0x8d, card("Card Risk Management Data Object List 2 (CDOL2)", "b", [0, 252])],
  [0x8e, card("Cardholder Verification Method (CVM) List", "b", [10, 252])],
  [0x8f, card("Certification Authority Public Key Index", "b", 1)],
  [0x90, card("Issuer Public Key Certificate", "b")],
  [0x91, issuer("Issuer Authentication Data", "b", [8, 16])],
  [0x92, card("Issuer Public Key Remainder", "b")],
  [0x93, card("Signed Static Application Data", "b")],
  [0x94, card("Application File Locator (AFL)", "var", [0, 252])],
  [0x95, terminal("Terminal Verification Results", "b", 5)],
  [0x97, card("Transaction Certificate Data Object List (TDOL)", "b", [0, 252])],
  [0x98, terminal("Transaction Certificate (TC) Hash Value", "b", 20)],
  [0x99, secretInput("Transaction Personal Identification Number (PIN) Data", "b")],
  [0x9a, terminal("Transaction Date", "n", 3)],
  [0x9b, terminal("Transaction Status Information", "b", 2)],
  [0x9c, terminal("Transaction Type", "n", 1)],
  [0x9d, card("Directory Definition File (DDF) Name", "b", [5, 16])],
  [0x9f01, terminal("Acquirer Identifier", "n", 6)],
  [0x9f02, terminal("Amount, Authorised (Numeric)", "n", 6)],
  [0x9f03, terminal("Amount, Other (Numeric)", "n", 6)],
  [0x9f04, terminal("Amount, Other (Binary)", "b", 4)],
  [0x9f05, card("Application Discretionary Data", "b", [1, 32])],
  [0x9f06, terminal("Application Identifier (AID) - terminal", "b", [5, 16])],
  [0x9f07, card("Application Usage Control", "b", 2)],
  [0x9f08, card("Application Version Number - card", "b", 2)],
  [0x9f09, terminal("Application Version Number - terminal", "b", 2)],
  [0x9f0a, card("Application Selection Registered Proprietary Data (ASRPD)", "b")],
  [0x9f0b, secret("Cardholder Name Extended", "ans", [27, 45])],
  [0x9f0c, card("Issuer Identification Number Extended (IINE)", "n", [3, 4])],
  [0x9f0d, card("Issuer Action Code - Default", "b", 5)],
  [0x9f0e, card("Issuer Action Code - Denial", "b", 5)],
  [0x9f0f, card("Issuer Action Code - Online", "b", 5)],
  [0x9f10, card("Issuer Application Data", "b", [0, 32])],
  [0x9f11, card("Issuer Code Table Index", "n", 1)],
  [0x9f12, card("Application Preferred Name", "ans", [1, 16])],
  [0x9f13, card("Last Online Application Transaction Counter (ATC) Register", "b", 2)],
  [0x9f14, card("Lower Consecutive Offline Limit", "b", 1)],
  [0x9f15, terminal("Merchant Category Code", "n", 2)],
  [0x9f16, terminal("Merchant Identifier", "ans", 15)],
  [0x9f17, card("Personal Identification Number (PIN) Try Counter", "b", 1)],
  [0x9f18, issuer("Issuer Script Identifier", "b", 4)],
  [0x9f19, card("Token Requestor ID", "n", 6)],
  [0x9f1a, terminal("Terminal Country Code", "n", 2)],
  [0x9f1b, terminal("Terminal Floor Limit", "b", 4)],
  [0x9f1c, terminal("Terminal Identification", "an", 8)],
  [0x9f1d, terminal("Terminal Risk Management Data", "b", [1, 8])],
  [0x9f1e, terminal("Interface Device (IFD) Serial Number", "an", 8)],
  [0x9f1f, secret("Track 1 Discretionary Data", "ans")],
  [0x9f20, secret("Track 2 Discretionary Data", "cn")],
  [0x9f21, terminal("Transaction Time", "n", 3)],
  [0x9f22, terminal("Certification Authority Public Key Index - terminal", "b", 1)],
  [0x9f23, card("Upper Consecutive Offline Limit", "b", 1)],
  [0x9f24, card("Payment Account Reference (PAR)", "an", 29)],
  [0x9f25, card("Last 4 Digits of PAN", "n", 2)],
  [0x9f26, card("Application Cryptogram", "b", 8)],
  [0x9f27, card("Cryptogram Information Data", "b", 1)],
  [0x9f2d, card("ICC PIN Encipherment Public Key Certificate", "b")],
  [0x9f2e, card("ICC PIN Encipherment Public Key Exponent", "b", [1, 3])],
  [0x9f2f, card("ICC PIN Encipherment Public Key Remainder", "b")],
  [0x9f30, terminal("Biometric Terminal Capabilities", "b", 3)],
  [0x9f31, card("Card BIT Group Template", "b")],
  [0x9f32, card("Issuer Public Key Exponent", "b", [1, 3])],
  [0x9f33, terminal("Terminal Capabilities", "b", 3)],
  [0x9f34, terminal("Cardholder Verification Method (CVM) Results", "b", 3)],
  [0x9f35, terminal("Terminal Type", "n", 1)],
  [0x9f36, card("Application Transaction Counter (ATC)", "b", 2)],
  [0x9f37, terminal("Unpredictable Number", "b", 4)],
  [0x9f38, card("Processing Options Data Object List (PDOL)", "b")],
  [0x9f39, terminal("Point-of-Service (POS) Entry Mode", "n", 1)],
  [0x9f3a, terminal("Amount, Reference Currency", "b", 4)],
  [0x9f3b, card("Application Reference Currency", "n", [2, 8])],
  [0x9f3c, terminal("Transaction Reference Currency Code", "n", 2)],
  [0x9f3d, terminal("Transaction Reference Currency Exponent", "n", 1)],
  [0x9f40, terminal("Additional Terminal Capabilities", "b", 5)],
  [0x9f41, terminal("Transaction Sequence Counter", "n", [2, 4])],
  [0x9f42, card("Application Currency Code", "n", 2)],
  [0x9f43, card("Application Reference Currency Exponent", "n", [1, 4])],
  [0x9f44, card("Application Currency Exponent", "n", 1)],
  [0x9f45, card("Data Authentication Code", "b", 2)],
  [0x9f46, card("ICC Public Key Certificate", "b")],
  [0x9f47, card("ICC Public Key Exponent", "b", [1, 3])],
  [0x9f48, card("ICC Public Key Remainder", "b")],
  [0x9f49, card("Dynamic Data Authentication Data Object List (DDOL)", "b", [0, 252])],
  [0x9f4a, card("Static Data Authentication Tag List", "b")],
  [0x9f4b, card("Signed Dynamic Application Data", "b")],
  [0x9f4c, card("ICC Dynamic Number", "b", [2, 8])],
  [0x9f4d, card("Log Entry", "b", 2)],
  [0x9f4e, terminal("Merchant Name and Location", "ans")],
  [0x9f4f, card("Log Format", "b")],
  [0xa1, card("Biometric Header Template (BHT)", "template")],
  [0xa5, card("File Control Information (FCI) Proprietary Template", "template")],
  [0xbf0c, card("File Control Information (FCI) Issuer Discretionary Data", "template", [0, 222])],
  [0xbf4a, card("Offline BIT Group Template", "template")],
  [0xbf4b, card("Online BIT Group Template", "template")],
  [0xbf4c, card("Biometric Try Counters Template", "template")],
  [0xbf4d, card("Preferred Attempts Template", "template")],
  [0xbf4e, terminal("Biometric Verification Data Template", "template")],
];

/** Tags of the payment systems' range and of the contactless books, as far as they mean one thing to everybody. */
const OTHER_TAGS: readonly (readonly [Tag, TagEntry])[] = [
  // Book C-2, A.1: a card's magnetic stripe data, whatever kernel asks for them.
  [0x56, secret("Track 1 Data", "ans", [0, 76])],
  [0x9f6b, secret("Track 2 Data", "b", [0, 19])],
  // Book B, 3.3.2: in the directory entries of the PPSE.
  [0x9f29, card("Extended Selection", "b")],
  [0x9f2a, card("Kernel Identifier", "b", [1, 8])],
  // Book 4, A5 has no tag for them; acquirers agree on this one.
  [0x9f5b, terminal("Issuer Script Results", "b")],
  // Book A, 5.7.
  [0x9f66, terminal("Terminal Transaction Qualifiers (TTQ)", "b", 4)],
  // Book C-3, A.2.
  [0x9f6c, card("Card Transaction Qualifiers (CTQ)", "b", 2)],
];

export const EMV_TAGS: ReadonlyMap<Tag, TagEntry> = new Map([...BOOK_TAGS, ...OTHER_TAGS]);

const tryCounters = (what: string): readonly (readonly [Tag, TagEntry])[] =>
  ["Facial", "Finger", "Iris", "Palm", "Voice"].map((type, index) => [
    0xdf50 + index,
    card(what.replace("*", type), "b", 1),
  ]);

/** Tags that mean something else within these templates (Book 3, table 38 and Annex C7). */
const TEMPLATE_TAGS: ReadonlyMap<Tag, ReadonlyMap<Tag, TagEntry>> = new Map([
  [
    0xa1,
    new Map([
      [0x80, card("Patron Header Version", "b", 2)],
      [0x81, card("Biometric Type", "b", [1, 3])],
      [0x82, card("Biometric Subtype", "b", 1)],
      [0x83, card("Creation Date and Time", "b", 7)],
      [0x84, card("Creator", "b")],
      [0x85, card("Validity Period", "b", 8)],
      [0x86, card("Product Identifier", "b", 2)],
      [0x87, card("Format Owner", "b", 2)],
      [0x88, card("Format Type", "b", 2)],
      [0x90, card("Biometric Solution ID", "b")],
      [0x91, card("Biometric Matching Algorithm Parameters", "b")],
    ]),
  ],
  [0xbf4c, new Map(tryCounters("* Try Counter"))],
  [0xbf4d, new Map(tryCounters("Preferred * Attempts"))],
  [
    0xbf4e,
    new Map([
      [0x81, terminal("Biometric Type", "b", [1, 3])],
      [0x90, terminal("Biometric Solution ID", "b")],
      [0xdf50, secretInput("Enciphered Biometric Key Seed", "b")],
      [0xdf51, secretInput("Enciphered Biometric Data", "b")],
      [0xdf52, secretInput("MAC of Enciphered Biometric Data", "b", 8)],
    ]),
  ],
]);

/** What a tag means, at top level or within the template that encloses it. */
export const tagEntry = (tag: Tag, template?: Tag): TagEntry | undefined =>
  (template === undefined ? undefined : TEMPLATE_TAGS.get(template)?.get(tag)) ?? EMV_TAGS.get(tag);

/**
 * What people do not see of a recorded dialogue (RM6): all secret values, and the card's own public key certificates. From
 * those, anybody who has the public keys of the certification authority and the issuer recovers the account number
 * (Book 2, tables 14 and 26); the issuer's certificate holds only its first digits.
 */
export const MASKED_TAGS: ReadonlySet<Tag> = new Set([
  ...[...EMV_TAGS].filter(([, { secret: isSecret }]) => isSecret).map(([tag]) => tag),
  0x9f46,
  0x9f2d,
]);
