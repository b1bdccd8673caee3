import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { closest, configJsonSchema, loadConfig } from "./config-file.ts";
import { isFault } from "./fault.ts";

const schema = z.strictObject({
  api: z
    .strictObject({ port: z.int().min(0).max(65_535).default(8741), host: z.string().default("127.0.0.1") })
    .prefault({}),
  site: z.strictObject({ name: z.string().min(1), open: z.boolean().default(true), locale: z.enum(["en", "de"]) }),
  devices: z.array(z.strictObject({ id: z.string(), uri: z.string() })).default([]),
  payment: z.strictObject({ cardTimeoutSec: z.int().default(60) }).prefault({}),
  prefer: z.union([z.literal("a"), z.strictObject({ b: z.int() })]).optional(),
});

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tillway-config-"));
  path = join(folder, "agent.yaml");
});
afterEach(() => rmSync(folder, { recursive: true }));

const GOOD = "site: {name: Corner shop, locale: de}\n";
function load(text: string, env: Record<string, string> = {}) {
  writeFileSync(path, text);
  return loadConfig({ path, schema, env });
}
function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (isFault(error)) return `${error.code} ${error.message.replaceAll(path, "FILE")}`;
    throw error;
  }
  return "accepted";
}

test("fills in defaults", () => {
  expect(load(GOOD)).toEqual({
    api: { port: 8741, host: "127.0.0.1" },
    site: { name: "Corner shop", open: true, locale: "de" },
    devices: [],
    payment: { cardTimeoutSec: 60 },
  });
});

test.each([
  [
    `${GOOD}devices: [{id: a, urii: x, uri: y}]`,
    'config.invalid FILE: key "devices[0].urii" is not known; did you mean "uri"?',
  ],
  [
    `${GOOD}devices: [{id: a, urii: x}]`,
    'config.invalid FILE: key "devices[0].urii" is not known; did you mean "uri"?',
  ],
  [`${GOOD}zebra: 1`, 'config.invalid FILE: key "zebra" is not known; remove it'],
  [`${GOOD}api: {port: abc}`, 'config.invalid FILE: key "api.port" must be a number, found the text "abc"'],
  [`${GOOD}api: {port: 1.5}`, 'config.invalid FILE: key "api.port" must be a whole number, found 1.5'],
  [`${GOOD}api: {port: 70000}`, 'config.invalid FILE: key "api.port" must be at most 65535, found 70000'],
  [`${GOOD}api: [1]`, 'config.invalid FILE: key "api" must be a map of keys, found a list'],
  [`${GOOD}api:`, 'config.invalid FILE: key "api" must be a map of keys, found nothing'],
  ["site: {name: x, locale: fr}", 'config.invalid FILE: key "site.locale" must be "en" or "de", found the text "fr"'],
  [
    "site: {name: '', locale: de}",
    'config.invalid FILE: key "site.name" must be text of at least 1 characters, found the text ""',
  ],
  ["site: {locale: de}", 'config.invalid FILE: key "site.name" is missing; it must be text'],
  ["", 'config.invalid FILE: key "site" is missing; it must be a map of keys'],
  ["- 1", "config.invalid FILE: must be a map of keys, found a list"],
  ["a: [1\nb: 2", /^config.invalid FILE:2: not YAML: /],
  ["a: 1\na: 2", "config.invalid FILE:2: not YAML: Map keys must be unique"],
] as const)("refuses %j in one line", (text, expected) => {
  const line = refusal(() => load(text));
  if (typeof expected === "string") expect(line).toBe(expected);
  else expect(line).toMatch(expected);
  expect(line).not.toContain("\n");
});

test("names a missing file and what to do", () => {
  expect(refusal(() => loadConfig({ path, schema }))).toBe(
    "config.missing FILE: there is no such file; create it or name another with --config",
  );
  expect(refusal(() => loadConfig({ path: folder, schema }))).toMatch(/is a folder/);
});

test("the environment overrides keys at any depth, in the type of the key", () => {
  const env = {
    TILLWAY_API_PORT: "0",
    TILLWAY_SITE_NAME: "007",
    TILLWAY_SITE_OPEN: "false",
    TILLWAY_DEVICES_0_ID: "printer",
    TILLWAY_DEVICES_0_URI: "serial:/dev/ttyS0",
    TILLWAY_PAYMENT_CARD_TIMEOUT_SEC: "5",
    HOME: "/root",
    TILLWAY_BENCH_RUNS: "5",
    TILLWAY_ROOT: "/opt/tillway",
  };
  expect(load(GOOD, env)).toMatchObject({
    api: { port: 0 },
    site: { name: "007", open: false },
    devices: [{ id: "printer", uri: "serial:/dev/ttyS0" }],
    payment: { cardTimeoutSec: 5 },
  });
});

test("a bad override is told by the variable's name", () => {
  expect(refusal(() => load(GOOD, { TILLWAY_API_PORT: "abc" }))).toBe(
    'config.invalid TILLWAY_API_PORT: key "api.port" must be a number, found the text "abc"',
  );
  expect(refusal(() => load(GOOD, { TILLWAY_API_PROT: "1" }))).toBe(
    "config.invalid TILLWAY_API_PROT: this variable sets no key; did you mean TILLWAY_API_PORT?",
  );
});

test("publishes its JSON Schema, strict", () => {
  expect(configJsonSchema(schema)).toMatchObject({ type: "object", additionalProperties: false, required: ["site"] });
});

test("suggests only what is near", () => {
  expect(closest("urii", ["id", "uri"])).toBe("uri");
  expect(closest("zebra", ["id", "uri"])).toBeUndefined();
});
