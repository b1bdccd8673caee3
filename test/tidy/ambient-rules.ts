/** Time, chance, environment and console come in through base/ and the entry files; everything else is handed them. */
import { inLayers, isTest, layerOf, lineOf, type SourceFile, scan, type Violation } from "./source-tree.ts";

const ENTRY_FILE = /(?:^|\/)(?:main|cli)\.ts$/;

/** What is sought, and what to take instead. `(?<![.\w])` lets methods of the same name pass, such as a socket's. */
const AMBIENT: readonly { readonly pattern: RegExp; readonly instead: string }[] = [
  { pattern: /\bDate\s*\.\s*now\b/, instead: "Clock.now()" },
  {
    pattern: /\bnew\s+Date\s*\(\s*\)|\bnew\s+Date\b(?!\s*[(.])|(?<!new\s)(?<![.\w])Date\s*\(/,
    instead: "new Date(clock.now())",
  },
  { pattern: /\bperformance\s*\.\s*now\b|\bprocess\s*\.\s*(?:hrtime|uptime)\b/, instead: "Clock.monotonic()" },
  { pattern: /(?:(?<![.\w])|\bglobalThis\s*\.\s*)(?:setTimeout|setInterval)\s*[(,)]/, instead: "Clock.after()" },
  { pattern: /\bAbortSignal\s*\.\s*timeout\b/, instead: "deadline(clock, …)" },
  { pattern: /\bMath\s*\.\s*random\b/, instead: "RandomBytes" },
  {
    pattern: /(?<![.\w])(?:randomUUID|randomInt|getRandomValues)\s*\(|\bcrypto\s*\.\s*random\w+/,
    instead: "RandomBytes",
  },
  { pattern: /\bprocess\s*\.\s*env\b/, instead: "the configuration" },
  { pattern: /(?<![.\w])console\s*\./, instead: "Log" },
];

/** These modules hand out time or chance by themselves, under whatever name they are imported. */
const AMBIENT_IMPORTS: readonly { readonly pattern: RegExp; readonly instead: string }[] = [
  { pattern: /from\s*"(?:node:)?timers(?:\/promises)?"/, instead: "Clock" },
  {
    pattern: /\{[^}]*\brandom(?:Bytes|UUID|Int|FillSync|Fill)\b[^}]*\}\s*from\s*"(?:node:)?crypto"/,
    instead: "RandomBytes",
  },
];

export function ambientViolations(files: readonly SourceFile[]): readonly Violation[] {
  return files
    .filter(({ path }) => inLayers(path) && layerOf(path) !== "base" && !ENTRY_FILE.test(path) && !isTest(path))
    .flatMap((file) => {
      const { bare, code } = scan(file.text);
      return [
        ...AMBIENT.flatMap((rule) => hits(file, bare, rule)),
        ...AMBIENT_IMPORTS.flatMap((rule) => hits(file, code, rule)),
      ];
    });
}

function hits(
  file: SourceFile,
  text: string,
  rule: { readonly pattern: RegExp; readonly instead: string },
): readonly Violation[] {
  return [...text.matchAll(new RegExp(rule.pattern, "g"))].map((match) => ({
    path: `${file.path}:${lineOf(text, match.index)}`,
    problem: `"${match[0].trim()}" reaches the ambient world: take ${rule.instead}, handed in`,
  }));
}
