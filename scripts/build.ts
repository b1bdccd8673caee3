/**
 * Bundles the programs into dist/, where scripts/tillway runs them: one file loads faster and holds less memory than a
 * few hundred stripped sources.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";
import { publishBuild, STAMP } from "./lib/publish-build.ts";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const staging = join(root, ".cache", `build-${process.pid}`);

const ENTRIES: Readonly<Record<string, string>> = {
  tillway: "scripts/tillway.ts",
  "device-host": "drivers/host/main.ts",
  "hub-openings": "hub/openings-worker.ts",
};

/** Native addons, and packages which read files that lie beside their own source. They stay in node_modules. */
const EXTERNAL = [
  "@abandonware/noble",
  "@fastify/swagger-ui",
  "@pokusew/pcsclite",
  "better-sqlite3",
  "nfc-pcsc",
  "node-hid",
  "pg-native",
  "serialport",
];

/** CommonJS packages inside an ES module look for these names of their own module system. */
const COMMONJS_NAMES = [
  'import { createRequire as createRequireOfBundle } from "node:module";',
  "const require = createRequireOfBundle(import.meta.url);",
  "const __filename = import.meta.filename;",
  "const __dirname = import.meta.dirname;",
].join("\n");

/**
 * A CommonJS package that is imported late must offer the same names from the bundle as it does from Node: by itself
 * esbuild would leave only `default`, and `const { MqttClient } = await import("mqtt")` would be undefined. So each such
 * package gets a small module that exports, one by one, the names which Node finds in it.
 */
const latePackages: Plugin = {
  name: "late-packages",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^./]/ }, ({ kind, path, importer }) => {
      const ours = !importer.includes("node_modules");
      if (kind !== "dynamic-import" || !ours || path.startsWith("node:") || EXTERNAL.includes(path)) return undefined;
      return { path, namespace: "late-package" };
    });
    onLoad({ filter: /./, namespace: "late-package" }, async ({ path }) => {
      const names = Object.keys((await import(path)) as object).filter((name) => /^[A-Za-z_$][\w$]*$/.test(name));
      return { contents: `export { ${names.join(", ")} } from ${JSON.stringify(path)};`, resolveDir: root };
    });
  },
};

/**
 * zod carries its messages in fifty languages and loads them all at every start. English is set by zod itself; the
 * others are reached only by a name that nobody here speaks.
 */
const englishOnly: Plugin = {
  name: "english-only",
  setup({ onLoad }) {
    onLoad({ filter: /node_modules\/zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: 'export { default as en } from "./en.js";',
    }));
  },
};

const entryPoints = Object.fromEntries(
  Object.entries(ENTRIES)
    .map(([name, source]) => [name, join(root, source)] as const)
    .filter(([, source]) => existsSync(source)),
);
if (Object.keys(entryPoints).length === 0) {
  console.error(`build: none of ${Object.values(ENTRIES).join(", ")} exists`);
  process.exit(1);
}

mkdirSync(staging, { recursive: true });
try {
  // Its time is that of the start: a source edited while the build runs is newer, and gets built by the next start.
  writeFileSync(join(staging, STAMP), "");
  await build({
    absWorkingDir: root,
    entryPoints,
    outdir: staging,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node24",
    external: EXTERNAL,
    plugins: [latePackages, englishOnly],
    banner: { js: COMMONJS_NAMES },
    chunkNames: "chunk-[hash]",
    // Less to read and to hold; names stay, for the stack of a bug.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "none",
    sourcemap: "linked",
    logLevel: "warning",
  });
  copyNativeSources();
  const entries = Object.keys(entryPoints).map((name) => `${name}.js`);
  publishBuild({ staging, dist, entries, nowMs: Date.now() });
} finally {
  rmSync(staging, { recursive: true, force: true });
}

/** Simulators use sources of other languages at run time, which lie beside the program: a preloaded library, a testbed. */
function copyNativeSources(): void {
  for (const part of ["reader", "scanner"]) {
    const folder = join(root, "sim", part);
    if (!existsSync(folder)) continue;
    for (const name of readdirSync(folder).filter((file) => /\.(?:c|py)$/.test(file))) {
      copyFileSync(join(folder, name), join(staging, name));
    }
  }
}
