/**
 * How messages of one dialect are laid out: tables of fields that the codec is driven by. A table is data, so that whoever talks
 * to another host writes another table and no code.
 */

/**
 * The attributes of ISO 8583:1987, 4.2. `n` digits, `a` letters, `s` special characters and their unions; `z` a magnetic track;
 * `b` bytes; `xn` is `C` or `D` and digits. Texts are single bytes of ISO 8859-1 without control characters.
 */
export type FieldFormat = "n" | "a" | "an" | "as" | "ns" | "ans" | "z" | "xn" | "b";

/**
 * `ascii`: one byte for each character. `bcd`: two digits in a byte, of a track `D` for `=`; of `xn` the sign stays a
 * character. `binary`: bytes as they are. `hex`: bytes as two hexadecimal characters each, and only `binary` and `hex` suit `b`.
 */
export type ValueEncoding = "ascii" | "bcd" | "binary" | "hex";

/**
 * How many units follow, in front of a variable field: LVAR has one digit, LLLLVAR four. The unit is that of the format (a
 * digit, a character, a byte), whatever the encoding makes of it. `bcd`: two digits in a byte, zeros in front. `binary`: one
 * byte for one or two digits, two bytes for three or four, three bytes above.
 */
export interface VariableLength {
  readonly max: number;
  readonly digits: 1 | 2 | 3 | 4 | 5 | 6;
  readonly encoding: "ascii" | "bcd" | "binary";
}

/**
 * What is done to a text that is shorter than its fixed field. Zeros in front stay when a field is read; spaces behind go, since
 * writing puts them back. Without padding the length must fit.
 */
export type Padding = "left-zero" | "right-space";

/** Where the half byte goes that an odd number of BCD digits leaves over, and what stands in it. */
export type OddNibble = "left-zero" | "right-zero" | "right-f";

/**
 * What people must not see. `pan`: all but the first six and the last four digits. `track`: all but the same of the number in
 * it. `hidden`: everything, as of PIN blocks, card verification values, and private fields of which a table says nothing.
 */
export type Sensitivity = "pan" | "track" | "hidden";

export interface FieldSpec {
  /** The field's own word, as in the glossary: `Stan`, `Rrn`. */
  readonly name: string;
  readonly format: FieldFormat;
  /** Units of the format: exactly so many, or as many as a prefix says. Of `xn` the sign counts as one. */
  readonly length: number | VariableLength;
  readonly encoding: ValueEncoding;
  readonly padding?: Padding;
  /** Only of `bcd`; `left-zero` where absent. */
  readonly oddNibble?: OddNibble;
  /** What the bytes hold; without it they are one value. Only of `ans` in ASCII and of `b`. */
  readonly content?: FieldContent;
  readonly sensitive?: Sensitivity;
}

export type FieldContent =
  /** Data objects as EMV cards have them: DE 55. Its value is a list of `Tlv`. */
  | { readonly kind: "ber-tlv" }
  /** One after another, numbered from 1; those at the end may be absent. */
  | { readonly kind: "positional"; readonly fields: readonly FieldSpec[] }
  /** Behind a bitmap of eight bytes of their own, numbered 1 to 64: DE 127. */
  | { readonly kind: "bitmap"; readonly bitmap: BitmapEncoding; readonly fields: FieldTable }
  /** Each behind its tag and its length: DE 48. */
  | TaggedContent;

export interface TaggedContent {
  readonly kind: "tagged";
  /** Characters of a tag, digits or letters. */
  readonly tagCharacters: number;
  /** ASCII digits of the length behind a tag, which counts bytes. */
  readonly lengthDigits: 1 | 2 | 3 | 4;
  /** By tag. Their own `length` is the most that they may have, or what they must have. */
  readonly fields: Readonly<Record<string, FieldSpec>>;
  /** Tags that the table does not have: kept as one value of this kind, or refused where absent. */
  readonly others?: FieldSpec;
}

/** By the number of the data element or sub-field. */
export type FieldTable = Readonly<Record<number, FieldSpec>>;

/** `hex`: sixteen characters for each eight bytes. */
export type BitmapEncoding = "binary" | "hex";

/** First digit of the MTI: 0 is ISO 8583:1987, 1 is ISO 8583:1993. */
export type MtiVersion = "0" | "1";

export interface MessageSpec {
  /** As `--spec` takes it. */
  readonly name: string;
  /** One line for people. */
  readonly description: string;
  readonly version: MtiVersion;
  readonly mti: "ascii" | "bcd";
  readonly bitmap: BitmapEncoding;
  /** 2 to 128; with fields from 129 to 192 DE 65 is the third bitmap, and no field of this table. */
  readonly fields: FieldTable;
}
