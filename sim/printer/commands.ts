/**
 * How long each ESC/POS command is, so that an interpreter can cut the stream into commands, known to it or not.
 * Source: Epson ESC/POS command reference.
 */
export const NUL = 0x00;
export const HT = 0x09;
export const LF = 0x0a;
export const FF = 0x0c;
export const CR = 0x0d;
export const ESC = 0x1b;
export const FS = 0x1c;
export const GS = 0x1d;
const FIRST_PRINTABLE = 0x20;

/** Parameters after the two bytes of the name. */
const ESC_PARAMETERS: Readonly<Record<string, number>> = {
  "@": 0,
  " ": 1,
  "!": 1,
  $: 2,
  "%": 1,
  "-": 1,
  "2": 0,
  "3": 1,
  "=": 1,
  "?": 1,
  E: 1,
  G: 1,
  J: 1,
  K: 1,
  L: 0,
  M: 1,
  R: 1,
  S: 0,
  T: 1,
  U: 1,
  V: 1,
  W: 8,
  "\\": 2,
  a: 1,
  c: 2,
  d: 1,
  e: 1,
  i: 0,
  m: 0,
  p: 3,
  r: 1,
  t: 1,
  u: 1,
  v: 0,
  "{": 1,
  "\x0c": 0,
};
const GS_PARAMETERS: Readonly<Record<string, number>> = {
  "!": 1,
  $: 2,
  "/": 1,
  ":": 0,
  B: 1,
  E: 1,
  H: 1,
  I: 1,
  L: 2,
  P: 2,
  T: 1,
  W: 2,
  "\\": 2,
  "^": 3,
  a: 1,
  b: 1,
  c: 0,
  f: 1,
  g: 4,
  h: 1,
  j: 1,
  r: 1,
  w: 1,
  z: 2,
};
const FS_PARAMETERS: Readonly<Record<string, number>> = {
  "!": 1,
  "&": 0,
  "-": 1,
  ".": 0,
  C: 1,
  S: 2,
  W: 1,
  p: 2,
  "2": 74,
};
const PARAMETERS: ReadonlyMap<number, Readonly<Record<string, number>>> = new Map([
  [ESC, ESC_PARAMETERS],
  [GS, GS_PARAMETERS],
  [FS, FS_PARAMETERS],
]);

/** How long the command is that begins with these bytes: `undefined` while too few have come to know. */
export function commandLength(begun: readonly number[]): number | undefined {
  const [lead = NUL, name] = begun;
  const parameters = PARAMETERS.get(lead);
  if (!parameters) return 1;
  if (name === undefined) return undefined;
  const letter = String.fromCharCode(name);
  const variable = VARIABLE.get(`${lead} ${letter}`);
  if (variable) return variable(begun);
  // An unknown command is taken for its two bytes alone; its parameters then show on paper, as on a real printer.
  return 2 + (parameters[letter] ?? 0);
}

export const isPrintable = (byte: number): boolean => byte >= FIRST_PRINTABLE;

type Length = (begun: readonly number[]) => number | undefined;

/** Lengths that the parameters themselves tell. */
const VARIABLE: ReadonlyMap<string, Length> = new Map<string, Length>([
  [`${ESC} (`, counted],
  [`${GS} (`, counted],
  [`${FS} (`, counted],
  [`${ESC} *`, bitImageLength],
  [`${ESC} D`, untilNul],
  [`${ESC} B`, untilNul],
  [`${GS} V`, cutLength],
  [`${GS} k`, barcodeLength],
  [`${GS} v`, rasterLength],
  [`${GS} *`, downloadedImageLength],
  [`${GS} 8`, longGraphicsLength],
]);

/** Name, function letter, then pL pH with the count of what follows. */
function counted(begun: readonly number[]): number | undefined {
  const [, , , low, high] = begun;
  return low === undefined || high === undefined ? undefined : 5 + low + high * 0x100;
}

function untilNul(begun: readonly number[]): number | undefined {
  const end = begun.indexOf(NUL, 2);
  return end < 0 ? undefined : end + 1;
}

const EIGHT_DOT_MODES_MAX = 1;
function bitImageLength(begun: readonly number[]): number | undefined {
  const [, , mode, low, high] = begun;
  if (mode === undefined || low === undefined || high === undefined) return undefined;
  return 5 + (low + high * 0x100) * (mode <= EIGHT_DOT_MODES_MAX ? 1 : 3);
}

/** Function A has only m; functions B to D have a feed amount too. */
const CUT_FUNCTION_B = 65;
function cutLength(begun: readonly number[]): number | undefined {
  const mode = begun[2];
  if (mode === undefined) return undefined;
  return mode >= CUT_FUNCTION_B ? 4 : 3;
}

/** Function A ends with NUL; function B has its count in front. */
const BARCODE_FUNCTION_B = 65;
function barcodeLength(begun: readonly number[]): number | undefined {
  const [, , system, count] = begun;
  if (system === undefined) return undefined;
  if (system < BARCODE_FUNCTION_B) return begun.indexOf(NUL, 3) < 0 ? undefined : begun.indexOf(NUL, 3) + 1;
  return count === undefined ? undefined : 4 + count;
}

function rasterLength(begun: readonly number[]): number | undefined {
  if (begun.length < 8) return undefined;
  const [, , , , widthLow = 0, widthHigh = 0, heightLow = 0, heightHigh = 0] = begun;
  return 8 + (widthLow + widthHigh * 0x100) * (heightLow + heightHigh * 0x100);
}

function downloadedImageLength(begun: readonly number[]): number | undefined {
  const [, , width, height] = begun;
  return width === undefined || height === undefined ? undefined : 4 + width * height * 8;
}

function longGraphicsLength(begun: readonly number[]): number | undefined {
  if (begun.length < 7) return undefined;
  const [, , , first = 0, second = 0, third = 0, fourth = 0] = begun;
  return 7 + first + second * 0x100 + third * 0x1_0000 + fourth * 0x100_0000;
}
