/** How one value stands in bytes, whatever is around it; and what a value that is to be written must be. */
import { UNIT_NAMES } from "./characters.ts";
import { type Place, type Source, type Target, writeFault } from "./cursor.ts";
import { type FieldValue, isSubFields, type SubFields } from "./message.ts";
import type { FieldSpec } from "./spec.ts";

/** Of a fixed field the table knows how many units there are, of a variable one the prefix in front says so. */
export interface ValueCodec {
  /** As many units as the table says, unless they are given. */
  read(source: Source, units?: number): FieldValue;
  /** Units written; of a fixed field the table's, with what padding adds. */
  write(target: Target, value: FieldValue): number;
}

/** A field of a message, or of another field, under its number or tag. */
export interface FieldCodec {
  readonly id: string;
  read(source: Source): FieldValue;
  write(target: Target, value: FieldValue): unknown;
}

/** Reads until the end of the source, and leaves nothing. */
export interface ContentCodec {
  read(source: Source): FieldValue;
  write(target: Target, value: FieldValue): void;
}

export function wantText(value: FieldValue, place: Place): string {
  if (typeof value === "string") return value;
  throw writeFault("codec.invalid", place, `wants a text, and is ${kindOf(value)}`);
}

export function wantBytes(value: FieldValue, place: Place): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw writeFault("codec.invalid", place, `wants bytes, and is ${kindOf(value)}`);
}

export function wantSubFields(value: FieldValue, place: Place): SubFields {
  if (value !== null && isSubFields(value)) return value;
  throw writeFault("codec.invalid", place, `wants sub-fields, and is ${kindOf(value)}`);
}

export function kindOf(value: unknown): string {
  if (typeof value === "string") return "a text";
  if (value instanceof Uint8Array) return "bytes";
  if (Array.isArray(value)) return "a list";
  return value === null ? "null" : `a value of type ${typeof value}`;
}

/** How a text is put into the units of its field: what is in front, what behind. Of a variable field nothing. */
export function textUnits(spec: FieldSpec, place: Place): (value: string) => number {
  const { length, padding } = spec;
  const unit = UNIT_NAMES[spec.format];
  if (typeof length !== "number") {
    return ({ length: has }) => {
      if (has <= length.max) return has;
      throw writeFault("codec.too-long", place, `${has} ${unit} where at most ${length.max} belong`);
    };
  }
  return ({ length: has }) => {
    if (has === length || (has < length && padding !== undefined)) return length;
    const code = has > length ? "codec.too-long" : "codec.truncated";
    throw writeFault(code, place, `${has} ${unit} where ${length} belong`);
  };
}

export function checkByteCount(count: number, { length }: FieldSpec, place: Place): void {
  if (typeof length === "number" ? count === length : count <= length.max) return;
  const [code, belong] =
    typeof length === "number"
      ? ([count > length ? "codec.too-long" : "codec.truncated", `${length}`] as const)
      : (["codec.too-long", `at most ${length.max}`] as const);
  throw writeFault(code, place, `${count} bytes where ${belong} belong`);
}

/** Of a variable field there is no such number, and it is read with that of its prefix. */
export const fixedUnits = ({ length }: FieldSpec): number => (typeof length === "number" ? length : 0);
