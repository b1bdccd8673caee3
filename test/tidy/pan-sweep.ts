/** Looks for card numbers in whatever a run has written: logs, databases, tickets, metrics, traffic (RM5, PCI DSS 3.5). */

/**
 * ascii: digits, alone or grouped by spaces or dashes, which is also the hex text of packed BCD; ascii-hex: the hex text
 * of ASCII digits; bcd: raw packed digits, at either half of a byte; the base64 forms: of either, wherever they begin.
 */
export type CardNumberForm = "ascii" | "ascii-hex" | "utf16" | "bcd" | "base64-of-ascii" | "base64-of-bcd";

export interface CardNumberFinding {
  readonly form: CardNumberForm;
  /** Of its first byte. */
  readonly offset: number;
  /** First six and last four digits: a finding must not leak what it found. */
  readonly masked: string;
  /** A field separator follows (`D` or `=`), so that this is track 2 and not the number alone. */
  readonly track2: boolean;
}

const PAN = /^\d{12,19}$/;

export function sweepForCardNumbers(bytes: Uint8Array, knownPans: readonly string[]): readonly CardNumberFinding[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  const nibbles = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
  return knownPans.flatMap((pan) => {
    if (!PAN.test(pan)) throw new Error("a known card number has 12 to 19 digits");
    const masked = `${pan.slice(0, 6)}${"*".repeat(pan.length - 10)}${pan.slice(-4)}`;
    return [
      ...inText(text, pan),
      ...everywhere(nibbles, pan).map((at) => ({
        form: "bcd" as const,
        offset: at >> 1,
        track2: nibbles[at + pan.length] === "d",
      })),
      ...inBase64(text, pan),
    ].map((finding) => ({ ...finding, masked }));
  });
}

type Place = Omit<CardNumberFinding, "masked">;

function inText(text: string, pan: string): readonly Place[] {
  const digits = pan.split("");
  // At most one separator between two digits: groups of four as people write, pairs as hex dumps print.
  const ascii = new RegExp(`${digits.join("[ :-]?")}(?=([ :-]?[D=d])?)`, "g");
  const hexOf = (spell: (digit: string) => string) => digits.map(spell).join("[ :]?");
  const asciiHex = new RegExp(`${hexOf((digit) => `3${digit}`)}(?=([ :]?(?:3[dD]|44))?)`, "g");
  const utf16 = new RegExp(`${digits.join("\\x00")}(?=(\\x00[D=])?)`, "g");
  const found = (pattern: RegExp, form: CardNumberForm): readonly Place[] =>
    [...text.matchAll(pattern)].map((match) => ({ form, offset: match.index, track2: match[1] !== undefined }));
  return [...found(ascii, "ascii"), ...found(asciiHex, "ascii-hex"), ...found(utf16, "utf16")];
}

function inBase64(text: string, pan: string): readonly Place[] {
  const ascii = base64Needles(Buffer.from(pan, "ascii"));
  // Shifted by half a byte, the first digit shares its byte with a stranger: the whole bytes behind it are sought.
  const bcd = [pan, pan.slice(1)].flatMap((digits) => base64Needles(Buffer.from(evenPart(digits), "hex")));
  const plain = text.replaceAll("-", "+").replaceAll("_", "/");
  const found = (needles: readonly string[], form: CardNumberForm): readonly Place[] =>
    needles.flatMap((needle) => everywhere(plain, needle).map((offset) => ({ form, offset, track2: false })));
  return [...found(ascii, "base64-of-ascii"), ...found(bcd, "base64-of-bcd")];
}

const evenPart = (digits: string): string => digits.slice(0, digits.length - (digits.length % 2));

/** The characters that depend on these bytes alone, for each of the three places in a group of three bytes. */
export function base64Needles(bytes: Buffer): readonly string[] {
  return [0, 1, 2].map((shift) => {
    const encoded = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString("base64")
      .replaceAll("=", "");
    const strangersAtEnd = (shift + bytes.length) % 3 === 0 ? 0 : 1;
    const strangersAtStart = [0, 2, 3][shift] ?? 0;
    return encoded.slice(strangersAtStart, encoded.length - strangersAtEnd);
  });
}

export function everywhere(text: string, needle: string): readonly number[] {
  const places: number[] = [];
  for (let at = text.indexOf(needle); at !== -1; at = text.indexOf(needle, at + 1)) places.push(at);
  return places;
}
