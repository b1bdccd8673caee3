/** Writes XML 1.0: elements, their attributes and their text, with everything escaped. */
import { Fault } from "../../base/fault.ts";

export interface XmlElement {
  readonly name: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly content: string | readonly XmlElement[];
}

export const element = (name: string, ...content: readonly XmlElement[]): XmlElement => ({ name, content });
export const textElement = (name: string, content: string): XmlElement => ({ name, content });

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
};
/** The characters of XML 1.0, 2.2; of the white space only what a reader gives back as it was. */
const ALLOWED = /^[\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]*$/u;

/** Throws Fault `codec.invalid` for what no XML can hold. */
export function escapeXml(text: string): string {
  if (!ALLOWED.test(text)) throw new Fault("codec.invalid", "a text holds characters that XML has not");
  return text.replace(/[&<>"']/g, (one) => ESCAPES[one] ?? one);
}

export const xmlDocument = (root: XmlElement): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n${linesOf(root, "").join("\n")}\n`;

function linesOf({ name, attributes = {}, content }: XmlElement, indent: string): readonly string[] {
  const given = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeXml(value)}"`);
  const open = `${indent}<${name}${given.join("")}>`;
  if (typeof content === "string") return [`${open}${escapeXml(content)}</${name}>`];
  return [open, ...content.flatMap((one) => linesOf(one, `${indent}  `)), `${indent}</${name}>`];
}
