/** The tables that come with Tillway, by name. A host's own dialect is one of them with some fields replaced, or a new one. */
import { Fault } from "../../base/fault.ts";
import { lllvar, type Packing, packed } from "./data-element.ts";
import { DATA_ELEMENTS_1987 } from "./data-elements-1987.ts";
import { DATA_ELEMENTS_1993 } from "./data-elements-1993.ts";
import type { FieldSpec, FieldTable, MessageSpec } from "./spec.ts";

const CHARACTERS: Packing = { digits: "ascii", bytes: "hex", prefix: "ascii" };
const BINARY: Packing = { digits: "ascii", bytes: "binary", prefix: "ascii" };
const PACKED: Packing = { digits: "bcd", bytes: "binary", prefix: "bcd" };

export const SPEC_1987_ASCII: MessageSpec = {
  name: "1987-ascii",
  description: "ISO 8583:1987, characters only: bitmaps and bytes as hexadecimal characters",
  version: "0",
  mti: "ascii",
  bitmap: "hex",
  fields: packed(DATA_ELEMENTS_1987, CHARACTERS),
};

export const SPEC_1987_BINARY: MessageSpec = {
  name: "1987-binary",
  description: "ISO 8583:1987, digits and lengths as characters, bitmaps and bytes as they are",
  version: "0",
  mti: "ascii",
  bitmap: "binary",
  fields: packed(DATA_ELEMENTS_1987, BINARY),
};

export const SPEC_1987_BCD: MessageSpec = {
  name: "1987-bcd",
  description: "ISO 8583:1987, digits and lengths two in a byte, bitmaps and bytes as they are",
  version: "0",
  mti: "bcd",
  bitmap: "binary",
  fields: packed(DATA_ELEMENTS_1987, PACKED),
};

export const SPEC_1993_ASCII: MessageSpec = {
  name: "1993-ascii",
  description: "ISO 8583:1993, characters only: bitmaps and bytes as hexadecimal characters",
  version: "1",
  mti: "ascii",
  bitmap: "hex",
  fields: packed(DATA_ELEMENTS_1993, CHARACTERS),
};

/** Another dialect: the same but for some fields. */
export const withFields = (
  spec: MessageSpec,
  changes: Pick<MessageSpec, "name" | "description" | "fields">,
): MessageSpec => ({ ...spec, ...changes, fields: { ...spec.fields, ...changes.fields } });

const NESTED_PREFIX = { encoding: "ascii" } as const;
/** A sub-field of characters, as long as its prefix says. */
const text = (name: string, max: number, options: Partial<FieldSpec> = {}): FieldSpec => ({
  name,
  format: "ans",
  encoding: "ascii",
  length: { max, digits: 2, ...NESTED_PREFIX },
  ...options,
});

/** Sub-fields behind a bitmap of their own, as Postilion's hosts have them. */
const POSTILION_127: FieldTable = {
  2: text("SwitchKey", 32),
  3: { ...text("RoutingInformation", 48), length: 48 },
  4: { ...text("PosData", 22), length: 22 },
  6: { ...text("AuthorisationProfile", 2), format: "an", length: 2 },
  10: { ...text("CardVerificationValue2", 3, { sensitive: "hidden" }), format: "n", length: 3 },
  20: { ...text("OriginatorSettlementDate", 8), format: "n", length: 8 },
  22: text("StructuredData", 999, { length: { max: 999, digits: 5, ...NESTED_PREFIX }, sensitive: "hidden" }),
};

const THIRD_BITMAP = Object.fromEntries(
  Array.from({ length: 64 }, (_, index) => {
    const de = 129 + index;
    return [de, lllvar(`ReservedPrivate${de}`, "ans", 999, { sensitive: "hidden" })] as const;
  }),
);

export const SPEC_1987_NESTED: MessageSpec = withFields(SPEC_1987_BINARY, {
  name: "1987-nested",
  description: "as 1987-binary, with tagged sub-fields in DE 48, a bitmap in DE 127 and a third bitmap in DE 65",
  fields: {
    48: {
      ...text("AdditionalDataPrivate", 999),
      length: { max: 999, digits: 3, ...NESTED_PREFIX },
      content: {
        kind: "tagged",
        tagCharacters: 2,
        lengthDigits: 2,
        fields: { 92: text("CardVerificationCode2", 3, { sensitive: "hidden" }) },
        others: text("PrivateSubField", 99, { sensitive: "hidden" }),
      },
    },
    127: {
      name: "PrivateSubFields",
      format: "b",
      encoding: "binary",
      length: { max: 9_999, digits: 6, ...NESTED_PREFIX },
      content: { kind: "bitmap", bitmap: "binary", fields: POSTILION_127 },
    },
    ...packed(THIRD_BITMAP, BINARY),
  },
});

export const SPECS: readonly MessageSpec[] = [
  SPEC_1987_ASCII,
  SPEC_1987_BINARY,
  SPEC_1987_BCD,
  SPEC_1993_ASCII,
  SPEC_1987_NESTED,
];

export const SPEC_NAMES: readonly string[] = SPECS.map(({ name }) => name);

/** Throws a Fault that tells the names there are. */
export function specNamed(name: string): MessageSpec {
  const spec = SPECS.find((candidate) => candidate.name === name);
  if (spec) return spec;
  throw new Fault("config.invalid", `there is no table "${name}"; there are ${SPEC_NAMES.join(", ")}`);
}
