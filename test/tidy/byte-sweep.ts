/**
 * Looks for every secret of a run in every byte that the run has written or sent: card numbers with their tracks, codes of
 * phones, keys, PIN blocks (RM5). A finding names the secret and never shows it. Any source of files will do: a folder, what
 * a proxy recorded, a simulated disk (`sweptFiles(volume)`).
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { base64Needles, everywhere, sweepForCardNumbers } from "./pan-sweep.ts";

export interface SweptFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface Secrets {
  /** 12 to 19 digits each. */
  readonly cardNumbers?: readonly string[];
  /** By what they are, such as codes and tokens: sought as ASCII, UTF-16, hex and base64. At least 8 characters. */
  readonly texts?: Readonly<Record<string, string>>;
  /** By what they are: sought raw, as hex and as base64. At least 8 bytes. */
  readonly keys?: Readonly<Record<string, Uint8Array>>;
  /** PINs that were used: their blocks are sought for each card number. */
  readonly pins?: readonly string[];
}

export interface Leak {
  readonly file: string;
  /** The secret's name; a card number is masked. */
  readonly what: string;
  readonly form: string;
  /** Of the first byte, in this form. */
  readonly offset: number;
}

const SECRET_BYTES_MIN = 8;

export function sweepForSecrets(files: Iterable<SweptFile>, secrets: Secrets): readonly Leak[] {
  const { cardNumbers = [] } = secrets;
  const needles = needlesOf(secrets);
  const leaks: Leak[] = [];
  for (const { name, bytes } of files) {
    for (const { masked, form, offset, track2 } of sweepForCardNumbers(bytes, cardNumbers))
      leaks.push({ file: name, what: `${track2 ? "track 2 of" : "card"} ${masked}`, form, offset });
    const views = viewsOf(bytes);
    for (const needle of needles) leaks.push(...sought(views, needle).map((found) => ({ file: name, ...found })));
    leaks.push(...plainPins(views).map((found) => ({ file: name, ...found })));
  }
  return leaks;
}

/** Every file below the folder but those that `except` names by their path in it. */
export function filesUnder(folder: string, except: (path: string) => boolean = () => false): readonly SweptFile[] {
  return pathsUnder(folder)
    .filter((path) => !except(path))
    .map((path) => ({ name: path, bytes: readFileSync(join(folder, path)) }));
}

/** Paths of all files below the folder, in it. */
export const pathsUnder = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => statSync(join(folder, path)).isFile());

/** What a simulated disk holds, as a reader sees it and as it is on the platter. */
export interface SweptVolume {
  files(): readonly { readonly name: string }[];
  bytes(name: string, layer?: "visible" | "durable"): Uint8Array;
}
export const sweptFiles = (disk: string, volume: SweptVolume): readonly SweptFile[] =>
  volume.files().flatMap(({ name }) =>
    (["visible", "durable"] as const).map((layer) => ({
      name: `${disk}/${name} (${layer})`,
      bytes: volume.bytes(name, layer),
    })),
  );

interface Views {
  readonly latin1: string;
  /** With the two base64 alphabets made one. */
  readonly base64: string;
  readonly lower: string;
  readonly nibbles: string;
}

function viewsOf(bytes: Uint8Array): Views {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const latin1 = buffer.toString("latin1");
  const base64 = latin1.replaceAll("-", "+").replaceAll("_", "/");
  return { latin1, base64, lower: latin1.toLowerCase(), nibbles: buffer.toString("hex") };
}

interface Needle {
  readonly what: string;
  readonly form: string;
  readonly in: keyof Views;
  readonly text: string;
}
type Found = Omit<Leak, "file">;

const sought = (views: Views, { what, form, in: view, text }: Needle): readonly Found[] =>
  everywhere(views[view], text).map((at) => ({ what, form, offset: view === "nibbles" ? at >> 1 : at }));

function needlesOf({ texts = {}, keys = {}, pins = [], cardNumbers = [] }: Secrets): readonly Needle[] {
  const blocks = pins.flatMap((pin) =>
    cardNumbers.map((pan) => [`PIN block of ${pan.slice(0, 6)}…${pan.slice(-4)}`, pinBlock(pin, pan)] as const),
  );
  return [
    ...Object.entries(texts).flatMap(([what, text]) => [
      { what, form: "ascii", in: "latin1" as const, text },
      { what, form: "utf16", in: "latin1" as const, text: text.split("").join("\0") },
      ...encoded(what, Buffer.from(text, "latin1")),
    ]),
    ...[...Object.entries(keys), ...blocks].flatMap(([what, key]) => [
      { what, form: "raw", in: "nibbles" as const, text: Buffer.from(key).toString("hex") },
      ...encoded(what, Buffer.from(key)),
    ]),
  ];
}

function encoded(what: string, bytes: Buffer): readonly Needle[] {
  if (bytes.length < SECRET_BYTES_MIN) throw new Error(`${what} is too short to be sought`);
  return [
    { what, form: "hex", in: "lower", text: bytes.toString("hex") },
    ...base64Needles(bytes).map((text) => ({ what, form: "base64", in: "base64" as const, text })),
  ];
}

/** ISO 9564-1 format 0: the PIN with its length, and the twelve digits before the number's check digit, one upon the other. */
function pinBlock(pin: string, pan: string): Uint8Array {
  const field = Buffer.from(`0${pin.length.toString(16)}${pin}`.padEnd(16, "f"), "hex");
  const account = Buffer.from(`0000${pan.slice(-13, -1)}`, "hex");
  return field.map((byte, at) => byte ^ (account[at] ?? 0));
}

/**
 * ISO 9564-1 format 2, as VERIFY carries a PIN of 4 to 8 digits to a card in clear: it shows by its shape. Nothing but zeros is
 * a counter beside an empty place, as SQLite's shared index has them.
 */
const PLAIN_PIN = /2(?![4-8]0+f)(?:4\d{4}f{10}|5\d{5}f{9}|6\d{6}f{8}|7\d{7}f{7}|8\d{8}f{6})/g;

const plainPins = (views: Views): readonly Found[] =>
  (["nibbles", "lower"] as const).flatMap((view) =>
    [...views[view].matchAll(PLAIN_PIN)].map(({ index }) => ({
      what: "a PIN in clear",
      form: view === "nibbles" ? "raw" : "hex",
      offset: view === "nibbles" ? index >> 1 : index,
    })),
  );
