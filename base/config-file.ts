/** Reads a YAML configuration against a zod schema: unknown keys refuse to start, and every refusal is one line that names the key. */
import { readFileSync, statSync } from "node:fs";
import { parseDocument } from "yaml";
import { z } from "zod";
import { Fault, reasonOf } from "./fault.ts";

export interface ConfigSource<Schema extends z.ZodType> {
  readonly path: string;
  readonly schema: Schema;
  /** Overrides: `TILLWAY_API_PORT` sets `api.port`, `TILLWAY_DEVICES_0_URI` the first device's URI. */
  readonly env?: Environment;
  /** Default `TILLWAY_`. */
  readonly envPrefix?: string;
}
export type Environment = Readonly<Record<string, string | undefined>>;

const FILE_BYTES_MAX = 1_048_576;
const ENV_PREFIX = "TILLWAY_";

/** The checked configuration with its defaults. Throws Fault `config.missing` or `config.invalid`. */
export function loadConfig<Schema extends z.ZodType>(source: ConfigSource<Schema>): z.output<Schema> {
  const content = parseYaml(source.path, readText(source.path));
  const overrides = applyEnvironment(content, source);
  const parsed = source.schema.safeParse(content);
  if (parsed.success) return parsed.data;
  // A key misspelt is also a key missing: the first is the one to tell.
  const { issues } = parsed.error;
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
  throw new Fault(
    "config.invalid",
    issue === undefined ? source.path : describeIssue(issue, { source, content, overrides }),
  );
}

/** The JSON Schema of what a person may write, for editors. */
export function configJsonSchema(schema: z.ZodType): Record<string, unknown> {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Record<string, unknown>;
}

function readText(path: string): string {
  try {
    if (statSync(path).size > FILE_BYTES_MAX) {
      throw new Fault("config.invalid", `${path}: larger than ${FILE_BYTES_MAX} bytes; this is not a configuration`);
    }
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Fault) throw error;
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw new Fault("config.missing", `${path}: there is no such file; create it or name another with --config`);
    }
    if (code === "EISDIR") throw new Fault("config.invalid", `${path}: is a folder; name the file in it with --config`);
    const mend = code === "EACCES" ? "; give this user the right to read it" : "";
    throw new Fault("config.invalid", `${path}: cannot be read: ${reasonOf(error)}${mend}`);
  }
}

function parseYaml(path: string, text: string): Record<string, unknown> {
  const document = parseDocument(text, { prettyErrors: true });
  const problem = document.errors[0];
  if (problem !== undefined) {
    const line = problem.linePos?.[0].line;
    const reason = (problem.message.split("\n")[0] ?? "").replace(/ at line \d+, column \d+:?$/, "");
    throw new Fault("config.invalid", `${path}:${line ?? 1}: not YAML: ${reason}`);
  }
  let content: unknown;
  try {
    content = document.toJS() ?? {};
  } catch (error) {
    throw new Fault("config.invalid", `${path}: not YAML: ${reasonOf(error)}`);
  }
  if (isRecord(content)) return content;
  throw new Fault("config.invalid", `${path}: must be a map of keys, found ${found(content)}`);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

type Path = readonly PropertyKey[];
/** What the environment set: path text -> variable. */
type Overrides = ReadonlyMap<string, string>;

function applyEnvironment(content: Record<string, unknown>, source: ConfigSource<z.ZodType>): Overrides {
  const prefix = source.envPrefix ?? ENV_PREFIX;
  const set = Object.entries(source.env ?? {}).filter(([name]) => name.startsWith(prefix));
  const overrides = new Map<string, string>();
  if (set.length === 0) return overrides;
  const schema = configJsonSchema(source.schema);
  for (const [name, text] of set) {
    if (text === undefined) continue;
    const target = findTarget(schema, name.slice(prefix.length));
    if (target === undefined) {
      refuseNearMiss(name, { prefix, schema });
      continue;
    }
    assign(content, target.path, target.text ? text : parseScalar(name, text));
    overrides.set(keyText(target.path), name);
  }
  return overrides;
}

/** A variable that belongs to no key may be another program's; one that nearly names a key is a slip. */
function refuseNearMiss(name: string, { prefix, schema }: { prefix: string; schema: Record<string, unknown> }): void {
  const close = closest(name.slice(prefix.length), leafNames(schema, ""));
  if (close !== undefined) {
    throw new Fault("config.invalid", `${name}: this variable sets no key; did you mean ${prefix}${close}?`);
  }
}

function parseScalar(name: string, text: string): unknown {
  const document = parseDocument(text);
  if (document.errors.length > 0) throw new Fault("config.invalid", `${name}: "${text}" is not a YAML value`);
  return document.toJS();
}

function assign(content: Record<string, unknown>, path: Path, value: unknown): void {
  let at: Record<PropertyKey, unknown> = content;
  path.slice(0, -1).forEach((key, index) => {
    const next = at[key];
    if (typeof next === "object" && next !== null) {
      at = next as Record<PropertyKey, unknown>;
      return;
    }
    const fresh = typeof path[index + 1] === "number" ? [] : {};
    at[key] = fresh;
    at = fresh as Record<PropertyKey, unknown>;
  });
  const last = path.at(-1);
  if (last !== undefined) at[last] = value;
}

const upperSnake = (key: string): string => key.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase();

interface Target {
  readonly path: Path;
  /** The key takes text, so the variable's text is its value as it stands. */
  readonly text: boolean;
}

/** Walks the schema by the variable's words; a number is a place in a list. */
function findTarget(schema: Record<string, unknown>, rest: string): Target | undefined {
  if (rest === "") return { path: [], text: schema["type"] === "string" };
  for (const branch of branches(schema)) {
    for (const [key, child] of childrenOf(branch)) {
      const word = upperSnake(key);
      if (rest !== word && !rest.startsWith(`${word}_`)) continue;
      const below = findTarget(child, rest.slice(word.length + 1));
      if (below) return { path: [key, ...below.path], text: below.text };
    }
    const place = /^(\d{1,3})(?:_|$)/.exec(rest);
    const items = branch["items"];
    if (place !== null && isRecord(items)) {
      const below = findTarget(items, rest.slice(place[0].length));
      if (below) return { path: [Number(place[1]), ...below.path], text: below.text };
    }
  }
  return undefined;
}

const listOf = (value: unknown): Record<string, unknown>[] => (Array.isArray(value) ? value.filter(isRecord) : []);
const branches = (schema: Record<string, unknown>): Record<string, unknown>[] => [
  schema,
  ...["anyOf", "oneOf", "allOf"].flatMap((word) => listOf(schema[word])),
];
const childrenOf = (schema: Record<string, unknown>): [string, Record<string, unknown>][] =>
  Object.entries(isRecord(schema["properties"]) ? schema["properties"] : {}).filter(
    (entry): entry is [string, Record<string, unknown>] => isRecord(entry[1]),
  );

function leafNames(schema: Record<string, unknown>, prefix: string): string[] {
  return branches(schema).flatMap((branch) =>
    childrenOf(branch).flatMap(([key, child]) => {
      const name = prefix + upperSnake(key);
      return [name, ...leafNames(child, `${name}_`)];
    }),
  );
}

interface Where {
  readonly source: ConfigSource<z.ZodType>;
  readonly content: unknown;
  readonly overrides: Overrides;
}
type Issue = z.core.$ZodIssue;

function describeIssue(issue: Issue, where: Where): string {
  if (issue.code === "invalid_union") {
    const nested = issue.errors.find((errors) => errors.length > 0)?.[0];
    if (nested) return describeIssue({ ...nested, path: [...issue.path, ...nested.path] }, where);
  }
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0] ?? "";
    const close = closest(key, knownKeys(where.source.schema, issue.path));
    const mend = close === undefined ? "; remove it" : `; did you mean "${close}"?`;
    return `${place([...issue.path, key], where)} is not known${mend}`;
  }
  const value = valueAt(where.content, issue.path);
  if (value === undefined) return `${place(issue.path, where)} is missing; it must be ${expectation(issue)}`;
  return `${place(issue.path, where)} must be ${expectation(issue)}, found ${found(value)}`;
}

