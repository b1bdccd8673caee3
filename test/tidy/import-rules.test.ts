import { describe, expect, test } from "vitest";
import {
  driverViewViolations,
  importsOf,
  layerViolations,
  outsideViolations,
  packageViolations,
  serviceViolations,
} from "./import-rules.ts";
import { committedFiles, type SourceFile, type Violation } from "./source-tree.ts";

const tree = committedFiles();
const file = (path: string, text: string): SourceFile => ({ path, text });
const problems = (violations: readonly Violation[]) => violations.map(({ problem }) => problem);

test("finds every form of import, and none in strings or comments", () => {
  const text = [
    'import { a, type B } from "./a.ts";',
    'import type { C } from "../c.ts";',
    'import "./side.ts";',
    'export * from "./d.ts";',
    'import {\n  e,\n} from "./e.ts";',
    'const f = await import("./f.ts");',
    'import g, { h } from "g";',
    'import * as i from "@scope/i/deep";',
    '// import "./comment.ts";',
  ].join("\n");
  expect(importsOf(file("agent/x.ts", text)).map(({ form, specifier }) => `${form} ${specifier}`)).toEqual([
    "static ./a.ts",
    "type ../c.ts",
    "static ./side.ts",
    "static ./d.ts",
    "static ./e.ts",
    "dynamic ./f.ts",
    "static g",
    "static @scope/i/deep",
  ]);
});

describe("layers", () => {
  test("the tree imports only downward", () => expect(layerViolations(tree)).toEqual([]));

  test.each([
    ["base/a.ts", "../wire/b.ts"],
    ["protocols/emv/a.ts", "../../drivers/capability.ts"],
    ["wire/a.ts", "../protocols/b.ts"],
    ["drivers/card-reader/a.ts", "../../agent/b.ts"],
    ["hub/core/ledger/a.ts", "../../../agent/b.ts"],
    ["sim/card/a.ts", "../../drivers/b.ts"],
    ["agent/payment/a.test.ts", "../../hub/b.ts"],
    ["agent/payment/a.ts", "../../test/b.ts"],
  ])("%s may not import %s", (path, target) => {
    for (const text of [`import { x } from "${target}";`, `const x = await import("${target}");`]) {
      expect(problems(layerViolations([file(path, text)]))).toEqual([expect.stringContaining("may not import")]);
    }
  });

  test("a layer may import itself and what lies below", () => {
    const text = 'import "../payment/a.ts"; import "../../base/b.ts"; import "../../wire/c.ts";';
    expect(layerViolations([file("agent/saf/x.ts", text)])).toEqual([]);
  });
});

describe("the agent's view of hardware", () => {
  test("the tree keeps to capabilities", () => expect(driverViewViolations(tree)).toEqual([]));

  test("a part of the agent may not import a driver", () => {
    const text = 'import { Printer } from "../../drivers/printer/escpos-printer.ts";';
    expect(driverViewViolations([file("agent/payment/x.ts", text)])).toHaveLength(1);
    expect(driverViewViolations([file("agent/main.ts", 'import "../drivers/catalogue.ts";')])).toEqual([]);
    expect(
      driverViewViolations([file("agent/a/x.ts", 'import type { A } from "../../drivers/capability.ts";')]),
    ).toEqual([]);
  });
});

describe("packages", () => {
  test("the tree imports each package from its home", () => expect(packageViolations(tree)).toEqual([]));

  test.each([
    ["agent/devices/x.ts", "serialport"],
    ["drivers/printer/x.ts", "serialport"],
    ["sim/printer/x.ts", "node-hid"],
    ["agent/journal/x.ts", "better-sqlite3"],
    ["hub/core/ledger/x.ts", "pg"],
    ["agent/uplink/x.ts", "mqtt"],
    ["hub/http-gateway.ts", "aedes"],
    ["agent/main.ts", "fastify"],
    ["hub/core/x.ts", "pino"],
    ["agent/main.ts", "commander"],
    ["agent/config.ts", "yaml"],
    ["hub/main.ts", "esbuild"],
    ["base/x.ts", "vitest"],
    ["agent/x.ts", "left-pad/deep"],
    ["agent/x.ts", "@scope/unheard-of/deep"],
  ])("%s may not import %s", (path, name) => {
    expect(packageViolations([file(path, `import x from "${name}";`)])).toHaveLength(1);
  });

  test("a native package is loaded late, its types may be imported", () => {
    const path = "drivers/transports/serial.ts";
    expect(packageViolations([file(path, 'import { SerialPort } from "serialport";')])).toHaveLength(1);
    expect(packageViolations([file(path, 'import type { SerialPort } from "serialport";')])).toEqual([]);
    expect(packageViolations([file(path, 'const { SerialPort } = await import("serialport");')])).toEqual([]);
  });

  test("a test may use the packages that the code uses, and no others", () => {
    expect(packageViolations([file("agent/journal/x.test.ts", 'import Database from "better-sqlite3";')])).toEqual([]);
    expect(packageViolations([file("agent/journal/x.test.ts", 'import x from "left-pad";')])).toHaveLength(1);
  });

  test("Node's own modules are free", () => {
    expect(packageViolations([file("base/x.ts", 'import fs from "node:fs"; import { join } from "path";')])).toEqual(
      [],
    );
  });
});

describe("scripts and tests", () => {
  test("no script of the tree imports a test", () => expect(outsideViolations(tree)).toEqual([]));

  test("a script may not import a test", () => {
    expect(outsideViolations([file("scripts/x.ts", 'import "../test/tidy/pan-sweep.ts";')])).toHaveLength(1);
  });
});

describe("hub services", () => {
  test("in the tree only hub/services.ts knows features", () => expect(serviceViolations(tree)).toEqual([]));

  test.each([
    ["hub/core/ledger/x.ts", "../../features/loyalty/index.ts"],
    ["hub/features/fuel/x.ts", "../loyalty/index.ts"],
    ["hub/services.ts", "./features/loyalty/store.ts"],
  ])("%s may not import %s", (path, target) => {
    expect(serviceViolations([file(path, `import { x } from "${target}";`)])).toHaveLength(1);
  });

  test("hub/services.ts lists a feature by its index.ts, and a feature may import itself", () => {
    expect(serviceViolations([file("hub/services.ts", 'import { x } from "./features/loyalty/index.ts";')])).toEqual(
      [],
    );
    expect(serviceViolations([file("hub/features/fuel/index.ts", 'import { x } from "./store.ts";')])).toEqual([]);
  });
});
