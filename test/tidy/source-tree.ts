/** The files that the tidy checks look at, and a scanner that tells code, strings and comments apart. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

export interface SourceFile {
  /** Relative to the checkout, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** One broken rule: the file, and what is wrong in words that say what to do. */
export interface Violation {
  readonly path: string;
  readonly problem: string;
}

export const ROOT = join(import.meta.dirname, "..", "..");
export const LAYERS = ["base", "protocols", "wire", "drivers", "agent", "hub", "sim"] as const;

/** A file larger than this is data, not something a person wrote. */
const TEXT_BYTES_MAX = 1_000_000;

/** Every file that is or would be committed, so that new files count before their first commit. */
export function committedFiles(): readonly SourceFile[] {
  const names = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  return names
    .split("\0")
    .filter((path) => path !== "" && existsSync(join(ROOT, path)))
    .filter((path) => statSync(join(ROOT, path)).isFile() && statSync(join(ROOT, path)).size <= TEXT_BYTES_MAX)
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
}

export const layerOf = (path: string): string => path.split("/", 1)[0] ?? "";
export const isTest = (path: string): boolean => path.endsWith(".test.ts") || path.startsWith("test/");
export const isTypeScript = (path: string): boolean => path.endsWith(".ts");
export const inLayers = (path: string): boolean =>
  isTypeScript(path) && LAYERS.some((layer) => layer === layerOf(path));

export interface Scanned {
  /** The source with comments blanked. */
  readonly code: string;
  /** The source with comments and the contents of strings blanked. */
  readonly bare: string;
  /** Only the comments. */
  readonly comments: string;
}

type Kind = "code" | "string" | "comment";

/**
 * A slash begins a regular expression, not a division, after an operator or an opening bracket; its body ends at the
 * first unescaped slash outside a character class.
 */
const TOKEN =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|(?<=(?:^|[(,=:[!&|?{};+>]|\breturn|=>)\s*)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*|[`{}]/g;

export function scan(text: string): Scanned {
  const kinds: Kind[] = new Array<Kind>(text.length).fill("code");
  const paint = (from: number, to: number, kind: Kind) => kinds.fill(kind, from, to);
  /** For each open template literal the depth of braces inside its present `${`. */
  const templates: number[] = [];
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const [token] = match;
    const end = match.index + token.length;
    const depth = templates.at(-1);
    if (token.startsWith("//") || token.startsWith("/*")) paint(match.index, end, "comment");
    else if (token === "`" || (token === "}" && depth === 0)) {
      if (token === "}") templates.pop();
      const stop = templateEnd(text, end);
      paint(end, stop.at, "string");
      if (stop.opens) templates.push(0);
      TOKEN.lastIndex = stop.at + (stop.opens ? 2 : 1);
    } else if (token === "{" || token === "}") {
      if (depth !== undefined) templates[templates.length - 1] = depth + (token === "{" ? 1 : -1);
    } else paint(match.index + 1, end - 1, "string");
  }
  const keep = (...wanted: readonly Kind[]) =>
    [...text.split("").keys()].map((at) => (keepsAt(text, kinds, at, wanted) ? text[at] : " ")).join("");
  return { code: keep("code", "string"), bare: keep("code"), comments: keep("comment") };
}

const keepsAt = (text: string, kinds: readonly Kind[], at: number, wanted: readonly Kind[]): boolean =>
  text[at] === "\n" || wanted.includes(kinds[at] ?? "code");

/** Where the text part of a template literal ends: at its closing backtick, or at a `${`. */
function templateEnd(text: string, from: number): { readonly at: number; readonly opens: boolean } {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === "`") return { at, opens: false };
    else if (text[at] === "$" && text[at + 1] === "{") return { at, opens: true };
  }
  return { at: text.length, opens: false };
}

export const lineOf = (text: string, index: number): number => text.slice(0, index).split("\n").length;