/** The file and the key, or the variable that set the key. */
function place(path: Path, { source, overrides }: Where): string {
  for (let length = path.length; length > 0; length -= 1) {
    const variable = overrides.get(keyText(path.slice(0, length)));
    if (variable !== undefined) return `${variable}: key "${keyText(path)}"`;
  }
  return `${source.path}: key "${keyText(path)}"`;
}

function expectation(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return TYPE_WORDS[issue.expected] ?? issue.expected;
    case "invalid_value":
      return issue.values.map((value) => JSON.stringify(value)).join(" or ");
    case "too_small":
      return `${issue.origin === "string" ? "text of " : ""}at least ${issue.minimum}${ofWhat(issue.origin)}`;
    case "too_big":
      return `${issue.origin === "string" ? "text of " : ""}at most ${issue.maximum}${ofWhat(issue.origin)}`;
    default:
      return issue.message;
  }
}

const ofWhat = (origin: string): string => (origin === "string" ? " characters" : origin === "array" ? " entries" : "");

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a map of keys",
};

const FOUND_CHARACTERS_MAX = 60;
function found(value: unknown): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map of keys";
  const text = JSON.stringify(value);
  const shown = text.length > FOUND_CHARACTERS_MAX ? `${text.slice(0, FOUND_CHARACTERS_MAX)}…` : text;
  return typeof value === "string" ? `the text ${shown}` : shown;
}

const keyText = (path: Path): string =>
  path.map((key, index) => (typeof key === "number" ? `[${key}]` : (index > 0 ? "." : "") + String(key))).join("");

const valueAt = (content: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (at, key) => (typeof at === "object" && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined),
    content,
  );

function knownKeys(schema: z.ZodType, path: Path): string[] {
  let at = [configJsonSchema(schema)];
  for (const key of path) {
    at = at.flatMap(branches).flatMap((branch) => {
      const next = typeof key === "number" ? branch["items"] : childrenOf(branch).find(([name]) => name === key)?.[1];
      return isRecord(next) ? [next] : [];
    });
  }
  return at.flatMap(branches).flatMap((branch) => childrenOf(branch).map(([name]) => name));
}

/** The candidate that a slip of the finger makes of the text: at most a quarter of its letters, one at least. */
export function closest(text: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(text.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) => distance <= Math.max(1, Math.floor(candidate.length / 4)))
    .sort((a, b) => a.distance - b.distance);
  return ranked[0]?.candidate;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
