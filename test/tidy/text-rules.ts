/** Rules over the text of files: size, first comment, leftovers, the closed list of base/, machine paths, configurations. */
import { inLayers, isTypeScript, lineOf, type SourceFile, scan, type Violation } from "./source-tree.ts";

/** The whole of base/, each with the reason why no layer above could hold it. */
export const BASE_FILES: Readonly<Record<string, string>> = {
  assert: "every layer states invariants",
  bytes: "every codec reads and writes bytes",
  clock: "the one source of time",
  "config-file": "agent and hub read their YAML in one way, with one form of refusal",
  daemon: "agent, hub and simulators start, drain and stop in one way",
  fault: "the closed list of operating errors",
  ids: "identifiers cross every boundary",
  "lock-file": "agent and hub each run once per data folder",
  "private-file": "agent and hub each refuse keys that others can read",
  log: "the one logger",
  machine: "the form of every machine that decides",
  money: "amounts cross every boundary",
  result: "the form of every refusal",
  "retry-schedule": "the one form of backing off",
  "sd-notify": "agent and hub tell systemd that they are ready and alive",
  sqlite: "agent and hub open their databases with the same guarantees",
};

export function closedBaseViolations(files: readonly SourceFile[]): readonly Violation[] {
  return files
    .filter(({ path }) => path.startsWith("base/"))
    .filter(({ path }) => {
      const name = /^base\/([a-z0-9-]+)(?:\.[a-z0-9-]+)*?(?:\.test)?\.ts$/.exec(path)?.[1];
      return name === undefined || !(name in BASE_FILES);
    })
    .map(({ path }) => ({
      path,
      problem: "base/ is a closed list: add it to BASE_FILES with its reason, or put it elsewhere",
    }));
}

const FILE_LINES_MAX = 400;

export function lengthViolations(files: readonly SourceFile[]): readonly Violation[] {
  return files
    .filter(({ path }) => isTypeScript(path))
    .flatMap(({ path, text }) => {
      const lines = text.trimEnd().split("\n").length;
      return lines <= FILE_LINES_MAX
        ? []
        : [{ path, problem: `${lines} lines, the limit is ${FILE_LINES_MAX}: split it` }];
    });
}

/** Every module of a layer says at its top what it is for. */
export function headerViolations(files: readonly SourceFile[]): readonly Violation[] {
  return files
    .filter(({ path, text }) => inLayers(path) && !path.endsWith(".test.ts") && !/^(?:#!.*\n)?\/\*\*/.test(text))
    .map(({ path }) => ({ path, problem: "it does not begin with a doc comment that says what it is for" }));
}

interface Leftover {
  readonly pattern: RegExp;
  readonly where: "code" | "bare" | "comments";
  readonly problem: string;
}

const LEFTOVERS: readonly Leftover[] = [
  { pattern: /\b(?:FIXME|TODO|XXX|HACK)\b/, where: "comments", problem: "finish it or delete it" },
  {
    pattern: /\b(?:stub(?:bed)?|placeholder|for now|simplified)\b/i,
    where: "comments",
    problem: "say what it does, not what it does not do yet",
  },
  {
    pattern: /\b(?:test|it|describe|suite|bench)\s*\.\s*(?:\w+\s*\.\s*)?(?:skip|only|todo|skipIf|runIf|fails)\b/,
    where: "bare",
    problem: "every test runs, always",
  },
  { pattern: /\b(?:xit|xdescribe|fit|fdescribe)\s*\(/, where: "bare", problem: "every test runs, always" },
  {
    pattern: /@ts-(?:ignore|nocheck|expect-error)|\b(?:biome|eslint|oxlint|prettier)-(?:ignore|disable)/,
    where: "comments",
    problem: "mend the cause instead of silencing the checker",
  },
  { pattern: /\bdebugger\b/, where: "bare", problem: "delete it" },
];

/** This folder names the forbidden words in order to forbid them, as strings and patterns, never as comments. */
export function leftoverViolations(files: readonly SourceFile[]): readonly Violation[] {
  return files
    .filter(({ path }) => isTypeScript(path))
    .flatMap((file) => {
      const scanned = scan(file.text);
      return LEFTOVERS.flatMap(({ pattern, where, problem }) =>
        [...scanned[where].matchAll(new RegExp(pattern, `${pattern.flags}g`))].map((match) => ({
          path: `${file.path}:${lineOf(file.text, match.index)}`,
          problem: `"${match[0]}": ${problem}`,
        })),
      );
    });
}

/** Paths of one person's machine. A program that needs a temporary folder asks the system for it. */
const MACHINE_PATH = /(?<![\w.$}~*-])\/(?:work|tmp|root|home|Users)\/[\w.-]+/g;
const MAY_NAME_PATHS = /^test\/tidy\/|^package-lock\.json$/;

export function machinePathViolations(files: readonly SourceFile[]): readonly Violation[] {
  return files
    .filter(({ path }) => !MAY_NAME_PATHS.test(path))
    .flatMap(({ path, text }) =>
      [...text.matchAll(MACHINE_PATH)].map((match) => ({
        path: `${path}:${lineOf(text, match.index)}`,
        problem: `"${match[0]}" is a path of one machine`,
      })),
    );
}

/** A configuration that no document names is one that nobody finds. */
export function configViolations(files: readonly SourceFile[]): readonly Violation[] {
  const documents = files.filter(({ path }) => path.endsWith(".md")).map(({ text }) => text);
  return files
    .filter(({ path }) => /^config\/[^/]+\.ya?ml$/.test(path))
    .filter(({ path }) => !documents.some((text) => text.includes(path)))
    .map(({ path }) => ({ path, problem: "no document names it" }));
}
