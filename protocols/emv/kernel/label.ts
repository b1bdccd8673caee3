/** The name of an application for the cardholder (Book 1, 12.2.4; Book 4, 11.3). */

import { findValue, type Tlv } from "../ber-tlv.ts";
import { ADDITIONAL_TERMINAL_CAPABILITIES, type Bit, hasBit } from "../bits.ts";
import type { TerminalSettings } from "./kernel.ts";

const LABEL_CHARACTERS_MAX = 16;

/** Issuer Code Table Index, tag 9F11: n of ISO/IEC 8859-n; undefined when the card names none. */
export function codeTableOf(objects: readonly Tlv[]): number | undefined {
  const index = findValue(objects, 0x9f11);
  return index?.length === 1 ? index[0] : undefined;
}

/** The index is n 2: digits, so that the tenth table's is the byte 10. */
const CODE_TABLES: ReadonlyMap<number, { readonly bit: Bit; readonly encoding: string }> = new Map([
  [0x01, { bit: ADDITIONAL_TERMINAL_CAPABILITIES.codeTable1, encoding: "iso-8859-1" }],
  [0x02, { bit: ADDITIONAL_TERMINAL_CAPABILITIES.codeTable2, encoding: "iso-8859-2" }],
  [0x03, { bit: ADDITIONAL_TERMINAL_CAPABILITIES.codeTable3, encoding: "iso-8859-3" }],
  [0x04, { bit: ADDITIONAL_TERMINAL_CAPABILITIES.codeTable4, encoding: "iso-8859-4" }],
  [0x05, { bit: ADDITIONAL_TERMINAL_CAPABILITIES.codeTable5, encoding: "iso-8859-5" }],
  [0x06, { bit: ADDITIONAL_TERMINAL_CAPABILITIES.codeTable6, encoding: "iso-8859-6" }],
  [0x07, { bit: ADDITIONAL_TERMINAL_CAPABILITIES.codeTable7, encoding: "iso-8859-7" }],
  [0x08, { bit: ADDITIONAL_TERMINAL_CAPABILITIES.codeTable8, encoding: "iso-8859-8" }],
  [0x09, { bit: ADDITIONAL_TERMINAL_CAPABILITIES.codeTable9, encoding: "iso-8859-9" }],
  [0x10, { bit: ADDITIONAL_TERMINAL_CAPABILITIES.codeTable10, encoding: "iso-8859-10" }],
]);

export interface LabelContext {
  readonly codeTable: number | undefined;
  readonly terminal: TerminalSettings;
}

/** Preferred Name where the terminal has its code table, else Application Label; undefined without a printable one. */
export function labelOf(objects: readonly Tlv[], { codeTable, terminal }: LabelContext): string | undefined {
  const preferred = findValue(objects, 0x9f12);
  const table = codeTable === undefined ? undefined : CODE_TABLES.get(codeTable);
  if (preferred && table && hasBit(terminal.additionalCapabilities, table.bit)) {
    const name = printable(new TextDecoder(table.encoding).decode(preferred));
    if (name) return name;
  }
  const label = findValue(objects, 0x50);
  return (
    label &&
    (printable(
      Buffer.from(label)
        .toString("latin1")
        .replace(/[^\x20-\x7e]/g, ""),
    ) ||
      undefined)
  );
}

const printable = (text: string): string =>
  text
    .replace(/[\p{C}\u2028\u2029]/gu, "")
    .trim()
    .slice(0, LABEL_CHARACTERS_MAX);
