/** AIM symbology identifiers (ISO/IEC 15424): `]`, a code character, a modifier, as scanners put them before what they read. */

/** Code characters that the standard has given away. */
const IDENTIFIER = /^\][A-IK-SUXZc-eghjopsz][0-9A-Za-z]/;
export const AIM_CHARACTERS = 3;

export const isAim = (text: string): boolean => text.length === AIM_CHARACTERS && IDENTIFIER.test(text);

/** What a scanner was told to send before the text is not part of it. */
export function splitAim(text: string): { readonly text: string; readonly aim?: string } {
  if (!IDENTIFIER.test(text)) return { text };
  return { text: text.slice(AIM_CHARACTERS), aim: text.slice(0, AIM_CHARACTERS) };
}
