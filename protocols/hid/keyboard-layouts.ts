/** What the keys of a keyboard mean, by layout: usages of the Keyboard/Keypad page (HID Usage Tables 1.5, section 10). */

export const KEYBOARD_LAYOUTS = ["us", "de"] as const;
export type KeyboardLayout = (typeof KEYBOARD_LAYOUTS)[number];

export type KeyLevel = "plain" | "shift" | "altGr";

export const KEY = { enter: 0x28, tab: 0x2b, space: 0x2c, keypadEnter: 0x58 } as const;

/** A key that waits for the next one, and what the two make of it: combining characters of Unicode. */
export const DEAD_KEYS: Readonly<Record<string, string>> = { "^": "\u0302", "´": "\u0301", "`": "\u0300" };

/** One character for each key from `first` on; a space where the level has none. */
interface Row {
  readonly first: number;
  readonly plain: string;
  readonly shift: string;
  readonly altGr?: string;
}

const US: readonly Row[] = [
  { first: 0x04, plain: "abcdefghijklmnopqrstuvwxyz", shift: "ABCDEFGHIJKLMNOPQRSTUVWXYZ" },
  { first: 0x1e, plain: "1234567890", shift: "!@#$%^&*()" },
  { first: 0x2d, plain: "-=[]\\\\;'`,./", shift: '_+{}||:"~<>?' },
  { first: 0x64, plain: "\\", shift: "|" },
];

const DE: readonly Row[] = [
  {
    first: 0x04,
    plain: "abcdefghijklmnopqrstuvwxzy",
    shift: "ABCDEFGHIJKLMNOPQRSTUVWXZY",
    altGr: "    €       µ   @         ",
  },
  { first: 0x1e, plain: "1234567890", shift: '!"§$%&/()=', altGr: " ²³   {[]}" },
  { first: 0x2d, plain: "ß´ü+##öä^,.-", shift: "?`Ü*''ÖÄ°;:_", altGr: "\\  ~        " },
  { first: 0x64, plain: "<", shift: ">", altGr: "|" },
];

const KEYPAD: Row = { first: 0x54, plain: "/*-+ 1234567890.", shift: "/*-+ 1234567890." };
const ROWS: Readonly<Record<KeyboardLayout, readonly Row[]>> = { us: [...US, KEYPAD], de: [...DE, KEYPAD] };
/** Dead keys are so on these layouts only. */
const DEAD_ON: readonly KeyboardLayout[] = ["de"];

/** The character of a key, or `undefined` for one that has none at this level. */
export function characterOf(layout: KeyboardLayout, usage: number, level: KeyLevel): string | undefined {
  if (usage === KEY.space) return level === "altGr" ? undefined : " ";
  for (const row of ROWS[layout]) {
    const character = [...(row[level] ?? "")][usage - row.first];
    if (usage >= row.first && character !== undefined) return character === " " ? undefined : character;
  }
  return undefined;
}

export const isDead = (layout: KeyboardLayout, character: string): boolean =>
  DEAD_ON.includes(layout) && character in DEAD_KEYS;

export interface Key {
  readonly usage: number;
  readonly level: KeyLevel;
}

/** The key that gives a character, or `undefined` where the layout has none. */
export function keyOf(layout: KeyboardLayout, character: string): Key | undefined {
  if (character === " ") return { usage: KEY.space, level: "plain" };
  for (const row of ROWS[layout]) {
    for (const level of ["plain", "shift", "altGr"] as const) {
      const index = [...(row[level] ?? "")].indexOf(character);
      if (index >= 0) return { usage: row.first + index, level };
    }
  }
  return undefined;
}
