/** What a printer leaves on paper, and how one reads it: as plain text, line by line. */

export type Align = "left" | "center" | "right";

/** Characters of one style. Width and height are multiples of a normal character. */
export interface Span {
  readonly text: string;
  readonly bold: boolean;
  readonly underline: boolean;
  readonly inverse: boolean;
  readonly width: number;
  readonly height: number;
}

export type Printed =
  | { readonly kind: "line"; readonly align: Align; readonly spans: readonly Span[] }
  | { readonly kind: "qr"; readonly align: Align; readonly text: string; readonly moduleDots: number }
  | { readonly kind: "barcode"; readonly align: Align; readonly text: string }
  | { readonly kind: "image"; readonly align: Align; readonly widthDots: number; readonly heightDots: number };

/** What happened with a ticket besides ink: in order, for tests and for people. */
export type Mark =
  | { readonly kind: "drawer"; readonly pin: 2 | 5 }
  | { readonly kind: "unknown-command"; readonly hex: string }
  | { readonly kind: "unknown-codepage"; readonly page: number };

export type CutKind = "full" | "partial";

/** Everything between two cuts. */
export interface Ticket {
  /** Counts from 1 since the simulator started. */
  readonly number: number;
  readonly text: string;
  readonly svg: string;
  readonly marks: readonly Mark[];
  readonly cut: CutKind;
  readonly cutAt: string;
  /** How many earlier tickets bear exactly the same text. */
  readonly sameAsEarlier: number;
}

export const spanColumns = (span: Span): number => [...span.text].length * span.width;

export const lineColumns = (spans: readonly Span[]): number => spans.reduce((sum, span) => sum + spanColumns(span), 0);

/** Empty columns to the left of something that wide. */
export function indentOf(align: Align, used: number, columns: number): number {
  const free = Math.max(columns - used, 0);
  if (align === "left") return 0;
  return align === "right" ? free : Math.floor(free / 2);
}

/** Empty lines at the end are the feed to the cutter and do not count. */
export function paperText(printed: readonly Printed[], columns: number): string {
  return printed
    .map((item) => itemText(item, columns))
    .join("\n")
    .trimEnd();
}

function itemText(item: Printed, columns: number): string {
  switch (item.kind) {
    case "line": {
      const indent = indentOf(item.align, lineColumns(item.spans), columns);
      return (" ".repeat(indent) + item.spans.map((span) => span.text).join("")).trimEnd();
    }
    case "qr":
      return boxed(`[QR ${item.text}]`, item.align, columns);
    case "barcode":
      return boxed(`[BARCODE ${item.text}]`, item.align, columns);
    case "image":
      return boxed(`[IMAGE ${item.widthDots}x${item.heightDots}]`, item.align, columns);
  }
}

const boxed = (text: string, align: Align, columns: number): string =>
  " ".repeat(indentOf(align, text.length, columns)) + text;
