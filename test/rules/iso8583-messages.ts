/** Random messages that suit a table, for properties of the codec and of what people see. */
import fc from "fast-check";
import type { Tlv } from "../../protocols/emv/ber-tlv.ts";
import type { FieldValue, Iso8583Message } from "../../protocols/iso8583/message.ts";
import type { FieldContent, FieldFormat, FieldSpec, MessageSpec } from "../../protocols/iso8583/spec.ts";

const DIGITS = "0123456789";
const LETTERS = "ABCXYZabcxyz";
/** No space: behind a text it is padding, and does not come back. */
const SPECIALS = "!#%&'()*+,-./:;<=>?@[]^_{|}~\u00a7\u00e9\u00ff";

const ALPHABET: Readonly<Record<Exclude<FieldFormat, "b" | "xn">, string>> = {
  n: DIGITS,
  a: LETTERS,
  an: DIGITS + LETTERS,
  as: LETTERS + SPECIALS,
  ns: DIGITS + SPECIALS,
  ans: DIGITS + LETTERS + SPECIALS,
  z: `${DIGITS}=`,
};

/** Long fields are as long as these, so that runs stay short. */
const UNITS_MAX = 40;

export function arbitraryMessage(spec: MessageSpec): fc.Arbitrary<Iso8583Message> {
  const fields = Object.fromEntries(Object.entries(spec.fields).map(([de, field]) => [de, arbitraryField(field)]));
  return fc.record({
    mti: fc.stringMatching(/^[1-8][0-9][0-5]$/).map((rest) => spec.version + rest),
    fields: fc.record(fields, { requiredKeys: [] }).map(ordinary),
  });
}

/** fast-check makes objects without a prototype, and the codec does not. */
function ordinary(values: Readonly<Record<string, FieldValue | undefined>>): Record<string, FieldValue> {
  const present: Record<string, FieldValue> = {};
  for (const [id, value] of Object.entries(values)) if (value !== undefined) present[id] = value;
  return present;
}

export function arbitraryField(spec: FieldSpec): fc.Arbitrary<FieldValue> {
  const { format, length, content } = spec;
  if (content) return arbitraryContent(content);
  const fixed = typeof length === "number" ? length : undefined;
  const most = typeof length === "number" ? length : Math.min(length.max, UNITS_MAX);
  const size = { minLength: fixed ?? 0, maxLength: most };
  if (format === "b") return fc.uint8Array(size);
  if (format === "xn")
    return fc
      .tuple(fc.constantFrom("C", "D"), text(DIGITS, { minLength: most - 1, maxLength: most - 1 }))
      .map((parts) => parts.join(""));
  const minLength = spec.padding === "right-space" ? 0 : size.minLength;
  return text(ALPHABET[format], { minLength, maxLength: most });
}

const text = (alphabet: string, size: { readonly minLength: number; readonly maxLength: number }) =>
  fc.string({ unit: fc.constantFrom(...alphabet), ...size });

function arbitraryContent(content: FieldContent): fc.Arbitrary<FieldValue> {
  switch (content.kind) {
    case "ber-tlv":
      return fc.uniqueArray(arbitraryTlv, { maxLength: 6, selector: ({ tag }) => tag });
    case "positional":
      return fc
        .tuple(fc.nat(content.fields.length), ...content.fields.map(arbitraryField))
        .map(([count, ...values]) => Object.fromEntries(values.slice(0, count).map((value, at) => [at + 1, value])));
    case "bitmap": {
      const fields = Object.entries(content.fields).map(([id, field]) => [id, arbitraryField(field)] as const);
      return fc.record(Object.fromEntries(fields), { requiredKeys: [] }).map(ordinary);
    }
    case "tagged": {
      const known = Object.entries(content.fields).map(([tag, field]) => [tag, arbitraryField(field)] as const);
      const others = content.others ? [["01", arbitraryField(content.others)] as const] : [];
      return fc.record(Object.fromEntries([...known, ...others]), { requiredKeys: [] }).map(ordinary);
    }
  }
}

const TAGS = [0x5a, 0x57, 0x5f20, 0x82, 0x95, 0x9a, 0x9f02, 0x9f10, 0x9f1f, 0x9f20, 0x9f26, 0x9f36] as const;
const arbitraryTlv: fc.Arbitrary<Tlv> = fc.record({
  tag: fc.constantFrom(...TAGS),
  value: fc.uint8Array({ maxLength: 12 }),
});
