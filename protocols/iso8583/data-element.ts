/** A data element without its packing, since variants of one edition differ in nothing else. */
import type { FieldFormat, FieldSpec, FieldTable, OddNibble, VariableLength } from "./spec.ts";

/** A row of an edition's table. A variable one has a `max` and the digits of its prefix. */
export type DataElement = Omit<FieldSpec, "encoding" | "length" | "padding"> & {
  readonly length: number | { readonly max: number; readonly digits: VariableLength["digits"] };
};

/** What a variant does with them all. */
export interface Packing {
  /** Formats n, z and x+n. */
  readonly digits: "ascii" | "bcd";
  /** Format b. */
  readonly bytes: "binary" | "hex";
  readonly prefix: VariableLength["encoding"];
}

type Options = Partial<Pick<FieldSpec, "sensitive" | "content">>;

export const fixed = (name: string, format: FieldFormat, length: number, options: Options = {}): DataElement => ({
  name,
  format,
  length,
  ...options,
});

const variable =
  (digits: VariableLength["digits"]) =>
  (name: string, format: FieldFormat, max: number, options: Options = {}): DataElement => ({
    name,
    format,
    length: { max, digits },
    ...options,
  });
export const llvar = variable(2);
export const lllvar = variable(3);

type Use = "Iso" | "National" | "Private";

/** Nobody but the parties knows what is in it, so it is not shown. */
export const reserved = (use: Use, de: number): DataElement =>
  lllvar(`Reserved${use}${de}`, "ans", 999, { sensitive: "hidden" });

export function reservedFrom(first: number, last: number, use: Use): Record<number, DataElement> {
  const numbers = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  return Object.fromEntries(numbers.map((de) => [de, reserved(use, de)]));
}

/** Numbers are filled with zeros in front, texts with spaces behind, where their length is fixed. */
export const packed = (elements: Readonly<Record<number, DataElement>>, packing: Packing): FieldTable =>
  Object.fromEntries(Object.entries(elements).map(([de, element]) => [de, packedField(element, packing)]));

function packedField(element: DataElement, { digits, bytes, prefix }: Packing): FieldSpec {
  const { format, length } = element;
  const isBytes = format === "b";
  const isDigits = format === "n" || format === "z" || format === "xn";
  const encoding = isBytes ? bytes : isDigits ? digits : "ascii";
  const odd: OddNibble = typeof length === "number" ? "left-zero" : "right-zero";
  const padding = format === "n" ? ("left-zero" as const) : ("right-space" as const);
  const isPadded = typeof length === "number" && !isBytes && format !== "z" && format !== "xn";
  return {
    ...element,
    encoding,
    length: typeof length === "number" ? length : { ...length, encoding: prefix },
    ...(isPadded && { padding }),
    ...(encoding === "bcd" && { oddNibble: odd }),
  };
}
