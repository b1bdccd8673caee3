/** Reports of a keyboard: the boot protocol's eight bytes (HID 1.11, appendix B.1), or where a descriptor puts the same parts. */
import { Fault } from "../../base/fault.ts";
import {
  characterOf,
  DEAD_KEYS,
  isDead,
  KEY,
  type Key,
  type KeyboardLayout,
  type KeyLevel,
  keyOf,
} from "./keyboard-layouts.ts";
import { inputReportBytes, type ReportDescriptor, usagePageOf } from "./report-descriptor.ts";

export const KEYBOARD_USAGE = 0x0001_0006;
const KEYPAD_USAGE = 0x0001_0007;
const KEY_PAGE = 0x07;
const FIRST_MODIFIER = 0x0007_00e0;

const MODIFIER = {
  leftControl: 0x01,
  leftShift: 0x02,
  leftAlt: 0x04,
  rightControl: 0x10,
  rightShift: 0x20,
  rightAlt: 0x40,
} as const;
const SHIFT = MODIFIER.leftShift | MODIFIER.rightShift;
const CONTROL = MODIFIER.leftControl | MODIFIER.rightControl;
/** Usages up to this one tell of errors: ErrorRollOver, POSTFail, ErrorUndefined. */
const LAST_ERROR_USAGE = 0x03;

/** Byte offsets from the start of the report, its id included. */
export interface KeyReportLayout {
  readonly reportId?: number;
  readonly bytes: number;
  readonly modifiersAt: number;
  readonly keysAt: number;
  readonly keys: number;
}

export const BOOT_KEYBOARD: KeyReportLayout = { bytes: 8, modifiersAt: 0, keysAt: 2, keys: 6 };

export const isKeyboard = ({ applications }: ReportDescriptor): boolean =>
  applications.some((usage) => usage === KEYBOARD_USAGE || usage === KEYPAD_USAGE);

/** The layout that the device declares. Throws Fault `codec.invalid` for one without modifiers or an array of keys. */
export function keyReportLayout(descriptor: ReportDescriptor): KeyReportLayout {
  const { inputs } = descriptor;
  const keys = inputs.find(
    ({ kind, bitSize, bitOffset, usageMax, usages }) =>
      kind === "array" && bitSize === 8 && bitOffset % 8 === 0 && usagePageOf(usageMax ?? usages[0] ?? 0) === KEY_PAGE,
  );
  const modifiers = inputs.find(
    (field) =>
      field.kind === "variable" &&
      field.bitSize === 1 &&
      field.bitOffset % 8 === 0 &&
      field.reportId === keys?.reportId &&
      (field.usageMin ?? field.usages[0]) === FIRST_MODIFIER,
  );
  if (!keys || !modifiers) {
    throw new Fault("codec.invalid", "the report descriptor declares no modifiers and array of keys (page 07)");
  }
  const { reportId } = keys;
  return {
    ...(reportId !== undefined && { reportId }),
    bytes: inputReportBytes(descriptor, reportId),
    modifiersAt: modifiers.bitOffset / 8,
    keysAt: keys.bitOffset / 8,
    keys: keys.count,
  };
}

export interface KeyPress {
  readonly usage: number;
  readonly modifiers: number;
}

/**
 * Presses out of reports. A report names the keys that are down, so what is new in it was pressed: a key held, and repeated
 * by its device, counts once; keys that overlap count in their order.
 */
export class KeyPresses {
  readonly #layout: KeyReportLayout;
  #down: readonly number[] = [];

  constructor(layout: KeyReportLayout) {
    this.#layout = layout;
  }

  /** Throws Fault `codec.truncated` for a report that has not its size; one of another id has no presses. */
  push(report: Uint8Array): readonly KeyPress[] {
    const { reportId, bytes, modifiersAt, keysAt, keys } = this.#layout;
    if (reportId !== undefined && report[0] !== reportId) return [];
    if (report.length !== bytes) {
      this.#down = [];
      throw new Fault("codec.truncated", `a keyboard's report of ${report.length} bytes, not ${bytes}`);
    }
    const named = [...report.subarray(keysAt, keysAt + keys)].filter((usage) => usage !== 0);
    // Too many keys at once: the report says nothing about any of them (HID 1.11, appendix C).
    if (named.some((usage) => usage <= LAST_ERROR_USAGE)) return [];
    const pressed = named.filter((usage) => !this.#down.includes(usage));
    this.#down = named;
    return pressed.map((usage) => ({ usage, modifiers: report[modifiersAt] ?? 0 }));
  }
}

export type Typed =
  | { readonly what: "text"; readonly text: string }
  | { readonly what: "enter" }
  | { readonly what: "tab" }
  /** Waits for the key that follows. */
  | { readonly what: "dead" }
  | { readonly what: "unknown" };

/** Presses to characters on one layout. */
export class Typist {
  readonly #layout: KeyboardLayout;
  #dead: string | undefined;

