/** Every SQL table carries the prefix of the part that owns it, and no other part's files speak of it. */
import { inLayers, isTest, lineOf, type SourceFile, scan, type Violation } from "./source-tree.ts";

/** Owners outside the hub's service folders. */
const FOLDER_PREFIXES: Readonly<Record<string, readonly string[]>> = {
  "base/": ["base"],
  "hub/store/": ["store"],
  "agent/journal/": ["journal", "queue"],
  "agent/dialogues/": ["dialogue"],
};

const SERVICE = /^hub\/(?:core|features)\/([^/]+)\//;
const CREATE =
  /\bCREATE\s+(?:TEMP(?:ORARY)?\s+|UNLOGGED\s+|VIRTUAL\s+)*TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?["`[]?(\w+)|\bcreateTable\(\s*["'`](\w+)/gi;
const TABLE_NAME = /\b([a-z][a-z0-9]*(?:_[a-z0-9]+)*)__[a-z]\w*/g;

const prefixOfService = (path: string): string | undefined => SERVICE.exec(path)?.[1]?.replaceAll("-", "_");

function ownPrefixes(path: string): readonly string[] {
  const service = prefixOfService(path);
  if (service !== undefined) return [service];
  return Object.entries(FOLDER_PREFIXES).find(([folder]) => path.startsWith(folder))?.[1] ?? [];
}

/** Only owners create tables, and only under their own prefix. */
export function createdTableViolations(files: readonly SourceFile[]): readonly Violation[] {
  return sources(files).flatMap((file) => {
    const own = ownPrefixes(file.path);
    const { code } = scan(file.text);
    return [...code.matchAll(CREATE)].flatMap((match) => {
      const table = match[1] ?? match[2] ?? "";
      if (own.some((prefix) => table.startsWith(`${prefix}__`))) return [];
      const wanted = own.length === 0 ? "no table is created here" : `it must begin with ${own.join("__ or ")}__`;
      return [{ path: `${file.path}:${lineOf(code, match.index)}`, problem: `table ${table}: ${wanted}` }];
    });
  });
}

/** A part that wants another's rows asks the other part. */
export function foreignTableViolations(files: readonly SourceFile[]): readonly Violation[] {
  const all = sources(files);
  const services = all.map(({ path }) => prefixOfService(path)).filter((name) => name !== undefined);
  const known = new Set([...services, ...Object.values(FOLDER_PREFIXES).flat()]);
  return all.flatMap((file) => {
    const own = ownPrefixes(file.path);
    const { code } = scan(file.text);
    return [...code.matchAll(TABLE_NAME)]
      .filter(([, prefix]) => prefix !== undefined && known.has(prefix) && !own.includes(prefix))
      .map((match) => ({
        path: `${file.path}:${lineOf(code, match.index)}`,
        problem: `${match[0]} belongs to another part: ask that part for it`,
      }));
  });
}

const sources = (files: readonly SourceFile[]) => files.filter(({ path }) => inLayers(path) && !isTest(path));
