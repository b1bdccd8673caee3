import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { committedFiles, ROOT } from "./source-tree.ts";
import {
  BASE_FILES,
  closedBaseViolations,
  configViolations,
  headerViolations,
  leftoverViolations,
  lengthViolations,
  machinePathViolations,
} from "./text-rules.ts";

const tree = committedFiles();
const file = (path: string, text = "") => ({ path, text });

describe("the closed list of base/", () => {
  test("the tree keeps to it", () => expect(closedBaseViolations(tree)).toEqual([]));
  test("the list names no file that is gone", () => {
    expect(Object.keys(BASE_FILES).filter((name) => !existsSync(join(ROOT, "base", `${name}.ts`)))).toEqual([]);
  });
  test.each(["base/utils.ts", "base/text/pad.ts", "base/utils.test.ts", "base/notes.md"])("catches %s", (path) => {
    expect(closedBaseViolations([file(path)])).toHaveLength(1);
  });
  test("lets a listed file and its tests pass", () => {
    expect(
      closedBaseViolations([file("base/money.ts"), file("base/money.test.ts"), file("base/money.property.test.ts")]),
    ).toEqual([]);
  });
});

describe("length of files", () => {
  test("no file of the tree is longer than 400 lines", () => expect(lengthViolations(tree)).toEqual([]));
  test("catches 401 lines and lets 400 pass", () => {
    expect(lengthViolations([file("hub/x.ts", "a;\n".repeat(401))])).toHaveLength(1);
    expect(lengthViolations([file("hub/x.ts", "a;\n".repeat(400))])).toEqual([]);
  });
});

describe("first comments", () => {
  test("every module of the tree says what it is for", () => expect(headerViolations(tree)).toEqual([]));
  test("catches a module that does not", () => {
    expect(headerViolations([file("hub/x.ts", 'import "./y.ts";\n/** late */')])).toHaveLength(1);
    expect(headerViolations([file("hub/x.ts", "#!/usr/bin/env node\n/** Says it. */")])).toEqual([]);
  });
});

describe("leftovers", () => {
  test("the tree has none", () => expect(leftoverViolations(tree)).toEqual([]));
  test.each([
    "// TODO: later",
    "/* FIXME */",
    "/** XXX */",
    "// a stub of the real thing",
    "// good enough for now",
    'test.skip("x", f);',
    'describe.only("x", f);',
    'it.todo("x");',
    'test.concurrent.only("x", f);',
    'test.skipIf(process.env.CI)("x", f);',
    "// @ts-ignore",
    "// @ts-expect-error",
    "// biome-ignore lint/a/b: c",
    "debugger;",
  ])("catches: %s", (text) => {
    expect(leftoverViolations([file("agent/x.test.ts", text)])).toHaveLength(1);
  });
  test("lets words in strings and other names pass", () => {
    const text = 'const a = "TODO"; list.only("x"); test.each([1])("skip", f); // prefer not to';
    expect(leftoverViolations([file("agent/x.test.ts", text)])).toEqual([]);
  });
});

describe("paths of one machine", () => {
  test("the tree has none", () => expect(machinePathViolations(tree)).toEqual([]));
  test.each(["/work/thing", "see /tmp/x.log", '"/root/.npmrc"', "(/home/someone/x)"])("catches: %s", (text) => {
    expect(machinePathViolations([file("docs/x.md", text)])).toHaveLength(1);
  });
  test.each(["/var/lib/tillway", "docs/work/x", "$HOME/home/x", "https://example.test/home/x", "/v1/work/"])(
    "lets pass: %s",
    (text) => {
      expect(machinePathViolations([file("docs/x.md", text)])).toEqual([]);
    },
  );
});

describe("configurations", () => {
  test("each of the tree is named by a document", () => expect(configViolations(tree)).toEqual([]));
  test("catches one that no document names", () => {
    const config = file("config/vehicle.yaml");
    expect(configViolations([config, file("README.md", "see config/hub.yaml")])).toHaveLength(1);
    expect(configViolations([config, file("docs/a.md", "see config/vehicle.yaml")])).toEqual([]);
  });
});