  constructor(layout: KeyboardLayout) {
    this.#layout = layout;
  }

  type({ usage, modifiers }: KeyPress): Typed {
    const dead = this.#dead;
    this.#dead = undefined;
    if (usage === KEY.enter || usage === KEY.keypadEnter) return { what: "enter" };
    if (usage === KEY.tab) return { what: "tab" };
    const level = levelOf(modifiers);
    if (level === undefined) return UNKNOWN;
    const character = characterOf(this.#layout, usage, level === "control" ? "plain" : level);
    if (character === undefined) return UNKNOWN;
    if (level === "control") return dead === undefined ? controlled(character) : UNKNOWN;
    if (dead !== undefined) return composed(dead, character);
    if (!isDead(this.#layout, character)) return { what: "text", text: character };
    this.#dead = character;
    return { what: "dead" };
  }

  /** Forgets a dead key that waits. */
  reset(): void {
    this.#dead = undefined;
  }
}

const UNKNOWN: Typed = { what: "unknown" };

/** AltGr is the right Alt, or left Control and left Alt together as on Windows. */
function levelOf(modifiers: number): KeyLevel | "control" | undefined {
  const asAltGr = MODIFIER.leftControl | MODIFIER.leftAlt;
  const shifted = (modifiers & SHIFT) !== 0;
  if ((modifiers & MODIFIER.rightAlt) !== 0 || (modifiers & asAltGr) === asAltGr) return shifted ? undefined : "altGr";
  if ((modifiers & MODIFIER.leftAlt) !== 0) return undefined;
  if ((modifiers & CONTROL) !== 0) return shifted ? undefined : "control";
  return shifted ? "shift" : "plain";
}

/** Scanners send control characters, such as the separator of GS1 codes, as Control and the key 64 above them in ASCII. */
function controlled(character: string): Typed {
  const code = character.toUpperCase().charCodeAt(0);
  return code >= 0x40 && code <= 0x5f ? { what: "text", text: String.fromCharCode(code - 0x40) } : UNKNOWN;
}

function composed(dead: string, character: string): Typed {
  if (character === " ") return { what: "text", text: dead };
  const text = `${character}${DEAD_KEYS[dead] ?? ""}`.normalize("NFC");
  return text.length === 1 ? { what: "text", text } : UNKNOWN;
}

const LEVEL_MODIFIERS: Readonly<Record<KeyLevel, number>> = {
  plain: 0,
  shift: MODIFIER.leftShift,
  altGr: MODIFIER.rightAlt,
};
/** Not on the typewriter's rows, so by Control. */
const FIRST_PRINTABLE = 0x20;

/** The reports that type a text and its terminator: for each character one with the key down and one with it up. */
export function encodeKeyReports(
  text: string,
  options: { readonly layout: KeyboardLayout; readonly terminator: "enter" | "tab" | "none" },
): readonly Uint8Array[] {
  const { layout, terminator } = options;
  const keys = [...text].flatMap((character) => keysFor(character, layout));
  if (terminator !== "none") keys.push({ usage: KEY[terminator], modifiers: 0 });
  return keys.flatMap(({ usage, modifiers }) => [Uint8Array.of(modifiers, 0, usage, 0, 0, 0, 0, 0), new Uint8Array(8)]);
}

function keysFor(character: string, layout: KeyboardLayout): KeyPress[] {
  const code = character.charCodeAt(0);
  const plain = code < FIRST_PRINTABLE ? String.fromCharCode(code + 0x40).toLowerCase() : character;
  const key: Key | undefined = keyOf(layout, plain);
  if (!key || (code < FIRST_PRINTABLE && key.level !== "plain")) {
    throw new Fault("codec.invalid", `no key of the layout ${layout} gives ${JSON.stringify(character)}`);
  }
  const modifiers = code < FIRST_PRINTABLE ? MODIFIER.leftControl : LEVEL_MODIFIERS[key.level];
  const press = { usage: key.usage, modifiers };
  return isDead(layout, plain) ? [press, { usage: KEY.space, modifiers: 0 }] : [press];
}
