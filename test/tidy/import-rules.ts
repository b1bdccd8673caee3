/** Who may import whom: layers, the homes of packages, the agent's narrow view of drivers, hub services. */
import { builtinModules } from "node:module";
import { posix } from "node:path";
import {
  inLayers,
  isTest,
  isTypeScript,
  layerOf,
  lineOf,
  type SourceFile,
  scan,
  type Violation,
} from "./source-tree.ts";

/** A layer may always import itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  base: [],
  protocols: ["base"],
  wire: ["base"],
  drivers: ["base", "protocols"],
  agent: ["base", "protocols", "wire", "drivers"],
  hub: ["base", "protocols", "wire"],
  sim: ["base", "protocols", "wire"],
};

const TESTS_ALONE = /^$/;
const TRANSPORTS = /^drivers\/transports\//;
const FASTIFY = /^hub\/http-gateway\.ts$|^agent\/api\/|^(?:hub|agent)\/.*routes\.ts$/;

/** The only files besides scripts and tests that may import a package. A package that is not named here has no home. */
const PACKAGE_HOMES: Readonly<Record<string, RegExp>> = {
  "@abandonware/noble": TRANSPORTS,
  "nfc-pcsc": TRANSPORTS,
  "node-hid": TRANSPORTS,
  serialport: TRANSPORTS,
  "better-sqlite3": /^base\/sqlite\.ts$|^hub\/store\//,
  pg: /^hub\/store\//,
  mqtt: /^agent\/uplink\/mqtt-uplink\.ts$/,
  uqr: /^sim\/phone\/screen\.ts$/,
  "@nats-io/transport-node": /^hub\/nats\/nats-link\.ts$/,
  aedes: /^hub\/mqtt-gateway\.ts$/,
  fastify: FASTIFY,
  "@fastify/swagger": FASTIFY,
  "@fastify/swagger-ui": FASTIFY,
  pino: /^base\/log\.ts$/,
  commander: /(?:^|\/)cli\.ts$/,
  yaml: /^base\/config-file\.ts$/,
  zod: /./,
  "@point-of-sale/receipt-printer-encoder": /^protocols\/escpos\//,
  "@peculiar/x509": /^hub\/|^agent\/uplink\/certificate-request\.ts$/,
  "reflect-metadata": /^hub\/|^agent\/uplink\/certificate-request\.ts$/,
  vitest: TESTS_ALONE,
  "fast-check": TESTS_ALONE,
};

/** Loaded inside open(), so that a program without the device never loads its addon. */
const LOADED_LATE = ["@abandonware/noble", "nfc-pcsc", "node-hid", "serialport"];

export interface Import {
  readonly specifier: string;
  readonly form: "static" | "type" | "dynamic";
  readonly line: number;
}

const IMPORT =
  /\b(import|export)\s+(type\s+)?(?:[\w*$\s{},]+?\sfrom\s*)?"([^"]+)"|\bimport\s*\(\s*"([^"]+)"|\brequire\s*\(\s*"([^"]+)"/g;

export function importsOf(file: SourceFile): readonly Import[] {
  const { code } = scan(file.text);
  return [...code.matchAll(IMPORT)].map((match) => ({
    specifier: match[3] ?? match[4] ?? match[5] ?? "",
    form: match[3] === undefined ? "dynamic" : match[2] === undefined ? "static" : "type",
    line: lineOf(code, match.index),
  }));
}

const isRelative = ({ specifier }: Import): boolean => specifier.startsWith(".");
const targetOf = (file: SourceFile, { specifier }: Import): string =>
  posix.normalize(posix.join(posix.dirname(file.path), specifier));

function eachImport(
  files: readonly SourceFile[],
  judge: (file: SourceFile, found: Import) => string | undefined,
): readonly Violation[] {
  return files.flatMap((file) =>
    importsOf(file).flatMap((found) => {
      const problem = judge(file, found);
      return problem === undefined ? [] : [{ path: `${file.path}:${found.line}`, problem }];
    }),
  );
}

/** Tests beside the code keep to the layers too, and may use what lies in test/. */
export function layerViolations(files: readonly SourceFile[]): readonly Violation[] {
  return eachImport(
    files.filter(({ path }) => inLayers(path)),
    (file, found) => {
      if (!isRelative(found)) return undefined;
      const from = layerOf(file.path);
      const target = targetOf(file, found);
      const allowed = [from, ...(ALLOWED[from] ?? []), ...(isTest(file.path) ? ["test"] : [])];
      return allowed.includes(layerOf(target)) ? undefined : `${from} may not import ${target}`;
    },
  );
}

const AGENT_ROOTS = ["agent/main.ts", "agent/cli.ts"];

/** The agent sees hardware as capabilities only; its composition root alone knows which driver gives them. */
export function driverViewViolations(files: readonly SourceFile[]): readonly Violation[] {
  const narrow = files.filter(({ path }) => inLayers(path) && layerOf(path) === "agent" && !AGENT_ROOTS.includes(path));
  return eachImport(narrow, (file, found) => {
    const target = isRelative(found) ? targetOf(file, found) : "";
    if (layerOf(target) !== "drivers" || target === "drivers/capability.ts") return undefined;
    return `the agent's parts may import only drivers/capability.ts, not ${target}`;
  });
}

const packageOf = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

const isBuiltin = (specifier: string): boolean =>
  specifier.startsWith("node:") || builtinModules.includes(packageOf(specifier));

export function packageViolations(files: readonly SourceFile[]): readonly Violation[] {
  return eachImport(
    files.filter(({ path }) => inLayers(path)),
    (file, found) => {
      if (isRelative(found) || isBuiltin(found.specifier)) return undefined;
      const name = packageOf(found.specifier);
      const home = PACKAGE_HOMES[name];
      if (home === undefined) return `the package ${name} has no home: name one in test/tidy/import-rules.ts`;
      if (isTest(file.path)) return undefined;
      if (!home.test(file.path)) return `the package ${name} may not be imported here, only by ${home.source}`;
      if (LOADED_LATE.includes(name) && found.form === "static") return `${name} is loaded by import() inside open()`;
      return undefined;
    },
  );
}

/** Nothing imports scripts/; only tests import test/. */
export function outsideViolations(files: readonly SourceFile[]): readonly Violation[] {
  const other = files.filter(({ path }) => isTypeScript(path) && /^(?:scripts|test)\//.test(path));
  return eachImport(other, (file, found) => {
    const target = isRelative(found) ? targetOf(file, found) : "";
    // Simulated shops are composed under test/ and run by scripts.
    if (target.startsWith("test/simulation/")) return undefined;
    if (layerOf(file.path) === "scripts" && layerOf(target) === "test" && !isTest(file.path)) {
      return `a script may not import ${target}`;
    }
    return undefined;
  });
}

const SERVICE = /^hub\/(core|features)\/([^/]+)\//;

/** Core knows no feature, features know no feature, and only hub/services.ts lists them, each by its index.ts. */
export function serviceViolations(files: readonly SourceFile[]): readonly Violation[] {
  return eachImport(
    files.filter(({ path }) => inLayers(path)),
    (file, found) => {
      const target = isRelative(found) ? targetOf(file, found) : "";
      const to = SERVICE.exec(target);
      if (to?.[1] !== "features" || file.path.startsWith(to[0])) return undefined;
      if (file.path !== "hub/services.ts") return `only hub/services.ts may import the feature ${to[2]}`;
      return target === `${to[0]}index.ts` ? undefined : `the feature ${to[2]} is imported by its index.ts only`;
    },
  );
}
