/**
 * The matrix of simulated cards and courses of a sale. The expected values are written by hand from EMV 4.4: TVR and TSI by
 * Book 3, Annex C5 and C6, action analysis by 10.7, the second cryptogram by 10.9 to 10.11, response codes by Book 4, Annex A6.
 *
 * The terminal of the matrix: chip, signature and no CVM, all of SDA, DDA and CDA, floor limit 50.00, action codes of its own
 * all zero. The sale is over 60.00 (TVR byte 4 bit 8), and over 25.00 in the last course. A card with certificates wants the
 * issuer for TVR FC 60 80 F8 00, and declines without the issuer for FC 60 80 20 00.
 */
import { describe, expect, test } from "vitest";
import { cellText, MATRIX_COURSES, runMatrixCell } from "../../sim/card/matrix.ts";
import { CARD_PROFILES, cardProfile } from "../../sim/card/profiles.ts";

type Row = readonly [approve: string, decline: string, unable: string, offline: string];

/** Four times the same: the transaction ends before it could be online or offline. */
const always = (cell: string): Row => [cell, cell, cell, cell];

/** CDA that holds: authentication, CVM, card and terminal risk management; with the issuer's authentication when it answers. */
const GOOD_CDA: Row = [
  "ARQC+TC 0000008000 F800 approved 00",
  "ARQC+AAC 0000008000 F800 declined 05",
  "ARQC+TC 0000008000 E800 approved Y3",
  "TC 0000000000 E800 approved Y1",
];

/** TVR bits by which a certified card wants the issuer in every course, and declines without it. */
const onlyWithIssuer = (above: string, below: string): Row => [
  `ARQC+TC ${above} F800 approved 00`,
  `ARQC+AAC ${above} F800 declined 05`,
  `ARQC+AAC ${above} E800 declined Z3`,
  `ARQC+AAC ${below} E800 declined Z3`,
];
const CDA_FAILED = onlyWithIssuer("0400008000", "0400000000");

