/** A receipt as a value: what is to be on paper, not how a printer is told. */
export type ReceiptLine =
  | {
      readonly kind: "text";
      readonly text: string;
      readonly align?: "left" | "center" | "right";
      readonly bold?: true;
      readonly large?: true;
    }
  /** A label and a value at the two edges of one line. */
  | { readonly kind: "pair"; readonly label: string; readonly value: string; readonly bold?: true }
  | { readonly kind: "rule" }
  | { readonly kind: "blank" }
  /** The paper is cut and another ticket of the same print begins. */
  | { readonly kind: "cut" }
  | { readonly kind: "qr"; readonly text: string };

export interface ReceiptDocument {
  /** Carried through to logs and spool; not printed. */
  readonly title: string;
  readonly lines: readonly ReceiptLine[];
  /** Pulse the drawer before printing. */
  readonly openDrawer?: true;
}
