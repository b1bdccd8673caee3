import { expect, test } from "vitest";
import { ambientViolations } from "./ambient-rules.ts";
import { committedFiles } from "./source-tree.ts";

const inAgent = (text: string) => ambientViolations([{ path: "agent/payment/x.ts", text }]);

test("the tree takes time, chance, environment and console from outside", () => {
  expect(ambientViolations(committedFiles())).toEqual([]);
});

test.each([
  "const now = Date.now();",
  "const now = Date\n  .now();",
  `const later = \`\${Date.now()}\`;`,
  "const now = new Date();",
  "const now = new Date;",
  "const now = Date();",
  "const now = performance.now();",
  "const now = process.hrtime.bigint();",
  "setTimeout(() => {}, 5);",
  "const timer = globalThis.setTimeout(f, 5);",
  "const wait = promisify(setTimeout);",
  "setInterval(f, 5);",
  "fetch(url, { signal: AbortSignal.timeout(5) });",
  "const a = Math.random();",
  "const id = randomUUID();",
  "const id = crypto.randomUUID();",
  'import { randomBytes } from "node:crypto";',
  'import { createHash, randomBytes as bytes } from "node:crypto";',
  'import { setTimeout as wait } from "node:timers/promises";',
  "if (process.env.HOME) f();",
  'const home = process.env["HOME"];',
  'console.log("x");',
])("catches: %s", (text) => {
  expect(inAgent(text).length).toBeGreaterThan(0);
});

test.each([
  "const then = new Date(ms).toISOString();",
  "const then = Date.UTC(2026, 0, 5);",
  "socket.setTimeout(5, f);",
  "// setTimeout(f) would be ambient",
  'const text = "console.log(process.env)";',
  "const wait = clock.after(5, f);",
  'import { createHash } from "node:crypto";',
  "const z = iso.datetime();",
  "export function parse(text: string): Date { return new Date(text); }",
])("lets pass: %s", (text) => {
  expect(inAgent(text)).toEqual([]);
});

test("base, entry files and tests may reach out", () => {
  for (const path of ["base/clock.ts", "agent/main.ts", "hub/cli.ts", "drivers/host/main.ts", "agent/saf/x.test.ts"]) {
    expect(ambientViolations([{ path, text: "Date.now();" }])).toEqual([]);
  }
});