const EXPECTED: Readonly<Record<string, Row>> = {
  standard: GOOD_CDA,
  cashback: GOOD_CDA,
  // No certificates: TVR byte 1 bit 8, no TSI bit for authentication; no issuer authentication either.
  second: [
    "ARQC+TC 8000008000 6800 approved 00",
    "ARQC+AAC 8000008000 6800 declined 05",
    "ARQC+TC 8000008000 6800 approved Y3",
    "TC 8000000000 6800 approved Y1",
  ],
  // Asked for a TC it asks for the issuer; asked for a TC without the issuer it declines.
  "online-only": [
    "ARQC+TC 8000008000 6800 approved 00",
    "ARQC+AAC 8000008000 6800 declined 05",
    "ARQC+AAC 8000008000 6800 declined Y3",
    "ARQC+AAC 8000000000 6800 declined Y3",
  ],
  declining: [
    "AAC 8000008000 6800 declined Z1",
    "AAC 8000008000 6800 declined Z1",
    "AAC 8000008000 6800 declined Z1",
    "AAC 8000000000 6800 declined Z1",
  ],
  // An AAC is not signed, so that authentication was selected and not performed.
  "offline-only": [
    "AAC 0000008000 6800 declined Z1",
    "AAC 0000008000 6800 declined Z1",
    "AAC 0000008000 6800 declined Z1",
    "TC 0000000000 E800 approved Y1",
  ],
  // TVR byte 1 bit 2: SDA selected.
  sda: [
    "ARQC+TC 0200008000 F800 approved 00",
    "ARQC+AAC 0200008000 F800 declined 05",
    "ARQC+TC 0200008000 E800 approved Y3",
    "TC 0200000000 E800 approved Y1",
  ],
  dda: GOOD_CDA,
  "dda-default-ddol": GOOD_CDA,
  // The issuer's answer goes with CDOL2: no EXTERNAL AUTHENTICATE, no TSI bit.
  cda: [
    "ARQC+TC 0000008000 E800 approved 00",
    "ARQC+AAC 0000008000 E800 declined 05",
    "ARQC+TC 0000008000 E800 approved Y3",
    "TC 0000000000 E800 approved Y1",
  ],
  "common-core": GOOD_CDA,
  // TVR byte 2 bit 7.
  expired: onlyWithIssuer("0040008000", "0040000000"),
  // TVR byte 2 bit 6.
  "not-yet-effective": onlyWithIssuer("0020008000", "0020000000"),
  blocked: always("- - - application-blocked"),
  "card-blocked": always("- - - card-blocked"),
  "revoked-issuer": CDA_FAILED,
  "wrong-ca": CDA_FAILED,
  "two-applications": GOOD_CDA,
  // TVR byte 2 bit 4: never online before. TSI bit 3: scripts were processed, after an approval and after a decline.
  scripts: [
    "ARQC+TC 0008008000 FC00 approved 00",
    "ARQC+AAC 0008008000 FC00 declined 05",
    "ARQC+TC 0008008000 E800 approved Y3",
    "TC 0008000000 E800 approved Y1",
  ],
  // The third sale offline in a row, limits 2 and 3: byte 4 bit 7, which wants the issuer but does not need it.
  velocity: [
    "ARQC+TC 000800C000 F800 approved 00",
    "ARQC+AAC 000800C000 F800 declined 05",
    "ARQC+TC 000800C000 E800 approved Y3",
    "ARQC+TC 0008004000 E800 approved Y3",
  ],
  // Counters that cannot be read are data missing (byte 1 bit 6) and exceed both limits; whether the card is new nobody knows.
  "silent-counters": onlyWithIssuer("200000E000", "2000006000"),
  "tc-hash": GOOD_CDA,
  // TVR byte 5 bit 8.
  "default-tdol": [
    "ARQC+TC 0000008080 F800 approved 00",
    "ARQC+AAC 0000008080 F800 declined 05",
    "ARQC+TC 0000008080 E800 approved Y3",
    "TC 0000000080 E800 approved Y1",
  ],
  signature: GOOD_CDA,
  "pin-or-signature": GOOD_CDA,
  // TVR byte 3 bits 8 and 5: verification failed, PIN pad not present.
  "pin-only": onlyWithIssuer("0000908000", "0000900000"),
  mute: always("- - - mute"),
  slow: GOOD_CDA,
  // The signature over the ARQC is by another key: ended by an AAC at once (RM13). Offline the TC counts as declined.
  cloned: [
    "ARQC+AAC 0400008000 E800 declined Z1",
    "ARQC+AAC 0400008000 E800 declined Z1",
    "ARQC+AAC 0400008000 E800 declined Z1",
    "TC 0400000000 E800 declined Z1",
  ],
  // SDA cannot tell a copy: only the issuer can, who then does not authenticate itself to it.
  "cloned-static": [
    "ARQC+AAC 0200008000 E800 declined 05",
    "ARQC+AAC 0200008000 E800 declined 05",
    "ARQC+TC 0200008000 E800 approved Y3",
    "TC 0200000000 E800 approved Y1",
  ],
  // TVR byte 1 bits 7 and 2.
  altered: onlyWithIssuer("4200008000", "4200000000"),
  "duplicate-object": always("- - - data-duplicate"),
  "no-expiry": always("- - - data-missing"),
  "certificate-format": CDA_FAILED,
  "certificate-length": CDA_FAILED,
  "wrong-length": always("- - - data-format"),
  "afl-length": always("- - - data-format"),
  // Seven bytes inside a signature fail it; seven bytes in clear have no form.
  "cryptogram-length": [
    "ARQC 0400008000 E800 data-format",
    "ARQC 0400008000 E800 data-format",
    "ARQC 0400008000 E800 data-format",
    "TC 0400000000 E800 declined Z1",
  ],
  "out-of-turn": always("- - - data-format"),
  "more-than-asked": [
    "TC 0000008000 4800 card-error",
    "TC 0000008000 4800 card-error",
    "TC 0000008000 4800 card-error",
    "TC 0000000000 E800 approved Y1",
  ],
};

test("the table has a row for every profile", () => {
  expect(Object.keys(EXPECTED).sort()).toEqual(CARD_PROFILES.map(({ name }) => name).sort());
});

describe.each(Object.entries(EXPECTED))("%s", (name, row) => {
  test.each(MATRIX_COURSES.map((course, index) => [course, row[index]] as const))("%s", async (course, expected) => {
    expect(cellText(await runMatrixCell(cardProfile(name), course))).toBe(expected);
  });
});
