/** What a ticket's layout needs to know of a printer: data, one row per kind of paper and command set. */

/** Characters of font A on one line: 58 mm paper has 32, 80 mm paper 42 or 48. */
export const COLUMNS = [32, 42, 44, 48] as const;
export type Columns = (typeof COLUMNS)[number];

/** `epson`: the tables of the TM series; `epson-legacy`: the first few of them, which nearly every clone has. */
export const CODEPAGE_SETS = ["epson", "epson-legacy"] as const;
export type CodepageSet = (typeof CODEPAGE_SETS)[number];

/** `none` is for a printer with a tear bar: the ticket is fed out and left to be torn. */
export const CUTS = ["partial", "full", "none"] as const;
export type Cut = (typeof CUTS)[number];

export interface PrinterModel {
  readonly columns: Columns;
  readonly codepages: CodepageSet;
  readonly cut: Cut;
}

export const DEFAULT_MODEL: PrinterModel = { columns: 42, codepages: "epson", cut: "partial" };
